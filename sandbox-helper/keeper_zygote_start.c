/* SPDX-License-Identifier: Apache-2.0
 *
 * Fork and exec of a zygote. Runs in the keeper, but for start_or_die(), which
 * is the child between the two: it must leave nothing of the keeper open.
 * Knows neither pools nor the event loop, so that --check can use it, too.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_zygote_start.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_conf.h"
#include "keeper_plan.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Both sides of what connects the two, before the child's become descriptor
 * 3, 0 and 1 with 2. */
struct ends
{
    int channel;
    int log;
    int their_channel;
    int their_input;
    int their_log;
};

static void close_ends(struct ends *ends)
{
    cleanup_fd(&ends->channel);
    cleanup_fd(&ends->log);
    cleanup_fd(&ends->their_channel);
    cleanup_fd(&ends->their_input);
    cleanup_fd(&ends->their_log);
}

static int open_ends(struct ends *ends)
{
    int pair[2];
    int error;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return -errno;
    }
    ends->channel = pair[0];
    ends->their_channel = pair[1];
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return -errno;
    }
    ends->log = pair[0];
    ends->their_log = pair[1];
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return -errno;
    }
    ends->their_input = pair[0];
    cleanup_fd(&pair[1]); /* nobody ever writes: always at its end */
    error = fdio_set_nonblocking(ends->channel, true);
    return error != 0 ? error : fdio_set_nonblocking(ends->log, true);
}

/* Signals are blocked on entry, so that no handler of the keeper runs here and
 * writes into its pipes. */
__attribute__((noreturn)) static void
start_or_die(int program, const struct ends *ends, pid_t keeper_pid)
{
    static char *const arguments[] = { "pyexec-zygote", NULL };
    /* Scripts see it: nothing of the server's own environment. One thread for
     * libraries, or fork would not be safe. The last is for the loader, and is
     * taken out again by the zygote. It holds for all that is loaded later,
     * too, as Python asks for anyway (RTLD_NOW): only a script that sets
     * RTLD_LAZY with sys.setdlopenflags(), or a library that loads others so,
     * meets an error for a function that is nowhere. */
    static char *const environment[] = {
        "PATH=/usr/bin:/bin",     "HOME=/sandbox",
        "LANG=C.UTF-8",           "OMP_NUM_THREADS=1",
        "OPENBLAS_NUM_THREADS=1", "LD_BIND_NOW=1",
        NULL,
    };
    sigset_t none;

    /* The sources are all above 3: 0 to 3 are taken in the keeper, and in
     * --check the first descriptor, which is our side's, takes 3. */
    if (dup2(ends->their_input, STDIN_FILENO) < 0
        || dup2(ends->their_log, STDOUT_FILENO) < 0
        || dup2(ends->their_log, STDERR_FILENO) < 0
        || dup2(ends->their_channel, 3) < 0
        || close_range(4, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        _exit(EXIT_FAILURE);
    }
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL); /* fails where there is no other */
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* both cannot fail */
    /* A keeper that died before the prctl() took effect sends no signal. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0
        || getppid() != keeper_pid) {
        _exit(EXIT_FAILURE);
    }
    (void)syscall(SYS_execveat, program, "", arguments, environment,
                  AT_EMPTY_PATH);
    log_line(LOG_LEVEL_ERROR, 365, "cannot execute pyexec-zygote: %s",
             strerror(errno));
    _exit(EXIT_FAILURE);
}

/* A process that cannot be killed must not serve: both calls are tried while
 * nothing but our own child is at stake. A container may let one through and
 * refuse the other. */
static int hold(pid_t pid, int *ret_pidfd)
{
    CLEANUP_FD int pidfd = pidfd_open(pid, 0);

    if (pidfd < 0 || pidfd_send_signal(pidfd, 0, NULL, 0) != 0) {
        return -errno;
    }
    *ret_pidfd = steal_fd(&pidfd);
    return 0;
}

pid_t keeper_zygote_fork_into(int cgroup)
{
    struct clone_args arguments = {
        .flags = CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)cgroup,
    };
    pid_t pid = cgroup < 0 ? fork()
                           : (pid_t)syscall(SYS_clone3, &arguments,
                                            sizeof(arguments));

    return pid < 0 ? -errno : pid;
}

int keeper_zygote_start(int program, int cgroup,
                        struct keeper_zygote_ends *ret_ends,
                        const char **ret_step)
{
    CLEANUP(close_ends) struct ends ends = {
        .channel = -1, .log = -1, .their_channel = -1, .their_input = -1,
        .their_log = -1,
    };
    pid_t keeper_pid = getpid();
    sigset_t all;
    sigset_t before;
    pid_t pid;
    int pidfd = -1;
    int error;

    *ret_step = "connect it";
    error = open_ends(&ends);
    if (error != 0) {
        return error;
    }
    *ret_step = "fork";
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before); /* both cannot fail */
    pid = keeper_zygote_fork_into(cgroup);
    if (pid == 0) {
        start_or_die(program, &ends, keeper_pid);
    }
    error = pid < 0 ? (int)pid : 0;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        return error;
    }
    *ret_step = "hold it by a pidfd (Linux 5.3 or newer, in a container that"
                " lets pidfd_open and pidfd_send_signal through)";
    error = hold(pid, &pidfd);
    if (error != 0) {
        (void)kill(pid, SIGKILL); /* our child, not reaped: still this pid */
        (void)waitpid(pid, NULL, 0);
        return error;
    }
    *ret_ends = (struct keeper_zygote_ends){
        .pid = pid,
        .pidfd = pidfd,
        .channel = steal_fd(&ends.channel),
        .log = steal_fd(&ends.log),
    };
    return 0;
}

/* One for all zygotes, for as long as this process lives; -1: they do without.
 * What it is for, and why nobody can misuse it: zygote_shared.c. */
static int text_file(void)
{
    static int file = -1;

    if (file < 0) {
        file = memfd_create("pyexec-text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    return file;
}

static void put_environment(struct pxw_writer *frame,
                            const struct pool_conf *conf,
                            const char *generation)
{
    char lines[PXW_DIRS_MAX];

    if (conf->environment != NULL) {
        /* The path was checked to leave room for it. */
        (void)snprintf(lines, sizeof(lines), "%s%s%s", conf->environment,
                       generation[0] == '\0' ? "" : "\n", generation);
        pxw_put_str(frame, PXW_F_ENVIRONMENT, lines);
    }
    if (conf->install_bytes > 0) {
        pxw_put_u64(frame, PXW_F_INSTALL_BYTES, conf->install_bytes);
        pxw_put_str(frame, PXW_F_INDEX, conf->index);
        pxw_put_u32(frame, PXW_F_SOURCES, conf->sources);
    }
}

int keeper_zygote_warm(int channel, const struct pool_conf *conf,
                       const struct plan_branch *branch,
                       enum keeper_level level, const char *generation)
{
    const uint8_t *preload = branch == NULL ? conf->preload : branch->preload;
    size_t preload_size = branch == NULL ? conf->preload_size
                                         : branch->preload_size;
    CLEANUP(pxw_writer_free) struct pxw_writer frame = { 0 };
    int file = text_file();
    int error;

    pxw_begin(&frame, PXW_WARM);
    pxw_put_str(&frame, PXW_F_VERSION, PACKAGE_VERSION);
    /* Runs, and as many that stand by for the next ones. */
    pxw_put_u32(&frame, PXW_F_SLOTS, 2 * conf->concurrency);
    pxw_put_u64(&frame, PXW_F_MEMORY, conf->memory_bytes);
    pxw_put_str(&frame, PXW_F_LEVEL, keeper_level_name(level));
    pxw_put_u32(&frame, PXW_F_PROCESSES, conf->processes);
    pxw_put_u32(&frame, PXW_F_NETWORK, conf->proxy.size > 0);
    if (conf->link_ms > 0) {
        pxw_put_u32(&frame, PXW_F_LINK_MS, conf->link_ms);
        pxw_put_u32(&frame, PXW_F_LINK_BYTES, conf->link_bytes);
    }
    if (preload != NULL) {
        pxw_put_bytes(&frame, PXW_F_PRELOAD, preload, preload_size);
    }
    if (conf->env != NULL) {
        pxw_put_bytes(&frame, PXW_F_ENV, conf->env, conf->env_size);
    }
    if (conf->site != NULL) {
        pxw_put_bytes(&frame, PXW_F_SITE, conf->site, conf->site_size);
    }
    put_environment(&frame, conf, generation);
    error = pxw_end(&frame);
    return error == 0 ? fdio_send(channel, frame.data, frame.size, &file,
                                   file < 0 ? 0 : 1)
                      : error;
}
