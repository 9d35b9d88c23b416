/* SPDX-License-Identifier: Apache-2.0
 *
 * The namespaces that a zygote and all its jobs live in.
 */
#ifndef PYEXEC_JAIL_NS_H
#define PYEXEC_JAIL_NS_H

/* The user and group that the zygote is inside its user namespace. */
#define JAIL_UID 1000
#define JAIL_GID 1000

/* What a script knows this machine as. */
#define JAIL_HOST_NAME "sandbox"

/* In the zygote, single-threaded, /proc still there: new user, mount,
 * network, IPC, UTS and cgroup namespaces; the caller's own ids mapped to
 * JAIL_UID and JAIL_GID; JAIL_HOST_NAME and no domain. PID namespaces are slot.h's.
 * Returns 0, or a negative errno with *ret_step naming what failed. */
int jail_ns_enter(const char **ret_step);

#endif
