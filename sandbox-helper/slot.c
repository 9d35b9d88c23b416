/* SPDX-License-Identifier: Apache-2.0
 *
 * The slot maker and the inits, both forked from the zygote before CPython is
 * initialised; they run a few lines of C, hold no capability that they do not
 * need and no descriptor but their own.
 *
 *     zygote ── asks, gets a pidfd ──> slot maker ── clone(NEWPID) ──> init
 *        └── setns(pidfd), fork() ──────────────────> job, PID 2 and up
 *
 * The inits are made with the bare system call: libc's fork() cannot make a
 * PID namespace, and here are no threads or atfork handlers to miss.
 *
 * Where jobs may start processes, an init also ends what a job leaves behind:
 * the zygote sends it a byte once the job is reaped, it kills and reaps all
 * that is left, sends its account back and ends. Its end ends the namespace in
 * any case: it only knows better what the processes have cost.
 */
#include "slot.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdio.h"
#include "jail_net.h"
#include "job_caps.h"

#define SYS_ADMIN (1ull << CAP_SYS_ADMIN)
#define NET_ADMIN (1ull << CAP_NET_ADMIN)

/* Where maker and init keep their end of a channel: the only descriptor that
 * either has, but for the init's signalfd. */
#define CHANNEL_FD 0
/* The maker's: /proc/sys, where slots have a network. */
#define SETTINGS_FD 1
#define SIGNAL_FD 1

/* Signals from inside stay blocked or, as from outside SIGKILL alone would be,
 * are dropped by the kernel: nobody in its namespace can stop or end an init.
 * 0 or -1. */
static int become_init(int alive)
{
    struct pollfd maker = { .fd = alive };

    /* setns(2) by pidfd asks for the right to trace: the init must stay
     * dumpable, and holds nothing that a tracer could want. */
    return getpid() != 1 /* or kill(-1) would hit others */
                   || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0
                   || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0
                   /* The maker may have died before: its end is closed. */
                   || poll(&maker, 1, 0) < 0
                   || (maker.revents & (POLLHUP | POLLERR)) != 0
                   || job_caps_reduce(0) != 0
               ? -1
               : 0;
}

/* Holds its namespace and does nothing. What is orphaned in there the kernel
 * reaps, because SIGCHLD is ignored; all other signals stay blocked; SIGKILL
 * from the zygote or the maker's death ends it. */
static void __attribute__((noreturn)) run_init(int alive)
{
    if (become_init(alive) != 0 || close_range(0, ~0u, 0) != 0) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

/* Kills until nobody is left. kill(-1) reaches all of the namespace but this
 * process, and no fork gets past it; whoever loses a parent becomes a child of
 * this one before that parent can be reaped. */
static void kill_and_reap_all(void)
{
    for (;;) {
        (void)kill(-1, SIGKILL); /* ESRCH: nobody */
        if (waitpid(-1, NULL, __WALL) < 0 && errno != EINTR) {
            return;
        }
    }
}

static void tell_account(void)
{
    struct slot_account account = { 0 };
    struct rusage spent;

    if (getrusage(RUSAGE_CHILDREN, &spent) == 0) {
        account.cpu_us = (uint64_t)(spent.ru_utime.tv_sec
                                    + spent.ru_stime.tv_sec) * 1000000u
                         + (uint64_t)(spent.ru_utime.tv_usec
                                      + spent.ru_stime.tv_usec);
        account.peak_bytes = (uint64_t)spent.ru_maxrss * 1024u;
    }
    /* A zygote that is gone needs none. */
    (void)fdio_send(CHANNEL_FD, &account, sizeof(account), NULL, 0);
}

/* The same, but reaps what is orphaned, so that its time is known, until the
 * zygote sends a byte or is gone. */
static void __attribute__((noreturn)) run_reaping_init(int alive, int channel)
{
    struct pollfd waited[] = {
        { .fd = CHANNEL_FD, .events = POLLIN },
        { .fd = SIGNAL_FD, .events = POLLIN },
    };
    struct signalfd_siginfo ended;
    sigset_t children;
    char order;

    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    if (become_init(alive) != 0 || signal(SIGCHLD, SIG_DFL) == SIG_ERR
        || dup2(channel, CHANNEL_FD) != CHANNEL_FD
        || close_range(CHANNEL_FD + 1, ~0u, 0) != 0
        || signalfd(-1, &children, SFD_NONBLOCK) != SIGNAL_FD) {
        _exit(1);
    }
    while (poll(waited, 2, -1) < 0 || waited[0].revents == 0) {
        (void)!read(SIGNAL_FD, &ended, sizeof(ended)); /* only wakes us */
        while (waitpid(-1, NULL, __WALL | WNOHANG) > 0) {
        }
    }
    /* Left unread it would take our answer along when we end. */
    (void)fdio_read(CHANNEL_FD, &order, 1);
    kill_and_reap_all();
    tell_account();
    _exit(0);
}

/* What the maker keeps for itself. */
struct maker
{
    int alive[2]; /* nobody else holds its write end: inits close it first */
    bool accounts;
    bool network;
};

/* What the zygote is told of a slot, with its descriptors: the pidfd, then
 * those that are there. */
struct made
{
    int error; /* 0 or a negative errno: then there is nothing else */
    pid_t init;
    bool channel;
    bool listener;
};

#define MADE_FDS 3

/* Makes one init: in ret_slot what has become of it. 0 or a negative errno. */
static int make_init(const struct maker *maker, struct slot *ret_slot)
{
    int channel[2] = { -1, -1 };
    int pidfd = -1;
    int ready[2];
    int error;
    char byte;
    long pid;

    if (maker->accounts
        && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel)
               != 0) {
        return -errno;
    }
    if (pipe(ready) != 0) {
        error = -errno;
        cleanup_fd(&channel[0]);
        cleanup_fd(&channel[1]);
        return error;
    }
    pid = syscall(SYS_clone, CLONE_NEWPID | CLONE_PIDFD | SIGCHLD, NULL,
                  &pidfd, NULL, 0);
    error = pid < 0 ? -errno : 0;
    if (pid == 0) {
        (void)close(maker->alive[1]);
        if (maker->accounts) {
            run_reaping_init(maker->alive[0], channel[1]);
        }
        run_init(maker->alive[0]);
    }
    /* Before the init has made itself dumpable, setns(2) would be refused. It
     * closes its copies when that is done: the end of file says so. */
    (void)close(ready[1]);
    (void)fdio_read(ready[0], &byte, 1);
    (void)close(ready[0]);
    cleanup_fd(&channel[1]);
    if (error != 0) {
        cleanup_fd(&channel[0]);
        return error;
    }
    ret_slot->pidfd = pidfd;
    ret_slot->channel = channel[0];
    ret_slot->init = (pid_t)pid;
    return 0;
}

/* The maker itself moves on to each new network namespace and takes the init
 * along; it does nothing there. */
static int make(const struct maker *maker, struct slot *ret_slot)
{
    if (maker->network) {
        ret_slot->listener = jail_net_make(SETTINGS_FD);
        if (ret_slot->listener < 0) {
            return ret_slot->listener;
        }
    }
    return make_init(maker, ret_slot);
}

/* `error`: what came of the request. Returns false when the zygote is gone. */
static bool hand_over(int error, struct slot *slot)
{
    struct made made = { .error = error, .init = slot->init,
                         .channel = slot->channel >= 0,
                         .listener = slot->listener >= 0 };
    int fds[MADE_FDS] = { slot->pidfd };
    size_t count = slot->pidfd >= 0 ? 1 : 0;
    int rv;

    if (count > 0 && made.channel) {
        fds[count++] = slot->channel;
    }
    if (count > 0 && made.listener) {
        fds[count++] = slot->listener;
    }
    rv = fdio_send(CHANNEL_FD, &made, sizeof(made), fds, count);
    cleanup_fd(&slot->pidfd);
    cleanup_fd(&slot->channel);
    cleanup_fd(&slot->listener);
    return rv == 0;
}

/* What the maker needs, side by side; nothing else stays open. */
static int keep(int channel, int settings)
{
    if (dup2(channel, CHANNEL_FD) != CHANNEL_FD) {
        return -errno;
    }
    if (settings < 0) {
        return close_range(CHANNEL_FD + 1, ~0u, 0) == 0 ? 0 : -errno;
    }
    return dup2(settings, SETTINGS_FD) != SETTINGS_FD
                   || close_range(SETTINGS_FD + 1, ~0u, 0) != 0
               ? -errno
               : 0;
}

static void __attribute__((noreturn)) run_maker(int channel, bool accounts,
                                                bool network, int settings)
{
    struct maker maker = { .accounts = accounts, .network = network };
    sigset_t all;

    (void)sigfillset(&all);
    /* Dead inits need no wait: SIGCHLD ignored means that the kernel reaps. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0
        || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0
        || sigprocmask(SIG_SETMASK, &all, NULL) != 0
        || signal(SIGCHLD, SIG_IGN) == SIG_ERR
        || keep(channel, network ? settings : -1) != 0
        || pipe(maker.alive) != 0
        || job_caps_reduce(network ? SYS_ADMIN | NET_ADMIN : SYS_ADMIN) != 0) {
        _exit(1);
    }
    for (;;) {
        struct slot slot = { .pidfd = -1, .channel = -1, .listener = -1 };
        char request;
        size_t got = 0;

        if (fdio_receive(CHANNEL_FD, &request, 1, NULL, 0, &got) != 1) {
            _exit(0); /* the zygote is gone */
        }
        if (!hand_over(make(&maker, &slot), &slot)) {
            _exit(0);
        }
    }
}

int slot_maker_start(bool accounts, bool network, int settings)
{
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -errno;
    }
    pid = fork();
    if (pid < 0) {
        int error = errno;

        (void)close(ends[0]);
        (void)close(ends[1]);
        return -error;
    }
    if (pid == 0) {
        run_maker(ends[1], accounts, network, settings);
    }
    (void)close(ends[1]);
    return ends[0];
}

int slot_make(int maker, struct slot *ret_slot)
{
    char byte = 's';
    struct made made = { 0 };
    int fds[MADE_FDS] = { -1, -1, -1 };
    size_t count = 0;
    size_t at = 1;
    ssize_t got;
    int rv = fdio_send(maker, &byte, 1, NULL, 0);

    if (rv != 0) {
        return rv;
    }
    got = fdio_receive(maker, &made, sizeof(made), fds, MADE_FDS, &count);
    if (got < 0) {
        return (int)got;
    }
    if (got != sizeof(made) || count == 0) {
        /* The maker's own words, unless it has gone away. */
        return got == sizeof(made) && made.error < 0 ? made.error : -EAGAIN;
    }
    *ret_slot = (struct slot){ .pidfd = fds[0], .init = made.init };
    ret_slot->channel = made.channel ? fds[at++] : -1;
    ret_slot->listener = made.listener ? fds[at++] : -1;
    return 0;
}

int slot_enter(const struct slot *slot)
{
    return setns(slot->pidfd, CLONE_NEWPID) == 0 ? 0 : -errno;
}

int slot_enter_network(int pidfd)
{
    return setns(pidfd, CLONE_NEWNET) == 0 ? 0 : -errno;
}

static void kill_init(const struct slot *slot)
{
    /* Fails only when the init is dead already. */
    (void)syscall(SYS_pidfd_send_signal, slot->pidfd, SIGKILL, NULL, 0);
}

void slot_clear(struct slot *slot)
{
    char byte = 'c';

    if (slot->channel < 0 || fdio_send(slot->channel, &byte, 1, NULL, 0) != 0) {
        kill_init(slot);
    }
}

struct slot_account slot_account(const struct slot *slot)
{
    struct slot_account account = { 0 };
    size_t count = 0;

    /* Without an answer the end of the init was the end of the channel. */
    if (slot->channel < 0
        || fdio_receive(slot->channel, &account, sizeof(account), NULL, 0,
                        &count) != sizeof(account)) {
        return (struct slot_account){ 0 };
    }
    return account;
}

void slot_end(struct slot *slot)
{
    if (slot->pidfd >= 0) {
        kill_init(slot);
    }
    cleanup_fd(&slot->pidfd);
    cleanup_fd(&slot->channel);
    cleanup_fd(&slot->listener);
}
