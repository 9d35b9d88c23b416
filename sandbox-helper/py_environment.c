/* SPDX-License-Identifier: Apache-2.0
 *
 * An environment's place on sys.path, and its names. Runs in the zygote, where
 * a module of a stranger's would run with the rights to make sandboxes: the
 * directory is on sys.path only while names are looked up, by code that imports
 * nothing, and for good when nothing will be imported here any more.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_environment.h"

#include <stdlib.h>
#include <string.h>

#include "py_site.h"

static const char source[] = {
#include "environment_names_py.h"
    '\0',
};

static PyObject *found;  /* list of str; NULL: there is no environment */
static PyObject *own;    /* list of str: those that nobody else has a part of */
static PyObject *kept;   /* list of str: of these nothing is ever imported */
static char *names;      /* the first of the three, one a line */

/* What the source leaves behind; -1 with an exception. */
static int look(const char *directory)
{
    PyObject *globals = PyDict_New();
    PyObject *where = PyUnicode_DecodeFSDefault(directory);
    PyObject *result = NULL;

    if (globals != NULL && where != NULL
        && PyDict_SetItemString(globals, "__builtins__",
                                PyEval_GetBuiltins()) == 0
        && PyDict_SetItemString(globals, "directory", where) == 0) {
        result = PyRun_String(source, Py_file_input, globals, globals);
    }
    if (result != NULL) {
        found = Py_XNewRef(PyDict_GetItemString(globals, "found"));
        own = Py_XNewRef(PyDict_GetItemString(globals, "own"));
        kept = Py_XNewRef(PyDict_GetItemString(globals, "kept"));
    }
    Py_XDECREF(result);
    Py_XDECREF(where);
    Py_XDECREF(globals);
    return found != NULL && PyList_Check(found) && own != NULL
                   && PyList_Check(own) && kept != NULL && PyList_Check(kept)
               ? 0
               : -1;
}

/* Off sys.path again. */
static int withdraw(const char *directory)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    PyObject *where = PyUnicode_DecodeFSDefault(directory);
    Py_ssize_t at = where == NULL ? -1 : PySequence_Index(path, where);
    int rv = at < 0 ? -1 : PySequence_DelItem(path, at);

    Py_XDECREF(where);
    return rv;
}

static int join_names(void)
{
    PyObject *newline = PyUnicode_FromString("\n");
    PyObject *text = newline == NULL ? NULL : PyUnicode_Join(newline, found);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);

    names = utf8 == NULL ? NULL : strdup(utf8);
    Py_XDECREF(text);
    Py_XDECREF(newline);
    return names == NULL ? -1 : 0;
}

/* An entry that is None makes an import fail. What has a name already is
 * Python's own. Where the administrator has a part of a package, too, that is
 * all that is found before this directory is. */
static int shut_names(PyObject *list)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    int rv = 0;

    for (Py_ssize_t i = 0; rv == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *name = PyList_GET_ITEM(list, i);

        if (PyDict_Contains(modules, name) == 0) {
            rv = PyDict_SetItem(modules, name, Py_None);
        }
    }
    return rv;
}

int py_environment_shut(const char *directory)
{
    if (directory == NULL) {
        return 0;
    }
    if (py_site_add(directory) != 0 || look(directory) != 0) {
        return -1;
    }
    return withdraw(directory) != 0 || join_names() != 0
                   || shut_names(kept) != 0
               ? -1
               : shut_names(own);
}

int py_environment_open(const char *directory)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    int rv = 0;

    if (directory == NULL) {
        return 0;
    }
    for (Py_ssize_t i = 0; rv == 0 && i < PyList_GET_SIZE(found); i++) {
        PyObject *name = PyList_GET_ITEM(found, i);

        if (PyDict_GetItem(modules, name) == Py_None) {
            rv = PyDict_DelItem(modules, name);
        }
    }
    return rv != 0 ? rv : py_site_add(directory);
}

const char *py_environment_names(void)
{
    return names == NULL ? "" : names;
}

/* Those are complete, and others may have hold of them. */
static int is_standard(PyObject *name)
{
    PyObject *all = PySys_GetObject("stdlib_module_names"); /* borrowed */
    Py_ssize_t size = PyUnicode_Check(name) ? PyUnicode_GET_LENGTH(name) : 0;
    Py_ssize_t dot = PyUnicode_Check(name)
                         ? PyUnicode_FindChar(name, '.', 0, size, 1) : -1;
    PyObject *top = PyUnicode_Substring(name, 0, dot < 0 ? size : dot);
    int rv = all == NULL || top == NULL ? 0 : PySequence_Contains(all, top);

    PyErr_Clear();
    Py_XDECREF(top);
    return rv;
}

PyObject *py_environment_remember(void)
{
    return found == NULL ? NULL : PyDict_Copy(PyImport_GetModuleDict());
}

void py_environment_forget(PyObject *before)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *now = before == NULL ? NULL : PyDict_Keys(modules);

    for (Py_ssize_t i = 0; now != NULL && i < PyList_GET_SIZE(now); i++) {
        PyObject *name = PyList_GET_ITEM(now, i);

        if (PyDict_Contains(before, name) == 0 && is_standard(name) == 0
            && PyDict_DelItem(modules, name) != 0) {
            PyErr_Clear(); /* gone already */
        }
    }
    Py_XDECREF(now);
}
