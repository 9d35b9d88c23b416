/* SPDX-License-Identifier: Apache-2.0
 *
 * The private root of a zygote and its jobs.
 */
#ifndef PYEXEC_JAIL_MOUNTS_H
#define PYEXEC_JAIL_MOUNTS_H

#include "jail_trees.h"

/* In the zygote, after jail_ns_enter(): makes a tmpfs with read-only binds of
 * what the interpreter needs, and the programs if jobs may start any, the root, detaches everything else, makes it all
 * read-only, and goes to the scripts' directory. Afterwards there is no /proc.
 * Returns 0, or a negative errno with *ret_step naming what failed. */
int jail_mounts_enter(const struct jail *jail, const char **ret_step);

/* Where scripts run: an empty directory. */
#define JAIL_HOME "/sandbox"

#endif
