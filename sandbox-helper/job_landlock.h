/* SPDX-License-Identifier: Apache-2.0
 *
 * Landlock: what of the private root a job may read, and execute if it may
 * start programs, which port it may connect to if it has a network, and that it
 * may do nothing else to files, TCP ports, abstract sockets and foreign
 * processes.
 */
#ifndef PYEXEC_JOB_LANDLOCK_H
#define PYEXEC_JOB_LANDLOCK_H

#include "jail_trees.h"

#include <stdbool.h>

/* In the zygote, inside the private root if the level has one: builds the
 * ruleset. Returns its descriptor (close-on-exec, the caller's) or a negative
 * errno with *ret_step naming what failed; -ENOSYS or -EOPNOTSUPP: this kernel
 * has no Landlock. */
int job_landlock_build(const struct jail *jail, const char **ret_step);

/* The same for the job that takes over what was installed (job_commit.h): it
 * reads that, changes files and directories in `directory`, and has nothing
 * else. */
int job_landlock_build_commit(int directory);

/* Whether this kernel has rules for TCP ports (since ABI 4). */
bool job_landlock_knows_ports(void);

/* In the job: restricts the calling thread for good. no_new_privs must be
 * set. Returns 0 or a negative errno. */
int job_landlock_restrict(int ruleset_fd);

#endif
