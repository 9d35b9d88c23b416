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
 */
#include "slot.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdio.h"
#include "job_caps.h"

#define SYS_ADMIN (1ull << CAP_SYS_ADMIN)

/* Where the maker keeps its end of the channel: the only descriptor it has. */
#define MAKER_FD 0

/* Init: holds its namespace and does nothing. What is orphaned in there the
 * kernel reaps, because SIGCHLD is ignored; all other signals stay blocked;
 * SIGKILL from the zygote or the maker's death ends it. */
static void __attribute__((noreturn)) run_init(int parent)
{
    struct pollfd maker = { .fd = parent };

    /* setns(2) by pidfd asks for the right to trace: the init must stay
     * dumpable, and holds nothing that a tracer could want. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0
        || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0
        /* The maker may have died before the line above: its end is closed. */
        || poll(&maker, 1, 0) < 0 || (maker.revents & (POLLHUP | POLLERR)) != 0
        || job_caps_reduce(0) != 0
        || close_range(0, ~0u, 0) != 0) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

/* Makes one init; its pidfd or a negative errno. Only the maker holds the
 * write end of `alive`: an init closes its copy first thing. */
static int make_init(const int alive[2])
{
    int pidfd = -1;
    int ready[2];
    char byte;
    long pid;

    if (pipe(ready) != 0) {
        return -errno;
    }
    pid = syscall(SYS_clone, CLONE_NEWPID | CLONE_PIDFD | SIGCHLD, NULL,
                  &pidfd, NULL, 0);
    if (pid == 0) {
        (void)close(alive[1]);
        run_init(alive[0]);
    }
    if (pid < 0) {
        pidfd = -errno;
    }
    /* Before the init has made itself dumpable, setns(2) would be refused. It
     * closes its copies when that is done: the end of file says so. */
    (void)close(ready[1]);
    (void)fdio_read(ready[0], &byte, 1);
    (void)close(ready[0]);
    return pidfd;
}

static void __attribute__((noreturn)) run_maker(int channel)
{
    sigset_t all;
    int alive[2];

    (void)sigfillset(&all);
    /* Dead inits need no wait: SIGCHLD ignored means that the kernel reaps. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0
        || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0
        || sigprocmask(SIG_SETMASK, &all, NULL) != 0
        || signal(SIGCHLD, SIG_IGN) == SIG_ERR
        || dup2(channel, MAKER_FD) != MAKER_FD
        || close_range(MAKER_FD + 1, ~0u, 0) != 0
        || pipe(alive) != 0 || job_caps_reduce(SYS_ADMIN) != 0) {
        _exit(1);
    }
    for (;;) {
        char request;
        CLEANUP_FD int pidfd = -1;
        size_t count = 0;

        if (fdio_receive(MAKER_FD, &request, 1, NULL, 0, &count) != 1) {
            _exit(0); /* the zygote is gone */
        }
        pidfd = make_init(alive);
        if (fdio_send(MAKER_FD, &request, 1, &pidfd, pidfd >= 0) != 0) {
            _exit(0);
        }
    }
}

int slot_maker_start(void)
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
        run_maker(ends[1]);
    }
    (void)close(ends[1]);
    return ends[0];
}

int slot_make(int maker)
{
    char byte = 's';
    int pidfd = -1;
    size_t count = 0;
    ssize_t got;
    int rv = fdio_send(maker, &byte, 1, NULL, 0);

    if (rv != 0) {
        return rv;
    }
    got = fdio_receive(maker, &byte, 1, &pidfd, 1, &count);
    if (got < 0) {
        return (int)got;
    }
    return got == 1 && count == 1 ? pidfd : -EAGAIN;
}

int slot_enter(int slot)
{
    return setns(slot, CLONE_NEWPID) == 0 ? 0 : -errno;
}

void slot_end(int slot)
{
    /* Fails only when the init is dead already. */
    (void)syscall(SYS_pidfd_send_signal, slot, SIGKILL, NULL, 0);
    (void)close(slot);
}
