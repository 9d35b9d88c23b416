/* SPDX-License-Identifier: Apache-2.0
 *
 * `apachectl -t -D DUMP_PYEXEC`: what holds for each pool, virtual host and
 * section, and where each value was set.
 */
#ifndef PYEXEC_DUMP_H
#define PYEXEC_DUMP_H

#include "pyexec.h"

/* test_config hook. */
void pyexec_dump(apr_pool_t *pconf, server_rec *s);

#endif
