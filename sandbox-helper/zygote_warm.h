/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper says in WARM, read by the zygote before it enters its jail.
 */
#ifndef PYEXEC_ZYGOTE_WARM_H
#define PYEXEC_ZYGOTE_WARM_H

#include "jail_trees.h"
#include "wire.h"

/* A parsed WARM as the jail that it asks for. Texts are copies that live as
 * long as the process. 0, or a negative errno with *ret_step naming what cannot
 * be done: what needs the level full is refused below it. */
int zygote_warm_read(const struct pxw_message *warm, struct jail *ret_jail,
                     const char **ret_step);

/* The scripts' variables, one a line (absent: none). Before CPython reads the
 * environment, and long after the loader has: what names would mean something
 * to it was refused by the configuration. 0 or a negative errno. */
int zygote_warm_set_variables(const struct pxw_field *list);

/* The name of a level, as the keeper knows it. */
const char *zygote_warm_level(enum jail_level level);

#endif
