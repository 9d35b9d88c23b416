/* SPDX-License-Identifier: Apache-2.0
 *
 * One job after another. Runs in the keeper, next to the enemy's bytes, which
 * are counted, stored and passed on, never interpreted; a kill goes through
 * the pidfd, so that it can never hit another process.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_job.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"
#include "keeper_cpu.h"
#include "keeper_jobs.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/uio.h>

/* A killed process is gone within milliseconds; if not, its zygote hangs. */
#define KILL_TIMEOUT_MS 2000
/* The memory of so many processes takes longer to free. */
#define KILL_TREE_TIMEOUT_MS 10000
/* Scripts write unbuffered, often a few bytes at a time: waking for each
 * would cost more than running them. A person sees no difference. */
#define REST_US 4000
/* A stream may bring this many times what is kept before that is an attack. */
#define OUTPUT_FLOOD 16
/* Read from one stream after the end at most: the largest pipe there is
 * without privilege, and what came in meanwhile from a left-over process. */
#define DRAIN_READS 20
/* A pipe as it is made, and the largest without privilege. */
#define PIPE_DEFAULT_BYTES (64u << 10)
#define PIPE_LARGE_BYTES (1 << 20)
/* Parts of frames in one go: header and body of two, and to see the end. */
#define REPORT_READS 8

static void kill_process(struct keeper_job *job)
{
    if (job->pidfd >= 0
        && pidfd_send_signal(job->pidfd, SIGKILL, NULL, 0) != 0
        && errno != ESRCH) {
        log_line(LOG_LEVEL_ERROR, 340, "cannot kill job %d: %s",
                 (int)job->pid, strerror(errno));
    }
    if (job->leaf != NULL) {
        keeper_cgroup_kill(job->leaf);
    }
    keeper_relay_close(&job->relay);
    job->killed = true;
}

void keeper_job_set_deadline(struct keeper_job *job, uint64_t wait_ms)
{
    struct timeval wait = {
        .tv_sec = (time_t)(wait_ms / 1000),
        .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000),
    };

    job->deadline_us = fdio_now_us() + wait_ms * 1000u;
    if (evtimer_add(&job->deadline, &wait) != 0) {
        /* Nothing may run without a deadline. */
        kill_process(job);
    }
}

void keeper_job_kill(struct keeper_job *job, enum keeper_job_verdict verdict)
{
    if (job->verdict == JOB_NO_VERDICT) {
        job->verdict = verdict;
    }
    if (!job->killed) {
        kill_process(job);
        if (!job->committing) {
            keeper_job_set_deadline(job, job->init != 0 ? KILL_TREE_TIMEOUT_MS
                                                        : KILL_TIMEOUT_MS);
        }
    }
}

/* The time was for what has ended by now, by itself or killed. What its zygote
 * does with it then is no run any more, and is not ended by a client that leaves
 * or by what the run may have printed last. */
bool keeper_job_is_committing(const struct keeper_job *job)
{
    struct pollfd end = { .fd = job->pidfd, .events = POLLIN };

    return job->state == JOB_RUNNING
           && job->branch->pool->conf->install_bytes > 0
           && poll(&end, 1, 0) == 1;
}

static void on_deadline(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_job *job = argument;
    uint64_t now_us = fdio_now_us();

    (void)fd;
    (void)what;
    if (now_us < job->deadline_us) {
        struct timeval rest = { .tv_usec = 1000 };

        (void)evtimer_add(&job->deadline, &rest);
    }
    else if (job->committing) {
        keeper_zygote_fail(job->zygote, "it does not get done with taking over"
                                        " what was installed");
    }
    else if (keeper_job_is_committing(job)) {
        job->committing = true;
        keeper_job_set_deadline(job, PXW_COMMIT_MS);
    }
    else if (job->killed) {
        keeper_zygote_fail(job->zygote, "a killed job does not end");
    }
    else if (job->state == JOB_RUNNING) {
        keeper_job_kill(job, JOB_PAST_DEADLINE);
    }
    else {
        keeper_jobs_start_failed(job, "it took too long");
    }
}

static struct keeper_stream *stream_of(struct keeper_job *job,
                                       struct keeper_job_channel *channel)
{
    return channel == &job->out_channel   ? &job->out
           : channel == &job->err_channel ? &job->err
                                          : &job->report.stream;
}

static enum keeper_read read_channel(struct keeper_job *job,
                                     struct keeper_job_channel *channel)
{
    struct keeper_stream *stream = stream_of(job, channel);
    enum keeper_read got;

    if (channel == &job->report_channel) {
        /* Frames are read each to its end: that is full, too. */
        for (int reads = 0; reads < REPORT_READS; reads++) {
            got = keeper_report_read(&job->report);
            if (got != KEEPER_READ_FULL) {
                return got;
            }
        }
        return KEEPER_READ_FULL;
    }
    got = keeper_stream_read(stream);
    if (stream->total / OUTPUT_FLOOD > stream->keep
        || (stream->total / OUTPUT_FLOOD == stream->keep
            && stream->total % OUTPUT_FLOOD > 0)) {
        keeper_job_kill(job, JOB_PAST_OUTPUT);
    }
    return got;
}

static void close_channel(struct keeper_job *job,
                          struct keeper_job_channel *channel)
{
    (void)event_del(&channel->event);
    channel->resting = false;
    cleanup_fd(&stream_of(job, channel)->fd);
}

/* One read, then wait for the rest in the cheapest way. */
static void pump_channel(struct keeper_job *job,
                         struct keeper_job_channel *channel)
{
    enum keeper_read got;

    channel->resting = false;
    if (stream_of(job, channel)->fd < 0) {
        return;
    }
    got = read_channel(job, channel);
    if (got == KEEPER_READ_END) {
        close_channel(job, channel);
        return;
    }
    if (got == KEEPER_READ_SHORT) {
        struct timeval rest = { .tv_usec = REST_US };

        if (evtimer_pending(&job->pump, NULL)
            || evtimer_add(&job->pump, &rest) == 0) {
            channel->resting = true;
            return;
        }
    }
    /* A failure leaves it unread until the job ends, which it will. */
    (void)event_add(&channel->event, NULL);
}

static void on_pump(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_job *job = argument;
    struct keeper_job_channel *channels[] = {
        &job->out_channel, &job->err_channel, &job->report_channel,
    };

    (void)fd;
    (void)what;
    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        if (channels[i]->resting) {
            pump_channel(job, channels[i]);
        }
    }
}

static void on_out(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_job *job = argument;

    (void)fd;
    (void)what;
    pump_channel(job, &job->out_channel);
}

static void on_err(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_job *job = argument;

    (void)fd;
    (void)what;
    pump_channel(job, &job->err_channel);
}

static void on_report(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_job *job = argument;

    (void)fd;
    (void)what;
    if (job->state != JOB_STARTING) {
        pump_channel(job, &job->report_channel);
        return;
    }
    while (job->report.phase == REPORT_SETTING_UP) {
        enum keeper_read got = keeper_report_read(&job->report);

        if (got == KEEPER_READ_EMPTY) {
            (void)event_add(&job->report_channel.event, NULL);
            return; /* on failure the deadline takes care of it */
        }
        if (got == KEEPER_READ_END) {
            break;
        }
    }
    keeper_jobs_reported(job);
}

static void stop_input(struct keeper_job *job)
{
    (void)event_del(&job->input_event);
    cleanup_fd(&job->input);
}

/* Writes the frame as received, then the script's stdin out of the same
 * bytes, as far as the pipe takes them. */
static void on_input(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_job *job = argument;
    const struct keeper_run *run = job->run;
    const struct pxw_field *text = &run->message.field[PXW_F_STDIN];
    size_t text_size = text->data == NULL ? 0 : text->size;
    size_t frame_left = job->sent < run->frame_bytes
                            ? run->frame_bytes - job->sent
                            : 0;
    size_t text_at = frame_left > 0 ? 0 : job->sent - run->frame_bytes;
    struct iovec parts[2];
    int used = 0;
    ssize_t count = 0;

    (void)fd;
    (void)what;
    if (frame_left > 0) {
        parts[used++] = (struct iovec){ .iov_base = run->frame + job->sent,
                                        .iov_len = frame_left };
    }
    if (text_at < text_size) {
        parts[used++] = (struct iovec){
            .iov_base = (void *)(text->data + text_at),
            .iov_len = text_size - text_at,
        };
    }
    if (used > 0) {
        count = fdio_writev(job->input, parts, used);
    }
    if (count > 0) {
        job->sent += (size_t)count;
    }
    /* EPIPE: the script closed its stdin, which is its right. */
    if ((count < 0 && count != -EAGAIN)
        || job->sent == run->frame_bytes + text_size
        || event_add(&job->input_event, NULL) != 0) {
        stop_input(job);
    }
}

int keeper_job_assign(struct keeper_job *job, struct event_base *base)
{
    int failed = 0;

    failed |= evtimer_assign(&job->deadline, base, on_deadline, job);
    failed |= evtimer_assign(&job->pump, base, on_pump, job);
    failed |= keeper_cpu_assign(job, base);
    failed |= event_assign(&job->input_event, base, job->input, EV_WRITE,
                           on_input, job);
    failed |= event_assign(&job->out_channel.event, base, job->out.fd,
                           EV_READ, on_out, job);
    failed |= event_assign(&job->err_channel.event, base, job->err.fd,
                           EV_READ, on_err, job);
    failed |= event_assign(&job->report_channel.event, base,
                           job->report.stream.fd, EV_READ, on_report, job);
    return failed == 0 ? 0 : -EINVAL;
}

/* Brings a limit down to the pool's ceiling and returns what holds. */
static uint32_t lower(const struct pxw_message *message, enum pxw_tag tag,
                      uint32_t ceiling)
{
    uint32_t wish = pxw_u32(message, tag, ceiling);

    if (wish > ceiling) {
        pxw_patch_u32(message, tag, ceiling);
        return ceiling;
    }
    return wish;
}

/* The job applies them as rlimits; where there is a cgroup they hold there as
 * well, and for all of its processes. */
static void limit_group(struct keeper_job *job)
{
    const struct pool_conf *conf = job->branch->pool->conf;
    const struct pxw_message *message = &job->run->message;
    int error = job->leaf == NULL
                    ? 0
                    : keeper_cgroup_limit(
                          job->leaf,
                          pxw_u64(message, PXW_F_MEMORY, conf->memory_bytes),
                          job->zygote->warm_bytes,
                          pxw_u32(message, PXW_F_THREADS, conf->threads));

    if (error != 0) {
        /* Without a verdict that is a fault of ours. */
        log_line(LOG_LEVEL_ERROR, 341, "cannot limit job %d's cgroup: %s",
                 (int)job->pid, strerror(-error));
        keeper_job_kill(job, JOB_NO_VERDICT);
    }
}

/* From here on, for there is nobody before to connect. */
static void open_network(struct keeper_job *job)
{
    const struct keeper_pool *pool = job->branch->pool;
    int error = pool->conf->proxy.size == 0
                    ? 0
                    : keeper_relay_start(&job->relay, pool->keeper->base,
                                         pool->conf,
                                         &job->run->message
                                              .field[PXW_F_RUN_ID]);

    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 342, "cannot serve job %d's network: %s",
                 (int)job->pid, strerror(-error));
        keeper_job_kill(job, JOB_NO_VERDICT);
    }
}

void keeper_job_dispatch(struct keeper_job *job, struct keeper_run *run)
{
    const struct pool_conf *conf = job->branch->pool->conf;
    const struct pxw_message *message = &run->message;
    struct timeval rest = { .tv_usec = REST_US };
    uint32_t wall_ms = lower(message, PXW_F_WALL_MS, conf->wall_ms);

    job->cpu_ms = lower(message, PXW_F_CPU_MS, conf->cpu_ms);
    job->out.keep = lower(message, PXW_F_OUTPUT, conf->output_bytes);
    job->err.keep = job->out.keep;
    /* The job keeps to it by itself, as long as it is ours. */
    job->report.max_json = job->out.keep;
    (void)lower(message, PXW_F_FILES, conf->files);
    /* The kernel counts the threads of all processes of the run together. */
    (void)lower(message, PXW_F_THREADS,
                conf->processes > 1 && conf->processes < conf->threads
                    ? conf->processes
                    : conf->threads);
    if (pxw_u64(message, PXW_F_MEMORY, 0) > conf->memory_bytes) {
        pxw_patch_u64(message, PXW_F_MEMORY, conf->memory_bytes);
    }
    run->begin(run);
    job->state = JOB_RUNNING;
    job->zygote->standby--;
    job->branch->pool->running++;
    job->tenant = run->tenant;
    keeper_tenants_began(&job->branch->pool->queue.tenants, run);
    keeper_branch_used(job->branch);
    keeper_zygotes_count_run(job->zygote);
    job->run = run;
    run->job = job;
    (void)event_del(&job->deadline);
    job->dispatched_us = fdio_now_us();
    keeper_job_set_deadline(job, wall_ms);
    limit_group(job);
    open_network(job);
    keeper_cpu_start(job);
    if (run->frame_bytes > PIPE_DEFAULT_BYTES) {
        /* Saves a wake-up for each 4 KiB; where it is refused, it is slow. */
        (void)fcntl(job->input, F_SETPIPE_SZ, PIPE_LARGE_BYTES);
    }
    /* Most runs are over before the first look. */
    job->out_channel.resting = true;
    job->err_channel.resting = true;
    job->report_channel.resting = true;
    if (evtimer_add(&job->pump, &rest) != 0) {
        on_pump(-1, EV_TIMEOUT, job);
    }
    on_input(-1, EV_WRITE, job);
}

void keeper_job_cancel(struct keeper_job *job)
{
    keeper_job_kill(job, JOB_CANCELLED);
    stop_input(job); /* the frame goes away with the run */
    job->run->job = NULL;
    job->run = NULL;
}

/* Somebody else may hold the pipes open, so their end is not waited for. */
void keeper_job_drain(struct keeper_job *job)
{
    struct keeper_job_channel *channels[] = {
        &job->out_channel, &job->err_channel, &job->report_channel,
    };

    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        bool frames = channels[i] == &job->report_channel;
        enum keeper_read got = KEEPER_READ_FULL;

        if (stream_of(job, channels[i])->fd < 0) {
            continue;
        }
        /* The report is bounded by the number and size of its frames. */
        for (int reads = 0; got == KEEPER_READ_FULL
                            || (frames && got == KEEPER_READ_SHORT);
             reads++) {
            if (!frames && reads == DRAIN_READS) {
                break;
            }
            got = read_channel(job, channels[i]);
        }
    }
}
