/* SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * The keeper is one unprivileged process with one event loop. It alone knows
 * deadlines, decides who runs, kills, and says what became of a run. It never
 * looks at source and never believes what a job says about its own end.
 *
 *   httpd workers          keeper                      zygote         jobs
 *   ┌─────────┐ HELLO,RUN ┌──────────────┐ FORK, EXITED ┌──────┐ fork ┌─────┐
 *   │ module  ├──────────>│ keeper_conn  │<────────────>│      ├─────>│     │
 *   │         │<──────────┤ keeper_queue │  SEQPACKET   └──────┘      │     │
 *   └─────────┘  OUTCOME  │ keeper_zygote│  RUN, stdin (pipe)         │     │
 *   ┌─────────┐ lifeline  │ keeper_job   ├───────────────────────────>│     │
 *   │ parent  ├──────────>│              │<───────────────────────────┤     │
 *   └─────────┘           └──────────────┘  stdout, stderr, report    └─────┘
 *
 * keeper_conn reads one RUN and hands it to keeper_queue, which gives it to a
 * ready job when its tenant has its turn and the pool's concurrency allows;
 * keeper_job sees to the rest and gives an OUTCOME back, which keeper_conn
 * writes. A connection that closes cancels its run wherever that is. For each
 * pool keeper_zygotes keeps a zygote alive, replaces it when it is old, and
 * keeper_job keeps as many ready jobs as may run at once.
 *
 * Trust: the lifeline is httpd's; a connection is nobody's until it has shown
 * the token, and even then its bytes are only parsed; the fork channel is our
 * own program, and checked; stdout, stderr and report of a job are written by
 * the enemy. What a job's end is called depends on the wait status from the
 * zygote and on our own clock.
 *
 * Waiting is always for an event: an idle keeper does not wake up, but to
 * replace a zygote that is old, or to let one go that nobody uses.
 *
 * How it ends: SIGTERM stops accepting and leaves when the last connection
 * is answered (a successor accepts from the same backlog meanwhile); a second
 * SIGTERM, SIGINT or the end of the lifeline kills every job and leaves. A
 * keeper that dies takes zygotes and jobs along, by PR_SET_PDEATHSIG there.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper_cpu.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* One for each httpd worker is the most that makes sense; the rest waits in
 * the backlog. */
#define MAX_CONNECTIONS 1024
/* Pipes and pidfd of a job, with the ends that are on their way to it. */
#define FDS_PER_JOB 9
/* A job's group, its peak, and the entrance on its way to the job. */
#define FDS_PER_LEAF 3
/* Loop, log, listener: generous. */
#define FDS_FIXED 64
/* pidfd, channel, log, the lock of its packages; while one is started also its
 * ends of them. */
#define FDS_PER_ZYGOTE 5
/* Taken from the backlog before others get their turn. */
#define ACCEPTS_PER_WAKE 64

static void on_listen_again(evutil_socket_t fd, short what, void *argument);

static void stop(struct keeper *keeper)
{
    /* Fails only outside of the loop, which then ends anyway. */
    (void)event_base_loopbreak(keeper->base);
}

static void leave_when_drained(struct keeper *keeper)
{
    if (keeper->draining && keeper->conn_count == 0) {
        stop(keeper);
    }
}

static void listen_or_not(struct keeper *keeper, bool wanted)
{
    if (wanted && !keeper->draining) {
        if (event_add(&keeper->listening, NULL) != 0) {
            struct timeval soon = { .tv_usec = 100000 };

            (void)evtimer_add(&keeper->listen_again, &soon);
        }
    }
    else {
        (void)event_del(&keeper->listening);
    }
}

void keeper_conn_closed(struct keeper *keeper)
{
    if (keeper->conn_count < keeper->conn_max
        && !event_pending(&keeper->listening, EV_READ, NULL)
        && !evtimer_pending(&keeper->listen_again, NULL)) {
        listen_or_not(keeper, true);
    }
    leave_when_drained(keeper);
}

static void on_listen_again(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    listen_or_not(argument, true);
}

static void on_listening(evutil_socket_t fd, short what, void *argument)
{
    struct keeper *keeper = argument;

    (void)what;
    for (int i = 0; i < ACCEPTS_PER_WAKE && !keeper->draining; i++) {
        int client;

        if (keeper->conn_count >= keeper->conn_max
            && !keeper_conn_evict(keeper)) {
            listen_or_not(keeper, false);
            return;
        }
        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client >= 0) {
            keeper_conn_open(keeper, client);
            continue;
        }
        /* A successor or predecessor may have been faster: not an error. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM
            || errno == ENOBUFS) {
            struct timeval soon = { .tv_usec = 100000 };

            log_line(LOG_LEVEL_WARNING, 320, "cannot accept: %s",
                     strerror(errno));
            listen_or_not(keeper, false);
            (void)evtimer_add(&keeper->listen_again, &soon);
        }
        return;
    }
}

static void on_terminate(evutil_socket_t number, short what, void *argument)
{
    struct keeper *keeper = argument;

    (void)what;
    if (number == SIGINT || keeper->draining) {
        log_line(LOG_LEVEL_INFO, 321, "stopping at once");
        stop(keeper);
        return;
    }
    keeper->draining = true;
    (void)event_del(&keeper->listening);
    (void)event_del(&keeper->listen_again);
    log_line(LOG_LEVEL_INFO, 322, "draining, %zu connections left",
             keeper->conn_count);
    keeper_settle_hurry(keeper);
    leave_when_drained(keeper);
}

/* The lifeline is silent after SETUP; bytes are thrown away, so that they
 * cannot hide the end behind them. */
static void on_lifeline(evutil_socket_t fd, short what, void *argument)
{
    struct keeper *keeper = argument;
    uint8_t ignored[512];
    ssize_t count = fdio_read((int)fd, ignored, sizeof(ignored));

    (void)what;
    if (count > 0 || count == -EAGAIN) {
        return;
    }
    log_line(LOG_LEVEL_INFO, 323, "who started us is gone, stopping at once");
    keeper->orphaned = true;
    stop(keeper);
}

/* Only the very socket that was there when we started: a new server may have
 * put its own in the place meanwhile. */
static void remove_socket(const struct helper_conf *conf)
{
    struct stat status;
    CLEANUP_FREE char *path = NULL;

    if (conf->socket_inode == 0 || lstat(conf->socket_path, &status) != 0
        || !S_ISSOCK(status.st_mode)
        || status.st_dev != conf->socket_device
        || status.st_ino != conf->socket_inode) {
        return;
    }
    if (unlink(conf->socket_path) != 0) {
        log_line(LOG_LEVEL_WARNING, 324, "cannot remove \"%s\": %s",
                 conf->socket_path, strerror(errno));
        return;
    }
    path = strdup(conf->socket_path);
    if (path != NULL) {
        /* Fails when it is shared with others or not ours: as it should. */
        (void)rmdir(dirname(path));
    }
}

struct keeper_pool *keeper_find_pool(struct keeper *keeper, const void *name,
                                     size_t size)
{
    for (size_t i = 0; i < keeper->pool_count; i++) {
        const struct pool_conf *conf = keeper->pools[i].conf;

        if (conf->name_size == size && memcmp(conf->name, name, size) == 0) {
            return &keeper->pools[i];
        }
    }
    return NULL;
}

static int make_base(struct keeper *keeper)
{
    struct event_config *config = event_config_new();

    if (config == NULL) {
        return -ENOMEM;
    }
    /* Deadlines count from the moment they are set, not from the turn of the
     * loop in which that happened, and are kept to the microsecond. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER
                                            | EVENT_BASE_FLAG_NO_CACHE_TIME
                                            | EVENT_BASE_FLAG_IGNORE_ENV
                                            | EVENT_BASE_FLAG_NOLOCK);
    keeper->base = event_base_new_with_config(config);
    event_config_free(config);
    return keeper->base == NULL ? -ENOMEM : 0;
}

/* Each run may keep one zygote from ending that was current when it began;
 * beside those there are one that is current, one that comes, and some that
 * are killed but not gone. At the change there are twice as many ready jobs. */
static rlim_t descriptors_of(const struct pool_conf *pool, size_t branches,
                             bool leaves)
{
    bool recycles = pool->recycle_runs > 0 || pool->recycle_ms > 0
                    || pool->environment != NULL;
    rlim_t standby = (recycles ? 2 : 1) * (rlim_t)branches;
    rlim_t jobs = (standby + 1) * (rlim_t)pool->concurrency;
    rlim_t zygotes = 4 * (rlim_t)branches
                     + (recycles ? (rlim_t)pool->concurrency : 0);

    rlim_t network = pool->proxy.size == 0
                         ? 0
                         : jobs + (rlim_t)pool->concurrency * KEEPER_RELAY_FDS;

    return jobs * (FDS_PER_JOB + (leaves ? FDS_PER_LEAF : 0))
           + zygotes * FDS_PER_ZYGOTE + network;
}

static rlim_t count_descriptors(const struct keeper *keeper, bool lazy_too)
{
    rlim_t count = FDS_FIXED;

    for (size_t i = 0; i < keeper->conf->pool_count; i++) {
        const struct pool_conf *pool = &keeper->conf->pools[i];

        if (lazy_too || !pool->lazy) {
            count += descriptors_of(pool, keeper->branches_most,
                                    keeper_cgroup_is_used(&keeper->cgroup));
        }
    }
    return count;
}

/* Descriptors for everything that the set-up allows; where the hard limit
 * grants less, fewer connections are accepted, and fewer branches planned,
 * rather than jobs lost. Not all lazy pools need be in use at the same time. */
static int size_descriptors(struct keeper *keeper)
{
    rlim_t jobs;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return -errno;
    }
    keeper->branches_most = PLAN_MOST_BRANCHES;
    jobs = count_descriptors(keeper, true);
    while (keeper->branches_most > 1 && limit.rlim_max < jobs + FDS_FIXED) {
        keeper->branches_most--;
        jobs = count_descriptors(keeper, true);
    }
    if (limit.rlim_max < jobs + FDS_FIXED
        && count_descriptors(keeper, false) + FDS_FIXED <= limit.rlim_max) {
        log_line(LOG_LEVEL_WARNING, 327,
                 "at most %llu descriptors are allowed, all pools at the same"
                 " time would need %llu: raise RLIMIT_NOFILE, put tenants into"
                 " one pool or lower the concurrency",
                 (unsigned long long)limit.rlim_max,
                 (unsigned long long)(jobs + FDS_FIXED));
        jobs = limit.rlim_max - FDS_FIXED;
    }
    limit.rlim_cur = jobs + MAX_CONNECTIONS;
    if (limit.rlim_cur > limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
    }
    if (limit.rlim_cur < jobs + FDS_FIXED) {
        log_line(LOG_LEVEL_ERROR, 325,
                 "at most %llu descriptors are allowed, %llu are needed:"
                 " raise RLIMIT_NOFILE or lower the concurrency",
                 (unsigned long long)limit.rlim_max,
                 (unsigned long long)(jobs + FDS_FIXED));
        return -EMFILE;
    }
    keeper->conn_max = limit.rlim_cur - jobs;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : -errno;
}

static int add_signal(struct keeper *keeper, struct event *event, int number)
{
    return evsignal_assign(event, keeper->base, number, on_terminate, keeper)
                   || evsignal_add(event, NULL)
               ? -ENOMEM
               : 0;
}

/* All events are assigned before the first is added: releasing a keeper that
 * is only half set up then deletes nothing that never was. */
static int add_events(struct keeper *keeper)
{
    const struct helper_conf *conf = keeper->conf;
    struct stat status;
    int error = fdio_set_nonblocking(conf->listener, true);

    if (error != 0) {
        return error;
    }
    if (event_assign(&keeper->listening, keeper->base, conf->listener,
                     EV_READ | EV_PERSIST, on_listening, keeper) != 0
        || evtimer_assign(&keeper->listen_again, keeper->base,
                          on_listen_again, keeper) != 0
        || event_assign(&keeper->lifeline, keeper->base, conf->lifeline,
                        EV_READ | EV_PERSIST, on_lifeline, keeper) != 0) {
        return -EINVAL;
    }
    error = add_signal(keeper, &keeper->terminate, SIGTERM);
    if (error == 0) {
        error = add_signal(keeper, &keeper->interrupt, SIGINT);
    }
    if (error != 0 || fstat(conf->lifeline, &status) != 0) {
        return error != 0 ? error : -errno;
    }
    /* Set-up read from a file has no other end whose death could show. */
    if (!S_ISREG(status.st_mode)) {
        error = fdio_set_nonblocking(conf->lifeline, true);
        if (error != 0) {
            return error;
        }
        if (event_add(&keeper->lifeline, NULL) != 0) {
            return -ENOMEM;
        }
    }
    return event_add(&keeper->listening, NULL) == 0 ? 0 : -ENOMEM;
}

static int open_pools(struct keeper *keeper)
{
    keeper->pools = calloc(keeper->conf->pool_count,
                           sizeof(keeper->pools[0]));
    if (keeper->pools == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < keeper->conf->pool_count; i++) {
        struct keeper_pool *pool = &keeper->pools[i];
        int error;

        pool->keeper = keeper;
        pool->conf = &keeper->conf->pools[i];
        keeper_queue_open(pool);
        keeper->pool_count++; /* first, so that a half-open one is closed */
        error = keeper_branches_open(pool, keeper->branches_most);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* Connections first: a run that is cancelled needs no outcome. */
static void close_all(struct keeper *keeper)
{
    keeper->draining = true; /* nothing is started from here on */
    keeper_conn_close_all(keeper);
    for (size_t i = 0; i < keeper->pool_count; i++) {
        keeper_branches_close(&keeper->pools[i]);
    }
    keeper_cgroup_close(&keeper->cgroup);
    free(keeper->pools);
    if (event_initialized(&keeper->listening)) {
        (void)event_del(&keeper->listening);
        (void)event_del(&keeper->listen_again);
        (void)event_del(&keeper->lifeline);
    }
    if (event_initialized(&keeper->terminate)) {
        (void)event_del(&keeper->terminate);
    }
    if (event_initialized(&keeper->interrupt)) {
        (void)event_del(&keeper->interrupt);
    }
    event_base_free(keeper->base);
    libevent_global_shutdown();
}

int keeper_run(const struct helper_conf *conf)
{
    struct keeper keeper = {
        .conf = conf,
        .processors = keeper_cpu_processors(),
        .metrics.start_s = (uint64_t)time(NULL),
    };
    int error;

    TAILQ_INIT(&keeper.conns);
    error = make_base(&keeper);
    if (error != 0) {
        return error;
    }
    keeper_cgroup_open(&keeper.cgroup);
    error = size_descriptors(&keeper);
    if (error == 0) {
        error = open_pools(&keeper);
    }
    if (error == 0) {
        error = add_events(&keeper);
    }
    if (error == 0) {
        log_line(LOG_LEVEL_INFO, 326, "serving %zu pools as user %d",
                 keeper.pool_count, (int)getuid());
        error = event_base_dispatch(keeper.base) < 0 ? -EIO : 0;
    }
    close_all(&keeper);
    if (keeper.orphaned) {
        remove_socket(conf);
    }
    return error;
}
