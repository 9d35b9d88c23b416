/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading what a job writes. Runs in the keeper; the bytes are the enemy's
 * and are only counted and stored.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_stream.h"

#include "cleanup.h"
#include "fdio.h"

#include <errno.h>
#include <string.h>

/* What a pipe holds by default: one read empties it. */
#define READ_BYTES (64u << 10)
#define FIRST_CAPACITY 1024u

int keeper_stream_grow(struct keeper_stream *stream, size_t limit)
{
    size_t capacity = stream->capacity < FIRST_CAPACITY
                          ? FIRST_CAPACITY
                          : 2 * stream->capacity; /* limit is far below */
    uint8_t *data;

    if (stream->size < stream->capacity) {
        return 0;
    }
    if (capacity > limit) {
        capacity = limit;
    }
    if (capacity <= stream->size) {
        return -ENOMEM;
    }
    data = realloc(stream->data, capacity);
    if (data == NULL) {
        return -ENOMEM;
    }
    stream->data = data;
    stream->capacity = capacity;
    return 0;
}

static void store(struct keeper_stream *stream, const uint8_t *bytes,
                  size_t count)
{
    while (count > 0 && stream->size < stream->keep) {
        size_t room;

        if (keeper_stream_grow(stream, stream->keep) != 0) {
            stream->keep = stream->size; /* `total` tells that it was cut */
            return;
        }
        room = stream->capacity - stream->size;
        if (room > count) {
            room = count;
        }
        memcpy(stream->data + stream->size, bytes, room);
        stream->size += room;
        bytes += room;
        count -= room;
    }
}

enum keeper_read keeper_stream_read(struct keeper_stream *stream)
{
    /* One thread, and nobody keeps a pointer into it. */
    static uint8_t bytes[READ_BYTES];
    ssize_t count = fdio_read(stream->fd, bytes, sizeof(bytes));

    if (count == -EAGAIN) {
        return KEEPER_READ_EMPTY;
    }
    if (count <= 0) {
        return KEEPER_READ_END;
    }
    stream->total += (uint64_t)count;
    store(stream, bytes, (size_t)count);
    return (size_t)count == sizeof(bytes) ? KEEPER_READ_FULL
                                          : KEEPER_READ_SHORT;
}

void keeper_stream_free(struct keeper_stream *stream)
{
    cleanup_fd(&stream->fd);
    free(stream->data);
    stream->data = NULL;
    stream->size = 0;
    stream->capacity = 0;
}
