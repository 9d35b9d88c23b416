/* SPDX-License-Identifier: Apache-2.0
 *
 * Where jobs that install packages may write: two file systems in memory, of a
 * fixed size each, which are gone with the zygote. Whatever a package does in
 * there, nothing of it is on a disk before job_commit.h has looked at it.
 */
#ifndef PYEXEC_JAIL_INSTALL_H
#define PYEXEC_JAIL_INSTALL_H

#include "jail_mounts.h"
#include "jail_trees.h"

/* The new environment, laid out as a virtual environment is. Where no directory
 * of an administrator's is. */
#define JAIL_INSTALL_PREFIX JAIL_HOME "/environment"
/* What pip unpacks and builds. */
#define JAIL_INSTALL_TEMPORARY JAIL_HOME "/tmp"
/* Of the first one, what is kept. */
#define JAIL_INSTALL_PACKAGES JAIL_INSTALL_PREFIX "/packages"

/* In the zygote, while the new root is built below `root`: mounts them, unless
 * the jail is for scripts. Returns 0 or a negative errno. */
int jail_install_mount(const struct jail *jail, const char *root);

#endif
