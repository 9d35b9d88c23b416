/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading one frame of a client. Runs in the keeper; the client may be anybody
 * until it has shown the token, so what it can make us hold is bounded.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_request.h"

#include "fdio.h"
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a frame may have without being counted: the connections that could
 * have as much are bounded, and HELLO, STATUS and small runs always get
 * through, however much the large ones hold. */
#define FIRST_BYTES (16u << 10)

static size_t counted(size_t capacity)
{
    return capacity > FIRST_BYTES ? capacity - FIRST_BYTES : 0;
}

static void drop(struct keeper_request *request)
{
    keeper_release(request->keeper, counted(request->capacity));
    free(request->frame);
    request->frame = NULL;
    request->capacity = 0;
}

void keeper_request_reset(struct keeper_request *request)
{
    drop(request);
    request->have = 0;
    request->accepted = false;
    request->discard = false;
}

/* Room for what comes next, or from now on nothing is kept. */
static void grow(struct keeper_request *request, size_t frame_bytes)
{
    size_t capacity = request->capacity == 0 ? FIRST_BYTES
                                             : 2 * request->capacity;
    uint8_t *frame;
    size_t more;

    if (capacity > frame_bytes) {
        capacity = frame_bytes;
    }
    more = counted(capacity) - counted(request->capacity);
    if (!keeper_hold(request->keeper, more)) {
        request->discard = true;
        drop(request);
        return;
    }
    frame = realloc(request->frame, capacity);
    if (frame == NULL) {
        keeper_release(request->keeper, more);
        request->discard = true;
        drop(request);
        return;
    }
    if (request->frame == NULL) {
        memcpy(frame, request->head, PXW_HEADER_BYTES);
    }
    request->frame = frame;
    request->capacity = capacity;
}

static ssize_t read_body(struct keeper_request *request, int fd,
                         size_t frame_bytes)
{
    /* One thread; what is read here is thrown away. */
    static uint8_t nowhere[64u << 10];
    size_t size = frame_bytes - request->have;

    if (!request->discard && request->have >= request->capacity) {
        grow(request, frame_bytes);
    }
    if (request->discard) {
        return fdio_read(fd, nowhere,
                         size < sizeof(nowhere) ? size : sizeof(nowhere));
    }
    if (size > request->capacity - request->have) {
        size = request->capacity - request->have;
    }
    return fdio_read(fd, request->frame + request->have, size);
}

enum keeper_request_read keeper_request_read(struct keeper_request *request,
                                             int fd)
{
    size_t frame_bytes = PXW_HEADER_BYTES;
    ssize_t count = 0;

    if (!request->accepted) {
        count = fdio_read(fd, request->head + request->have,
                          PXW_HEADER_BYTES - request->have);
    }
    else {
        frame_bytes += request->header.length;
        if (request->have < frame_bytes) {
            count = read_body(request, fd, frame_bytes);
        }
        else if (!request->discard) {
            grow(request, frame_bytes); /* an empty body: the header alone */
        }
    }
    if (count == -EAGAIN) {
        return KEEPER_REQUEST_LATER;
    }
    if (count < 0 || (count == 0 && request->have < frame_bytes)) {
        return KEEPER_REQUEST_GONE;
    }
    request->have += (size_t)count;
    if (request->have < frame_bytes) {
        return KEEPER_REQUEST_PART;
    }
    if (!request->accepted) {
        request->accepted = true;
        return KEEPER_REQUEST_HEADER;
    }
    return KEEPER_REQUEST_WHOLE;
}
