/* SPDX-License-Identifier: Apache-2.0
 *
 * The content handler that tells whether runs can be served.
 */
#ifndef PYEXEC_STATUS_H
#define PYEXEC_STATUS_H

#include "pyexec.h"

int pyexec_status_health(request_rec *r);

#endif
