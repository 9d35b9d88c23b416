/* SPDX-License-Identifier: Apache-2.0
 *
 * The helper's life as httpd sees it: started, watched, replaced, drained.
 * Hooks of the httpd parent.
 */
#ifndef PYEXEC_HELPER_H
#define PYEXEC_HELPER_H

#include "pyexec.h"

/* Hooks of the parent. */
int pyexec_helper_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *s);
int pyexec_helper_monitor(apr_pool_t *pool, server_rec *s);

/* check_config, of a configuration that cannot be served. True: httpd runs
 * already, and shall not end for that; no helper will be started. */
int pyexec_helper_refuse(void);

/* In a new child: closes what only the parent may hold. */
void pyexec_helper_let_go(void);

#endif
