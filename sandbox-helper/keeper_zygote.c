/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of one zygote. Runs in the keeper. The zygote is our own program, yet
 * next to hostile jobs: its packets are checked, and a violation costs it its
 * life.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_zygote.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

/* Importing what a pool preloads from a cold disk. */
#define WARM_TIMEOUT_S 30
#define REAP_TIMEOUT_MS 2000
/* The largest frame that a zygote sends, and one byte to see a longer one. */
#define PACKET_BYTES (PXW_HEADER_BYTES + (8u << 10))
/* Handled in one turn of the loop before others have theirs. */
#define PACKETS_PER_WAKE 32
#define LOG_READS_PER_WAKE 8
/* As in PXW_FORKED: pidfd and listener. */
#define FORKED_FDS 2

static void on_log(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;
    char bytes[1024];

    (void)what;
    for (int i = 0; i < LOG_READS_PER_WAKE; i++) {
        ssize_t count = fdio_read((int)fd, bytes, sizeof(bytes));

        if (count > 0) {
            keeper_zygote_log_take(&zygote->log, zygote->branch->pool->conf->name,
                                   zygote->ends.pid, bytes, (size_t)count);
            continue;
        }
        if (count != -EAGAIN) {
            (void)event_del(&zygote->log_event);
        }
        return;
    }
}

static void close_channel(struct keeper_zygote *zygote)
{
    if (zygote->ends.channel >= 0) {
        (void)event_del(&zygote->channel_event);
        (void)event_del(&zygote->writable);
        cleanup_fd(&zygote->ends.channel);
    }
}

static void close_log(struct keeper_zygote *zygote)
{
    if (zygote->ends.log >= 0) {
        on_log(zygote->ends.log, EV_READ, zygote); /* its last words */
        keeper_zygote_log_flush(&zygote->log, zygote->branch->pool->conf->name,
                                zygote->ends.pid);
        (void)event_del(&zygote->log_event);
        cleanup_fd(&zygote->ends.log);
    }
}

static void kill_process(struct keeper_zygote *zygote)
{
    if (zygote->ends.pidfd >= 0
        && pidfd_send_signal(zygote->ends.pidfd, SIGKILL, NULL, 0) != 0
        && errno != ESRCH) {
        log_line(LOG_LEVEL_ERROR, 362, "cannot kill zygote %d: %s",
                 (int)zygote->ends.pid, strerror(errno));
    }
}

void keeper_zygote_kill(struct keeper_zygote *zygote)
{
    zygote->state = ZYGOTE_DYING;
    (void)event_del(&zygote->warm_timer);
    close_channel(zygote);
    kill_process(zygote);
}

void keeper_zygote_fail(struct keeper_zygote *zygote, const char *reason)
{
    if (zygote->state == ZYGOTE_DYING) {
        return;
    }
    log_line(LOG_LEVEL_ERROR, 363, "pool \"%s\": zygote %d is given up: %s",
             zygote->branch->pool->conf->name, (int)zygote->ends.pid, reason);
    keeper_zygote_kill(zygote);
    keeper_zygotes_failed(zygote);
    keeper_jobs_lost(zygote);
}

void keeper_zygote_retire(struct keeper_zygote *zygote)
{
    if (zygote->state == ZYGOTE_UP) {
        log_line(LOG_LEVEL_DEBUG, 368, "pool \"%s\": zygote %d has retired",
                 zygote->branch->pool->conf->name, (int)zygote->ends.pid);
        keeper_zygote_kill(zygote);
    }
}

/* How it ended is only told when nobody has said so yet. */
static void describe_end(int status, char *ret_text, size_t size)
{
    if (WIFSIGNALED(status)) {
        (void)snprintf(ret_text, size, "it was killed by signal %d",
                       WTERMSIG(status));
    }
    else {
        (void)snprintf(ret_text, size, "it ended with status %d",
                       WEXITSTATUS(status));
    }
}

static void on_pidfd(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;
    char text[64];
    int status = 0;

    (void)fd;
    (void)what;
    /* Readable means that it waits for this; it is our child, so nobody else
     * can have reaped it. */
    if (waitpid(zygote->ends.pid, &status, WNOHANG) == 0) {
        return;
    }
    describe_end(status, text, sizeof(text));
    close_log(zygote);
    keeper_zygote_fail(zygote, text);
    (void)event_del(&zygote->pidfd_event);
    cleanup_fd(&zygote->ends.pidfd);
    keeper_zygotes_ended(zygote);
}

static void on_warm_timer(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    keeper_zygote_fail(argument, "it did not get warm in time");
}

static void on_warmed(struct keeper_zygote *zygote,
                      const struct pxw_message *message)
{
    struct keeper_pool *pool = zygote->branch->pool;
    const struct pxw_field *python = &message->field[PXW_F_PYTHON];

    if (zygote->state != ZYGOTE_WARMING) {
        keeper_zygote_fail(zygote, "it was warmed twice");
        return;
    }
    memcpy(pool->python, python->data, python->size); /* PXW_NAME_MAX */
    pool->python[python->size] = '\0';
    zygote->warm_bytes = pxw_u64(message, PXW_F_MEMORY, 0);
    (void)event_del(&zygote->warm_timer);
    keeper_zygotes_warmed(zygote,
                          keeper_level_of(&message->field[PXW_F_LEVEL],
                                          LEVEL_NONE));
}

/* A job with a process and no error, or the other way round. */
static void on_forked(struct keeper_zygote *zygote,
                      const struct pxw_message *message, int *fds)
{
    int error = (int)pxw_u32(message, PXW_F_ERROR, 0);
    bool forked = pxw_has(message, PXW_F_PID);
    struct keeper_job_process process = {
        .pid = (pid_t)pxw_u32(message, PXW_F_PID, 0),
        .init = (pid_t)pxw_u32(message, PXW_F_INIT, 0),
        .pidfd = fds[0],
        .listener = fds[1],
    };

    if (forked != (fds[0] >= 0) || forked == (error != 0)) {
        keeper_zygote_fail(zygote, "its answer contradicts itself");
        return;
    }
    (void)steal_fd(&fds[0]); /* the job's */
    (void)steal_fd(&fds[1]);
    keeper_job_forked(zygote, pxw_u64(message, PXW_F_JOB, 0), &process, error);
}

static void take_packet(struct keeper_zygote *zygote, const uint8_t *packet,
                        size_t size, int *fds)
{
    struct pxw_header header;
    struct pxw_message message;

    if (size < PXW_HEADER_BYTES || pxw_get_header(packet, &header) != 0
        || header.length != size - PXW_HEADER_BYTES
        || pxw_parse(header.type, packet + PXW_HEADER_BYTES, header.length,
                     &message) != 0
        || (fds[0] >= 0 && header.type != PXW_FORKED)) {
        keeper_zygote_fail(zygote, "it sent a malformed packet");
    }
    else if (header.type == PXW_WARMED) {
        on_warmed(zygote, &message);
    }
    else if (header.type == PXW_FORKED) {
        on_forked(zygote, &message, fds);
    }
    else if (header.type == PXW_EXITED) {
        struct keeper_job_end end = {
            .wait_status = (int)pxw_u32(&message, PXW_F_WAIT, 0),
            .cpu_us = pxw_u64(&message, PXW_F_CPU_US, 0),
            .peak_bytes = pxw_u64(&message, PXW_F_PEAK, 0),
            .text = message.field[PXW_F_TEXT],
        };

        keeper_job_exited(zygote, pxw_u64(&message, PXW_F_JOB, 0), &end);
    }
    else {
        keeper_zygote_fail(zygote, "it sent a packet that is not its to send");
    }
}

static void close_fds(int (*fds)[FORKED_FDS])
{
    cleanup_fd(&(*fds)[0]);
    cleanup_fd(&(*fds)[1]);
}

static void on_channel(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;
    uint8_t packet[PACKET_BYTES];

    (void)what;
    /* Any packet may cost the zygote its life, and with it the channel. */
    for (int i = 0; i < PACKETS_PER_WAKE && zygote->ends.channel == (int)fd; i++) {
        CLEANUP(close_fds) int fds[FORKED_FDS] = { -1, -1 };
        size_t count = 0;
        ssize_t size = fdio_receive((int)fd, packet, sizeof(packet), fds,
                                    FORKED_FDS, &count);

        if (size == -EAGAIN) {
            return;
        }
        if (size <= 0) {
            keeper_zygote_fail(zygote, size == 0 ? "it closed its channel"
                                                 : strerror((int)-size));
            return;
        }
        take_packet(zygote, packet, (size_t)size, fds);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;

    (void)fd;
    (void)what;
    keeper_jobs_refill(zygote->branch);
}

int keeper_zygote_fork(struct keeper_zygote *zygote, uint64_t number,
                       const int *fds, size_t count)
{
    CLEANUP(pxw_writer_free) struct pxw_writer frame = { 0 };
    int error;

    if (zygote->state != ZYGOTE_UP) {
        return -ENOTCONN;
    }
    pxw_begin(&frame, PXW_FORK);
    pxw_put_u64(&frame, PXW_F_JOB, number);
    error = pxw_end(&frame);
    if (error == 0) {
        error = fdio_send(zygote->ends.channel, frame.data, frame.size, fds,
                          count);
    }
    if (error == -EAGAIN && event_add(&zygote->writable, NULL) != 0) {
        return -ENOMEM;
    }
    /* It has just died; the channel's event will say so. */
    return error == -EPIPE || error == -ECONNRESET ? -ENOTCONN : error;
}

/* Level-triggered and persistent, so nothing is missed; assigned all before
 * any is added, so that all can be deleted. */
static int watch(struct keeper_zygote *zygote)
{
    struct event_base *base = zygote->branch->pool->keeper->base;
    struct timeval wait = { .tv_sec = WARM_TIMEOUT_S };
    int failed = 0;

    failed |= evtimer_assign(&zygote->warm_timer, base, on_warm_timer, zygote);
    failed |= event_assign(&zygote->pidfd_event, base, zygote->ends.pidfd,
                           EV_READ | EV_PERSIST, on_pidfd, zygote);
    failed |= event_assign(&zygote->channel_event, base, zygote->ends.channel,
                           EV_READ | EV_PERSIST, on_channel, zygote);
    failed |= event_assign(&zygote->writable, base, zygote->ends.channel,
                           EV_WRITE, on_writable, zygote);
    failed |= event_assign(&zygote->log_event, base, zygote->ends.log,
                           EV_READ | EV_PERSIST, on_log, zygote);
    failed = failed || event_add(&zygote->pidfd_event, NULL)
             || event_add(&zygote->channel_event, NULL)
             || event_add(&zygote->log_event, NULL)
             || evtimer_add(&zygote->warm_timer, &wait);
    return failed ? -ENOMEM : 0;
}

static int warm(struct keeper_zygote *zygote, enum keeper_level level)
{
    const struct keeper_branch *branch = zygote->branch;
    const struct pool_conf *conf = branch->pool->conf;
    int error = conf->environment == NULL
                    ? 0
                    : keeper_environment_take(conf->environment,
                                              &zygote->generation);

    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 396, "pool \"%s\": cannot take packages from"
                 " \"%s\" (PyExecEnvironment): %s",
                 conf->name, conf->environment, strerror(-error));
        return error;
    }
    return keeper_zygote_warm(zygote->ends.channel, conf, branch->plan, level,
                              zygote->generation.name);
}

struct keeper_zygote *keeper_zygote_open(struct keeper_branch *branch,
                                         enum keeper_level level)
{
    struct keeper_pool *pool = branch->pool;
    CLEANUP_FREE struct keeper_zygote *zygote = calloc(1, sizeof(*zygote));
    const char *step = "allocate it";
    int error = zygote == NULL
                    ? -ENOMEM
                    : keeper_zygote_start(pool->conf->program,
                                          pool->keeper->cgroup.zygotes,
                                          &zygote->ends, &step);

    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 366, "pool \"%s\": cannot start a zygote: cannot %s: %s",
                 pool->conf->name, step, strerror(-error));
        return NULL;
    }
    zygote->branch = branch;
    zygote->generation = KEEPER_NO_GENERATION;
    zygote->state = ZYGOTE_WARMING;
    zygote->asked = level;
    if (watch(zygote) != 0) {
        /* Nobody would see it end, so that is waited for here. */
        log_line(LOG_LEVEL_ERROR, 367, "pool \"%s\": cannot watch zygote %d",
                 pool->conf->name, (int)zygote->ends.pid);
        keeper_zygote_close(steal_ptr(&zygote));
        return NULL;
    }
    error = warm(zygote, level);
    if (error != 0) {
        /* Its end will be seen, and tells the same story. */
        log_line(LOG_LEVEL_ERROR, 372, "pool \"%s\": cannot warm zygote %d: %s",
                 pool->conf->name, (int)zygote->ends.pid, strerror(-error));
        kill_process(zygote);
    }
    return steal_ptr(&zygote);
}

void keeper_zygote_close(struct keeper_zygote *zygote)
{
    struct pollfd waited = { .fd = zygote->ends.pidfd, .events = POLLIN };

    keeper_zygote_kill(zygote);
    if (zygote->ends.pidfd >= 0) {
        /* Interrupted or late: init reaps it, the kill is on its way. */
        if (poll(&waited, 1, REAP_TIMEOUT_MS) == 1) {
            (void)waitpid(zygote->ends.pid, NULL, WNOHANG);
        }
        (void)event_del(&zygote->pidfd_event);
        cleanup_fd(&zygote->ends.pidfd);
    }
    close_log(zygote);
    keeper_environment_leave(&zygote->generation);
    free(zygote);
}
