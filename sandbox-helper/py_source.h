/* SPDX-License-Identifier: Apache-2.0
 *
 * The script's text: what is checked and what is run is the same string,
 * compiled with the same flags under the same name.
 */
#ifndef PYEXEC_PY_SOURCE_H
#define PYEXEC_PY_SOURCE_H

#include <Python.h>

#include <stdbool.h>

/* The script's file name in tracebacks. There is no such file. */
#define PY_SOURCE_NAME "script.py"

/* `source` is UTF-8 and ends with NUL; a byte order mark at its start is
 * skipped, an encoding cookie ignored. Returns a code object, or the syntax
 * tree if `tree_only`; NULL with an exception set. */
PyObject *py_source_compile(const char *source, bool tree_only);

/* Makes the text known to linecache, so that tracebacks and inspect can show
 * its lines. Failure is not an error: lines are then missing. */
void py_source_publish(const char *source);

#endif
