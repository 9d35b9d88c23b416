/* SPDX-License-Identifier: Apache-2.0
 *
 * The interpreters that can be served: a zygote program for each, beside the
 * keeper's own. Opened before the keeper gives up root, by name never again.
 */
#ifndef PYEXEC_HELPER_PYTHONS_H
#define PYEXEC_HELPER_PYTHONS_H

#include "wire.h"

#include <stddef.h>

/* Each costs a descriptor; more are a mistake, not a need. */
#define HELPER_PYTHONS_MAX 32

struct helper_python
{
    char name[PXW_NAME_MAX + 1]; /* "" is the default one's */
    int program;                 /* O_PATH */
};

/* The default one first, the others by name. */
struct helper_pythons
{
    struct helper_python list[HELPER_PYTHONS_MAX];
    size_t count;
};

/* Opens pyexec-zygote and all pyexec-zygote-NAME beside our own program, above
 * the descriptor `least`. 0, or a negative errno: there is no default one, or
 * there are too many. */
int helper_pythons_open(struct helper_pythons *ret_pythons, int least);

/* Closes what was opened, also by a call that failed. */
void helper_pythons_close(struct helper_pythons *pythons);

/* The program for the name in a field; absent: the default one. -ENOENT. */
int helper_pythons_find(const struct helper_pythons *pythons,
                        const struct pxw_field *name);

#endif
