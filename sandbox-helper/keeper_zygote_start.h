/* SPDX-License-Identifier: Apache-2.0
 *
 * Fork and exec of a zygote, and the first frame that it gets.
 */
#ifndef PYEXEC_KEEPER_ZYGOTE_START_H
#define PYEXEC_KEEPER_ZYGOTE_START_H

#include "keeper_level.h"

#include <sys/types.h>

struct plan_branch;
struct pool_conf;

struct keeper_zygote_ends
{
    pid_t pid;
    int pidfd;
    int channel; /* does not block, like `log` */
    int log;
};

/* fork(2) into a cgroup, of which `cgroup` is the directory; -1: into our own.
 * Unlike libc's it runs no handlers and must be followed by exec or _exit. A
 * negative errno instead of -1. */
pid_t keeper_zygote_fork_into(int cgroup);

/* Starts `program`, in `cgroup` as above. 0, and all of *ret_ends is the
 * caller's; or a negative errno, and nothing is left. *ret_step is what was
 * tried last. */
int keeper_zygote_start(int program, int cgroup,
                        struct keeper_zygote_ends *ret_ends,
                        const char **ret_step);

/* Sends WARM: what this branch of the pool needs at `level`; NULL: the pool's
 * whole list. 0 or a negative errno. */
int keeper_zygote_warm(int channel, const struct pool_conf *conf,
                       const struct plan_branch *branch,
                       enum keeper_level level, const char *generation);

#endif
