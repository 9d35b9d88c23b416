/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounded reading of a request body, and the checks that its headers allow
 * before the first byte is read. Runs in a worker thread.
 */
#ifndef PYEXEC_BODY_H
#define PYEXEC_BODY_H

#include "pyexec_buffer.h"

#include <httpd.h>

/* NULL, or a sentence for a 415: neither JSON in UTF-8 nor, where forms are
 * taken, a form (*ret_is_form), or coded in a way that no input filter
 * undoes. */
const char *pyexec_body_check_type(const request_rec *r, int takes_forms,
                                   int *ret_is_form);

/* Reads the body, at most limit_bytes of it. OK, or what HTTP status it is;
 * AP_FILTER_ERROR when httpd has answered already. */
int pyexec_body_read(request_rec *r, apr_int64_t limit_bytes,
                     pyexec_buffer_t *body);

/* The connection ends with this answer: what is left of the body is unknown
 * and must never be read as a next request. */
void pyexec_body_abandon(request_rec *r);

/* To be called when a request is refused with its body unread: unless that
 * is short, the connection is closed instead of reading all of it. */
void pyexec_body_leave_unread(request_rec *r);

/* Whether the request may come from a page of another origin than this server
 * and `allowed` ("none", "*" or one origin), judged by Sec-Fetch-Site and
 * Origin as the Fetch standard has them; programs that are no browsers send
 * neither. 0: it does, and may not. */
int pyexec_body_is_same_site(request_rec *r, const char *allowed);

#endif
