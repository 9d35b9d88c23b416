/* SPDX-License-Identifier: Apache-2.0
 *
 * Which zygote of a pool serves, and when another one is started. Runs in the
 * keeper.
 *
 *     timer ──> coming ──WARMED──> current ──replaced──> retiring ──> end
 *
 * A zygote is replaced now and then because its hash secret, its address
 * layout and what its slots have seen are common to all of its jobs. Nobody
 * waits for that: the old one serves until the new one is warm, and its ready
 * jobs are dropped one by one, as those of the new one become ready.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_zygotes.h"

#include "fdio.h"
#include "keeper.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/random.h>

/* A zygote that lived this long did not fail at the start. */
#define STABLE_US 10000000u
/* What recycling is moved by, at most: pools of the same age would all warm
 * their successors at the same time. */
#define SPREAD_PERCENT 10u

/* As many starts have tried every level, and one twice. */
#define HOPELESS 3u

/* Waited before a start, by failures in a row. The first start after a long
 * life is at once; where the old one still serves there is no hurry. */
static const unsigned restart_ms[] = { 0, 100, 500, 2000, 5000 };
static const unsigned retry_ms[] = { 1000, 5000, 15000, 60000, 60000 };
#define RESTARTS (sizeof(restart_ms) / sizeof(restart_ms[0]))

static void set_timer(struct keeper_branch *branch, uint32_t wait_ms)
{
    struct timeval wait = {
        .tv_sec = wait_ms / 1000,
        .tv_usec = wait_ms % 1000 * 1000,
    };

    if (evtimer_add(&branch->zygotes.timer, &wait) != 0) {
        log_line(LOG_LEVEL_ERROR, 360, "pool \"%s\": no timer for its zygote",
                 branch->pool->conf->name);
    }
}

/* Less by a random part, so that what was configured is never exceeded. */
static uint32_t spread(uint32_t value)
{
    uint32_t most = value / 100u * SPREAD_PERCENT
                    + value % 100u * SPREAD_PERCENT / 100u;
    uint32_t random = 0;

    /* Without random bytes pools recycle together, which is all. */
    (void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
    return value - random % (most + 1);
}

bool keeper_zygotes_hopeless(const struct keeper_pool *pool)
{
    return pool->isolation.reached == LEVEL_NONE
           && pool->isolation.failures >= HOPELESS;
}

/* As long as no zygote ever was up, only the first branch has any. */
static void count_failure(struct keeper_pool *pool)
{
    if (pool->isolation.reached == LEVEL_NONE) {
        pool->isolation.failures++;
    }
    if (keeper_zygotes_hopeless(pool)) {
        keeper_queue_refuse(pool, PXW_NO_SANDBOX, KEEPER_NO_SANDBOX);
    }
}

static void schedule_start(struct keeper_branch *branch)
{
    struct keeper_zygotes *zygotes = &branch->zygotes;
    size_t step = zygotes->failures < RESTARTS ? zygotes->failures
                                               : RESTARTS - 1;

    zygotes->failures++;
    count_failure(branch->pool);
    if (zygotes->current == NULL) {
        set_timer(branch, restart_ms[step]);
        return;
    }
    log_line(LOG_LEVEL_WARNING, 371,
             "pool \"%s\": no new zygote yet, zygote %d goes on serving; the"
             " next attempt is in %u ms",
             branch->pool->conf->name, (int)zygotes->current->ends.pid,
             retry_ms[step]);
    set_timer(branch, retry_ms[step]);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_branch *branch = argument;
    struct keeper_zygotes *zygotes = &branch->zygotes;
    struct keeper_zygote *zygote;

    (void)fd;
    (void)what;
    if (zygotes->coming != NULL) {
        return; /* it will do */
    }
    if (zygotes->current != NULL) {
        if (branch->pool->keeper->draining) {
            return; /* not worth it any more */
        }
        zygotes->overdue = true;
    }
    zygote = keeper_zygote_open(branch, branch->pool->isolation.asked);
    if (zygote == NULL) {
        keeper_branch_failed(branch);
        schedule_start(branch);
        return;
    }
    TAILQ_INSERT_TAIL(&zygotes->all, zygote, link);
    zygotes->coming = zygote;
    branch->pool->metrics.zygotes_started++;
}

void keeper_zygotes_warmed(struct keeper_zygote *zygote,
                           enum keeper_level level)
{
    struct keeper_branch *branch = zygote->branch;
    struct keeper_pool *pool = branch->pool;
    struct keeper_zygotes *zygotes = &branch->zygotes;
    struct keeper_zygote *old = zygotes->current;

    if (level < zygote->asked) {
        keeper_zygote_fail(zygote, "it isolates less than it was told to");
        return;
    }
    zygote->state = ZYGOTE_UP;
    zygote->up_us = fdio_now_us();
    zygote->max_runs = spread(pool->conf->recycle_runs);
    zygotes->coming = NULL;
    zygotes->current = zygote;
    zygotes->overdue = false;
    pool->isolation.reached = level;
    (void)event_del(&zygotes->timer);
    if (pool->conf->recycle_ms > 0) {
        set_timer(branch, spread(pool->conf->recycle_ms));
    }
    log_line(LOG_LEVEL_INFO, 364,
             "pool \"%s\": zygote %d (%s) is up, Python %s, isolation %s",
             pool->conf->name, (int)zygote->ends.pid, branch->plan->label,
             pool->python, keeper_level_name(level));
    if (old != NULL) {
        zygotes->failures = 0;
        keeper_zygotes_job_gone(old); /* it may have none */
    }
    keeper_jobs_start_over(branch);
    keeper_branch_is_up(branch);
}

/* Without PID namespaces nothing would end the processes of a run for sure;
 * without network namespaces all runs, and the host, would share one. */
static bool needs_full(const struct pool_conf *conf)
{
    return conf->least_level == LEVEL_FULL || conf->processes > 1
           || conf->proxy.size > 0;
}

static void tell_full_is_needed(const struct pool_conf *conf)
{
    if (conf->processes > 1) {
        log_line(LOG_LEVEL_ERROR, 375,
                 "pool \"%s\": isolation \"full\" was not reached, nothing"
                 " runs; \"PyExecProcesses %u\" needs it, whatever"
                 " PyExecIsolation accepts; the lines above say why and"
                 " \"pyexecd --check\" what to change",
                 conf->name, (unsigned)conf->processes);
        return;
    }
    if (conf->proxy.size > 0) {
        log_line(LOG_LEVEL_ERROR, 392,
                 "pool \"%s\": isolation \"full\" was not reached, nothing"
                 " runs; \"PyExecNetwork proxy=%s\" needs it, whatever"
                 " PyExecIsolation accepts; the lines above say why and"
                 " \"pyexecd --check\" what to change",
                 conf->name, conf->proxy.text);
        return;
    }
    log_line(LOG_LEVEL_ERROR, 369,
             "pool \"%s\": isolation \"full\" was not reached, nothing"
             " runs; the lines above say why and \"pyexecd --check\""
             " what to change; \"PyExecIsolation restricted\" accepts"
             " less",
             conf->name);
}

/* A zygote never became warm. What can be had less is tried in turn with full
 * until one is reached, for the failure may have had another reason; from then
 * on it is that one and nothing else, for isolation must not depend on when a
 * zygote was started. */
static void choose_level(struct keeper_pool *pool)
{
    struct keeper_isolation *isolation = &pool->isolation;

    if (isolation->reached != LEVEL_NONE) {
        return;
    }
    if (needs_full(pool->conf)) {
        if (!isolation->level_told) {
            tell_full_is_needed(pool->conf);
        }
    }
    else if (isolation->asked == LEVEL_FULL) {
        isolation->asked = LEVEL_RESTRICTED;
        if (!isolation->level_told) {
            log_line(LOG_LEVEL_WARNING, 370,
                     "pool \"%s\": isolation \"full\" was not reached, the"
                     " lines above say why; trying \"restricted\": no"
                     " namespaces, so no root directory, network, process"
                     " numbers and IPC of its own; Landlock, seccomp and"
                     " resource limits remain",
                     pool->conf->name);
        }
    }
    else {
        if (!isolation->none_told) {
            log_line(LOG_LEVEL_ERROR, 373,
                     "pool \"%s\": isolation \"restricted\" was not reached"
                     " either, nothing runs; the lines above say why and"
                     " \"pyexecd --check\" what to change",
                     pool->conf->name);
        }
        isolation->none_told = true;
        isolation->asked = LEVEL_FULL;
    }
    isolation->level_told = true;
}

void keeper_zygotes_failed(struct keeper_zygote *zygote)
{
    struct keeper_zygotes *zygotes = &zygote->branch->zygotes;

    if (zygote == zygotes->coming || zygote == zygotes->current) {
        keeper_branch_failed(zygote->branch);
    }
    zygote->branch->pool->metrics.zygotes_failed++;
    if (zygote == zygotes->coming) {
        zygote->missed = true; /* stays the coming one until it is reaped */
        choose_level(zygote->branch->pool);
        return;
    }
    if (zygote == zygotes->current) {
        zygote->missed = true;
        zygotes->current = NULL;
        if (zygote->useful || fdio_now_us() - zygote->up_us > STABLE_US) {
            zygotes->failures = 0;
        }
    }
}

void keeper_zygotes_ended(struct keeper_zygote *zygote)
{
    struct keeper_branch *branch = zygote->branch;
    struct keeper_zygotes *zygotes = &branch->zygotes;
    bool missed = zygote->missed;

    if (zygote == zygotes->coming) {
        zygotes->coming = NULL;
    }
    TAILQ_REMOVE(&zygotes->all, zygote, link);
    keeper_zygote_close(zygote);
    /* Where one is coming already, it is what was missed. */
    if (missed && zygotes->coming == NULL && branch->started) {
        schedule_start(branch);
    }
}

void keeper_zygotes_count_run(struct keeper_zygote *zygote)
{
    struct keeper_zygotes *zygotes = &zygote->branch->zygotes;

    zygote->runs++;
    if (zygote == zygotes->current && !zygotes->overdue
        && zygote->max_runs != 0 && zygote->runs >= zygote->max_runs) {
        zygotes->overdue = true;
        set_timer(zygote->branch, 0);
    }
}

void keeper_zygotes_job_gone(struct keeper_zygote *zygote)
{
    if (zygote != zygote->branch->zygotes.current && zygote->jobs == 0) {
        keeper_zygote_retire(zygote);
    }
}

void keeper_zygotes_open(struct keeper_branch *branch)
{
    TAILQ_INIT(&branch->zygotes.all);
    (void)evtimer_assign(&branch->zygotes.timer, branch->pool->keeper->base,
                         on_timer, branch); /* only fails for a bad base */
}

void keeper_zygotes_start(struct keeper_branch *branch)
{
    set_timer(branch, 0);
}

void keeper_zygotes_renew(struct keeper_branch *branch)
{
    if (branch->zygotes.coming == NULL) {
        branch->zygotes.overdue = true;
        set_timer(branch, 0);
    }
}

void keeper_zygotes_let_go(struct keeper_branch *branch)
{
    struct keeper_zygotes *zygotes = &branch->zygotes;
    struct keeper_zygote *zygote = zygotes->current;

    (void)event_del(&zygotes->timer); /* it would replace it */
    zygotes->current = NULL;
    zygotes->overdue = false;
    zygotes->failures = 0;
    if (zygote != NULL) {
        keeper_zygotes_job_gone(zygote); /* it may have none */
    }
}

void keeper_zygotes_close(struct keeper_branch *branch)
{
    struct keeper_zygotes *zygotes = &branch->zygotes;
    struct keeper_zygote *zygote;

    (void)event_del(&zygotes->timer);
    zygotes->current = NULL;
    zygotes->coming = NULL;
    /* All are killed before the first is waited for. */
    TAILQ_FOREACH(zygote, &zygotes->all, link) {
        keeper_zygote_kill(zygote);
    }
    while ((zygote = TAILQ_FIRST(&zygotes->all)) != NULL) {
        TAILQ_REMOVE(&zygotes->all, zygote, link);
        keeper_zygote_close(zygote);
    }
}
