/* SPDX-License-Identifier: Apache-2.0
 *
 * The source check: refuses a script before it runs, with a sentence that its
 * author understands. Runs in the confined job, because its input is hostile.
 */
#ifndef PYEXEC_PY_CHECK_H
#define PYEXEC_PY_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "py_policy.h"

/* Parses `source` (UTF-8, NUL-terminated) and looks for what the policy
 * refuses. True: refused, and `ret_text` (of `size` bytes) says why. False:
 * nothing found, or it does not parse; the run itself then shows the error as
 * Python does. Leaves no Python exception set. */
bool py_check_refuses(const char *source, const struct py_policy *policy,
                      char *ret_text, size_t size);

#endif
