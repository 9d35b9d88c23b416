/* SPDX-License-Identifier: Apache-2.0
 *
 * Access to syntax trees. Runs in the job, on trees of hostile source.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_tree.h"

#include <stdlib.h>
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

/* What is still to be visited, the next one last. All of it is held by the
 * tree, which nobody changes meanwhile. */
struct stack
{
    PyObject **nodes;
    size_t count;
    size_t room;
};

static bool push(struct stack *stack, PyObject *node)
{
    if (stack->count == stack->room) {
        size_t room = stack->room == 0 ? 256 : 2 * stack->room;
        PyObject **nodes = realloc(stack->nodes, room * sizeof(*nodes));

        if (nodes == NULL) {
            return false;
        }
        stack->nodes = nodes;
        stack->room = room;
    }
    stack->nodes[stack->count++] = node;
    return true;
}

static void reverse(PyObject **nodes, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        PyObject *node = nodes[i];

        nodes[i] = nodes[count - 1 - i];
        nodes[count - 1 - i] = node;
    }
}

/* A node keeps its fields in its dictionary, in the order of the grammar;
 * among them are numbers and texts, which have nothing below. */
static bool push_fields(struct stack *stack, PyObject *node,
                        PyTypeObject *node_type)
{
    PyObject *fields = PyObject_GenericGetDict(node, NULL);
    Py_ssize_t at = 0;
    PyObject *name;
    PyObject *value;
    bool done = fields != NULL;

    while (done && PyDict_Next(fields, &at, &name, &value)) {
        if (PyList_Check(value) || PyObject_TypeCheck(value, node_type)) {
            done = push(stack, value);
        }
    }
    PyErr_Clear();
    Py_XDECREF(fields);
    return done;
}

/* Puts what is below `node` on the stack, last first, so that the first is
 * taken next. False: no memory. */
static bool push_children(struct stack *stack, PyObject *node,
                          PyTypeObject *node_type)
{
    size_t before = stack->count;
    bool done = true;

    if (PyList_Check(node)) {
        for (Py_ssize_t i = 0; done && i < PyList_GET_SIZE(node); i++) {
            done = push(stack, PyList_GET_ITEM(node, i));
        }
    }
    else if (PyObject_TypeCheck(node, node_type)) {
        done = push_fields(stack, node, node_type);
    }
    reverse(stack->nodes + before, stack->count - before);
    return done;
}

bool py_tree_walk(PyObject *tree, enum py_tree_scope scope,
                  bool (*visit)(void *context, PyObject *node), void *context,
                  bool *ret_complete)
{
    PyObject *module = PyImport_ImportModule("_ast");
    PyObject *base = module == NULL ? NULL : py_tree_get(module, "AST");
    struct stack stack = { 0 };
    bool done = false;
    bool complete = base != NULL && PyType_Check(base) && push(&stack, tree);

    while (!done && complete && stack.count > 0) {
        PyObject *node = stack.nodes[--stack.count];

        done = visit(context, node);
        complete = done
                   || (scope == PY_TREE_MODULE && is_own_scope(node))
                   || push_children(&stack, node, (PyTypeObject *)base);
    }
    *ret_complete = complete;
    PyErr_Clear();
    free(stack.nodes);
    Py_XDECREF(module);
    return done;
}
