/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a zygote. Runs in the keeper. The zygote is our own program, yet
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
#include "keeper_zygote_start.h"
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
#define WARM_TIMEOUT_MS 30000
/* A zygote that lived this long did not fail at the start. */
#define STABLE_US 10000000u
#define REAP_TIMEOUT_MS 2000
/* The largest frame that a zygote sends, and one byte to see a longer one. */
#define PACKET_BYTES (PXW_HEADER_BYTES + (8u << 10))
/* Handled in one turn of the loop before others have theirs. */
#define PACKETS_PER_WAKE 32
#define LOG_READS_PER_WAKE 8

/* The first start after a long life is at once. */
static const unsigned restart_ms[] = { 0, 100, 500, 2000, 5000 };
#define RESTARTS (sizeof(restart_ms) / sizeof(restart_ms[0]))

static void set_timer(struct keeper_zygote *zygote, unsigned wait_ms)
{
    struct timeval wait = {
        .tv_sec = wait_ms / 1000,
        .tv_usec = wait_ms % 1000 * 1000,
    };

    if (evtimer_add(&zygote->timer, &wait) != 0) {
        log_line(LOG_LEVEL_ERROR, 360, "zygote: no timer");
    }
}

static void flush_log(struct keeper_zygote *zygote)
{
    char text[2 * ZYGOTE_LOG_LINE];

    if (zygote->log_size > 0) {
        (void)log_escape(zygote->log_line, zygote->log_size, text,
                         sizeof(text));
        log_line(LOG_LEVEL_INFO, 361, "zygote %d: %s", (int)zygote->pid,
                 text);
        zygote->log_size = 0;
    }
}

static void take_log(struct keeper_zygote *zygote, const char *bytes,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\n') {
            zygote->log_line[zygote->log_size++] = bytes[i];
        }
        if (bytes[i] == '\n' || zygote->log_size == ZYGOTE_LOG_LINE) {
            flush_log(zygote);
        }
    }
}

static void on_log(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;
    char bytes[1024];

    (void)what;
    for (int i = 0; i < LOG_READS_PER_WAKE; i++) {
        ssize_t count = fdio_read((int)fd, bytes, sizeof(bytes));

        if (count > 0) {
            take_log(zygote, bytes, (size_t)count);
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
    if (zygote->channel >= 0) {
        (void)event_del(&zygote->channel_event);
        (void)event_del(&zygote->writable);
        cleanup_fd(&zygote->channel);
    }
}

static void close_log(struct keeper_zygote *zygote)
{
    if (zygote->log >= 0) {
        on_log(zygote->log, EV_READ, zygote); /* its last words */
        flush_log(zygote);
        (void)event_del(&zygote->log_event);
        cleanup_fd(&zygote->log);
    }
}

static void kill_process(struct keeper_zygote *zygote)
{
    if (zygote->pidfd >= 0
        && pidfd_send_signal(zygote->pidfd, SIGKILL, NULL, 0) != 0
        && errno != ESRCH) {
        log_line(LOG_LEVEL_ERROR, 362, "cannot kill zygote %d: %s",
                 (int)zygote->pid, strerror(errno));
    }
}

void keeper_zygote_fail(struct keeper_zygote *zygote, const char *reason)
{
    if (zygote->state != ZYGOTE_UP && zygote->state != ZYGOTE_WARMING) {
        return;
    }
    log_line(LOG_LEVEL_ERROR, 363, "pool \"%s\": zygote %d is given up: %s",
             zygote->pool->conf->name, (int)zygote->pid, reason);
    if (zygote->useful
        || (zygote->state == ZYGOTE_UP
            && fdio_now_us() - zygote->up_us > STABLE_US)) {
        zygote->failures = 0;
    }
    zygote->state = ZYGOTE_DYING;
    (void)event_del(&zygote->timer);
    close_channel(zygote);
    kill_process(zygote);
    keeper_jobs_lost(zygote->pool);
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

static void schedule_restart(struct keeper_zygote *zygote)
{
    size_t step = zygote->failures < RESTARTS ? zygote->failures
                                              : RESTARTS - 1;

    zygote->failures++;
    zygote->state = ZYGOTE_DOWN;
    set_timer(zygote, restart_ms[step]);
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
    if (waitpid(zygote->pid, &status, WNOHANG) == 0) {
        return;
    }
    describe_end(status, text, sizeof(text));
    close_log(zygote);
    keeper_zygote_fail(zygote, text);
    (void)event_del(&zygote->pidfd_event);
    cleanup_fd(&zygote->pidfd);
    zygote->pid = -1;
    schedule_restart(zygote);
}

static void copy_name(const struct pxw_message *message, enum pxw_tag tag,
                      char ret_name[PXW_NAME_MAX + 1])
{
    const struct pxw_field *field = &message->field[tag];

    memcpy(ret_name, field->data, field->size); /* at most PXW_NAME_MAX */
    ret_name[field->size] = '\0';
}

static void on_warmed(struct keeper_zygote *zygote,
                      const struct pxw_message *message)
{
    if (zygote->state != ZYGOTE_WARMING) {
        keeper_zygote_fail(zygote, "it was warmed twice");
        return;
    }
    copy_name(message, PXW_F_PYTHON, zygote->python);
    copy_name(message, PXW_F_LEVEL, zygote->level);
    (void)event_del(&zygote->timer);
    zygote->state = ZYGOTE_UP;
    zygote->up_us = fdio_now_us();
    log_line(LOG_LEVEL_INFO, 364,
             "pool \"%s\": zygote %d is up, Python %s, isolation %s",
             zygote->pool->conf->name, (int)zygote->pid, zygote->python,
             zygote->level);
    keeper_jobs_refill(zygote->pool);
}

/* A job with a process and no error, or the other way round. */
static void on_forked(struct keeper_zygote *zygote,
                      const struct pxw_message *message, int *pidfd)
{
    int error = (int)pxw_u32(message, PXW_F_ERROR, 0);
    bool forked = pxw_has(message, PXW_F_PID);

    if (forked != (*pidfd >= 0) || forked == (error != 0)) {
        keeper_zygote_fail(zygote, "its answer contradicts itself");
        return;
    }
    keeper_job_forked(zygote->pool, pxw_u64(message, PXW_F_JOB, 0),
                      (pid_t)pxw_u32(message, PXW_F_PID, 0), steal_fd(pidfd),
                      error);
}

static void take_packet(struct keeper_zygote *zygote, const uint8_t *packet,
                        size_t size, int *pidfd)
{
    struct pxw_header header;
    struct pxw_message message;

    if (size < PXW_HEADER_BYTES || pxw_get_header(packet, &header) != 0
        || header.length != size - PXW_HEADER_BYTES
        || pxw_parse(header.type, packet + PXW_HEADER_BYTES, header.length,
                     &message) != 0
        || (*pidfd >= 0 && header.type != PXW_FORKED)) {
        keeper_zygote_fail(zygote, "it sent a malformed packet");
    }
    else if (header.type == PXW_WARMED) {
        on_warmed(zygote, &message);
    }
    else if (header.type == PXW_FORKED) {
        on_forked(zygote, &message, pidfd);
    }
    else if (header.type == PXW_EXITED) {
        struct keeper_job_end end = {
            .wait_status = (int)pxw_u32(&message, PXW_F_WAIT, 0),
            .cpu_us = pxw_u64(&message, PXW_F_CPU_US, 0),
            .peak_bytes = pxw_u64(&message, PXW_F_PEAK, 0),
        };

        keeper_job_exited(zygote->pool, pxw_u64(&message, PXW_F_JOB, 0),
                          &end);
    }
    else {
        keeper_zygote_fail(zygote, "it sent a packet that is not its to send");
    }
}

static void on_channel(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;
    uint8_t packet[PACKET_BYTES];

    (void)what;
    /* Any packet may cost the zygote its life, and with it the channel. */
    for (int i = 0; i < PACKETS_PER_WAKE && zygote->channel == (int)fd; i++) {
        CLEANUP_FD int pidfd = -1;
        size_t fds = 0;
        ssize_t size = fdio_receive((int)fd, packet, sizeof(packet), &pidfd,
                                    1, &fds);

        if (size == -EAGAIN) {
            return;
        }
        if (size <= 0) {
            keeper_zygote_fail(zygote, size == 0 ? "it closed its channel"
                                                 : strerror((int)-size));
            return;
        }
        take_packet(zygote, packet, (size_t)size, &pidfd);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;

    (void)fd;
    (void)what;
    keeper_jobs_refill(zygote->pool);
}

int keeper_zygote_fork(struct keeper_zygote *zygote, uint64_t number,
                       const int fds[4])
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
        error = fdio_send(zygote->channel, frame.data, frame.size, fds, 4);
    }
    if (error == -EAGAIN && event_add(&zygote->writable, NULL) != 0) {
        return -ENOMEM;
    }
    /* It has just died; the channel's event will say so. */
    return error == -EPIPE || error == -ECONNRESET ? -ENOTCONN : error;
}

static int send_warm(struct keeper_zygote *zygote)
{
    CLEANUP(pxw_writer_free) struct pxw_writer frame = { 0 };
    const struct pool_conf *conf = zygote->pool->conf;
    int error;

    pxw_begin(&frame, PXW_WARM);
    pxw_put_u32(&frame, PXW_F_SLOTS, 2 * conf->concurrency);
    pxw_put_u64(&frame, PXW_F_MEMORY, conf->memory_bytes);
    if (conf->preload != NULL) {
        pxw_put_bytes(&frame, PXW_F_PRELOAD, conf->preload,
                      conf->preload_size);
    }
    error = pxw_end(&frame);
    return error == 0 ? fdio_send(zygote->channel, frame.data, frame.size,
                                  NULL, 0)
                      : error;
}

static int watch(struct keeper_zygote *zygote)
{
    struct event_base *base = zygote->pool->keeper->base;
    int failed = 0;

    /* Level-triggered and persistent, so nothing is missed; assigned all
     * before any is added, so that all can be deleted. */
    failed |= event_assign(&zygote->pidfd_event, base, zygote->pidfd,
                           EV_READ | EV_PERSIST, on_pidfd, zygote);
    failed |= event_assign(&zygote->channel_event, base, zygote->channel,
                           EV_READ | EV_PERSIST, on_channel, zygote);
    failed |= event_assign(&zygote->writable, base, zygote->channel, EV_WRITE,
                           on_writable, zygote);
    failed |= event_assign(&zygote->log_event, base, zygote->log,
                           EV_READ | EV_PERSIST, on_log, zygote);
    failed = failed || event_add(&zygote->pidfd_event, NULL)
             || event_add(&zygote->channel_event, NULL)
             || event_add(&zygote->log_event, NULL);
    return failed ? -ENOMEM : 0;
}

static void start(struct keeper_zygote *zygote)
{
    int error = keeper_zygote_start(zygote);

    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 366, "pool \"%s\": cannot start a zygote: %s",
                 zygote->pool->conf->name, strerror(-error));
        schedule_restart(zygote);
        return;
    }
    zygote->state = ZYGOTE_WARMING;
    zygote->useful = false;
    set_timer(zygote, WARM_TIMEOUT_MS);
    if (watch(zygote) != 0) {
        /* Nobody would see it end, so that is waited for here. */
        log_line(LOG_LEVEL_ERROR, 367, "pool \"%s\": cannot watch zygote %d",
                 zygote->pool->conf->name, (int)zygote->pid);
        keeper_zygote_close(zygote);
        schedule_restart(zygote);
        return;
    }
    error = send_warm(zygote);
    if (error != 0) {
        keeper_zygote_fail(zygote, strerror(-error));
    }
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_zygote *zygote = argument;

    (void)fd;
    (void)what;
    if (zygote->state == ZYGOTE_WARMING) {
        keeper_zygote_fail(zygote, "it did not get warm in time");
    }
    else if (zygote->state == ZYGOTE_DOWN) {
        start(zygote);
    }
}

void keeper_zygote_open(struct keeper_pool *pool)
{
    struct keeper_zygote *zygote = &pool->zygote;

    zygote->pool = pool;
    zygote->state = ZYGOTE_DOWN;
    zygote->pid = -1;
    zygote->pidfd = -1;
    zygote->channel = -1;
    zygote->log = -1;
    (void)evtimer_assign(&zygote->timer, pool->keeper->base, on_timer,
                         zygote); /* only fails for a bad base */
    set_timer(zygote, 0);
}

void keeper_zygote_close(struct keeper_zygote *zygote)
{
    struct pollfd waited = { .fd = zygote->pidfd, .events = POLLIN };

    zygote->state = ZYGOTE_DYING;
    (void)event_del(&zygote->timer);
    close_channel(zygote);
    if (zygote->pidfd < 0) {
        return;
    }
    kill_process(zygote);
    /* Interrupted or late: init reaps it, the kill is on its way. */
    if (poll(&waited, 1, REAP_TIMEOUT_MS) == 1) {
        (void)waitpid(zygote->pid, NULL, WNOHANG);
    }
    (void)event_del(&zygote->pidfd_event);
    close_log(zygote);
    cleanup_fd(&zygote->pidfd);
}
