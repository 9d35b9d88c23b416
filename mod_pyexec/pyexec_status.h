/* SPDX-License-Identifier: Apache-2.0
 *
 * The content handler that tells whether runs can be served.
 */
#ifndef PYEXEC_STATUS_H
#define PYEXEC_STATUS_H

#include "pyexec.h"

int pyexec_status_health(request_rec *r);

/* mod_status's hook: HTML, or lines for ?auto. */
int pyexec_status_section(request_rec *r, int flags);

#endif
