/* SPDX-License-Identifier: Apache-2.0
 *
 * What a job that installs packages runs in place of a script: install.py.
 */
#ifndef PYEXEC_PY_INSTALL_H
#define PYEXEC_PY_INSTALL_H

#include <Python.h>

#include <stdbool.h>
#include <stddef.h>

#include "jail_trees.h"
#include "py_examine.h"

/* In the job: `wanted` is what PXW_F_INSTALL says. True, and *script is ready
 * to be run; false: that says nothing, or there is no memory. Leaves no
 * exception set. */
bool py_install_prepare(const struct jail *jail, const char *wanted,
                        size_t size, struct py_script *script);

#endif
