/* SPDX-License-Identifier: Apache-2.0
 *
 * The content handler that serves the description of all dialects.
 */
#ifndef PYEXEC_OPENAPI_H
#define PYEXEC_OPENAPI_H

#include "pyexec.h"

int pyexec_openapi_run(request_rec *r);

#endif
