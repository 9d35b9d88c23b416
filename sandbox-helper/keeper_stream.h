/* SPDX-License-Identifier: Apache-2.0
 *
 * One stream of a job that the keeper reads: how much is kept, how much came,
 * and how the end of the reading looked. Used for stdout and stderr, and by
 * keeper_report.[ch] for the report pipe.
 */
#ifndef PYEXEC_KEEPER_STREAM_H
#define PYEXEC_KEEPER_STREAM_H

#include <stddef.h>
#include <stdint.h>

enum keeper_read
{
    KEEPER_READ_FULL,  /* as much as was asked for: there may be more */
    KEEPER_READ_SHORT, /* less: the pipe is empty now */
    KEEPER_READ_EMPTY, /* nothing was there */
    KEEPER_READ_END,   /* nothing will come any more */
};

struct keeper_stream
{
    int fd; /* ours, -1: closed */
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t keep;    /* bytes kept at most */
    uint64_t total; /* bytes that came */
};

/* One read of the stream's descriptor; `data` grows as bytes come. A failure
 * of memory only cuts what is kept. */
enum keeper_read keeper_stream_read(struct keeper_stream *stream);

/* Room for one more byte at least, at most for `limit` in all; doubles.
 * 0 or -ENOMEM. */
int keeper_stream_grow(struct keeper_stream *stream, size_t limit);

void keeper_stream_free(struct keeper_stream *stream);

#endif
