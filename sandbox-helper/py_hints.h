/* SPDX-License-Identifier: Apache-2.0
 *
 * Hints: what the author of a script might do about an exception.
 */
#ifndef PYEXEC_PY_HINTS_H
#define PYEXEC_PY_HINTS_H

#include <Python.h>

#include "py_policy.h"
#include "wire.h"

/* A list of str, or NULL for none; leaves no exception set. `names` is the
 * script's namespace or NULL. */
PyObject *py_hints_for(PyObject *type, PyObject *value, PyObject *traceback,
                       PyObject *names, const struct py_policy *policy);

/* Puts a list of str as `tag`, one a line; what is no text, or does not fit
 * into a list of the wire, is left out. NULL: puts nothing. */
void py_hints_put_list(struct pxw_writer *frame, enum pxw_tag tag,
                       PyObject *list);

static inline void py_hints_put(struct pxw_writer *frame, PyObject *hints)
{
    if (hints != NULL) {
        py_hints_put_list(frame, PXW_F_HINTS, hints);
    }
}

#endif
