/* SPDX-License-Identifier: Apache-2.0
 *
 * Which branches of a pool are alive, and whose job a run gets. Runs in the
 * keeper.
 *
 * The first branch is started with the keeper and makes the pool ready; those
 * with several groups follow one after the other; one that is for a single
 * module waits for the first run that seems to need it, which is served by
 * another branch meanwhile.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_branch.h"

#include "keeper.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* A branch for one module, see keeper_plan.c: started on demand. */
static bool is_on_demand(const struct keeper_branch *branch)
{
    return branch - branch->pool->branches > (ptrdiff_t)branch->pool->plan.eager;
}

static void start(struct keeper_branch *branch)
{
    if (!branch->started && !branch->pool->keeper->draining) {
        branch->started = true;
        keeper_zygotes_start(branch);
    }
}

int keeper_branches_open(struct keeper_pool *pool, size_t most)
{
    const struct pool_conf *conf = pool->conf;
    int rv = keeper_plan_make(&pool->plan, conf->preload, conf->preload_size,
                              most);

    pool->isolation.asked = LEVEL_FULL;
    if (rv == 0) {
        pool->branches = calloc(pool->plan.count, sizeof(pool->branches[0]));
        rv = pool->branches == NULL ? -ENOMEM : 0;
    }
    for (size_t i = 0; rv == 0 && i < pool->plan.count; i++) {
        struct keeper_branch *branch = &pool->branches[i];

        branch->pool = pool;
        branch->plan = &pool->plan.branches[i];
        keeper_jobs_open(branch);
        keeper_zygotes_open(branch);
    }
    if (rv == 0) {
        start(&pool->branches[0]);
    }
    return rv;
}

void keeper_branches_close(struct keeper_pool *pool)
{
    if (pool->branches != NULL) {
        for (size_t i = 0; i < pool->plan.count; i++) {
            keeper_jobs_close(&pool->branches[i]);
            keeper_zygotes_close(&pool->branches[i]);
        }
    }
    free(pool->branches);
    pool->branches = NULL;
    keeper_plan_free(&pool->plan);
}

void keeper_branch_is_up(struct keeper_branch *branch)
{
    struct keeper_pool *pool = branch->pool;
    struct keeper_branch *next = branch + 1;

    if (next < pool->branches + pool->plan.count && !is_on_demand(next)) {
        start(next);
    }
    keeper_queue_serve(pool);
}

static struct keeper_branch *nearest(struct keeper_pool *pool,
                                     uint32_t groups, bool alive)
{
    struct keeper_branch *found = NULL;
    unsigned least = UINT_MAX;

    for (size_t i = 0; i < pool->plan.count; i++) {
        struct keeper_branch *branch = &pool->branches[i];
        unsigned distance = keeper_plan_distance(&pool->plan, i, groups);

        if (distance < least
            && (!alive || branch->zygotes.current != NULL)) {
            least = distance;
            found = branch;
        }
    }
    return found;
}

struct keeper_job *keeper_branches_choose(struct keeper_pool *pool,
                                          uint32_t groups)
{
    struct keeper_branch *wanted = nearest(pool, groups, false);
    struct keeper_branch *branch = nearest(pool, groups, true);
    struct keeper_job *job;

    /* Not before one is up: the first decides the isolation of all. */
    if (branch != NULL) {
        start(wanted);
    }
    job = keeper_jobs_ready(branch != NULL ? branch : wanted);
    if (job == NULL && branch != NULL) {
        keeper_jobs_want_more(branch);
    }
    return job;
}

bool keeper_branches_are_up(const struct keeper_pool *pool)
{
    for (size_t i = 0; i < pool->plan.count; i++) {
        if (pool->branches[i].zygotes.current != NULL) {
            return true;
        }
    }
    return false;
}
