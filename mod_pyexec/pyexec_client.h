/* SPDX-License-Identifier: Apache-2.0
 *
 * One conversation with the helper over its socket: a frame out, a frame in.
 * Runs in a worker thread, which it blocks for at most the deadline.
 */
#ifndef PYEXEC_CLIENT_H
#define PYEXEC_CLIENT_H

#include "../sandbox-helper/wire.h"

#include <httpd.h>

typedef enum
{
    PYEXEC_ANSWERED,     /* *ret_answer is filled */
    PYEXEC_NOT_BEGUN,    /* not reached, or it ended before it had begun to
                          * act on the question */
    PYEXEC_CROWDED,      /* not even room to wait for being accepted */
    PYEXEC_ENDED,        /* the helper left without an answer */
    PYEXEC_OVERDUE,      /* the deadline passed */
    PYEXEC_MALFORMED,    /* the answer breaks the protocol */
    PYEXEC_OTHER_VERSION, /* the helper is of another release */
    PYEXEC_UNSERVED,     /* nobody serves; *ret_answer tells why */
    PYEXEC_CLIENT_LEFT,  /* nobody is there to hear the answer */
    PYEXEC_STOPPING,     /* httpd stops: the client's descriptor is gone */
} pyexec_client_end_e;

/* Starts with the token and then sends `question`, a finished frame; waits
 * for one frame of type `want`. The answer points into memory of r->pool.
 * *ret_error is an errno or 0, for the log. Whatever the end is, the
 * connection is closed, and that ends the run. */
pyexec_client_end_e pyexec_client_ask(request_rec *r,
                                      const struct pxw_writer *question,
                                      uint16_t want, apr_int64_t deadline_ms,
                                      struct pxw_message *ret_answer,
                                      int *ret_error);

/* Our words for an end, for logs. */
const char *pyexec_client_end_text(pyexec_client_end_e end);

#endif
