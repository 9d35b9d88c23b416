/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything about answers that is HTTP: the one table from outcome to
 * status, error bodies, headers, and the filter that makes httpd's own error
 * pages inside our locations JSON. Runs in a worker thread.
 */
#ifndef PYEXEC_REPLY_H
#define PYEXEC_REPLY_H

#include "pyexec_config.h"
#include "pyexec_dialect.h"

/* These return what the handler has to return: the answer is written. */
int pyexec_reply_error(request_rec *r, int status, const char *sentence);
/* Whether an outcome is a result of the user's program; one that nobody has
 * heard of is not. */
int pyexec_reply_is_result(enum pxw_outcome outcome);
/* An outcome that is not: a failure of ours. */
int pyexec_reply_failure(request_rec *r, enum pxw_outcome outcome);
/* Why a request was not decoded, as its dialect tells it. */
int pyexec_reply_problem(request_rec *r, const pyexec_dialect_t *dialect,
                         pyexec_decode_e decoded, const char *sentence);
/* One of theirs, encoded by the dialect that was asked. */
int pyexec_reply_outcome(request_rec *r, const pyexec_outcome_t *outcome);
int pyexec_reply_json(request_rec *r, int status, pyexec_buffer_t *body);
/* 200 with a body of another type. */
int pyexec_reply_text(request_rec *r, const char *type, pyexec_buffer_t *body);
int pyexec_reply_preflight(request_rec *r, const pyexec_place_t *place);

/* The sentence for a status that httpd or a reading error gave. */
const char *pyexec_reply_sentence(int status);

/* Adds the CORS headers; for every answer, also those that httpd writes. */
void pyexec_reply_allow_origin(request_rec *r, const pyexec_place_t *place);

/* Hooks. */
void pyexec_reply_register_filter(void);
void pyexec_reply_insert_error_filter(request_rec *r);

#endif
