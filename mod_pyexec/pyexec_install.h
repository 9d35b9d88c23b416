/* SPDX-License-Identifier: Apache-2.0
 *
 * A run that installs or uninstalls packages instead of running a script: how
 * it is asked for, what it is allowed, and what is answered. Runs in a worker
 * thread; what pip has printed is as hostile as a script's output.
 */
#ifndef PYEXEC_INSTALL_H
#define PYEXEC_INSTALL_H

#include "pyexec_dialect.h"

/* The sentence for a place whose pool installs nothing: 403. */
extern const char pyexec_install_off[];

/* A request whose field `pip` is not empty, as a job without a source. */
pyexec_decode_e pyexec_install_decode(apr_pool_t *pool,
                                      const pyexec_json_t *request,
                                      pyexec_text_t pip, pyexec_job_t *job,
                                      const char **ret_problem);

/* Of PyExecInstallTimeout and PyExecInstallSize; `wall_ms` may only shorten, 0:
 * it does not. */
void pyexec_install_set_limits(pyexec_limits_t *limits, apr_int64_t install_ms,
                               apr_int64_t install_bytes,
                               apr_uint32_t wall_ms);

/* The member of the answer that tells what became of it. */
void pyexec_install_put(pyexec_buffer_t *buffer,
                        const pyexec_outcome_t *outcome);

#endif
