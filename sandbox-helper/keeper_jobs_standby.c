/* SPDX-License-Identifier: Apache-2.0
 *
 * The standby jobs of a branch: how many there are to be, and which of them
 * the next run gets. Runs in the keeper.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_jobs.h"

#include "keeper.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

/* Before anybody missed one: one for the next run, one to be forked while that
 * goes on. */
static size_t first_wanted(const struct keeper_branch *branch)
{
    return branch->pool->conf->concurrency > 1 ? 2 : 1;
}

/* While draining only those for which somebody waits. */
static size_t standby_wanted(const struct keeper_branch *branch)
{
    const struct keeper_pool *pool = branch->pool;
    size_t wanted = branch->jobs.wanted;

    if (pool->keeper->draining && pool->queue.length < wanted) {
        wanted = pool->queue.length;
    }
    return wanted;
}

static void on_refill(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_branch *branch = argument;
    struct keeper_zygote *zygote = branch->zygotes.current;
    size_t slots = 2 * (size_t)branch->pool->conf->concurrency;
    int error = 0;

    (void)fd;
    (void)what;
    while (error == 0 && zygote != NULL
           && zygote->standby < standby_wanted(branch)
           && zygote->jobs < slots) {
        error = keeper_job_open(zygote);
    }
    /* -EAGAIN: the zygote's channel tells when there is room. */
    if (error != 0 && error != -EAGAIN && error != -ENOTCONN) {
        keeper_jobs_count_failure(zygote, strerror(-error));
    }
}

void keeper_jobs_refill(struct keeper_branch *branch)
{
    struct keeper_jobs *jobs = &branch->jobs;
    struct timeval wait = {
        .tv_sec = jobs->refill_delay_ms / 1000,
        .tv_usec = jobs->refill_delay_ms % 1000 * 1000,
    };

    if (branch->zygotes.current != NULL
        && branch->zygotes.current->standby < standby_wanted(branch)
        && !evtimer_pending(&jobs->refill, NULL)
        && evtimer_add(&jobs->refill, &wait) != 0) {
        log_line(LOG_LEVEL_ERROR, 351, "pool \"%s\": no timer",
                 branch->pool->conf->name);
    }
}

/* A failure so far is not the new zygote's. */
void keeper_jobs_start_over(struct keeper_branch *branch)
{
    (void)event_del(&branch->jobs.refill);
    branch->jobs.refill_delay_ms = 0;
    keeper_jobs_refill(branch);
}

void keeper_jobs_taken(struct keeper_branch *branch)
{
    if (keeper_jobs_ready(branch) == NULL) {
        keeper_jobs_refill(branch);
    }
}

/* Up to as many as may run, so that the next burst finds all of them. */
void keeper_jobs_want(struct keeper_branch *branch, size_t wanted)
{
    if (wanted > branch->pool->conf->concurrency) {
        wanted = branch->pool->conf->concurrency;
    }
    if (branch->jobs.wanted < wanted) {
        branch->jobs.wanted = wanted;
    }
    keeper_jobs_refill(branch);
}

/* Of a zygote that retires, but for one that has loaded other packages. */
static bool is_as_good(const struct keeper_job *job,
                       const struct keeper_zygote *current)
{
    const struct keeper_generation *its = &job->zygote->generation;
    const struct keeper_pool *pool = job->branch->pool;
    bool same = current != NULL
                    ? strcmp(its->name, current->generation.name) == 0
                    : pool->conf->environment == NULL
                          || keeper_environment_is(pool->conf->environment,
                                                   its);

    return same || keeper_settle_tolerates(pool, its->name);
}

void keeper_jobs_drop_stale(struct keeper_branch *branch)
{
    struct keeper_job *job;

    TAILQ_FOREACH(job, &branch->jobs.all, link) {
        if ((job->state == JOB_STARTING || job->state == JOB_READY)
            && job->zygote != branch->zygotes.current
            && !is_as_good(job, branch->zygotes.current)) {
            keeper_jobs_doom(job);
        }
    }
}

struct keeper_job *keeper_jobs_ready(struct keeper_branch *branch)
{
    const struct keeper_zygote *current = branch->zygotes.current;
    struct keeper_job *other = NULL;
    struct keeper_job *job;

    TAILQ_FOREACH(job, &branch->jobs.all, link) {
        if (job->state == JOB_READY) {
            if (job->zygote == current) {
                return job;
            }
            if (other == NULL && is_as_good(job, current)) {
                other = job;
            }
        }
    }
    return other;
}

bool keeper_jobs_run(const struct keeper_branch *branch)
{
    const struct keeper_job *job;

    TAILQ_FOREACH(job, &branch->jobs.all, link) {
        if (job->state == JOB_RUNNING) {
            return true;
        }
    }
    return false;
}

void keeper_jobs_let_go(struct keeper_branch *branch)
{
    struct keeper_job *job;

    (void)event_del(&branch->jobs.refill);
    branch->jobs.wanted = first_wanted(branch);
    TAILQ_FOREACH(job, &branch->jobs.all, link) {
        if (job->state == JOB_STARTING || job->state == JOB_READY) {
            keeper_jobs_doom(job);
        }
    }
}

void keeper_jobs_open(struct keeper_branch *branch)
{
    TAILQ_INIT(&branch->jobs.all);
    branch->jobs.wanted = first_wanted(branch);
    (void)evtimer_assign(&branch->jobs.refill, branch->pool->keeper->base,
                         on_refill, branch); /* only fails for a bad base */
}

void keeper_jobs_close(struct keeper_branch *branch)
{
    struct keeper_zygote *zygote;

    (void)event_del(&branch->jobs.refill);
    TAILQ_FOREACH(zygote, &branch->zygotes.all, link) {
        keeper_jobs_lost(zygote);
    }
}
