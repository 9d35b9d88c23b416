/* SPDX-License-Identifier: Apache-2.0
 *
 * Access to syntax trees. Runs in the job, on trees of hostile source.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_tree.h"

#include <string.h>

PyObject *py_tree_get(PyObject *node, const char *name)
{
    PyObject *value = PyObject_GetAttrString(node, name);

    Py_XDECREF(value);
    if (value == NULL) {
        PyErr_Clear();
    }
    return value;
}

bool py_tree_is(PyObject *node, const char *type)
{
    return node != NULL && strcmp(Py_TYPE(node)->tp_name, type) == 0;
}

bool py_tree_is_text(PyObject *object, const char *wanted)
{
    return object != NULL && PyUnicode_Check(object)
           && PyUnicode_CompareWithASCIIString(object, wanted) == 0;
}

const char *py_tree_text(PyObject *object, Py_ssize_t *ret_size)
{
    const char *text = NULL;

    if (object != NULL && PyUnicode_Check(object)) {
        text = PyUnicode_AsUTF8AndSize(object, ret_size);
    }
    if (text == NULL) {
        PyErr_Clear();
        *ret_size = 0;
        return "";
    }
    return text;
}

PyObject *py_tree_bound_name(PyObject *alias)
{
    PyObject *other = py_tree_get(alias, "asname");

    return other == NULL || other == Py_None ? py_tree_get(alias, "name")
                                             : other;
}

static bool is_own_scope(PyObject *node)
{
    static const char *const types[] = {
        "FunctionDef", "AsyncFunctionDef", "ClassDef", "Lambda",
        "ListComp",    "SetComp",          "DictComp", "GeneratorExp",
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (py_tree_is(node, types[i])) {
            return true;
        }
    }
    return false;
}

/* Puts what is below `node` on the stack, last first, so that the first is
 * taken next. 0, or -1 with an exception set. */
static int push_children(PyObject *stack, PyObject *node, PyObject *node_type)
{
    PyObject *fields;
    int rv = 0;

    if (PyList_Check(node)) {
        for (Py_ssize_t i = PyList_GET_SIZE(node); rv == 0 && i > 0; i--) {
            rv = PyList_Append(stack, PyList_GET_ITEM(node, i - 1));
        }
        return rv;
    }
    fields = py_tree_get((PyObject *)Py_TYPE(node), "_fields");
    if (fields == NULL || !PyTuple_Check(fields)) {
        return 0; /* a constant's value: nothing below */
    }
    for (Py_ssize_t i = PyTuple_GET_SIZE(fields); rv == 0 && i > 0; i--) {
        PyObject *child = PyObject_GetAttr(node,
                                           PyTuple_GET_ITEM(fields, i - 1));

        if (child == NULL) {
            PyErr_Clear(); /* an optional field that is not there */
            continue;
        }
        if (PyList_Check(child)
            || PyObject_IsInstance(child, node_type) == 1) {
            rv = PyList_Append(stack, child);
        }
        Py_DECREF(child);
    }
    return rv;
}

static PyObject *pop(PyObject *stack)
{
    Py_ssize_t last = PyList_GET_SIZE(stack) - 1;
    PyObject *node = Py_NewRef(PyList_GET_ITEM(stack, last));

    if (PyList_SetSlice(stack, last, last + 1, NULL) != 0) {
        Py_CLEAR(node);
    }
    return node;
}

bool py_tree_walk(PyObject *tree, enum py_tree_scope scope,
                  bool (*visit)(void *context, PyObject *node), void *context,
                  bool *ret_complete)
{
    PyObject *module = PyImport_ImportModule("_ast");
    PyObject *node_type = module == NULL ? NULL : py_tree_get(module, "AST");
    PyObject *stack = PyList_New(0);
    PyObject *node;
    bool done = false;
    bool complete = false;

    if (node_type != NULL && stack != NULL
        && PyList_Append(stack, tree) == 0) {
        complete = true;
        while (!done && complete && PyList_GET_SIZE(stack) > 0) {
            node = pop(stack);
            if (node == NULL) {
                complete = false;
                break;
            }
            done = visit(context, node);
            complete = done
                       || (scope == PY_TREE_MODULE && is_own_scope(node))
                       || push_children(stack, node, node_type) == 0;
            Py_DECREF(node);
        }
    }
    *ret_complete = complete;
    PyErr_Clear();
    Py_XDECREF(stack);
    Py_XDECREF(module);
    return done;
}
