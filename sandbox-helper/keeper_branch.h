/* SPDX-License-Identifier: Apache-2.0
 *
 * A branch of a pool: zygotes with the same modules loaded, and their jobs.
 * What a pool's branches are, and which one suits a run, says keeper_plan.h.
 */
#ifndef PYEXEC_KEEPER_BRANCH_H
#define PYEXEC_KEEPER_BRANCH_H

#include "keeper_job.h"
#include "keeper_plan.h"
#include "keeper_zygotes.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keeper_pool;
struct keeper_run;

struct keeper_branch
{
    struct keeper_pool *pool;
    const struct plan_branch *plan;
    struct keeper_zygotes zygotes;
    struct keeper_jobs jobs;
    bool begun;    /* it was started at any time */
    size_t waiters; /* runs that found no job of it ready, in one pass */
    bool started;  /* it has a zygote, or one comes as soon as it can */
    bool resting;  /* it was let go, or is of a lazy pool, and no job of
                   * it was ready since */
    struct event idle;
    uint64_t used_us; /* when a run of it began or ended; 0: since it is up */
};

/* Plans the pool's branches, at most `most`, and begins with the first; the
 * others follow it, those of single modules when they are wanted. 0 or
 * -ENOMEM, and keeper_branches_close() is due either way. */
int keeper_branches_open(struct keeper_pool *pool, size_t most);
/* Ends all zygotes; nobody may be waiting for a run any more. */
void keeper_branches_close(struct keeper_pool *pool);

/* A zygote of this branch is up; a job of it is ready; one of both did not
 * come to that. */
void keeper_branch_is_up(struct keeper_branch *branch);
void keeper_branch_is_ready(struct keeper_branch *branch);
void keeper_branch_failed(struct keeper_branch *branch);

/* Its zygote forks no more and ends with its last job; another one comes with
 * the next run, or at once. */
void keeper_branch_let_go(struct keeper_branch *branch);
void keeper_branch_replace(struct keeper_branch *branch);

/* A run of it begins or ends. */
void keeper_branch_used(struct keeper_branch *branch);

/* Before a look at what waits, which asks for the job of one run after the
 * other: a branch keeps as many jobs as runs miss at the same time. */
void keeper_branches_begin_pass(struct keeper_pool *pool);

/* The job that a run with these wishes gets, ready as it is; NULL: none yet.
 * Starts what is missing for it. */
struct keeper_job *keeper_branches_choose(struct keeper_pool *pool,
                                          uint32_t groups);

/* Whether runs can be served: a zygote of the pool is up, or was let go. */
bool keeper_branches_can_serve(const struct keeper_pool *pool);

/* In how many branches a zygote is up. */
size_t keeper_branches_count_up(const struct keeper_pool *pool);

/* Whether the only reason for runs to wait is that all was let go. */
bool keeper_branches_wake(const struct keeper_pool *pool);

#endif
