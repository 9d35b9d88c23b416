/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper and its surroundings; see world.h. Linked with --wrap for the
 * functions that begin with __wrap.
 */
#include "world.h"

#include "fuzz.h"

#include "cleanup.h"
#include "fdio.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Larger than any process's number: never one of ours to be waited for. */
#define NOBODY 0x7ffffff0
/* Descriptors that are looked at; fewer than are ever open at once. */
#define MOST_OPEN 800

struct world world;

__typeof__(keeper_zygote_start) __wrap_keeper_zygote_start;
__typeof__(pidfd_send_signal) __wrap_pidfd_send_signal;
void __wrap_log_line(enum log_level level, unsigned code, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));

int __wrap_keeper_zygote_start(int program, int cgroup,
                               struct keeper_zygote_ends *ret_ends,
                               const char **ret_step)
{
    struct world_zygote *zygote = &world.zygotes[world.zygote_count];
    int channel[2];
    int log[2];

    (void)program;
    (void)cgroup;
    *ret_step = "play it";
    if (world.zygote_count == WORLD_ZYGOTES) {
        return -EAGAIN;
    }
    FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC
                                       | SOCK_NONBLOCK, 0, channel) == 0);
    FUZZ_HOLDS(pipe2(log, O_CLOEXEC | O_NONBLOCK) == 0);
    zygote->channel = channel[1];
    zygote->log = log[1];
    zygote->process = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    FUZZ_HOLDS(zygote->process >= 0);
    world.zygote_count++;
    *ret_ends = (struct keeper_zygote_ends){
        .pid = NOBODY,
        .pidfd = fcntl(zygote->process, F_DUPFD_CLOEXEC, 0),
        .channel = channel[0],
        .log = log[0],
    };
    return 0;
}

/* Only KILL is ever sent, and that always works. */
int __wrap_pidfd_send_signal(int pidfd, int number, siginfo_t *info,
                             unsigned flags)
{
    uint64_t one = 1;

    FUZZ_HOLDS(number == SIGKILL && info == NULL && flags == 0);
    (void)!write(pidfd, &one, sizeof(one));
    return 0;
}

/* Formatted as ever, and thrown away. */
void __wrap_log_line(enum log_level level, unsigned code, const char *format,
                     ...)
{
    char line[4096];
    va_list arguments;

    (void)level;
    FUZZ_HOLDS(code < 10000); /* may be that of a relayed line */
    va_start(arguments, format);
    FUZZ_HOLDS(vsnprintf(line, sizeof(line), format, arguments) >= 0);
    va_end(arguments);
}

static int count_open(void)
{
    struct pollfd fds[MOST_OPEN];
    int closed = 0;

    for (int i = 0; i < MOST_OPEN; i++) {
        fds[i] = (struct pollfd){ .fd = i };
    }
    FUZZ_HOLDS(poll(fds, MOST_OPEN, 0) >= 0);
    for (int i = 0; i < MOST_OPEN; i++) {
        closed += (fds[i].revents & POLLNVAL) != 0;
    }
    return MOST_OPEN - closed;
}

static void on_nothing(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    (void)argument;
}

static struct event_base *make_base(void)
{
    static struct event_base *base;

    if (base == NULL) {
        base = event_base_new();
        FUZZ_HOLDS(base != NULL);
        (void)signal(SIGPIPE, SIG_IGN);
    }
    return base;
}

/* What a pool preloads decides how many branches it has. */
static const char *const preloads[] = { "", "math\n", "math\nnumpy\nqueue" };

/* The first WARM makes a file that the keeper has for ever. */
static void make_what_lasts(void)
{
    static const struct pool_conf pool = { .preload = (uint8_t *)"" };
    static bool made;
    int channel[2];

    if (!made) {
        FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
                              channel) == 0);
        FUZZ_HOLDS(keeper_zygote_warm(channel[0], &pool, NULL,
                                      LEVEL_RESTRICTED, "") == 0);
        cleanup_fd(&channel[0]);
        cleanup_fd(&channel[1]);
        made = true;
    }
}

void world_open(uint8_t kind)
{
    const char *preload = preloads[(kind >> 5) % 3];
    struct event_base *base = make_base();
    struct keeper *keeper = &world.keeper;
    int open_before;

    make_what_lasts();
    open_before = count_open();
    world = (struct world){
        .open_before = open_before,
        .listener = eventfd(0, EFD_CLOEXEC),
        .process = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .pool_conf = { .name = "p", .name_size = 1,
                       .concurrency = 1 + (kind & 1), .queue = 2,
                       .queue_ms = 60000, .wall_ms = 60000, .cpu_ms = 60000,
                       .memory_bytes = 1 << 20, .output_bytes = 2000,
                       .files = 10, .threads = 10,
                       .recycle_runs = kind & 2 ? 2 : 0,
                       .recycle_ms = kind & 4 ? 60000 : 0,
                       .least_level = kind & 8 ? LEVEL_FULL
                                               : LEVEL_RESTRICTED,
                       .preload = (uint8_t *)(uintptr_t)preload,
                       .preload_size = strlen(preload) },
        .keeper = { .base = base, .conf = &world.conf, .pools = &world.pool,
                    .conn_max = WORLD_CLIENTS / 2, .processors = 1,
                    .cgroup = { .directory = -1, .zygotes = -1 } },
        .pool = { .keeper = &world.keeper, .conf = &world.pool_conf },
        .conf = { .pools = &world.pool_conf, .pool_count = 1,
                  .debug = (kind & 16) != 0 },
    };
    TAILQ_INIT(&keeper->conns);
    FUZZ_HOLDS(event_assign(&keeper->listening, base, world.listener, EV_READ,
                            on_nothing, NULL) == 0);
    FUZZ_HOLDS(evtimer_assign(&keeper->listen_again, base, on_nothing, NULL)
               == 0);
    keeper_queue_open(&world.pool);
    FUZZ_HOLDS(keeper_branches_open(&world.pool, PLAN_MOST_BRANCHES) == 0);
    keeper->pool_count = 1;
    world_run();
}

static void take_fork(struct world_zygote *zygote, const uint8_t *packet,
                      size_t size, int *fds, size_t count)
{
    struct world_job *job = &world.jobs[world.job_count];
    struct pxw_header header;
    struct pxw_message message;

    FUZZ_HOLDS(size >= PXW_HEADER_BYTES);
    FUZZ_HOLDS(pxw_get_header(packet, &header) == 0);
    FUZZ_HOLDS(pxw_parse(header.type, packet + PXW_HEADER_BYTES,
                         size - PXW_HEADER_BYTES, &message) == 0);
    FUZZ_HOLDS(header.type == PXW_FORK ? count == 4
                                       : header.type == PXW_WARM && count <= 1);
    if (header.type == PXW_FORK && world.job_count < WORLD_JOBS) {
        *job = (struct world_job){
            .zygote = zygote,
            .number = pxw_u64(&message, PXW_F_JOB, 0),
        };
        for (size_t i = 0; i < count; i++) {
            FUZZ_HOLDS(fdio_set_nonblocking(fds[i], true) == 0);
            job->ends[i] = steal_fd(&fds[i]);
        }
        world.job_count++;
    }
}

static void take_packets(struct world_zygote *zygote)
{
    static uint8_t packet[100000];

    for (;;) {
        int fds[FDIO_MAX_FDS] = { -1, -1, -1, -1, -1 };
        size_t count = 0;
        ssize_t size = zygote->channel < 0
                           ? -EAGAIN
                           : fdio_receive(zygote->channel, packet,
                                          sizeof(packet), fds, FDIO_MAX_FDS,
                                          &count);

        if (size <= 0) {
            return;
        }
        take_fork(zygote, packet, (size_t)size, fds, count);
        for (size_t i = 0; i < FDIO_MAX_FDS; i++) {
            cleanup_fd(&fds[i]);
        }
    }
}

void world_run(void)
{
    /* One event may bring about the next. */
    for (int i = 0; i < 2; i++) {
        FUZZ_HOLDS(event_base_loop(world.keeper.base, EVLOOP_NONBLOCK) >= 0);
    }
    for (size_t i = 0; i < world.zygote_count; i++) {
        take_packets(&world.zygotes[i]);
    }
}

bool world_connect(void)
{
    struct keeper *keeper = &world.keeper;
    int ends[2];

    /* As on_listening() does. */
    if (world.client_count == WORLD_CLIENTS || keeper->draining
        || (keeper->conn_count >= keeper->conn_max
            && !keeper_conn_evict(keeper))) {
        return false;
    }
    FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          0, ends) == 0);
    world.clients[world.client_count++].fd = ends[0];
    keeper_conn_open(keeper, ends[1]);
    return true;
}

#define TIMERS_MOST 400

static size_t add_timers(struct keeper_branch *branch, struct event **timers,
                         size_t count)
{
    struct keeper_job *job;
    struct keeper_zygote *zygote;

    timers[count++] = &branch->zygotes.timer;
    timers[count++] = &branch->jobs.refill;
    TAILQ_FOREACH(zygote, &branch->zygotes.all, link) {
        timers[count++] = &zygote->warm_timer;
    }
    TAILQ_FOREACH(job, &branch->jobs.all, link) {
        FUZZ_HOLDS(count + 3 <= TIMERS_MOST);
        job->deadline_us = 0;
        timers[count++] = &job->deadline;
        timers[count++] = &job->pump;
        timers[count++] = &job->cpu_check;
    }
    return count;
}

void world_expire(size_t number)
{
    struct event *timers[TIMERS_MOST];
    size_t count = 0;
    struct keeper_tenant *tenant;
    struct keeper_run *run;

    TAILQ_FOREACH(tenant, &world.pool.queue.tenants.turn, link) {
        TAILQ_FOREACH(run, &tenant->waiting, link) {
            timers[count++] = &run->timeout;
        }
    }
    for (size_t i = 0; i < world.pool.plan.count; i++) {
        count = add_timers(&world.pool.branches[i], timers, count);
    }
    number %= count;
    if (evtimer_pending(timers[number], NULL)) {
        (void)evtimer_del(timers[number]);
        event_active(timers[number], EV_TIMEOUT, 1);
    }
}

static void check_zygote(const struct keeper_zygote *zygote)
{
    const struct keeper_branch *branch = zygote->branch;
    const struct keeper_job *job;
    size_t jobs = 0;
    size_t standby = 0;

    TAILQ_FOREACH(job, &branch->jobs.all, link) {
        if (job->zygote == zygote) {
            jobs++;
            standby += job->state == JOB_STARTING || job->state == JOB_READY;
        }
    }
    FUZZ_HOLDS(zygote->jobs == jobs && zygote->standby == standby);
    FUZZ_HOLDS(jobs <= 2 * world.pool_conf.concurrency);
    FUZZ_HOLDS(zygote->state != ZYGOTE_DYING || jobs == 0);
    FUZZ_HOLDS(zygote != branch->zygotes.current
               || zygote->state == ZYGOTE_UP);
}

/* Returns how many of its jobs run. */
static size_t check_branch(const struct keeper_branch *branch)
{
    const struct keeper_zygote *zygote;
    const struct keeper_job *job;
    size_t running = 0;

    TAILQ_FOREACH(zygote, &branch->zygotes.all, link) {
        FUZZ_HOLDS(zygote->branch == branch);
        check_zygote(zygote);
    }
    TAILQ_FOREACH(job, &branch->jobs.all, link) {
        running += job->state == JOB_RUNNING;
        FUZZ_HOLDS(job->branch == branch && job->zygote->branch == branch);
        FUZZ_HOLDS(job->run == NULL
                   || (job->run->job == job && job->state == JOB_RUNNING));
        FUZZ_HOLDS((job->state != JOB_READY && job->state != JOB_RUNNING)
                   || job->pidfd >= 0);
        FUZZ_HOLDS(job->out.size <= world.pool_conf.output_bytes);
        FUZZ_HOLDS(job->run == NULL || world.pool_conf.link_ms > 0
                   || pxw_u32(&job->run->message, PXW_F_LINK, 0) == 0);
    }
    return running;
}

void world_check(void)
{
    const struct keeper_pool *pool = &world.pool;
    const struct keeper_tenant *tenant;
    const struct keeper_run *run;
    size_t running = 0;
    size_t queued = 0;

    for (size_t i = 0; i < pool->plan.count; i++) {
        running += check_branch(&pool->branches[i]);
    }
    TAILQ_FOREACH(tenant, &pool->queue.tenants.turn, link) {
        size_t waiting = 0;

        TAILQ_FOREACH(run, &tenant->waiting, link) {
            waiting++;
            FUZZ_HOLDS(run->queued && run->job == NULL);
            FUZZ_HOLDS(run->tenant == tenant);
        }
        FUZZ_HOLDS(waiting > 0 && waiting == tenant->length);
        queued += waiting;
    }
    FUZZ_HOLDS(pool->running == running);
    FUZZ_HOLDS(running <= pool->conf->concurrency);
    FUZZ_HOLDS(pool->queue.length == queued);
    FUZZ_HOLDS(queued <= pool->conf->queue + pool->conf->concurrency);
    FUZZ_HOLDS(world.keeper.conn_count <= world.keeper.conn_max);
}

void world_close(void)
{
    struct keeper *keeper = &world.keeper;

    keeper->draining = true;
    keeper_conn_close_all(keeper);
    keeper_branches_close(&world.pool);
    (void)event_del(&keeper->listening);
    (void)event_del(&keeper->listen_again);
    FUZZ_HOLDS(keeper->held_bytes == 0 && keeper->conn_count == 0);
    FUZZ_HOLDS(world.pool.queue.length == 0 && world.pool.running == 0);
    FUZZ_HOLDS(event_base_get_num_events(keeper->base, EVENT_BASE_COUNT_ADDED)
               == 0);
    for (size_t i = 0; i < world.zygote_count; i++) {
        cleanup_fd(&world.zygotes[i].channel);
        cleanup_fd(&world.zygotes[i].log);
        cleanup_fd(&world.zygotes[i].process);
    }
    for (size_t i = 0; i < world.job_count; i++) {
        for (size_t end = 0; end < 4; end++) {
            cleanup_fd(&world.jobs[i].ends[end]);
        }
    }
    for (size_t i = 0; i < world.client_count; i++) {
        cleanup_fd(&world.clients[i].fd);
    }
    cleanup_fd(&world.listener);
    cleanup_fd(&world.process);
    FUZZ_HOLDS(count_open() == world.open_before);
}
