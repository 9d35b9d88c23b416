/* SPDX-License-Identifier: Apache-2.0
 *
 * Which branches of a pool are alive, and whose job a run gets. Runs in the
 * keeper.
 *
 * The first branch is started with the keeper, or where the pool is lazy by the
 * first run, and makes the pool ready; those with several groups follow one
 * after the other; one that is for a single module waits for the first run that
 * seems to need it, which is served by another branch meanwhile.
 *
 * A branch that no run has used for the pool's time of idleness is let go, down
 * to its last process; it comes back like those for a single module. Where
 * nothing is left the first comes back as well, for it is the fastest.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_branch.h"

#include "fdio.h"
#include "keeper.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdlib.h>

/* When something is under way that decides whether it is idle. */
#define LOOK_AGAIN_MS 1000

/* A branch for one module, see keeper_plan.c: started on demand. */
static bool is_on_demand(const struct keeper_branch *branch)
{
    return branch - branch->pool->branches > (ptrdiff_t)branch->pool->plan.eager;
}

static void start(struct keeper_branch *branch)
{
    if (!branch->started) {
        branch->begun = true;
        branch->started = true;
        branch->used_us = 0;
        keeper_zygotes_start(branch);
    }
}

/* One timer, which is not moved by runs: it looks when the last one was. */
static void look_after(struct keeper_branch *branch, uint64_t wait_ms)
{
    struct timeval wait = {
        .tv_sec = (time_t)(wait_ms / 1000),
        .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000),
    };

    if (evtimer_add(&branch->idle, &wait) != 0) {
        log_line(LOG_LEVEL_ERROR, 377, "pool \"%s\": no timer for idleness",
                 branch->pool->conf->name);
    }
}

void keeper_branch_let_go(struct keeper_branch *branch)
{
    branch->started = false;
    branch->resting = true;
    keeper_jobs_let_go(branch);
    keeper_zygotes_let_go(branch);
}

void keeper_branch_replace(struct keeper_branch *branch)
{
    keeper_branch_let_go(branch);
    start(branch);
}

static void on_idle(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_branch *branch = argument;
    const struct keeper_pool *pool = branch->pool;
    uint64_t idle_ms = pool->conf->idle_ms;
    uint64_t unused_ms = (fdio_now_us() - branch->used_us) / 1000;

    (void)fd;
    (void)what;
    if (branch->zygotes.current == NULL) {
        return; /* it is set again when there is one */
    }
    if (unused_ms < idle_ms) {
        look_after(branch, idle_ms - unused_ms);
    }
    else if (keeper_jobs_run(branch)) {
        look_after(branch, idle_ms);
    }
    else if (pool->queue.length > 0 || branch->zygotes.coming != NULL) {
        look_after(branch, LOOK_AGAIN_MS);
    }
    else {
        log_line(LOG_LEVEL_INFO, 376,
                 "pool \"%s\": zygote %d (%s) was not used for %u ms and is let"
                 " go",
                 pool->conf->name, (int)branch->zygotes.current->ends.pid,
                 branch->plan->label, pool->conf->idle_ms);
        keeper_branch_let_go(branch);
        keeper_settle_look(pool, false);
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
        (void)evtimer_assign(&branch->idle, pool->keeper->base, on_idle,
                             branch); /* only fails for a bad base */
        keeper_jobs_open(branch);
        keeper_zygotes_open(branch);
    }
    keeper_install_open(pool);
    if (rv == 0 && conf->lazy) {
        pool->branches[0].resting = true;
    }
    else if (rv == 0) {
        start(&pool->branches[0]);
    }
    return rv;
}

void keeper_branches_close(struct keeper_pool *pool)
{
    if (pool->branches != NULL) {
        for (size_t i = 0; i < pool->plan.count; i++) {
            (void)event_del(&pool->branches[i].idle);
            keeper_jobs_close(&pool->branches[i]);
            keeper_zygotes_close(&pool->branches[i]);
        }
    }
    free(pool->branches);
    pool->branches = NULL;
    keeper_install_close(pool);
    keeper_plan_free(&pool->plan);
}

void keeper_branch_is_up(struct keeper_branch *branch)
{
    struct keeper_pool *pool = branch->pool;
    struct keeper_branch *next = branch + 1;

    if (branch->used_us == 0) {
        branch->used_us = fdio_now_us();
    }
    if (pool->conf->idle_ms > 0 && !evtimer_pending(&branch->idle, NULL)) {
        look_after(branch, pool->conf->idle_ms);
    }
    /* Once: another zygote of this one is no reason to start what was let
     * go. */
    if (next < pool->branches + pool->plan.count && !is_on_demand(next)
        && !next->begun && !pool->keeper->draining) {
        start(next);
    }
    keeper_queue_serve(pool);
}

void keeper_branch_is_ready(struct keeper_branch *branch)
{
    struct keeper_pool *pool = branch->pool;

    /* The one that can serve every run: until it does nobody waits for a
     * place. */
    if (branch == &pool->branches[0] && branch->resting) {
        pool->queue.woken_us = fdio_now_us();
    }
    branch->resting = false;
    keeper_queue_serve(pool);
}

void keeper_branch_failed(struct keeper_branch *branch)
{
    branch->resting = false;
    keeper_settle_look(branch->pool, true);
}

void keeper_branch_used(struct keeper_branch *branch)
{
    branch->used_us = fdio_now_us();
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

void keeper_branches_begin_pass(struct keeper_pool *pool)
{
    for (size_t i = 0; i < pool->plan.count; i++) {
        pool->branches[i].waiters = 0;
    }
}

struct keeper_job *keeper_branches_choose(struct keeper_pool *pool,
                                          uint32_t groups)
{
    struct keeper_branch *wanted = nearest(pool, groups, false);
    struct keeper_branch *branch = nearest(pool, groups, true);
    struct keeper_job *job;

    if (branch == NULL) {
        start(&pool->branches[0]); /* also while draining: somebody waits */
    }
    /* Not before one was up: the first decides the isolation of all. */
    if (pool->isolation.reached != LEVEL_NONE && !pool->keeper->draining) {
        start(wanted);
    }
    job = keeper_jobs_ready(branch != NULL ? branch : wanted);
    if (job == NULL && branch != NULL) {
        branch->waiters++;
        keeper_jobs_want(branch, branch->waiters);
    }
    return job;
}

static bool are_up(const struct keeper_pool *pool)
{
    return keeper_branches_count_up(pool) > 0;
}

size_t keeper_branches_count_up(const struct keeper_pool *pool)
{
    size_t count = 0;

    for (size_t i = 0; i < pool->plan.count; i++) {
        count += pool->branches[i].zygotes.current != NULL;
    }
    return count;
}

/* Where none is up the first decides: it is started then in any case. */
bool keeper_branches_can_serve(const struct keeper_pool *pool)
{
    return are_up(pool) || pool->branches[0].resting;
}

/* Runs that go on may be of a zygote that was replaced: as long as one more
 * may run, they are not what is waited for. */
bool keeper_branches_wake(const struct keeper_pool *pool)
{
    return pool->running < pool->conf->concurrency && pool->branches[0].resting
           && pool->branches[0].started;
}
