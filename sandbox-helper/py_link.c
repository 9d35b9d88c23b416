/* SPDX-License-Identifier: Apache-2.0
 *
 * See the header. The clock is a timer of the kernel's with a handler of C's: a
 * server that sends a byte now and then, or makes a library compute, is stopped
 * wherever Python is, and nothing of Python is left with a timer or a handler.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_link.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static const unsigned char program_text[] = {
#include "link_fetch_py.h"
    0,
};

/* Set by py_link_prepare(); NULL: no links. */
static PyObject *program;
static uint32_t most_ms;
static uint32_t most_bytes;

/* What the handler sends. */
static struct pxw_writer late;
static int late_report;

int py_link_prepare(const struct pxw_message *warm)
{
    most_ms = pxw_u32(warm, PXW_F_LINK_MS, 0);
    most_bytes = pxw_u32(warm, PXW_F_LINK_BYTES, 0);
    if (most_ms == 0 || most_bytes == 0) {
        return 0;
    }
    program = Py_CompileString((const char *)program_text, "link_fetch.py",
                               Py_file_input);
    if (program == NULL) {
        PyErr_Print();
        return -1;
    }
    return 0;
}

static void __attribute__((format(printf, 3, 4)))
refuse(struct py_refusal *refusal, enum pxw_reason reason, const char *format,
       ...)
{
    va_list arguments;

    *refusal = (struct py_refusal){ .reason = reason };
    va_start(arguments, format);
    (void)vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
    va_end(arguments);
}

static void on_late(int number)
{
    (void)number;
    if (write(late_report, late.data, late.size) < 0) {
        _exit(EXIT_FAILURE); /* the keeper is gone: nobody asks any more */
    }
    _exit(EXIT_SUCCESS);
}

/* How much of the run's time may go on this: a script that nothing is left for
 * were not worth fetching. */
static uint32_t time_for(const struct pxw_message *run)
{
    uint32_t wall_ms = pxw_u32(run, PXW_F_WALL_MS, 0);
    uint32_t share_ms = wall_ms - wall_ms / 4;

    return share_ms < most_ms ? share_ms : most_ms;
}

/* 0 or a negative errno. */
static int start_clock(const struct pxw_message *run, int report,
                       const char *where)
{
    struct sigaction action = { .sa_handler = on_late };
    uint32_t wait_ms = time_for(run);
    struct itimerval timer = {
        .it_value = { .tv_sec = wait_ms / 1000,
                      /* Never 0, which would be no timer. */
                      .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000 + 1) },
    };
    char text[PXW_TEXT_MAX];
    int size = snprintf(text, sizeof(text), "The script was not fetched from "
                        "%s: that took longer than %g s.", where,
                        wait_ms / 1000.0);
    int rv;

    pxw_begin(&late, PXW_REFUSED);
    pxw_put_u32(&late, PXW_F_REASON, PXW_REASON_LINK);
    pxw_put_bytes(&late, PXW_F_TEXT, text, pxw_text_size(text, (size_t)size));
    rv = pxw_end(&late);
    if (rv != 0) {
        return rv;
    }
    late_report = report;
    (void)sigemptyset(&action.sa_mask);
    return sigaction(SIGALRM, &action, NULL) != 0
                   || setitimer(ITIMER_REAL, &timer, NULL) != 0
               ? -errno
               : 0;
}

/* A signal that is under way arrives at the end of the first call. */
static void stop_clock(void)
{
    const struct itimerval none = { 0 };

    (void)setitimer(ITIMER_REAL, &none, NULL); /* neither can fail */
    (void)signal(SIGALRM, SIG_DFL);
    pxw_writer_free(&late);
}

static void refuse_for_size(struct py_refusal *refusal)
{
    refuse(refusal, PXW_REASON_LIMIT,
           "The script does not fit into the memory limit");
}

/* The first of the two that a function answered, or NULL and the refusal that
 * the other one is. Takes `pair` away, and an exception: of lack of memory, or
 * with *ret_error one of our own. */
static PyObject *unpack(PyObject *pair, struct py_refusal *refusal,
                        int *ret_error)
{
    PyObject *value = NULL;
    const char *why = NULL;

    if (pair != NULL && PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2) {
        value = PyTuple_GET_ITEM(pair, 0);
        if (value == Py_None) {
            value = NULL;
            why = PyUnicode_AsUTF8(PyTuple_GET_ITEM(pair, 1));
        }
    }
    Py_XINCREF(value);
    if (why != NULL) {
        refuse(refusal, PXW_REASON_LINK, "%s", why);
    }
    else if (value == NULL && PyErr_ExceptionMatches(PyExc_MemoryError)) {
        refuse_for_size(refusal);
    }
    else if (value == NULL) {
        *ret_error = -EIO;
    }
    PyErr_Clear();
    Py_XDECREF(pair);
    return value;
}

/* Names of the program's own, gone with the fetching. */
static PyObject *load(void)
{
    PyObject *names = PyDict_New();
    PyObject *name = PyUnicode_FromString("link_fetch");
    PyObject *done = NULL;

    if (names != NULL && name != NULL
        && PyDict_SetItemString(names, "__name__", name) == 0
        && PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins())
               == 0) {
        done = PyEval_EvalCode(program, names, names);
    }
    Py_XDECREF(name);
    if (done == NULL) {
        Py_CLEAR(names);
    }
    Py_XDECREF(done);
    return names;
}

static PyObject *call(PyObject *names, const char *function, PyObject *arguments)
{
    /* Borrowed, and an error without names: an exception is set then. */
    PyObject *callable = names == NULL || arguments == NULL
                             ? NULL
                             : PyDict_GetItemString(names, function);

    return callable == NULL ? NULL : PyObject_CallObject(callable, arguments);
}

/* Functions and their names hold each other. */
static void unload(PyObject *names)
{
    if (names != NULL) {
        PyDict_Clear(names);
        Py_DECREF(names);
    }
    (void)PyGC_Collect();
}

static char *copy(PyObject *text)
{
    Py_ssize_t size = 0;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
    char *made = bytes == NULL ? NULL : malloc((size_t)size + 1);

    if (made != NULL) {
        memcpy(made, bytes, (size_t)size + 1);
    }
    PyErr_Clear();
    return made;
}

int py_link_fetch(const struct pxw_message *run, int report, char **ret_source,
                  struct py_refusal *ret_refusal)
{
    const struct pxw_field *address = &run->field[PXW_F_SOURCE];
    PyObject *names;
    PyObject *link;
    PyObject *where;
    PyObject *text = NULL;
    PyObject *arguments;
    int rv = 0;

    *ret_source = NULL;
    if (program == NULL) {
        return -EPERM;
    }
    names = load();
    link = names == NULL
               ? NULL
               : PyUnicode_DecodeUTF8((const char *)address->data,
                                      (Py_ssize_t)address->size, "replace");
    arguments = link == NULL ? NULL : PyTuple_Pack(1, link);
    where = unpack(call(names, "look", arguments), ret_refusal, &rv);
    Py_XDECREF(arguments);
    if (where != NULL) {
        rv = start_clock(run, report, PyUnicode_AsUTF8(where));
    }
    if (where != NULL && rv == 0) {
        arguments = Py_BuildValue("(OiI)", link, PXW_PROXY_PORT,
                                  (unsigned)most_bytes);
        text = unpack(call(names, "fetch", arguments), ret_refusal, &rv);
        Py_XDECREF(arguments);
        stop_clock();
    }
    if (text != NULL) {
        *ret_source = copy(text);
    }
    if (text != NULL && *ret_source == NULL) {
        refuse_for_size(ret_refusal);
    }
    Py_XDECREF(text);
    Py_XDECREF(where);
    Py_XDECREF(link);
    unload(names);
    return rv;
}
