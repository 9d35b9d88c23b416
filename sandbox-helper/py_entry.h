/* SPDX-License-Identifier: Apache-2.0
 *
 * Which function of a script is called once the script has run (enum
 * pxw_call): decided on the tree, before anything runs.
 */
#ifndef PYEXEC_PY_ENTRY_H
#define PYEXEC_PY_ENTRY_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* The functions that the source defines at its top level, in order: a list of
 * str, or NULL with an exception set. Of two with one name the last counts. */
PyObject *py_entry_functions(PyObject *tree);

/* The name of the function to call, a new str; NULL without an exception:
 * the source does not bind it. `wanted` is what was asked for, or NULL. A
 * name counts as bound however the module does it: def, class, assignment,
 * import, with, for, … */
PyObject *py_entry_choose(PyObject *tree, PyObject *functions, uint32_t call,
                          PyObject *wanted);

/* Takes the plain call of `name` out of `if __name__ == "__main__":` blocks
 * at the top level, because that call is made for its value afterwards: once,
 * not twice. True: the tree was changed, and it, not the text, is to be
 * compiled. */
bool py_entry_drop_guard(PyObject *tree, PyObject *name);

#endif
