/* SPDX-License-Identifier: Apache-2.0
 *
 * The content handler that runs code.
 */
#ifndef PYEXEC_HANDLER_H
#define PYEXEC_HANDLER_H

#include "pyexec.h"

int pyexec_handler_run(request_rec *r);

#endif
