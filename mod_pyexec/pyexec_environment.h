/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory of packages that clients install for a pool
 * (PyExecEnvironment), and the second pool that installs them: only its jobs
 * may write there, and they run nothing but pip. Runs in the httpd parent.
 */
#ifndef PYEXEC_ENVIRONMENT_H
#define PYEXEC_ENVIRONMENT_H

#include "pyexec_config.h"
#include "pyexec_site.h"

struct pxw_writer;

/* The pool that installs for this one, of its name and "+install". */
pyexec_pool_t *pyexec_environment_installer(apr_pool_t *pconf,
                                            const pyexec_pool_t *pool);

/* Looks at the directories of all pools that are listed, keeps their real
 * names, and tells what is wrong with them and with what installs into them.
 * Returns whether anything is. */
int pyexec_environment_check(server_rec *s, apr_pool_t *pconf,
                             const pyexec_site_reader_t *reader);

/* What the helper is told of it, into an open POOL_DEF. */
void pyexec_environment_put(struct pxw_writer *frame,
                            const pyexec_pool_t *pool);

#endif
