/* SPDX-License-Identifier: Apache-2.0
 *
 * One text, one name, one set of compiler flags. Runs in the job.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_source.h"

#include <string.h>

static const char *skip_bom(const char *source)
{
    return strncmp(source, "\xef\xbb\xbf", 3) == 0 ? source + 3 : source;
}

PyObject *py_source_compile(const char *source, bool tree_only)
{
    PyCompilerFlags flags = {
        .cf_flags = PyCF_SOURCE_IS_UTF8 | PyCF_IGNORE_COOKIE
                    | (tree_only ? PyCF_ONLY_AST : 0),
        .cf_feature_version = PY_MINOR_VERSION,
    };

    return Py_CompileStringExFlags(skip_bom(source), PY_SOURCE_NAME,
                                   Py_file_input, &flags, -1);
}

/* linecache takes an entry of one callable that returns the text, and calls
 * it only when somebody asks for a line. str.__str__ bound to the text is
 * such a callable, and holds nothing but the text. */
void py_source_publish(const char *source)
{
    PyObject *linecache = PyImport_ImportModule("linecache");
    PyObject *cache = linecache == NULL
                          ? NULL
                          : PyObject_GetAttrString(linecache, "cache");
    PyObject *text = PyUnicode_FromString(skip_bom(source));
    PyObject *lines = text == NULL ? NULL
                                    : PyObject_GetAttrString(text, "__str__");
    PyObject *entry = lines == NULL ? NULL : PyTuple_Pack(1, lines);

    if (entry != NULL && cache != NULL && PyDict_Check(cache)) {
        (void)PyDict_SetItemString(cache, PY_SOURCE_NAME, entry);
    }
    PyErr_Clear();
    Py_XDECREF(entry);
    Py_XDECREF(lines);
    Py_XDECREF(text);
    Py_XDECREF(cache);
    Py_XDECREF(linecache);
}
