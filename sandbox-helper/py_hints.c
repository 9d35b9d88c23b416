/* SPDX-License-Identifier: Apache-2.0
 *
 * The commonest mistakes and their cures: a misspelt name, a module that is
 * not there. Runs in the job, next to the script's own objects.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_hints.h"

#include <stdbool.h>
#include <string.h>

/* As CPython has it for its own suggestions: beyond these a search would cost
 * more than a hint is worth. */
#define MAX_CANDIDATES 750
#define MAX_NAME 40

/* Adds the keys of a dict, or the items of a list, to a list. */
static void extend(PyObject *list, PyObject *more)
{
    Py_ssize_t end = PyList_GET_SIZE(list);
    bool few = more != NULL && PyObject_Size(more) <= MAX_CANDIDATES;
    PyObject *items;

    PyErr_Clear(); /* what has no size is no namespace either */
    items = few ? PySequence_List(more) : NULL;

    if (items != NULL) {
        (void)PyList_SetSlice(list, end, end, items);
    }
    PyErr_Clear();
    Py_XDECREF(items);
}

/* The names that the line which raised could have meant. */
static PyObject *visible_names(PyObject *traceback, PyObject *names)
{
    PyObject *list = PyList_New(0);
    PyTracebackObject *last = (PyTracebackObject *)traceback;
    PyObject *locals;

    if (list == NULL) {
        PyErr_Clear();
        return NULL;
    }
    while (last != NULL && last->tb_next != NULL) {
        last = last->tb_next;
    }
    if (last != NULL) {
        locals = PyFrame_GetLocals(last->tb_frame);
        extend(list, locals);
        Py_XDECREF(locals);
        locals = PyFrame_GetGlobals(last->tb_frame);
        extend(list, locals);
        Py_XDECREF(locals);
    }
    extend(list, names);
    extend(list, PyEval_GetBuiltins());
    return list;
}

/* The text of the closest name, or NULL. */
static PyObject *find_close(PyObject *wrong, PyObject *names)
{
    bool worth = names != NULL && PyList_Check(names)
                 && PyList_GET_SIZE(names) <= 2 * MAX_CANDIDATES
                 && PyUnicode_GET_LENGTH(wrong) <= MAX_NAME;
    PyObject *difflib = worth ? PyImport_ImportModule("difflib") : NULL;
    PyObject *matches = difflib == NULL || names == NULL
                            ? NULL
                            : PyObject_CallMethod(difflib, "get_close_matches",
                                                  "OOi", wrong, names, 1);
    PyObject *found = NULL;

    if (matches != NULL && PyList_Check(matches)
        && PyList_GET_SIZE(matches) > 0) {
        found = Py_NewRef(PyList_GET_ITEM(matches, 0));
    }
    PyErr_Clear();
    Py_XDECREF(matches);
    Py_XDECREF(difflib);
    return found;
}

static PyObject *hint_close(PyObject *wrong, PyObject *candidates)
{
    PyObject *close = find_close(wrong, candidates);
    PyObject *hint = close == NULL
                         ? NULL
                         : PyUnicode_FromFormat("Did you mean '%U'?", close);

    PyErr_Clear();
    Py_XDECREF(close);
    return hint;
}

static PyObject *hint_name(PyObject *wrong, PyObject *traceback,
                           PyObject *names)
{
    PyObject *candidates = visible_names(traceback, names);
    PyObject *hint = hint_close(wrong, candidates);

    Py_XDECREF(candidates);
    return hint;
}

static PyObject *hint_attribute(PyObject *wrong, PyObject *value)
{
    PyObject *owner = PyObject_GetAttrString(value, "obj");
    PyObject *candidates = owner == NULL ? NULL : PyObject_Dir(owner);
    PyObject *hint = NULL;

    PyErr_Clear();
    if (candidates != NULL) {
        hint = hint_close(wrong, candidates);
    }
    Py_XDECREF(candidates);
    Py_XDECREF(owner);
    return hint;
}

/* What may be imported: the list, where there is one. */
static PyObject *hint_import(const struct py_policy *policy, PyObject *wrong)
{
    PyObject *list;
    PyObject *comma;
    PyObject *lines;
    PyObject *joined = NULL;
    PyObject *hint = NULL;

    if (policy->imports == NULL) {
        return PyUnicode_FromFormat("The module '%U' is not installed here; "
                                    "use the standard library or a module "
                                    "that is.", wrong);
    }
    list = PyUnicode_DecodeUTF8(policy->imports,
                                (Py_ssize_t)policy->imports_size, "replace");
    lines = list == NULL ? NULL : PyUnicode_Splitlines(list, 0);
    comma = PyUnicode_FromString(", ");
    if (lines != NULL && comma != NULL) {
        joined = PyUnicode_Join(comma, lines);
    }
    if (joined != NULL) {
        hint = PyUnicode_FromFormat("These modules may be imported: %U",
                                    joined);
    }
    Py_XDECREF(joined);
    Py_XDECREF(comma);
    Py_XDECREF(lines);
    Py_XDECREF(list);
    return hint;
}

PyObject *py_hints_for(PyObject *type, PyObject *value, PyObject *traceback,
                       PyObject *names, const struct py_policy *policy)
{
    PyObject *wrong = value == NULL ? NULL
                                    : PyObject_GetAttrString(value, "name");
    PyObject *hint = NULL;
    PyObject *list = NULL;

    PyErr_Clear();
    if (wrong != NULL && PyUnicode_Check(wrong)) {
        if (PyErr_GivenExceptionMatches(type, PyExc_NameError)) {
            hint = hint_name(wrong, traceback, names);
        }
        else if (PyErr_GivenExceptionMatches(type, PyExc_AttributeError)) {
            hint = hint_attribute(wrong, value);
        }
        else if (PyErr_GivenExceptionMatches(type, PyExc_ImportError)) {
            hint = hint_import(policy, wrong);
        }
    }
    if (hint != NULL) {
        list = PyList_New(1);
        if (list != NULL) {
            PyList_SET_ITEM(list, 0, Py_NewRef(hint));
        }
    }
    PyErr_Clear();
    Py_XDECREF(hint);
    Py_XDECREF(wrong);
    return list;
}

void py_hints_put_list(struct pxw_writer *frame, enum pxw_tag tag,
                       PyObject *list)
{
    static char lines[PXW_LIST_MAX]; /* of one list at a time */
    size_t size = 0;

    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        Py_ssize_t length = 0;
        PyObject *item = PyList_GET_ITEM(list, i);
        const char *text = PyUnicode_Check(item)
                               ? PyUnicode_AsUTF8AndSize(item, &length)
                               : NULL;

        if (text == NULL || memchr(text, '\0', (size_t)length) != NULL
            || memchr(text, '\n', (size_t)length) != NULL) {
            PyErr_Clear();
            continue;
        }
        if ((size_t)length + 1 > sizeof(lines) - size) {
            break;
        }
        if (size > 0) {
            lines[size++] = '\n';
        }
        memcpy(lines + size, text, (size_t)length);
        size += (size_t)length;
    }
    pxw_put_bytes(frame, tag, lines, size);
}
