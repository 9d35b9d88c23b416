/* SPDX-License-Identifier: Apache-2.0
 *
 * Without a UTS namespace (level restricted) uname(2) tells the host's name,
 * so the filter refuses it there. But importing numpy calls os.uname(), and so
 * does much of the platform module, which keeps the answer: what was imported
 * in the zygote would know the name, what a script imports would fail. So the
 * zygote asks once, takes the name out, and answers for the kernel from then
 * on. The filter remains; in freed memory of the zygote's there may still be
 * traces of the name.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_uname.h"

#include "jail_ns.h"

#define NODE_INDEX 1

static PyObject *answer; /* a uname_result, for the life of the process */

static PyObject *uname(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    return Py_NewRef(answer);
}

static PyMethodDef method = {
    "uname", uname, METH_NOARGS,
    "Return an object identifying the current operating system.",
};

/* A structseq is made from a sequence of its fields. */
static PyObject *without_name(PyObject *known)
{
    PyObject *fields = PySequence_List(known);
    PyObject *made = NULL;

    if (fields != NULL
        && PyList_SetItem(fields, NODE_INDEX,
                          PyUnicode_FromString(JAIL_HOST_NAME)) == 0) {
        made = PyObject_CallOneArg((PyObject *)Py_TYPE(known), fields);
    }
    Py_XDECREF(fields);
    return made;
}

static int replace_in(const char *module_name, PyObject *function)
{
    PyObject *module = PyImport_ImportModule(module_name);
    int rv = module == NULL
                 ? -1
                 : PyObject_SetAttrString(module, method.ml_name, function);

    Py_XDECREF(module);
    return rv;
}

int py_uname_prepare(void)
{
    PyObject *posix = PyImport_ImportModule("posix");
    PyObject *name = PyUnicode_FromString("posix");
    PyObject *function = name == NULL
                             ? NULL
                             : PyCFunction_NewEx(&method, NULL, name);
    PyObject *known = posix == NULL
                          ? NULL
                          : PyObject_CallMethod(posix, "uname", NULL);
    int rv = -1;

    if (known != NULL && function != NULL) {
        answer = without_name(known);
        rv = answer == NULL || replace_in("posix", function) != 0
                     || replace_in("os", function) != 0
                 ? -1
                 : 0;
    }
    Py_XDECREF(known);
    Py_XDECREF(function);
    Py_XDECREF(name);
    Py_XDECREF(posix);
    return rv;
}
