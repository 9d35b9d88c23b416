/* SPDX-License-Identifier: Apache-2.0
 *
 * Calling a function of the script for its value, and reporting how that
 * went in one RESULT frame.
 */
#ifndef PYEXEC_PY_CALL_H
#define PYEXEC_PY_CALL_H

#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "py_policy.h"

struct py_call
{
    uint32_t how;             /* enum pxw_call; PXW_CALL_NONE: nothing below */
    PyObject *function;       /* str: the name */
    PyObject *args;           /* tuple or NULL */
    PyObject *kwargs;         /* dict or NULL */
    int report;               /* descriptor that RESULT and EXHAUSTED are
                               * written to; set whatever `how` is */
    pid_t owner;              /* who reports: a process that the script has
                               * forked may come to its end just like it */
    size_t max_bytes;         /* of the value as JSON */
    const struct py_policy *policy;  /* for hints about imports */
};

/* In the zygote, before jobs are forked: takes hold of Python's own json
 * while nobody can have changed it. 0, or -1 with an exception set. */
int py_call_prepare(void);

/* In the job, before the script: fills args and kwargs from JSON text (UTF-8,
 * an array or an object). 0, or -1 with an exception set. */
int py_call_parse_params(struct py_call *call, const char *text, size_t size);

/* In the job, after the script's body: calls the function with what `names`
 * (the module's dict) has under its name, runs a coroutine to its end, and
 * reports the value. 0; or -1 with an exception set that the function raised
 * and that is reported already, SystemExit excepted. */
int py_call_run(const struct py_call *call, PyObject *names);

/* Reports the exception that is set, and leaves it set. */
void py_call_report_exception(const struct py_call *call, PyObject *names);

#endif
