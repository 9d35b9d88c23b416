/* SPDX-License-Identifier: Apache-2.0
 *
 * Scripts behind links: whether a pool has any, and what that takes. Nothing is
 * fetched here: the run does that, in its sandbox.
 */
#ifndef PYEXEC_LINKS_H
#define PYEXEC_LINKS_H

#include "pyexec_config.h"
#include "pyexec_dialect.h"

/* Whether a decoded job may go to that pool; if not, a sentence for the client
 * as well. */
pyexec_decode_e pyexec_links_permit(const pyexec_pool_t *pool,
                                    const pyexec_job_t *job,
                                    const char **ret_problem);

/* NULL, or why the pool cannot have links. */
const char *pyexec_links_mistake(const pyexec_pool_t *pool);

#endif
