/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields that a request of any dialect may have, and that change the
 * answer only when they are used: stdin, args, timeout, function, params,
 * usage.
 */
#ifndef PYEXEC_OPTIONAL_H
#define PYEXEC_OPTIONAL_H

#include "pyexec_dialect.h"

/* More arguments than a shell passes on are a mistake; each costs eight bytes
 * of a frame whose size follows from the body's. */
#define PYEXEC_ARGS_MOST 4096

/* Fills in what the request has of them. null is as good as absent, and so is
 * "" for function and params, which is what forms send. `params` is the
 * field's name in this dialect. NULL, or a sentence that names the field. */
const char *pyexec_optional_read(apr_pool_t *pool,
                                 const pyexec_json_t *request,
                                 const char *params, pyexec_job_t *job);

/* Whether the request calls a function beyond what its dialect always does:
 * `function` or params is there. For use after the above. */
int pyexec_optional_calls(const pyexec_job_t *job);

#endif
