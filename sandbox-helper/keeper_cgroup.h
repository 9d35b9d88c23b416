/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of cgroup v2 that is delegated to the keeper, if there is one: a
 * group for each job, with the limits of its run. See keeper_cgroup.c.
 */
#ifndef PYEXEC_KEEPER_CGROUP_H
#define PYEXEC_KEEPER_CGROUP_H

#include "cgroup_own.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct keeper_cgroup;

/* A job's group. */
struct keeper_cgroup_leaf
{
    TAILQ_ENTRY(keeper_cgroup_leaf) link;
    struct keeper_cgroup *cgroup;
    unsigned number;
    int directory;
    int peak;              /* memory.peak where it can be reset; -1: not */
    uint64_t memory_bytes; /* memory.max as it was written last; 0: never */
    uint32_t tasks;        /* pids.max, the same */
    uint64_t old_cpu_us;   /* of the jobs before */
};

TAILQ_HEAD(keeper_cgroup_leaves, keeper_cgroup_leaf);

struct keeper_cgroup
{
    int directory;        /* our own group; -1: nothing is delegated */
    int zygotes;          /* the group that zygotes are started in, O_PATH */
    unsigned controllers; /* enum cgroup_controller */
    pid_t pid;            /* tells our groups from another keeper's */
    unsigned last_number;
    struct keeper_cgroup_leaves free;
    struct keeper_cgroup_leaves dying; /* to be removed once they are empty */
};

/* Finds out what is delegated and prepares it; says in the log what it found.
 * Afterwards the keeper is in a group of its own. */
void keeper_cgroup_open(struct keeper_cgroup *ret_cgroup);
/* Removes all groups, and the keeper is where it was. All leaves must have been
 * given back; for the last of their processes it waits a second. */
void keeper_cgroup_close(struct keeper_cgroup *cgroup);

static inline bool keeper_cgroup_is_used(const struct keeper_cgroup *cgroup)
{
    return cgroup->directory >= 0;
}

/* An empty group, with room for a job that gets warm, of which a zygote with
 * `warm_bytes` of its own was forked. 0 or a negative errno. */
int keeper_cgroup_take(struct keeper_cgroup *cgroup, uint64_t warm_bytes,
                       struct keeper_cgroup_leaf **ret_leaf);
/* Its job has ended, or must. NULL is fine. */
void keeper_cgroup_give_back(struct keeper_cgroup_leaf *leaf);

/* A descriptor for the job to write "0" to. It or a negative errno. */
int keeper_cgroup_entrance(const struct keeper_cgroup_leaf *leaf);

/* Sets what a run may use: memory on top of the zygote's own, and threads. 0
 * or a negative errno. Until then the job is as free as its predecessor. */
int keeper_cgroup_limit(struct keeper_cgroup_leaf *leaf,
                        uint64_t memory_bytes, uint64_t warm_bytes,
                        uint32_t tasks);

/* Kills all that is in it. */
void keeper_cgroup_kill(const struct keeper_cgroup_leaf *leaf);

/* What the kernel says of the job: CPU time of all its processes since it
 * entered, the most memory at a time, and whether it was killed because the
 * group's memory was used up. 0: it cannot be told. */
uint64_t keeper_cgroup_cpu_us(const struct keeper_cgroup_leaf *leaf);
uint64_t keeper_cgroup_peak_bytes(const struct keeper_cgroup_leaf *leaf);
bool keeper_cgroup_memory_spent(const struct keeper_cgroup_leaf *leaf);

#endif
