/* SPDX-License-Identifier: Apache-2.0
 *
 * CPython's own display takes source lines from files only, and the script is
 * in none; the traceback module takes them from linecache, where
 * py_source_publish() has put them. What that module does not know in this
 * version, the "Did you mean" behind a NameError or an AttributeError, is
 * taken from CPython's display.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_traceback.h"

#include <stdbool.h>
#include <string.h>

/* The script has a hook of its own, or the modules are not there any more. */
static PyObject *find_traceback_module(void)
{
    PyObject *hook = PySys_GetObject("excepthook");      /* borrowed */
    PyObject *plain = PySys_GetObject("__excepthook__"); /* borrowed */

    return hook != NULL && hook == plain
               ? PyDict_GetItemString(PyImport_GetModuleDict(), "traceback")
               : NULL;
}

/* What CPython prints of the exception, as a str. */
static PyObject *display(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *text = io == NULL ? NULL
                                : PyObject_CallMethod(io, "StringIO", NULL);
    PyObject *old = Py_XNewRef(PySys_GetObject("stderr"));
    PyObject *shown = NULL;

    if (text != NULL && old != NULL && PySys_SetObject("stderr", text) == 0) {
        PyErr_Display(type, value, traceback);
        (void)PySys_SetObject("stderr", old);
        shown = PyObject_CallMethod(text, "getvalue", NULL);
    }
    PyErr_Clear();
    Py_XDECREF(old);
    Py_XDECREF(text);
    Py_XDECREF(io);
    return shown;
}

/* `text` with its last line replaced by that of `other`, if the one begins as
 * the other ends up: the suggestion is behind it. A new reference. */
static PyObject *take_suggestion(PyObject *text, PyObject *other)
{
    const char *mine = PyUnicode_AsUTF8(text);
    const char *theirs = PyUnicode_AsUTF8(other);
    const char *mine_line;
    const char *their_line;
    size_t length;

    if (mine == NULL || theirs == NULL) {
        PyErr_Clear();
        return Py_NewRef(text);
    }
    length = strlen(mine);
    if (length == 0 || mine[length - 1] != '\n') {
        return Py_NewRef(text);
    }
    length--;
    mine_line = memrchr(mine, '\n', length);
    mine_line = mine_line == NULL ? mine : mine_line + 1;
    length -= (size_t)(mine_line - mine);
    their_line = memrchr(theirs, '\n', strlen(theirs) > 0 ? strlen(theirs) - 1
                                                          : 0);
    their_line = their_line == NULL ? theirs : their_line + 1;
    if (strncmp(mine_line, their_line, length) != 0) {
        return Py_NewRef(text);
    }
    {
        PyObject *before = PyUnicode_DecodeUTF8(mine, mine_line - mine,
                                                "strict");
        PyObject *line = PyUnicode_FromString(their_line);
        PyObject *joined = before == NULL || line == NULL
                               ? NULL
                               : PyUnicode_Concat(before, line);

        Py_XDECREF(before);
        Py_XDECREF(line);
        return joined;
    }
}

static bool has_suggestions(PyObject *type)
{
    return PyErr_GivenExceptionMatches(type, PyExc_NameError)
           || PyErr_GivenExceptionMatches(type, PyExc_AttributeError);
}

/* The text that the traceback module makes of it. */
static PyObject *format(PyObject *module, PyObject *type, PyObject *value,
                        PyObject *traceback)
{
    PyObject *lines = PyObject_CallMethod(module, "format_exception", "O",
                                          value);
    PyObject *empty = PyUnicode_FromString("");
    PyObject *text = lines == NULL || empty == NULL
                         ? NULL
                         : PyUnicode_Join(empty, lines);

    Py_XDECREF(empty);
    Py_XDECREF(lines);
    if (text != NULL && has_suggestions(type)) {
        PyObject *shown = display(type, value, traceback);
        PyObject *better = shown == NULL ? NULL : take_suggestion(text, shown);

        PyErr_Clear();
        Py_XDECREF(shown);
        if (better != NULL) {
            Py_SETREF(text, better);
        }
    }
    return text;
}

void py_traceback_print(void)
{
    PyObject *module = find_traceback_module();
    PyObject *file = PySys_GetObject("stderr"); /* borrowed */
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyObject *text;

    /* A syntax error carries its line itself. */
    if (module == NULL || file == NULL || file == Py_None
        || PyErr_ExceptionMatches(PyExc_SyntaxError)) {
        PyErr_Print();
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        (void)PyException_SetTraceback(value, traceback);
    }
    text = format(module, type, value, traceback);
    if (text == NULL || PyFile_WriteObject(text, file, Py_PRINT_RAW) != 0) {
        PyErr_Clear();
        Py_XDECREF(text);
        PyErr_Restore(type, value, traceback);
        PyErr_Print();
        return;
    }
    Py_DECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}
