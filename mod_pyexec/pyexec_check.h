/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything an administrator can get wrong that a single directive cannot
 * know: found by `-t`, without side effects.
 */
#ifndef PYEXEC_CHECK_H
#define PYEXEC_CHECK_H

#include "pyexec.h"

/* check_config hook. */
int pyexec_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                 server_rec *s);

#endif
