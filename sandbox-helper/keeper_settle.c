/* SPDX-License-Identifier: Apache-2.0
 *
 * When an installation is answered. Runs in the keeper.
 *
 * A run that begins after the answer has to find what was installed, and it can
 * only in a zygote that has it on its path. Before the answer nobody can tell
 * whether it is there yet: so the zygotes that have what the installation began
 * with go on serving until their successors are warm, as where they are
 * replaced for their age, and the answer waits for that instead of the runs.
 *
 * Only that one generation is tolerated, and only under the lock of the
 * environment, which is given back with the answer: all that was answered
 * before, by whatever server, is in it. Where a successor fails or takes its
 * time the answer comes without it, and the runs wait.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_settle.h"

#include "fdio.h"
#include "keeper.h"
#include "log.h"

#include <event2/event.h>
#include <string.h>

static bool is_settled(struct keeper_pool *other)
{
    keeper_install_look(other); /* asks for what is still missing */
    for (size_t i = 0; i < other->plan.count; i++) {
        const struct keeper_zygote *zygote = other->branches[i].zygotes.current;

        if (zygote != NULL
            && (!zygote->offered
                || !keeper_environment_is(other->conf->environment,
                                          &zygote->generation))) {
            return false;
        }
    }
    return true;
}

static bool all_settled(struct keeper_pool *pool)
{
    struct keeper *keeper = pool->keeper;
    bool all = true;

    for (size_t i = 0; i < keeper->pool_count; i++) {
        if (keeper_install_shares(pool, &keeper->pools[i])) {
            all = is_settled(&keeper->pools[i]) && all;
        }
    }
    return all;
}

static bool look_at(struct keeper_settle *settle, uint64_t then_us)
{
    uint64_t now_us = fdio_now_us();
    uint64_t wait_us = then_us > now_us ? then_us - now_us : 0;
    struct timeval wait = {
        .tv_sec = (time_t)(wait_us / 1000000u),
        .tv_usec = (suseconds_t)(wait_us % 1000000u),
    };

    return evtimer_add(&settle->event, &wait) == 0;
}

/* First nothing is tolerated any more, then that is told. */
static void on_settle(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_pool *pool = argument;
    struct keeper_settle *settle = &pool->settle;
    struct pxw_writer answer = settle->answer;
    struct keeper_run *run = settle->run;

    (void)fd;
    (void)what;
    if (fdio_now_us() < settle->until_us && !all_settled(pool)
        && look_at(settle, settle->until_us)) {
        return;
    }
    settle->waiting = false;
    settle->run = NULL;
    settle->answer = (struct pxw_writer){ 0 };
    keeper_install_settled(pool);
    if (run != NULL) {
        keeper_run_answer(run, &answer);
    }
    pxw_writer_free(&answer);
    keeper_queue_serve(pool);
}

void keeper_settle_open(struct keeper_pool *pool)
{
    (void)evtimer_assign(&pool->settle.event, pool->keeper->base, on_settle,
                         pool); /* only fails for a bad base */
}

void keeper_settle_close(struct keeper_pool *pool)
{
    (void)event_del(&pool->settle.event);
    pool->settle.waiting = false; /* or others set that again as they close */
    pxw_writer_free(&pool->settle.answer);
}

void keeper_settle_began(struct keeper_pool *pool, const char *generation)
{
    memcpy(pool->settle.base, generation, sizeof(pool->settle.base));
}

/* A keeper that drains starts no successors. */
bool keeper_settle_begin(struct keeper_pool *pool, struct keeper_run *run,
                         struct pxw_writer *answer)
{
    struct keeper_settle *settle = &pool->settle;
    struct keeper_generation now = KEEPER_NO_GENERATION;

    settle->waiting = !pool->keeper->draining
                      && keeper_environment_take(pool->conf->environment,
                                                 &now) == 0;
    memcpy(settle->made, now.name, sizeof(settle->made));
    keeper_environment_leave(&now);
    settle->until_us = fdio_now_us() + PXW_SETTLE_MS * 1000u;
    if (settle->waiting
        && (all_settled(pool) || !look_at(settle, settle->until_us))) {
        settle->waiting = false;
    }
    if (settle->waiting) {
        settle->run = run;
        settle->answer = *answer;
        *answer = (struct pxw_writer){ 0 };
    }
    return settle->waiting;
}

/* Of the moment: from before the link is replaced, for that is seen at once, to
 * the answer, unless somebody has replaced it by hand meanwhile. */
static bool is_changing(const struct keeper_pool *pool)
{
    struct keeper_generation made = KEEPER_NO_GENERATION;
    const struct keeper_job *job;

    if (pool->settle.waiting) {
        memcpy(made.name, pool->settle.made, sizeof(made.name));
        return keeper_environment_is(pool->conf->environment, &made);
    }
    for (size_t i = 0; pool->running > 0 && i < pool->plan.count; i++) {
        TAILQ_FOREACH(job, &pool->branches[i].jobs.all, link) {
            if (keeper_job_is_committing(job)) {
                return true;
            }
        }
    }
    return false;
}

bool keeper_settle_tolerates(const struct keeper_pool *pool,
                             const char *generation)
{
    const struct keeper *keeper = pool->keeper;

    for (size_t i = 0; i < keeper->pool_count; i++) {
        const struct keeper_pool *other = &keeper->pools[i];

        if (other->conf->install_bytes > 0 && keeper_install_shares(pool, other)
            && strcmp(other->settle.base, generation) == 0
            && is_changing(other)) {
            return !keeper->draining;
        }
    }
    return false;
}

void keeper_settle_look(const struct keeper_pool *pool, bool failed)
{
    struct keeper *keeper = pool->keeper;

    for (size_t i = 0; pool->conf->environment != NULL
                       && i < keeper->pool_count; i++) {
        struct keeper_settle *settle = &keeper->pools[i].settle;

        if (settle->waiting && keeper_install_shares(pool, &keeper->pools[i])) {
            settle->until_us = failed ? 0 : settle->until_us;
            (void)look_at(settle, 0); /* or it is looked at in the end */
        }
    }
}

/* Successors get no jobs any more, unless somebody waits for one: they would
 * never be ready. */
void keeper_settle_hurry(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->pool_count; i++) {
        struct keeper_settle *settle = &keeper->pools[i].settle;

        if (settle->waiting) {
            settle->until_us = 0;
            (void)look_at(settle, 0); /* or it is looked at in the end */
        }
    }
}

bool keeper_settle_forget(struct keeper_run *run)
{
    struct keeper_settle *settle;

    if (run->pool == NULL || run->pool->settle.run != run) {
        return false;
    }
    settle = &run->pool->settle;
    settle->run = NULL;
    pxw_writer_free(&settle->answer);
    return true;
}
