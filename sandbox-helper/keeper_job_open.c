/* SPDX-License-Identifier: Apache-2.0
 *
 * The beginning and the end of a job's record: its pipes and events, and the
 * zygote's being asked for its process. Runs in the keeper.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_jobs.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A job is ready within a millisecond or two, a hundred on a busy machine. */
#define START_TIMEOUT_MS 10000
/* As in PXW_FORK: the last one only where a cgroup is delegated. */
#define THEIR_FDS 5
#define THEIR_CGROUP 4

/* Whoever waited for the run, or left: it is counted. */
static void end_network(struct keeper_job *job)
{
    keeper_relay_close(&job->relay);
    if (job->relay.started) {
        struct keeper_pool_metrics *metrics = &job->branch->pool->metrics;

        metrics->connections += job->relay.connections;
        metrics->network_bytes += job->relay.bytes;
    }
}

void keeper_job_free(struct keeper_job *job)
{
    (void)event_del(&job->deadline);
    (void)event_del(&job->pump);
    (void)event_del(&job->cpu_check);
    (void)event_del(&job->input_event);
    (void)event_del(&job->out_channel.event);
    (void)event_del(&job->err_channel.event);
    (void)event_del(&job->report_channel.event);
    cleanup_fd(&job->input);
    cleanup_fd(&job->pidfd);
    end_network(job);
    keeper_cgroup_give_back(job->leaf);
    keeper_stream_free(&job->out);
    keeper_stream_free(&job->err);
    keeper_report_free(&job->report);
    free(job);
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

static void close_fds(int (*fds)[THEIR_FDS])
{
    for (size_t i = 0; i < THEIR_FDS; i++) {
        cleanup_fd(&(*fds)[i]);
    }
}

/* The job's own group, if there can be one. */
static int open_leaf(struct keeper_job *job, int *ret_entrance)
{
    struct keeper_cgroup *cgroup = &job->branch->pool->keeper->cgroup;
    int error = 0;

    if (keeper_cgroup_is_used(cgroup)) {
        error = keeper_cgroup_take(cgroup, job->zygote->warm_bytes,
                                   &job->leaf);
        if (error == 0) {
            *ret_entrance = keeper_cgroup_entrance(job->leaf);
            error = *ret_entrance < 0 ? *ret_entrance : 0;
        }
    }
    return error;
}

static int ask_for_job(struct keeper_job *job)
{
    CLEANUP(close_fds) int theirs[THEIR_FDS] = { -1, -1, -1, -1, -1 };
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
        error = keeper_job_assign(job, job->branch->pool->keeper->base);
    }
    if (error == 0 && event_add(&job->report_channel.event, NULL) != 0) {
        error = -ENOMEM;
    }
    if (error == 0) {
        error = open_leaf(job, &theirs[THEIR_CGROUP]);
    }
    if (error == 0) {
        error = keeper_zygote_fork(job->zygote, job->number, theirs,
                                   job->leaf == NULL ? THEIR_CGROUP
                                                     : THEIR_FDS);
    }
    return error;
}

int keeper_job_open(struct keeper_zygote *zygote)
{
    struct keeper_branch *branch = zygote->branch;
    struct keeper_jobs *jobs = &branch->jobs;
    struct keeper_job *job = calloc(1, sizeof(*job));
    int error;

    if (job == NULL) {
        return -ENOMEM;
    }
    job->branch = branch;
    job->zygote = zygote;
    job->pidfd = -1;
    job->input = -1;
    job->out.fd = -1;
    job->err.fd = -1;
    job->report.stream.fd = -1;
    keeper_relay_init(&job->relay);
    /* free_job() may come before the descriptors are there. */
    error = keeper_job_assign(job, branch->pool->keeper->base);
    if (error != 0) {
        free(job);
        return error;
    }
    job->number = jobs->last_number + 1;
    error = ask_for_job(job);
    if (error != 0) {
        keeper_job_free(job);
        return error;
    }
    jobs->last_number++;
    TAILQ_INSERT_TAIL(&jobs->all, job, link);
    zygote->jobs++;
    zygote->standby++;
    keeper_job_set_deadline(job, START_TIMEOUT_MS);
    return 0;
}
