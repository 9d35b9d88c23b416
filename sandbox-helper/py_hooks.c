/* SPDX-License-Identifier: Apache-2.0
 *
 * Import guard and audit hook. Both are C: no frame of ours shows in a
 * traceback, and there is no Python object whose change would disarm them.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "wire.h"

/* NULL until armed. */
static const struct py_policy *armed;
static PyObject *real_import;

/* Library code has the path of a file, frozen code "<frozen …>"; the script,
 * and what it compiles, has neither. */
static bool called_by_library(void)
{
    PyFrameObject *frame = PyEval_GetFrame();
    PyCodeObject *code = frame == NULL ? NULL : PyFrame_GetCode(frame);
    const char *name = code == NULL ? NULL
                                    : PyUnicode_AsUTF8(code->co_filename);
    bool library = name != NULL
                   && (name[0] == '/' || strncmp(name, "<frozen ", 8) == 0);

    if (name == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(code);
    return library;
}

/* C code of the library (datetime.strptime, say) imports through the same
 * door in the frame of whoever called it; PyImport_Import() then passes an
 * empty list, which no import statement does. */
static bool called_by_c(PyObject *args)
{
    PyObject *from = PyTuple_GET_SIZE(args) > 3 ? PyTuple_GET_ITEM(args, 3)
                                                : NULL;

    return from != NULL && PyList_CheckExact(from)
           && PyList_GET_SIZE(from) == 0;
}

static PyObject *guard_import(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *name = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0)
                     : kwargs != NULL ? PyDict_GetItemString(kwargs, "name")
                                      : NULL;
    Py_ssize_t size = 0;
    const char *text = NULL;

    (void)self;
    if (name != NULL && PyUnicode_Check(name) && !called_by_c(args)
        && !called_by_library()) {
        text = PyUnicode_AsUTF8AndSize(name, &size);
        if (text == NULL) {
            return NULL;
        }
    }
    /* An empty name is `from . import`: the real import refuses it here. */
    if (text != NULL && size > 0
        && !py_policy_allows_import(armed, text, (size_t)size)) {
        return PyErr_Format(PyExc_ImportError, "Disallowed import: %U", name);
    }
    return PyObject_Call(real_import, args, kwargs);
}

static PyMethodDef guard_method = {
    "__import__", (PyCFunction)(void (*)(void))guard_import,
    METH_VARARGS | METH_KEYWORDS, NULL,
};

static bool opens_for_writing(PyObject *args)
{
    PyObject *mode = PyTuple_GET_SIZE(args) > 1 ? PyTuple_GET_ITEM(args, 1)
                                                : NULL;
    PyObject *flags = PyTuple_GET_SIZE(args) > 2 ? PyTuple_GET_ITEM(args, 2)
                                                 : NULL;
    Py_ssize_t size = 0;
    const char *text;

    if (mode != NULL && PyUnicode_Check(mode)) {
        text = PyUnicode_AsUTF8AndSize(mode, &size);
        if (text == NULL) {
            PyErr_Clear();
            return true;
        }
        return py_policy_mode_writes(text, (size_t)size);
    }
    if (flags != NULL && PyLong_Check(flags)) {
        long bits = PyLong_AsLong(flags);

        PyErr_Clear();
        return (bits & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)) != 0;
    }
    return false;
}

static int deny(const char *what)
{
    PyErr_Format(PyExc_PermissionError, "%s is not allowed here", what);
    return -1;
}

/* Called for every audited event of the interpreter: the common case must
 * leave at the first comparison. */
static int audit(const char *event, PyObject *args, void *data)
{
    (void)data;
    if (armed == NULL) {
        return 0;
    }
    if ((armed->forbid & PXW_FORBID_OPEN_WRITE) != 0
        && strcmp(event, "open") == 0 && opens_for_writing(args)) {
        return deny("Opening a file for writing");
    }
    if ((armed->forbid & PXW_FORBID_OS_SYSTEM) != 0
        && strcmp(event, "os.system") == 0) {
        return deny("os.system");
    }
    return 0;
}

int py_hooks_register(void)
{
    return PySys_AddAuditHook(audit, NULL) == 0 ? 0 : -ENOMEM;
}

int py_hooks_arm(const struct py_policy *policy)
{
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    PyObject *module = NULL;
    PyObject *guard = NULL;
    int rv = 0;

    if (policy->imports != NULL || policy->deny != NULL) {
        real_import = PyDict_GetItemString(builtins, "__import__");
        if (real_import == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "no __import__");
            return -1;
        }
        Py_INCREF(real_import);
        module = PyUnicode_FromString("builtins");
        guard = PyCFunction_NewEx(&guard_method, NULL, module);
        Py_XDECREF(module);
        if (guard == NULL) {
            return -1;
        }
        rv = PyDict_SetItemString(builtins, "__import__", guard);
        Py_DECREF(guard);
    }
    armed = policy;
    return rv;
}
