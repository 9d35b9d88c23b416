/* SPDX-License-Identifier: Apache-2.0
 *
 * After a fork each page is copied when it is first written to, a microsecond
 * or two each, and Python writes wherever it reads, for it counts references.
 * What every run does is done here on a sample first, from the check of its
 * source to the collection of its garbage, so that those pages are the job's
 * own before somebody waits: 38 of the 55 that a short script copied.
 *
 * Nothing of this may be seen: the names are thrown away, what is printed is
 * the empty string, which a pipe's reader never sees, and exit handlers stay
 * for the script. A larger sample was measured to copy more pages than it
 * saves.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_sample.h"

#include "py_check.h"
#include "py_policy.h"
#include "py_run.h"
#include "py_source.h"
#include "wire.h"

#define COMMON "x = str(1 + 1)\nprint('', end='')\n"

static void check(const char *sample)
{
    static const struct py_policy policy = {
        .imports = "os",
        .imports_size = 2,
        .forbid = PXW_FORBID_OS_SYSTEM | PXW_FORBID_OPEN_WRITE,
    };
    PyObject *tree = py_check_is_needed(&policy, sample)
                         ? py_source_compile(sample, true)
                         : NULL;
    char text[64];

    if (tree != NULL) {
        (void)py_check_refuses(tree, &policy, text, sizeof(text));
        PyErr_Clear();
        Py_DECREF(tree);
    }
    PyErr_Clear();
}

void py_sample_run(bool imports)
{
    const char *sample = imports ? "import os\n" COMMON : COMMON;
    PyObject *code;
    PyObject *names;
    PyObject *result = NULL;

    check(sample);
    code = Py_CompileString(sample, "<frozen sample>", Py_file_input);
    names = PyDict_New();
    if (code != NULL && names != NULL
        && PyDict_SetItemString(names, "__builtins__",
                                PyEval_GetBuiltins()) == 0) {
        py_source_publish(""); /* the script's takes its place */
        result = PyEval_EvalCode(code, names, names);
        PyErr_Clear();
        py_run_end_sample(names);
    }
    PyErr_Clear();
    Py_XDECREF(result);
    Py_XDECREF(names);
    Py_XDECREF(code);
}
