/* SPDX-License-Identifier: Apache-2.0
 *
 * The run-time half of the policy: an import guard for what the script itself
 * imports, and an audit hook (PEP 578) for what the tree cannot show. Gives
 * readable errors; stops nobody who means harm.
 */
#ifndef PYEXEC_PY_HOOKS_H
#define PYEXEC_PY_HOOKS_H

#include "py_policy.h"

/* In the zygote, before Py_Initialize: registers the audit hook, which does
 * nothing until it is armed. Returns 0 or a negative errno. */
int py_hooks_register(void);

/* In the job, before the script: enforces `policy`, which must stay valid
 * for the rest of the process. 0, or -1 with an exception set. */
int py_hooks_arm(const struct py_policy *policy);

#endif
