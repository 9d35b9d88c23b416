/* SPDX-License-Identifier: Apache-2.0
 *
 * From an uncaught exception to the limit that it means. Runs in the job, at
 * the mercy of the script.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_exhausted.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdio.h"
#include "py_call.h"
#include "wire.h"

/* Not an outcome: the exception is about no limit. */
#define NO_LIMIT ((enum pxw_outcome)0)

/* The kernel says the same of a fork beyond the limit and of a read that would
 * have to wait: is it the former? Where a run may not have processes fork has
 * another errno. */
static bool forks_are_refused(void)
{
    pid_t pid = _Fork();

    if (pid == 0) {
        _exit(0);
    }
    if (pid < 0) {
        return errno == EAGAIN;
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return false;
}

static enum pxw_outcome limit_of_errno(long number)
{
    switch (number) {
    case ENOMEM:
        return PXW_OUT_OF_MEMORY;
    case EMFILE:
        return PXW_OUT_OF_DESCRIPTORS;
    case EAGAIN:
        return forks_are_refused() ? PXW_OUT_OF_PROCESSES : NO_LIMIT;
    default:
        return NO_LIMIT;
    }
}

/* The errno of an OSError; 0: it has none. */
static long errno_of(PyObject *value)
{
    PyObject *number = PyObject_GetAttrString(value, "errno");
    long rv = number != NULL && PyLong_Check(number) ? PyLong_AsLong(number)
                                                     : 0;

    PyErr_Clear();
    Py_XDECREF(number);
    return rv;
}

/* A thread that the kernel refuses and one whose stack finds no room end in the
 * same exception, which has nothing but a text (_threadmodule.c). */
static bool is_about_threads(PyObject *value)
{
    PyObject *args = PyObject_GetAttrString(value, "args");
    PyObject *text = args != NULL && PyTuple_CheckExact(args)
                             && PyTuple_GET_SIZE(args) == 1
                         ? PyTuple_GET_ITEM(args, 0)
                         : NULL;
    bool rv = text != NULL && PyUnicode_CheckExact(text)
              && PyUnicode_CompareWithASCIIString(text,
                                                  "can't start new thread")
                     == 0;

    PyErr_Clear();
    Py_XDECREF(args);
    return rv;
}

/* Is there no room for another thread's stack? */
static bool stacks_are_refused(void)
{
    size_t bytes = PyThread_get_stacksize(); /* 0: the default */
    pthread_attr_t attributes;
    void *stack;

    if (bytes == 0 && pthread_getattr_default_np(&attributes) == 0) {
        (void)pthread_attr_getstacksize(&attributes, &bytes);
        (void)pthread_attr_destroy(&attributes);
    }
    stack = mmap(NULL, bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        return errno == ENOMEM;
    }
    (void)munmap(stack, bytes);
    return false;
}

/* Of a normalised exception. None may be set. */
static enum pxw_outcome limit_of(PyObject *type, PyObject *value)
{
    if (PyErr_GivenExceptionMatches(type, PyExc_MemoryError)) {
        return PXW_OUT_OF_MEMORY;
    }
    if (PyErr_GivenExceptionMatches(type, PyExc_RecursionError)) {
        return PXW_OUT_OF_RECURSION;
    }
    if (value == NULL) {
        return NO_LIMIT;
    }
    if (PyErr_GivenExceptionMatches(type, PyExc_OSError)) {
        return limit_of_errno(errno_of(value));
    }
    if (type == PyExc_RuntimeError && is_about_threads(value)) {
        return stacks_are_refused() ? PXW_OUT_OF_MEMORY : PXW_OUT_OF_THREADS;
    }
    return NO_LIMIT;
}

void py_exhausted_report(const struct py_call *call)
{
    uint8_t frame[PXW_EXHAUSTED_BYTES];
    enum pxw_outcome limit;
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    if (getpid() != call->owner) {
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    limit = limit_of(type, value);
    PyErr_Restore(type, value, traceback);
    if (limit != NO_LIMIT) {
        pxw_put_exhausted(frame, limit);
        /* A keeper that is gone needs no answer. */
        (void)fdio_write_full(call->report, frame, sizeof(frame), -1);
    }
}
