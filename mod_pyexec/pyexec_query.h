/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the helper about itself, and what its answers say of pools.
 * Runs in a worker thread, which it blocks for at most the deadline.
 */
#ifndef PYEXEC_QUERY_H
#define PYEXEC_QUERY_H

#include "pyexec_client.h"

/* Sends an empty frame of type `question` and waits for one of type `want`;
 * the rest is pyexec_client_ask()'s. */
pyexec_client_end_e pyexec_query(request_rec *r, enum pxw_type question,
                                 uint16_t want, apr_int64_t deadline_ms,
                                 struct pxw_message *ret_answer,
                                 int *ret_error);

/* Walks the pools of a STATUS_IS: start with *at = 0. 0: no more. */
int pyexec_query_next_pool(const struct pxw_message *status, apr_size_t *at,
                           struct pxw_message *ret_pool);

#endif
