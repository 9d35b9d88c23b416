/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a script and ends it, driven from C: there is no frame of ours below
 * the script's own and no Python object with any authority. The order at the
 * end is that of Py_FinalizeEx(), without taking the whole interpreter apart:
 * the process is about to be gone.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_run.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "py_examine.h"
#include "py_exhausted.h"
#include "py_source.h"
#include "py_traceback.h"

/* What CPython exits with when its last flush fails (pythonrun.c). */
#define STATUS_FLUSH_FAILED 120

static PyObject *find_module(const char *name)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed, like the item */

    return PyDict_GetItemString(modules, name);
}

/* Calls a function of a loaded module without arguments. An exception is
 * reported the way CPython reports those that nobody can catch. */
static void call_quietly(const char *module, const char *function)
{
    PyObject *owner = find_module(module);
    PyObject *result;

    if (owner == NULL) {
        return;
    }
    result = PyObject_CallMethod(owner, function, NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable(owner);
    }
    Py_XDECREF(result);
}

static void print_to_stderr(PyObject *value)
{
    PyObject *file = PySys_GetObject("stderr"); /* borrowed */

    if (file != NULL && file != Py_None) {
        if (PyFile_WriteObject(value, file, Py_PRINT_RAW) != 0) {
            PyErr_Clear();
        }
        if (PyFile_WriteString("\n", file) != 0) {
            PyErr_Clear();
        }
    }
}

/* The exit status of a SystemExit: None is 0, a number itself modulo 256,
 * anything else is printed and 1. Takes the exception away. */
static int status_of_exit(void)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyObject *code;
    int status = 1;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    code = value == NULL ? NULL : PyObject_GetAttrString(value, "code");
    if (code == NULL) {
        PyErr_Clear();
        code = Py_XNewRef(value);
    }
    if (code == NULL || code == Py_None) {
        status = 0;
    }
    else if (PyLong_Check(code)) {
        status = (int)(PyLong_AsLong(code) & 0xff);
        PyErr_Clear(); /* too large a number: -1, as in CPython */
    }
    else {
        print_to_stderr(code);
    }
    Py_XDECREF(code);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return status;
}

/* Ends like a program that Ctrl-C ended, so that the status tells. */
static void die_of_interrupt(void)
{
    (void)signal(SIGINT, SIG_DFL);
    (void)kill(getpid(), SIGINT);
}

static int report_exception(const struct py_call *call, bool *ret_interrupted)
{
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        return status_of_exit();
    }
    *ret_interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    py_exhausted_report(call);
    py_traceback_print();
    return 1;
}

/* 0, or -1 when what was written could not be delivered. */
static int flush(const char *name)
{
    PyObject *file = PySys_GetObject(name); /* borrowed */
    PyObject *closed;
    PyObject *result;
    bool is_closed;

    if (file == NULL || file == Py_None) {
        return 0;
    }
    closed = PyObject_GetAttrString(file, "closed");
    is_closed = closed != NULL && PyObject_IsTrue(closed) == 1;
    PyErr_Clear();
    Py_XDECREF(closed);
    if (is_closed) {
        return 0;
    }
    result = PyObject_CallMethod(file, "flush", NULL);
    if (result == NULL) {
        if (strcmp(name, "stdout") == 0) {
            PyErr_WriteUnraisable(file);
        }
        PyErr_Clear();
        return strcmp(name, "stdout") == 0 ? -1 : 0;
    }
    Py_DECREF(result);
    return 0;
}

/* Sets the names that `wanted` chooses to None, as module objects are cleared
 * at the end: finalizers of globals run, in CPython's order. */
static void clear_names(PyObject *names, bool single_underscore)
{
    PyObject *keys = PyDict_Keys(names);

    for (Py_ssize_t i = 0; keys != NULL && i < PyList_GET_SIZE(keys); i++) {
        PyObject *key = PyList_GET_ITEM(keys, i);
        const char *text = PyUnicode_Check(key) ? PyUnicode_AsUTF8(key) : NULL;
        bool hidden;

        if (text == NULL) {
            PyErr_Clear();
            continue;
        }
        hidden = text[0] == '_' && text[1] != '_';
        if (hidden == single_underscore && strcmp(text, "__builtins__") != 0
            && PyDict_SetItem(names, key, Py_None) != 0) {
            PyErr_WriteUnraisable(NULL);
        }
    }
    PyErr_Clear();
    Py_XDECREF(keys);
}

/* 0, or -1 as flush(). */
static int end_names(PyObject *names)
{
    int flushed = flush("stdout") | flush("stderr");

    clear_names(names, true);
    clear_names(names, false);
    (void)PyGC_Collect();
    return flushed | flush("stdout") | flush("stderr");
}

static int finish(PyObject *names, int status)
{
    call_quietly("threading", "_shutdown");
    call_quietly("atexit", "_run_exitfuncs");
    return end_names(names) != 0 ? STATUS_FLUSH_FAILED : status;
}

void py_run_end_sample(PyObject *names)
{
    (void)end_names(names);
}

static int prepare_main(PyObject *names)
{
    PyObject *file = PyUnicode_FromString(PY_SOURCE_NAME);
    int rv = -1;

    if (file != NULL
        && PyDict_SetItemString(names, "__file__", file) == 0
        && PyDict_SetItemString(names, "__cached__", Py_None) == 0) {
        rv = 0;
    }
    Py_XDECREF(file);
    return rv;
}

/* sys.argv: the script's name, then what the request gave. */
static int set_arguments(PyObject *args)
{
    PyObject *name = PyUnicode_FromString(PY_SOURCE_NAME);
    int rv = name == NULL || PyList_Insert(args, 0, name) != 0
                     || PySys_SetObject("argv", args) != 0
                 ? -1
                 : 0;

    Py_XDECREF(name);
    return rv;
}

static PyObject *compile_script(const struct py_script *script)
{
    PyObject *builtins;
    PyObject *code;

    if (script->tree == NULL) {
        return py_source_compile(script->source, false);
    }
    builtins = PyImport_ImportModule("builtins");
    code = builtins == NULL
               ? NULL
               : PyObject_CallMethod(builtins, "compile", "Oss", script->tree,
                                     PY_SOURCE_NAME, "exec");
    Py_XDECREF(builtins);
    return code;
}

/* The body, then the call. 0, or -1 with an exception set. */
static int run_body_and_call(const struct py_script *script, PyObject *names)
{
    bool calls = script->call.how != PXW_CALL_NONE;
    PyObject *code = compile_script(script);
    PyObject *result = code == NULL ? NULL
                                    : PyEval_EvalCode(code, names, names);

    Py_XDECREF(code);
    if (result == NULL) {
        if (calls) {
            py_call_report_exception(&script->call, names);
        }
        return -1;
    }
    Py_DECREF(result);
    return calls ? py_call_run(&script->call, names) : 0;
}

int py_run_script(const struct py_script *script)
{
    PyObject *main_module = PyImport_AddModule("__main__"); /* borrowed */
    PyObject *names = main_module == NULL ? NULL
                                          : PyModule_GetDict(main_module);
    bool interrupted = false;
    int status = 0;

    if (names == NULL || prepare_main(names) != 0
        || (script->args != NULL && set_arguments(script->args) != 0)) {
        PyErr_Print();
        return 1;
    }
    py_source_publish(script->source);
    if (run_body_and_call(script, names) != 0) {
        status = report_exception(&script->call, &interrupted);
    }
    status = finish(names, status);
    if (interrupted) {
        die_of_interrupt();
    }
    return status;
}
