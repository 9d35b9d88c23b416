/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of a script, as CPython's own main does it.
 */
#ifndef PYEXEC_PY_RUN_H
#define PYEXEC_PY_RUN_H

#include <Python.h>

struct py_script;

/* In the job, confined, policy armed: compiles the script, runs it as
 * __main__, makes the call that is asked for, prints what is not caught, waits
 * for its threads, calls its exit handlers and finalizers. Returns the exit
 * status 0..255; does not return when the script ends the process itself. */
int py_run_script(const struct py_script *script);

/* What py_run_script() does at its end, but for what happens once in a process:
 * waiting for threads and calling exit handlers. Takes the values of `names`
 * away. */
void py_run_end_sample(PyObject *names);

#endif
