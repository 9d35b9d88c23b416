/* SPDX-License-Identifier: Apache-2.0
 *
 * All jobs of a pool: how many stand by, which are ready, what happens to
 * those that end unasked. Runs in the keeper.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_jobs.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A job is ready within a millisecond or two, a hundred on a busy machine. */
#define START_TIMEOUT_MS 10000
/* Jobs that fail in a row before their zygote is taken to be the reason. */
#define MAX_FAILED_STARTS 3
/* Between attempts, when standby jobs die unasked. */
#define FIRST_DELAY_MS 100
#define MAX_DELAY_MS 5000

static void free_job(struct keeper_job *job)
{
    (void)event_del(&job->deadline);
    (void)event_del(&job->pump);
    (void)event_del(&job->input_event);
    (void)event_del(&job->out_channel.event);
    (void)event_del(&job->err_channel.event);
    (void)event_del(&job->report_channel.event);
    cleanup_fd(&job->input);
    cleanup_fd(&job->pidfd);
    keeper_stream_free(&job->out);
    keeper_stream_free(&job->err);
    keeper_stream_free(&job->report.stream);
    free(job);
}

/* Off the list and its counters; the caller frees it. */
static void forget(struct keeper_job *job)
{
    struct keeper_jobs *jobs = &job->pool->jobs;

    TAILQ_REMOVE(&jobs->all, job, link);
    jobs->count--;
    if (job->state == JOB_RUNNING) {
        jobs->running--;
    }
    else if (job->state != JOB_DOOMED) {
        jobs->standby--;
    }
}

static void doom(struct keeper_job *job)
{
    if (job->state == JOB_STARTING || job->state == JOB_READY) {
        job->pool->jobs.standby--;
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

static void count_failure(struct keeper_pool *pool, const char *reason)
{
    struct keeper_jobs *jobs = &pool->jobs;

    if (jobs->failed_starts++ == 0) {
        log_line(LOG_LEVEL_ERROR, 350, "pool \"%s\": a job did not start: %s",
                 pool->conf->name, reason);
    }
    slow_down(jobs);
    if (jobs->failed_starts >= MAX_FAILED_STARTS) {
        jobs->failed_starts = 0;
        keeper_zygote_fail(&pool->zygote, "its jobs do not start");
        return;
    }
    keeper_jobs_refill(pool);
}

void keeper_jobs_start_failed(struct keeper_job *job, const char *reason)
{
    doom(job);
    count_failure(job->pool, reason);
}

static void become_ready(struct keeper_job *job)
{
    struct keeper_pool *pool = job->pool;

    if (job->state != JOB_STARTING || job->pidfd < 0
        || job->report.phase != REPORT_READY) {
        return;
    }
    job->state = JOB_READY;
    (void)event_del(&job->deadline);
    pool->jobs.failed_starts = 0;
    keeper_queue_serve(pool);
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

static int open_pipe(int *ret_read, int *ret_write, bool ours_is_read)
{
    CLEANUP_FD int read_end = -1;
    CLEANUP_FD int write_end = -1;
    int ends[2];
    int error;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    read_end = ends[0];
    write_end = ends[1];
    error = fdio_set_nonblocking(ours_is_read ? read_end : write_end, true);
    if (error == 0) {
        *ret_read = steal_fd(&read_end);
        *ret_write = steal_fd(&write_end);
    }
    return error;
}

static void close_fds(int (*fds)[4])
{
    for (size_t i = 0; i < 4; i++) {
        cleanup_fd(&(*fds)[i]);
    }
}

static int ask_for_job(struct keeper_job *job)
{
    CLEANUP(close_fds) int theirs[4] = { -1, -1, -1, -1 };
    int error = open_pipe(&theirs[0], &job->input, false);

    if (error == 0) {
        error = open_pipe(&job->out.fd, &theirs[1], true);
    }
    if (error == 0) {
        error = open_pipe(&job->err.fd, &theirs[2], true);
    }
    if (error == 0) {
        error = open_pipe(&job->report.stream.fd, &theirs[3], true);
    }
    if (error == 0) {
        error = keeper_job_assign(job, job->pool->keeper->base);
    }
    if (error == 0 && event_add(&job->report_channel.event, NULL) != 0) {
        error = -ENOMEM;
    }
    if (error == 0) {
        error = keeper_zygote_fork(&job->pool->zygote, job->number, theirs);
    }
    return error;
}

static int start_job(struct keeper_pool *pool)
{
    struct keeper_jobs *jobs = &pool->jobs;
    struct keeper_job *job = calloc(1, sizeof(*job));
    int error;

    if (job == NULL) {
        return -ENOMEM;
    }
    job->pool = pool;
    job->pidfd = -1;
    job->input = -1;
    job->out.fd = -1;
    job->err.fd = -1;
    job->report.stream.fd = -1;
    /* free_job() may come before the descriptors are there. */
    error = keeper_job_assign(job, pool->keeper->base);
    if (error != 0) {
        free(job);
        return error;
    }
    job->number = jobs->last_number + 1;
    error = ask_for_job(job);
    if (error != 0) {
        free_job(job);
        return error;
    }
    jobs->last_number++;
    TAILQ_INSERT_TAIL(&jobs->all, job, link);
    jobs->count++;
    jobs->standby++;
    keeper_job_set_deadline(job, START_TIMEOUT_MS);
    return 0;
}

/* As many as may run, so that a burst finds all of them; while draining only
 * those for which somebody waits. */
static size_t standby_wanted(const struct keeper_pool *pool)
{
    size_t wanted = pool->conf->concurrency;

    if (pool->keeper->draining && pool->queue.length < wanted) {
        wanted = pool->queue.length;
    }
    return wanted;
}

static void on_refill(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_pool *pool = argument;
    struct keeper_jobs *jobs = &pool->jobs;
    int error = 0;

    (void)fd;
    (void)what;
    while (error == 0 && pool->zygote.state == ZYGOTE_UP
           && jobs->standby < standby_wanted(pool)
           && jobs->count < 2 * (size_t)pool->conf->concurrency) {
        error = start_job(pool);
    }
    /* -EAGAIN: the zygote's channel tells when there is room. */
    if (error != 0 && error != -EAGAIN && error != -ENOTCONN) {
        count_failure(pool, strerror(-error));
    }
}

void keeper_jobs_refill(struct keeper_pool *pool)
{
    struct keeper_jobs *jobs = &pool->jobs;
    struct timeval wait = {
        .tv_sec = jobs->refill_delay_ms / 1000,
        .tv_usec = jobs->refill_delay_ms % 1000 * 1000,
    };

    if (pool->zygote.state == ZYGOTE_UP
        && !evtimer_pending(&jobs->refill, NULL)
        && evtimer_add(&jobs->refill, &wait) != 0) {
        log_line(LOG_LEVEL_ERROR, 351, "pool \"%s\": no timer",
                 pool->conf->name);
    }
}

struct keeper_job *keeper_jobs_ready(struct keeper_pool *pool)
{
    struct keeper_job *job;

    TAILQ_FOREACH(job, &pool->jobs.all, link) {
        if (job->state == JOB_READY) {
            return job;
        }
    }
    return NULL;
}

static struct keeper_job *find_job(struct keeper_pool *pool, uint64_t number)
{
    struct keeper_job *job;

    TAILQ_FOREACH(job, &pool->jobs.all, link) {
        if (job->number == number) {
            return job;
        }
    }
    return NULL;
}

void keeper_job_forked(struct keeper_pool *pool, uint64_t number, pid_t pid,
                       int pidfd, int error)
{
    struct keeper_job *job = find_job(pool, number);
    CLEANUP_FD int owned = pidfd;

    if (job == NULL || job->pidfd >= 0) {
        keeper_zygote_fail(&pool->zygote, "it forked a job unasked");
        return;
    }
    if (error != 0) {
        forget(job);
        free_job(job);
        count_failure(pool, strerror(error));
        return;
    }
    job->pid = pid;
    job->pidfd = steal_fd(&owned);
    if (job->killed) {
        job->killed = false; /* it could not be, without the pidfd */
        keeper_job_kill(job, JOB_CANCELLED);
    }
    become_ready(job);
}

void keeper_job_exited(struct keeper_pool *pool, uint64_t number,
                       const struct keeper_job_end *end)
{
    CLEANUP(pxw_writer_free) struct pxw_writer answer = { 0 };
    struct keeper_job *job = find_job(pool, number);
    struct keeper_run *run;
    enum keeper_job_state state;

    if (job == NULL) {
        keeper_zygote_fail(&pool->zygote, "it reaped a job nobody knows");
        return;
    }
    run = job->run;
    state = job->state;
    forget(job);
    if (run != NULL) {
        keeper_job_end(job, end, &answer);
        run->job = NULL;
    }
    if (state == JOB_RUNNING && job->report.started) {
        if (pool->jobs.refill_delay_ms > 0) {
            pool->jobs.refill_delay_ms = 0;
            (void)event_del(&pool->jobs.refill); /* added again below */
        }
        pool->zygote.useful = true;
    }
    free_job(job);
    if (state == JOB_STARTING) {
        count_failure(pool, WIFSIGNALED(end->wait_status)
                                ? "it was killed by a signal"
                                : "it ended by itself");
    }
    else if (state == JOB_READY) {
        log_line(LOG_LEVEL_WARNING, 352, "pool \"%s\": a standby job died",
                 pool->conf->name);
        slow_down(&pool->jobs);
    }
    if (run != NULL) {
        run->done(run, &answer);
    }
    keeper_queue_serve(pool);
    keeper_jobs_refill(pool);
}

void keeper_jobs_lost(struct keeper_pool *pool)
{
    struct keeper_job *job;

    (void)event_del(&pool->jobs.refill);
    while ((job = TAILQ_FIRST(&pool->jobs.all)) != NULL) {
        struct keeper_run *run = job->run;

        /* They die with their zygote; this makes sure of it. */
        keeper_job_kill(job, JOB_CANCELLED);
        forget(job);
        free_job(job);
        if (run != NULL) {
            run->job = NULL;
            keeper_run_finish(run, PXW_LOST,
                              "the interpreter's process died under it");
        }
    }
    /* Failures were the old zygote's. */
    pool->jobs.refill_delay_ms = 0;
}

void keeper_jobs_open(struct keeper_pool *pool)
{
    TAILQ_INIT(&pool->jobs.all);
    (void)evtimer_assign(&pool->jobs.refill, pool->keeper->base, on_refill,
                         pool); /* only fails for a bad base */
}

void keeper_jobs_close(struct keeper_pool *pool)
{
    keeper_jobs_lost(pool);
}
