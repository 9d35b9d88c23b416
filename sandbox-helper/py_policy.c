/* SPDX-License-Identifier: Apache-2.0
 *
 * The questions that the source check and the run-time hooks both ask. Knows
 * no Python object.
 */
#include "py_policy.h"

#include <string.h>

/* Whether a line of the list is this name. */
static bool lists(const char *list, size_t size, const char *name,
                  size_t name_size)
{
    while (size > 0) {
        const char *end = memchr(list, '\n', size);
        size_t line = end == NULL ? size : (size_t)(end - list);

        if (name_size > 0 && line == name_size
            && memcmp(list, name, name_size) == 0) {
            return true;
        }
        if (end == NULL) {
            break;
        }
        list = end + 1;
        size -= line + 1;
    }
    return false;
}

bool py_policy_allows_import(const struct py_policy *policy, const char *name,
                             size_t size)
{
    const char *dot = memchr(name, '.', size);
    size_t top = dot == NULL ? size : (size_t)(dot - name);

    /* `from __future__ import …` speaks to the compiler. */
    if (top == 10 && memcmp(name, "__future__", 10) == 0) {
        return true;
    }
    if (policy->deny != NULL
        && lists(policy->deny, policy->deny_size, name, top)) {
        return false;
    }
    return policy->imports == NULL
           || lists(policy->imports, policy->imports_size, name, top)
           || (policy->installed != NULL
               && lists(policy->installed, strlen(policy->installed), name,
                        top));
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
