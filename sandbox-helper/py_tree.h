/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking at syntax trees (the objects of Python's ast module) from C.
 * Nothing here leaves an exception set.
 */
#ifndef PYEXEC_PY_TREE_H
#define PYEXEC_PY_TREE_H

#include <Python.h>

#include <stdbool.h>

/* An attribute of a node, borrowed: the tree keeps it alive. NULL: absent. */
PyObject *py_tree_get(PyObject *node, const char *name);

/* Whether the object is a node of this type ("Import", "Call", …). NULL is
 * of no type. */
bool py_tree_is(PyObject *node, const char *type);

/* Whether the object is a str with this text. */
bool py_tree_is_text(PyObject *object, const char *wanted);

/* A str as UTF-8, alive as long as the object; "" and 0 for anything else. */
const char *py_tree_text(PyObject *object, Py_ssize_t *ret_size);

/* What an import binds in its namespace: the new name or the old one. */
PyObject *py_tree_bound_name(PyObject *alias);

enum py_tree_scope
{
    PY_TREE_ALL,    /* every node */
    PY_TREE_MODULE, /* not what is inside functions, classes, lambdas and
                     * comprehensions; these themselves are visited */
};

/* Visits nodes in source order with a stack of its own, since depth is the
 * script's to choose. Ends when `visit` returns true and returns that.
 * *ret_complete: false when memory ran out before all were visited. */
bool py_tree_walk(PyObject *tree, enum py_tree_scope scope,
                  bool (*visit)(void *context, PyObject *node), void *context,
                  bool *ret_complete);

#endif
