/* SPDX-License-Identifier: Apache-2.0
 *
 * All jobs of a branch: how they become ready, what happens to those that do
 * not, and to those that end. Runs in the keeper.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_jobs.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"
#include "keeper_cpu.h"
#include "log.h"

#include <event2/event.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

/* Jobs that fail in a row before their zygote is taken to be the reason. */
#define MAX_FAILED_STARTS 3
/* Between attempts, when standby jobs die unasked. */
#define FIRST_DELAY_MS 100
#define MAX_DELAY_MS 5000
/* A killed process that had not begun is gone within milliseconds, if the
 * machine is not too busy; the keeper waits for it, which only the death of a
 * zygote makes it do. */
#define DEATH_MS 1000

/* Off the list and its counters; the caller frees it, and tells the zygote's
 * owner. */
static void forget(struct keeper_job *job)
{
    struct keeper_jobs *jobs = &job->branch->jobs;
    struct keeper_pool *pool = job->branch->pool;

    TAILQ_REMOVE(&jobs->all, job, link);
    job->zygote->jobs--;
    if (job->state == JOB_RUNNING) {
        pool->running--;
        keeper_tenants_ended(&pool->queue.tenants, job->tenant);
        job->tenant = NULL;
    }
    else if (job->state != JOB_DOOMED) {
        job->zygote->standby--;
    }
}

void keeper_jobs_doom(struct keeper_job *job)
{
    if (job->state == JOB_STARTING || job->state == JOB_READY) {
        job->zygote->standby--;
        job->state = JOB_DOOMED;
    }
    /* Without a pidfd yet: it reads the end of its stdin and leaves. */
    cleanup_fd(&job->input);
    keeper_job_kill(job, JOB_CANCELLED);
}

static void slow_down(struct keeper_jobs *jobs)
{
    jobs->refill_delay_ms = jobs->refill_delay_ms == 0
                                ? FIRST_DELAY_MS
                                : 2 * jobs->refill_delay_ms;
    if (jobs->refill_delay_ms > MAX_DELAY_MS) {
        jobs->refill_delay_ms = MAX_DELAY_MS;
    }
}

void keeper_jobs_count_failure(struct keeper_zygote *zygote,
                               const char *reason)
{
    struct keeper_branch *branch = zygote->branch;

    if (zygote->failed_starts++ == 0) {
        log_line(LOG_LEVEL_ERROR, 350, "pool \"%s\": a job did not start: %s",
                 branch->pool->conf->name, reason);
    }
    if (zygote != branch->zygotes.current) {
        return; /* nothing more is asked of it, and its runs go on */
    }
    slow_down(&branch->jobs);
    if (zygote->failed_starts >= MAX_FAILED_STARTS) {
        zygote->failed_starts = 0;
        keeper_zygote_fail(zygote, "its jobs do not start");
        return;
    }
    keeper_jobs_refill(branch);
}

void keeper_jobs_start_failed(struct keeper_job *job, const char *reason)
{
    keeper_jobs_doom(job);
    keeper_jobs_count_failure(job->zygote, reason);
}

/* A ready job of the current zygote takes the place of one of a zygote that
 * retires, the youngest, which may not even be ready itself. */
static void drop_retiring(struct keeper_branch *branch)
{
    struct keeper_job *job;

    TAILQ_FOREACH_REVERSE(job, &branch->jobs.all, keeper_job_list, link) {
        if (job->zygote != branch->zygotes.current
            && (job->state == JOB_STARTING || job->state == JOB_READY)) {
            keeper_jobs_doom(job);
            return;
        }
    }
}

static void become_ready(struct keeper_job *job)
{
    struct keeper_branch *branch = job->branch;

    if (job->state != JOB_STARTING || job->pidfd < 0
        || job->report.phase != REPORT_READY) {
        return;
    }
    job->state = JOB_READY;
    (void)event_del(&job->deadline);
    job->zygote->failed_starts = 0;
    if (!job->zygote->offered) {
        job->zygote->offered = true;
        keeper_settle_look(branch->pool, false);
    }
    if (job->zygote == branch->zygotes.current) {
        drop_retiring(branch);
    }
    keeper_branch_is_ready(branch);
}

void keeper_jobs_reported(struct keeper_job *job)
{
    if (job->report.phase == REPORT_READY) {
        become_ready(job);
    }
    else if (job->report.phase == REPORT_FAILED) {
        keeper_jobs_start_failed(job, job->report.text);
    }
    else if (job->report.phase == REPORT_BAD) {
        keeper_jobs_start_failed(job, "its report is malformed");
    }
    /* Otherwise the pipe was closed: EXITED follows, or the deadline. */
}

/* A zygote can only tell of its own jobs. */
static struct keeper_job *find_job(struct keeper_zygote *zygote,
                                   uint64_t number)
{
    struct keeper_job *job;

    TAILQ_FOREACH(job, &zygote->branch->jobs.all, link) {
        if (job->number == number && job->zygote == zygote) {
            return job;
        }
    }
    return NULL;
}

void keeper_job_forked(struct keeper_zygote *zygote, uint64_t number,
                       const struct keeper_job_process *process, int error)
{
    struct keeper_job *job = find_job(zygote, number);
    CLEANUP_FD int owned = process->pidfd;
    CLEANUP_FD int listener = process->listener;
    bool networked = zygote->branch->pool->conf->proxy.size > 0;

    if (job == NULL || job->pidfd >= 0) {
        keeper_zygote_fail(zygote, "it forked a job unasked");
        return;
    }
    if (error != 0) {
        bool wanted = job->state != JOB_DOOMED;

        forget(job);
        keeper_job_free(job);
        if (wanted) {
            keeper_jobs_count_failure(zygote, strerror(error));
        }
        keeper_zygotes_job_gone(zygote);
        return;
    }
    job->pid = process->pid;
    job->init = process->init;
    job->pidfd = steal_fd(&owned);
    if ((listener >= 0) != networked
        || (networked
            && !keeper_relay_take(&job->relay, steal_fd(&listener)))) {
        keeper_zygote_fail(zygote, "its job's network is not what was asked"
                                   " for");
        return;
    }
    if (job->killed) {
        job->killed = false; /* it could not be, without the pidfd */
        keeper_job_kill(job, JOB_CANCELLED);
    }
    become_ready(job);
}

/* No failure, and another one is asked for in any case. */
static bool asks_for_another(int wait_status)
{
    return WIFEXITED(wait_status)
           && WEXITSTATUS(wait_status) == PXW_EXIT_AGAIN;
}

void keeper_job_exited(struct keeper_zygote *zygote, uint64_t number,
                       const struct keeper_job_end *end)
{
    CLEANUP(pxw_writer_free) struct pxw_writer answer = { 0 };
    struct keeper_branch *branch = zygote->branch;
    struct keeper_job *job = find_job(zygote, number);
    struct keeper_run *run;
    enum keeper_job_state state;
    bool held;

    if (job == NULL) {
        keeper_zygote_fail(zygote, "it reaped a job nobody knows");
        return;
    }
    run = job->run;
    state = job->state;
    forget(job);
    if (state == JOB_RUNNING) {
        keeper_branch_used(branch);
    }
    if (run != NULL) {
        struct keeper_job_end whole = *end;
        enum pxw_outcome outcome;

        keeper_cpu_settle(job, &whole);
        outcome = keeper_job_end(job, &whole, &answer);
        run->job = NULL;
        if (outcome == PXW_LOST && keeper_job_is_unbegun(job)
            && keeper_run_again(run)) {
            run = NULL;
        }
    }
    if (state == JOB_RUNNING && job->report.started) {
        if (branch->jobs.refill_delay_ms > 0) {
            branch->jobs.refill_delay_ms = 0;
            (void)event_del(&branch->jobs.refill); /* added again below */
        }
        zygote->useful = true;
    }
    keeper_job_free(job);
    if (state == JOB_STARTING && !asks_for_another(end->wait_status)) {
        keeper_jobs_count_failure(zygote, WIFSIGNALED(end->wait_status)
                                              ? "it was killed by a signal"
                                              : "it ended by itself");
    }
    else if (state == JOB_READY) {
        log_line(LOG_LEVEL_WARNING, 352, "pool \"%s\": a standby job died",
                 branch->pool->conf->name);
        slow_down(&branch->jobs);
    }
    held = state == JOB_RUNNING
           && keeper_install_ended(branch->pool, end->wait_status, run,
                                   &answer);
    if (run != NULL && !held) {
        keeper_run_answer(run, &answer);
    }
    keeper_jobs_refill(branch);
    keeper_queue_serve(branch->pool);
    keeper_zygotes_job_gone(zygote);
}

/* The script of a job that is killed can begin until it is gone; who is not by
 * then (nobody, but on a very busy machine) is taken to have begun. */
static bool ended_unbegun(struct keeper_job *job, uint64_t until_us)
{
    struct pollfd end = { .fd = job->pidfd, .events = POLLIN };
    uint64_t now_us = fdio_now_us();
    int wait_ms = now_us < until_us ? (int)((until_us - now_us) / 1000u) : 0;

    keeper_job_drain(job);
    if (job->verdict != JOB_LOST || !keeper_job_is_unbegun(job)
        || poll(&end, 1, wait_ms) != 1) {
        return false;
    }
    keeper_job_drain(job);
    return keeper_job_is_unbegun(job);
}

void keeper_jobs_lost(struct keeper_zygote *zygote)
{
    struct keeper_job *next;
    struct keeper_job *job;
    uint64_t until_us = fdio_now_us() + DEATH_MS * 1000u;

    /* They die with their zygote; this makes sure of it. */
    TAILQ_FOREACH(job, &zygote->branch->jobs.all, link) {
        if (job->zygote == zygote) {
            keeper_job_kill(job, JOB_LOST);
        }
    }
    next = TAILQ_FIRST(&zygote->branch->jobs.all);
    while ((job = next) != NULL) {
        struct keeper_run *run = job->run;
        bool again;

        next = TAILQ_NEXT(job, link);
        if (job->zygote != zygote) {
            continue;
        }
        again = run != NULL && ended_unbegun(job, until_us);
        forget(job);
        keeper_job_free(job);
        if (run == NULL) {
            continue;
        }
        run->job = NULL;
        if (!again || !keeper_run_again(run)) {
            keeper_run_finish(run, PXW_LOST,
                              "the interpreter's process died under it");
        }
    }
    /* Another branch may have a job for them. */
    keeper_queue_serve(zygote->branch->pool);
}
