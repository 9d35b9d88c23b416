/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions that the source check and the run-time hooks both ask. Knows
 * no Python object.
 */
#include "py_policy.h"

#include <string.h>

bool py_policy_allows_import(const struct py_policy *policy, const char *name,
                             size_t size)
{
    const char *dot = memchr(name, '.', size);
    const char *at = policy->imports;
    size_t left = policy->imports_size;
    size_t top = dot == NULL ? size : (size_t)(dot - name);

    if (at == NULL) {
        return true;
    }
    while (left > 0) {
        const char *end = memchr(at, '\n', left);
        size_t line = end == NULL ? left : (size_t)(end - at);

        if (top > 0 && line == top && memcmp(at, name, top) == 0) {
            return true;
        }
        if (end == NULL) {
            break;
        }
        at = end + 1;
        left -= line + 1;
    }
    return false;
}

bool py_policy_mode_writes(const char *mode, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (strchr("wax+", mode[i]) != NULL && mode[i] != '\0') {
            return true;
        }
    }
    return false;
}
