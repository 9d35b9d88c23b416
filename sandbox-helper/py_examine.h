/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that is decided about a script before any of it runs: whether
 * it is acceptable, what is compiled, what is called.
 */
#ifndef PYEXEC_PY_EXAMINE_H
#define PYEXEC_PY_EXAMINE_H

#include <Python.h>

#include <stdbool.h>

#include "py_call.h"
#include "py_policy.h"
#include "wire.h"

/* A script that is ready to run. */
struct py_script
{
    const char *source;  /* UTF-8, ends with NUL */
    PyObject *tree;      /* compiled instead of the text; NULL: the text is */
    PyObject *args;      /* list of str for sys.argv[1:], or NULL */
    struct py_call call;
};

struct py_refusal
{
    enum pxw_reason reason;
    char text[PXW_TEXT_MAX];
    PyObject *names;     /* list of str, or NULL */
};

/* Takes a parsed RUN and its source, and the policy. True: acceptable, and
 * *script is complete but for the descriptor. False: *ret_refusal says
 * why. What does not parse is acceptable where nothing is called: the run
 * shows the error as Python does. Leaves no exception set. */
bool py_examine(const struct pxw_message *run, const char *source,
                const struct py_policy *policy, struct py_script *script,
                struct py_refusal *ret_refusal);

#endif
