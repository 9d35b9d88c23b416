/* SPDX-License-Identifier: Apache-2.0
 *
 * Directories of the administrator's modules on sys.path. Runs in the zygote
 * after the module site has done its work, which hence never sees them: it
 * would execute lines of the .pth files in them, here, for all runs to come.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_site.h"

#include <string.h>

/* As in a virtual environment that sees the system's modules: behind the
 * standard library, which nothing of theirs can take the place of, and before
 * what is packaged, of which they may have newer versions. */
static Py_ssize_t find_place(PyObject *path)
{
    PyObject *site = PyImport_ImportModule("site");
    PyObject *packaged = site == NULL
                             ? NULL
                             : PyObject_CallMethod(site, "getsitepackages",
                                                   NULL);
    Py_ssize_t place = 0;
    int found = packaged == NULL ? -1 : 0;

    while (found == 0 && place < PyList_GET_SIZE(path)) {
        found = PySequence_Contains(packaged, PyList_GET_ITEM(path, place));
        place += found == 0;
    }
    Py_XDECREF(packaged);
    Py_XDECREF(site);
    return found < 0 ? -1 : place;
}

int py_site_add(const char *list)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    Py_ssize_t place;

    if (list == NULL || *list == '\0') {
        return 0;
    }
    if (path == NULL || !PyList_Check(path)) {
        PyErr_SetString(PyExc_RuntimeError, "sys.path is not a list");
        return -1;
    }
    place = find_place(path);
    while (place >= 0 && *list != '\0') {
        size_t size = strcspn(list, "\n");
        PyObject *name = PyUnicode_DecodeFSDefaultAndSize(list,
                                                          (Py_ssize_t)size);

        place = name != NULL && PyList_Insert(path, place, name) == 0
                    ? place + 1
                    : -1;
        Py_XDECREF(name);
        list += size + (list[size] == '\n');
    }
    return place < 0 ? -1 : 0;
}
