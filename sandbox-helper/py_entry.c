/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks for the function to call. Runs in the job on hostile source; a wrong
 * answer here costs only the script itself.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_entry.h"

#include "py_tree.h"
#include "wire.h"

static bool is_function(PyObject *node)
{
    return py_tree_is(node, "FunctionDef")
           || py_tree_is(node, "AsyncFunctionDef");
}

PyObject *py_entry_functions(PyObject *tree)
{
    PyObject *body = py_tree_get(tree, "body");
    PyObject *names = PyDict_New(); /* keeps order, drops doubles */
    PyObject *list;

    for (Py_ssize_t i = 0;
         names != NULL && body != NULL && i < PyList_GET_SIZE(body); i++) {
        PyObject *node = PyList_GET_ITEM(body, i);
        PyObject *name = is_function(node) ? py_tree_get(node, "name") : NULL;

        if (name == NULL) {
            continue;
        }
        /* Again at the end, if it was there: the last definition counts. */
        if (PyDict_Contains(names, name) == 1
            && PyDict_DelItem(names, name) != 0) {
            PyErr_Clear();
        }
        if (PyDict_SetItem(names, name, Py_None) != 0) {
            Py_CLEAR(names);
        }
    }
    list = names == NULL ? NULL : PyDict_Keys(names);
    Py_XDECREF(names);
    return list;
}

static bool is_same(PyObject *one, PyObject *other)
{
    return one != NULL && PyUnicode_Check(one)
           && PyUnicode_Compare(one, other) == 0;
}

static bool import_binds(PyObject *node, PyObject *wanted)
{
    PyObject *names = py_tree_get(node, "names");

    for (Py_ssize_t i = 0; names != NULL && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = py_tree_bound_name(PyList_GET_ITEM(names, i));

        /* A star may bring anything. */
        if (is_same(name, wanted) || py_tree_is_text(name, "*")) {
            return true;
        }
    }
    return false;
}

static bool binds(void *context, PyObject *node)
{
    PyObject *wanted = context;

    if (py_tree_is(node, "Name")) {
        return py_tree_is(py_tree_get(node, "ctx"), "Store")
               && is_same(py_tree_get(node, "id"), wanted);
    }
    if (py_tree_is(node, "Import") || py_tree_is(node, "ImportFrom")) {
        return import_binds(node, wanted);
    }
    /* Definitions, and the names in patterns. */
    return (is_function(node) || py_tree_is(node, "ClassDef")
            || py_tree_is(node, "MatchAs") || py_tree_is(node, "MatchStar"))
           && is_same(py_tree_get(node, "name"), wanted);
}

PyObject *py_entry_choose(PyObject *tree, PyObject *functions, uint32_t call,
                          PyObject *wanted)
{
    PyObject *name = wanted != NULL ? Py_NewRef(wanted)
                                    : PyUnicode_FromString("main");
    Py_ssize_t count = PyList_GET_SIZE(functions);
    bool complete;

    if (name == NULL
        || py_tree_walk(tree, PY_TREE_MODULE, binds, name, &complete)) {
        return name;
    }
    Py_DECREF(name);
    if (wanted == NULL && call == PXW_CALL_TEXT && count > 0) {
        return Py_NewRef(PyList_GET_ITEM(functions, count - 1));
    }
    return NULL;
}

static bool is_module_name(PyObject *node)
{
    return py_tree_is(node, "Name")
           && py_tree_is_text(py_tree_get(node, "id"), "__name__");
}

static bool is_main_text(PyObject *node)
{
    return py_tree_is(node, "Constant")
           && py_tree_is_text(py_tree_get(node, "value"), "__main__");
}

static bool is_guard(PyObject *node)
{
    PyObject *test = py_tree_is(node, "If") ? py_tree_get(node, "test") : NULL;
    PyObject *left;
    PyObject *operators;
    PyObject *right;

    if (!py_tree_is(test, "Compare")) {
        return false;
    }
    left = py_tree_get(test, "left");
    operators = py_tree_get(test, "ops");
    right = py_tree_get(test, "comparators");
    if (PyList_GET_SIZE(operators) != 1
        || !py_tree_is(PyList_GET_ITEM(operators, 0), "Eq")) {
        return false;
    }
    right = PyList_GET_ITEM(right, 0);
    return (is_module_name(left) && is_main_text(right))
           || (is_main_text(left) && is_module_name(right));
}

/* `name()`, without arguments. */
static bool is_call_of(PyObject *node, PyObject *name)
{
    PyObject *function = py_tree_is(node, "Call") ? py_tree_get(node, "func")
                                                  : NULL;

    return py_tree_is(function, "Name")
           && is_same(py_tree_get(function, "id"), name)
           && PyList_GET_SIZE(py_tree_get(node, "args")) == 0
           && PyList_GET_SIZE(py_tree_get(node, "keywords")) == 0;
}

/* `name()`, or `f(name())` as in sys.exit(main()) and asyncio.run(main()). */
static bool is_plain_call(PyObject *statement, PyObject *name)
{
    PyObject *value = py_tree_is(statement, "Expr")
                          ? py_tree_get(statement, "value")
                          : NULL;
    PyObject *args = py_tree_is(value, "Call") ? py_tree_get(value, "args")
                                               : NULL;

    return is_call_of(value, name)
           || (args != NULL && PyList_GET_SIZE(args) == 1
               && py_tree_is(py_tree_get(value, "func"), "Attribute")
               && is_call_of(PyList_GET_ITEM(args, 0), name));
}

/* The statement's expression becomes None: it keeps its place and position. */
static bool neutralise(PyObject *statement)
{
    PyObject *ast = PyImport_ImportModule("_ast");
    PyObject *value = py_tree_get(statement, "value");
    PyObject *none = ast == NULL ? NULL
                                 : PyObject_CallMethod(ast, "Constant", "O",
                                                       Py_None);
    static const char *const positions[] = {
        "lineno", "col_offset", "end_lineno", "end_col_offset",
    };
    bool done = none != NULL;

    for (size_t i = 0; done && i < sizeof(positions) / sizeof(positions[0]);
         i++) {
        PyObject *position = py_tree_get(value, positions[i]);

        done = position != NULL
               && PyObject_SetAttrString(none, positions[i], position) == 0;
    }
    done = done && PyObject_SetAttrString(statement, "value", none) == 0;
    PyErr_Clear();
    Py_XDECREF(none);
    Py_XDECREF(ast);
    return done;
}

bool py_entry_drop_guard(PyObject *tree, PyObject *name)
{
    PyObject *body = py_tree_get(tree, "body");
    bool changed = false;

    for (Py_ssize_t i = 0; body != NULL && i < PyList_GET_SIZE(body); i++) {
        PyObject *node = PyList_GET_ITEM(body, i);
        PyObject *guarded = is_guard(node) ? py_tree_get(node, "body") : NULL;

        for (Py_ssize_t k = 0;
             guarded != NULL && k < PyList_GET_SIZE(guarded); k++) {
            PyObject *statement = PyList_GET_ITEM(guarded, k);

            if (is_plain_call(statement, name)) {
                changed = neutralise(statement) || changed;
            }
        }
    }
    return changed;
}
