/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables of the scripts' environment (PyExecEnv): which names and values
 * are acceptable, and a list of them, one NAME=value a line.
 */
#ifndef PYEXEC_ENV_H
#define PYEXEC_ENV_H

#include <apr_pools.h>

/* The list with one more, which replaces an earlier one of its name. NULL:
 * *ret_problem says why it cannot be. `list` may be NULL. */
const char *pyexec_env_add(apr_pool_t *pool, const char *list,
                           const char *name, const char *value,
                           const char **ret_problem);

/* Both lists; of two of one name the inner one's. Both may be NULL. */
const char *pyexec_env_merge(apr_pool_t *pool, const char *outer,
                             const char *inner);

#endif
