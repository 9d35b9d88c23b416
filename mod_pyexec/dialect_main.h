/* SPDX-License-Identifier: Apache-2.0
 *
 * What the three main-* dialects have in common.
 */
#ifndef DIALECT_MAIN_H
#define DIALECT_MAIN_H

#include "pyexec_dialect.h"

/* {"script": source}: run it, then call its main(). */
pyexec_decode_e dialect_main_decode(apr_pool_t *pool,
                                    const pyexec_json_t *request,
                                    pyexec_job_t *job,
                                    const char **ret_problem);

#endif
