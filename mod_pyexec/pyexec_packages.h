/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler pyexec-packages: which packages are installed in the environment
 * of the place's pool. Runs in a worker thread.
 */
#ifndef PYEXEC_PACKAGES_H
#define PYEXEC_PACKAGES_H

#include "pyexec.h"

/* The hook. */
int pyexec_packages_run(request_rec *r);

#endif
