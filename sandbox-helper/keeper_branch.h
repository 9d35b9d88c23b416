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

#include <stdbool.h>
#include <stddef.h>

struct keeper_pool;
struct keeper_run;

struct keeper_branch
{
    struct keeper_pool *pool;
    const struct plan_branch *plan;
    struct keeper_zygotes zygotes;
    struct keeper_jobs jobs;
    bool started;  /* its first zygote was asked for */
};

/* Plans the pool's branches, at most `most`, and begins with the first; the
 * others follow it, those of single modules when they are wanted. 0 or
 * -ENOMEM, and keeper_branches_close() is due either way. */
int keeper_branches_open(struct keeper_pool *pool, size_t most);
/* Ends all zygotes; nobody may be waiting for a run any more. */
void keeper_branches_close(struct keeper_pool *pool);

/* A zygote of this branch is up. */
void keeper_branch_is_up(struct keeper_branch *branch);

/* The job that a run with these wishes gets, ready as it is; NULL: none yet.
 * Starts what is missing for it. */
struct keeper_job *keeper_branches_choose(struct keeper_pool *pool,
                                          uint32_t groups);

/* Whether any zygote of the pool is up. */
bool keeper_branches_are_up(const struct keeper_pool *pool);

#endif
