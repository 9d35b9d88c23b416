/* SPDX-License-Identifier: Apache-2.0
 *
 * One frame that comes in from a client, in memory that follows the bytes
 * that came, not those that were announced.
 */
#ifndef PYEXEC_KEEPER_REQUEST_H
#define PYEXEC_KEEPER_REQUEST_H

#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keeper;

struct keeper_request
{
    struct keeper *keeper;
    uint8_t head[PXW_HEADER_BYTES];
    struct pxw_header header; /* the caller's to fill in from `head` */
    bool accepted;            /* the header was reported */
    size_t have;              /* of header and body */
    uint8_t *frame;
    size_t capacity; /* of `frame`, and what keeper_hold() was told */
    bool discard;    /* too much is held: read on, keep nothing */
};

enum keeper_request_read
{
    KEEPER_REQUEST_LATER,  /* nothing is there now */
    KEEPER_REQUEST_GONE,   /* end of file, or an error */
    KEEPER_REQUEST_PART,   /* read on */
    KEEPER_REQUEST_HEADER, /* `head` is there: check it, set `header` */
    KEEPER_REQUEST_WHOLE,  /* `frame` is complete, or NULL if `discard` */
};

/* Reads at most once and never beyond the frame. */
enum keeper_request_read keeper_request_read(struct keeper_request *request,
                                             int fd);

/* Frees the frame; the next one may come. */
void keeper_request_reset(struct keeper_request *request);

#endif
