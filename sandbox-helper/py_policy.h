/* SPDX-License-Identifier: Apache-2.0
 *
 * What a script may say: the part of a run's policy that is about Python.
 * A courtesy with readable errors, never the boundary: everything that uses
 * it runs in the same process as the script.
 */
#ifndef PYEXEC_PY_POLICY_H
#define PYEXEC_PY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct py_policy
{
    const char *imports;  /* names, one a line; NULL: anything */
    size_t imports_size;
    const char *installed; /* names, one a line, that may be imported as well;
                            * NULL: none */
    const char *deny;     /* names, one a line; NULL: none */
    size_t deny_size;
    uint32_t forbid;      /* enum pxw_forbid */
};

/* Whether a module may be imported; of a dotted name the part up to the first
 * dot decides. `name` need not end with NUL. */
bool py_policy_allows_import(const struct py_policy *policy, const char *name,
                             size_t size);

/* Whether the mode string of open() writes: any of w, a, x, +. */
bool py_policy_mode_writes(const char *mode, size_t size);

#endif
