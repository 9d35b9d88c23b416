/* SPDX-License-Identifier: Apache-2.0
 *
 * What the dialects share in reading an outcome and telling it: the result of
 * a call, the limit that ended a run, the streams, the usage. Runs in a worker
 * thread; what a script wrote is hostile, in the result as in the streams.
 */
#ifndef PYEXEC_OUTCOME_H
#define PYEXEC_OUTCOME_H

#include "pyexec_dialect.h"

/* How a run ended that was to call a function. */
typedef enum
{
    PYEXEC_END_VALUE,     /* value is set, and checked */
    PYEXEC_END_RAISED,    /* text is the exception */
    PYEXEC_END_NOT_JSON,  /* text says why */
    PYEXEC_END_MISSING,   /* there was no such function by then */
    PYEXEC_END_ITSELF,    /* it ended before the call had, or none was asked */
    PYEXEC_END_STOPPED,   /* by a limit or a signal */
} pyexec_end_e;

typedef struct pyexec_end_t
{
    pyexec_end_e kind;
    pyexec_jsonvalue_t value;
    pyexec_text_t text;
} pyexec_end_t;

pyexec_end_t pyexec_outcome_end(const pyexec_outcome_t *outcome);

/* What it told as text; `size` 0 when it told nothing. */
pyexec_text_t pyexec_outcome_text(const pyexec_outcome_t *outcome,
                                  enum pxw_tag tag);

/* As a shell or subprocess tells it: the exit status, minus the signal, -9
 * for what the service ended. */
apr_int64_t pyexec_outcome_return_code(const pyexec_outcome_t *outcome);

/* Which limit ended the run, as a sentence; "" when none did. */
void pyexec_outcome_print_limit(char *text, apr_size_t size,
                                const pyexec_outcome_t *outcome);

/* What follows goes into a text that is open. */

/* One stream, with a mark where it was cut. Without its last line end if
 * `trim`. Returns whether the text is now at the start of a line. */
int pyexec_outcome_add_stream(pyexec_buffer_t *buffer,
                              const pyexec_outcome_t *outcome,
                              enum pxw_tag tag, int trim);

/* The name of what was called, with its brackets. */
void pyexec_outcome_add_function(pyexec_buffer_t *buffer,
                                 const pyexec_outcome_t *outcome);

/* Why there is no value, in one line. */
void pyexec_outcome_add_reason(pyexec_buffer_t *buffer,
                               const pyexec_outcome_t *outcome,
                               const pyexec_end_t *end);

/* The same, and stderr below it, which has the traceback. */
void pyexec_outcome_add_failure(pyexec_buffer_t *buffer,
                                const pyexec_outcome_t *outcome,
                                const pyexec_end_t *end);

/* Why it was refused before it ran; `missing` is the sentence for a function
 * that is not there, with @ where its name stands. */
void pyexec_outcome_add_refusal(pyexec_buffer_t *buffer,
                                const pyexec_outcome_t *outcome,
                                const char *missing);

/* The last member of an answer, if it is wanted. */
void pyexec_outcome_put_usage(pyexec_buffer_t *buffer,
                              const pyexec_outcome_t *outcome);

#endif
