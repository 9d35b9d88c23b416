/* SPDX-License-Identifier: Apache-2.0
 *
 * The interpreters that the helper was built for: a program for each is beside
 * its own. Looked for while the configuration is checked; the helper decides.
 */
#ifndef PYEXEC_PYTHONS_H
#define PYEXEC_PYTHONS_H

#include <apr_pools.h>

/* NULL: one is called `name`, or that cannot be seen from here, as where
 * `helper` is a script that starts another. Else the names that there are, for
 * a message. */
const char *pyexec_pythons_instead(apr_pool_t *pool, const char *helper,
                                   const char *name);

#endif
