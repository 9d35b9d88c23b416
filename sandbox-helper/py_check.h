/* SPDX-License-Identifier: Apache-2.0
 *
 * The source check: refuses a script before it runs, with a sentence that its
 * author understands. Runs in the confined job, because its input is hostile.
 */
#ifndef PYEXEC_PY_CHECK_H
#define PYEXEC_PY_CHECK_H

#include <Python.h>

#include <stdbool.h>
#include <stddef.h>

#include "py_policy.h"

/* Whether the policy could refuse anything in this text: a quick look that
 * saves most small scripts the making of a tree, and lets nothing pass that
 * py_check_refuses() would not. */
bool py_check_is_needed(const struct py_policy *policy, const char *source);

/* Looks through the tree for what the policy refuses, and for nothing else.
 * True: refused, and `ret_text` (of `size` bytes) says why; also when there is
 * no memory for looking. Leaves no exception set. */
bool py_check_refuses(PyObject *tree, const struct py_policy *policy,
                      char *ret_text, size_t size);

#endif
