/* SPDX-License-Identifier: Apache-2.0
 *
 * The pools of warm interpreters: those that <PyExecPool> defines, and one for
 * each tenant that is given none, so that no two tenants share an interpreter
 * unless the administrator says so. Listed while the configuration is read,
 * constant later.
 */
#ifndef PYEXEC_POOLS_H
#define PYEXEC_POOLS_H

#include "pyexec_config.h"

/* The helper takes no more, nor a larger set-up than that. */
#define PYEXEC_POOLS_MOST 512

int pyexec_pools_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

/* A section was begun: NULL, or what is wrong with it. */
const char *pyexec_pools_define(apr_pool_t *pconf, const char *name,
                                const char *where);

/* The pool that a section defines, while it is read; NULL: there is none. */
pyexec_pool_t *pyexec_pools_named(const char *name);

/* Once all is read: lists the pools that are needed, with every default filled
 * in. NULL, or why the helper would not take them. */
const char *pyexec_pools_list(apr_pool_t *pconf, apr_pool_t *ptemp,
                              server_rec *main_server);

/* All of the list; *ret_count of them. */
const pyexec_pool_t *const *pyexec_pools_all(int *ret_count);
/* The directories of one of them, once they are checked. */
void pyexec_pools_set_site(int index, const char *real_site);
void pyexec_pools_set_environment(int index, const char *real_environment);
/* NULL: the list has none of that name. */
const pyexec_pool_t *pyexec_pools_find(const char *name);

/* The name of the tenant that a place's runs are counted for, of the
 * configuration alone. NULL: its expression gave none. `r` may be NULL where
 * the place has no expression. */
const char *pyexec_pools_tenant(request_rec *r, const pyexec_place_t *place,
                                const server_rec *s);

/* The name of the pool that serves a place. */
const char *pyexec_pools_name(apr_pool_t *pool, const pyexec_place_t *place,
                              const char *tenant);

#endif
