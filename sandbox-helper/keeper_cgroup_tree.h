/* SPDX-License-Identifier: Apache-2.0
 *
 * Between keeper_cgroup.c (a job's group) and keeper_cgroup_tree.c (what they
 * all hang on); nobody else includes this.
 */
#ifndef PYEXEC_KEEPER_CGROUP_TREE_H
#define PYEXEC_KEEPER_CGROUP_TREE_H

#include "keeper_cgroup.h"

#define CGROUP_TREE_NAME_BYTES 64

void cgroup_tree_job_name(pid_t pid, unsigned number,
                          char ret_name[CGROUP_TREE_NAME_BYTES]);

/* Writes a whole value in one go. 0 or a negative errno. */
int cgroup_tree_write(int directory, const char *file, const char *text);

/* Removes what dead keepers left, moves this process into a leaf, hands the
 * controllers on and makes the zygotes' leaf. 0, or a negative errno and
 * nothing is changed. */
int cgroup_tree_divide(const struct cgroup_own *own,
                       struct keeper_cgroup *cgroup);

/* Undoes cgroup_tree_divide(). Waits until `end_us` for the last zygote's
 * end. */
void cgroup_tree_leave(struct keeper_cgroup *cgroup, uint64_t end_us);

/* Starts a process in `zygotes` and has it move to `leaf`, in the way that
 * zygotes and jobs do. 0 or a negative errno. */
int cgroup_tree_probe(int zygotes, const struct keeper_cgroup_leaf *leaf);

/* Returns when no process is in it any more, at `end_us` at the latest. */
void cgroup_tree_wait_empty(int directory, uint64_t end_us);

#endif
