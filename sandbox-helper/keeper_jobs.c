/* SPDX-License-Identifier: Apache-2.0
 *
 * All jobs of a branch: how many stand by, which are ready, what happens to
 * those that end unasked. Runs in the keeper.
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

#include <errno.h>
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

static void doom(struct keeper_job *job)
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

static void count_failure(struct keeper_zygote *zygote, const char *reason)
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
    doom(job);
    count_failure(job->zygote, reason);
}

/* A ready job of the current zygote takes the place of one of a zygote that
 * retires, the youngest, which may not even be ready itself. */
static void drop_retiring(struct keeper_branch *branch)
{
    struct keeper_job *job;

    TAILQ_FOREACH_REVERSE(job, &branch->jobs.all, keeper_job_list, link) {
        if (job->zygote != branch->zygotes.current
            && (job->state == JOB_STARTING || job->state == JOB_READY)) {
            doom(job);
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
        count_failure(zygote, strerror(-error));
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
            doom(job);
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
            doom(job);
        }
    }
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
            count_failure(zygote, strerror(error));
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
        count_failure(zygote, WIFSIGNALED(end->wait_status)
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
