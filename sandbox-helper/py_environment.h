/* SPDX-License-Identifier: Apache-2.0
 *
 * Packages that clients installed. They are scripts of strangers like any
 * other: nothing of them is ever imported in the zygote, and what is preloaded
 * there is not what they would have a name for.
 */
#ifndef PYEXEC_PY_ENVIRONMENT_H
#define PYEXEC_PY_ENVIRONMENT_H

#include <Python.h>

/* In the zygote, before anything but the standard library is preloaded:
 * nothing is preloaded by a name that the environment (NULL: there is none)
 * has, nor what cannot do without it. 0, or -1 with an exception set. */
int py_environment_shut(const char *directory);

/* In the zygote, once all is preloaded: puts the directory on sys.path, where
 * scripts find it, behind the administrator's own. What the standard library
 * would take from there by itself stays shut, or a package would run in scripts
 * that never asked for it. 0, or -1 with an exception set. */
int py_environment_open(const char *directory);

/* Around a preload: a module that failed for want of what is shut may have got
 * half of its parts loaded, which scripts are not to find. A new reference, or
 * NULL where nothing is shut; _forget() takes out what has come since. */
PyObject *py_environment_remember(void);
void py_environment_forget(PyObject *before);

/* Afterwards: what scripts find in there, names one a line; "" if nothing. */
const char *py_environment_names(void);

#endif
