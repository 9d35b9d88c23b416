/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission. Runs in the keeper. First come, first served within a pool; a
 * run waits only for a job, never for another connection.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_queue.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"

#include <event2/event.h>

/* Four of the largest frames, or some thousands of usual ones: more memory
 * than this in scripts that wait helps nobody. */
#define MAX_HELD_BYTES (256u << 20)

/* How far down the queue a job is offered before the next one is ready. */
#define LOOKS 64

void keeper_queue_open(struct keeper_pool *pool)
{
    TAILQ_INIT(&pool->queue.waiting);
}

bool keeper_hold(struct keeper *keeper, size_t bytes)
{
    if (bytes == 0) {
        return true; /* answers may hold more than the bound by themselves */
    }
    if (bytes > MAX_HELD_BYTES
        || keeper->held_bytes > MAX_HELD_BYTES - bytes) {
        return false;
    }
    keeper->held_bytes += bytes;
    return true;
}

void keeper_release(struct keeper *keeper, size_t bytes)
{
    keeper->held_bytes -= bytes;
}

void keeper_run_finish(struct keeper_run *run, enum pxw_outcome outcome,
                       const char *text)
{
    CLEANUP(pxw_writer_free) struct pxw_writer answer = { 0 };

    pxw_begin(&answer, PXW_OUTCOME);
    pxw_put_u32(&answer, PXW_F_OUTCOME, outcome);
    pxw_put_str(&answer, PXW_F_TEXT, text);
    pxw_put_u64(&answer, PXW_F_QUEUE_US, fdio_now_us() - run->admitted_us);
    (void)pxw_end(&answer); /* kept in answer.error */
    run->done(run, &answer);
}

static void leave_queue(struct keeper_run *run)
{
    if (run->queued) {
        TAILQ_REMOVE(&run->pool->queue.waiting, run, link);
        run->pool->queue.length--;
        run->queued = false;
        (void)event_del(&run->timeout);
    }
}

void keeper_queue_refuse(struct keeper_pool *pool, enum pxw_outcome outcome,
                         const char *text)
{
    struct keeper_run *run;

    while ((run = TAILQ_FIRST(&pool->queue.waiting)) != NULL) {
        leave_queue(run);
        keeper_run_finish(run, outcome, text);
    }
}

static void on_timeout(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_run *run = argument;

    (void)fd;
    (void)what;
    leave_queue(run);
    keeper_run_finish(run, PXW_BUSY, "waited too long for a free slot");
}

void keeper_queue_admit(struct keeper_run *run)
{
    struct keeper_pool *pool = run->pool;
    struct timeval patience = {
        .tv_sec = pool->conf->queue_ms / 1000,
        .tv_usec = pool->conf->queue_ms % 1000 * 1000,
    };
    const struct pxw_field *source = &run->message.field[PXW_F_SOURCE];

    run->admitted_us = fdio_now_us();
    if (keeper_zygotes_hopeless(pool)) {
        keeper_run_finish(run, PXW_NO_SANDBOX, KEEPER_NO_SANDBOX);
        return;
    }
    /* A run for which a slot is free waits at most for its job to be forked
     * and does not count as waiting. */
    if (pool->queue.length + pool->running
        >= (size_t)pool->conf->concurrency + pool->conf->queue) {
        keeper_run_finish(run, PXW_BUSY, "the queue is full");
        return;
    }
    if (evtimer_assign(&run->timeout, pool->keeper->base, on_timeout, run)
            != 0
        || evtimer_add(&run->timeout, &patience) != 0) {
        keeper_run_finish(run, PXW_BROKEN, "no timer");
        return;
    }
    TAILQ_INSERT_TAIL(&pool->queue.waiting, run, link);
    pool->queue.length++;
    run->queued = true;
    run->groups = keeper_plan_look(&pool->plan, source->data, source->size);
    keeper_queue_serve(pool);
}

/* Whoever's branch has no job ready yet lets others pass: it waits for a fork
 * that is under way, they for nothing. */
void keeper_queue_serve(struct keeper_pool *pool)
{
    struct keeper_run *next = TAILQ_FIRST(&pool->queue.waiting);
    struct keeper_run *run;

    for (int looks = 0; (run = next) != NULL && looks < LOOKS; looks++) {
        struct keeper_job *job;

        if (pool->running >= pool->conf->concurrency) {
            return;
        }
        next = TAILQ_NEXT(run, link);
        job = keeper_branches_choose(pool, run->groups);
        if (job != NULL) {
            leave_queue(run);
            keeper_job_dispatch(job, run);
            keeper_jobs_taken(job->branch);
        }
    }
}

void keeper_run_cancel(struct keeper_run *run)
{
    leave_queue(run);
    if (run->job != NULL) {
        keeper_job_cancel(run->job);
    }
}
