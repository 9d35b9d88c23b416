/* SPDX-License-Identifier: Apache-2.0
 *
 * One keeper is started; see the header. Runs in the supervisor, which has one
 * thread. The set-up travels by descriptor, never in arguments or environment,
 * which others can read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_spawn.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_conf.h"
#include "log.h"
#include "process.h"
#include "service_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LIFELINE_FD (HELPER_LISTENER + 1)
#define EXEC_FAILED 127

/* A pipe with the whole set-up already in it: nobody waits for a keeper. */
static int make_lifeline(const uint8_t *setup, size_t size, int ret_ends[2])
{
    int ends[2];
    int error = 0;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    if (size > 4096 && fcntl(ends[1], F_GETPIPE_SZ) < (int)size
        && fcntl(ends[1], F_SETPIPE_SZ, (int)size) < 0) {
        error = -errno; /* see /proc/sys/fs/pipe-max-size */
    }
    if (error == 0) {
        error = fdio_set_nonblocking(ends[1], true);
    }
    if (error == 0 && fdio_write(ends[1], setup, size) != (ssize_t)size) {
        error = -EIO;
    }
    if (error != 0) {
        cleanup_fd(&ends[0]);
        cleanup_fd(&ends[1]);
        return error;
    }
    ret_ends[0] = ends[0];
    ret_ends[1] = ends[1];
    return 0;
}

/* Descriptors 0..4 and no other. The two of ours are moved out of the way
 * first: either may have the number that the other shall get. */
static int arrange_descriptors(int listener, int lifeline)
{
    int keep[] = { HELPER_LISTENER, LIFELINE_FD };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    listener = fcntl(listener, F_DUPFD_CLOEXEC, 10);
    lifeline = fcntl(lifeline, F_DUPFD_CLOEXEC, 10);
    if (null < 0 || listener < 0 || lifeline < 0
        || dup2(null, STDIN_FILENO) < 0
        || dup2(STDERR_FILENO, STDOUT_FILENO) < 0
        || dup2(listener, HELPER_LISTENER) < 0
        || dup2(lifeline, LIFELINE_FD) < 0) {
        return -errno;
    }
    return fdio_close_all_but(keep, 2);
}

static void become_keeper(const struct service_spawn *spawn, int lifeline)
{
    const struct service_conf *conf = spawn->conf;
    char option[32];
    char user[64];
    char pid[32];
    char name[] = "pyexecd";
    char debug[] = "--debug";
    char path[] = "PATH=/usr/bin:/bin";
    char locale[] = "LC_ALL=C.UTF-8";
    char count[] = "LISTEN_FDS=1";
    char *argv[5] = { name, option };
    char *envp[] = { path, locale, count, pid, NULL };
    int argc = 2;
    int error = 0;

    (void)snprintf(option, sizeof(option), "--lifeline=%d", LIFELINE_FD);
    (void)snprintf(pid, sizeof(pid), "LISTEN_PID=%d", (int)getpid());
    (void)snprintf(user, sizeof(user), "--user=%lu:%lu",
                   (unsigned long)conf->uid, (unsigned long)conf->gid);
    if (conf->has_user) {
        argv[argc++] = user;
    }
    if (conf->debug) {
        argv[argc++] = debug;
    }
    /* Ctrl-C and signals to our group are for us alone. */
    (void)setpgid(0, 0);
    (void)umask(077); /* cannot fail */
    if (spawn->entrance >= 0 && fdio_write(spawn->entrance, "0", 1) != 1) {
        error = -EIO;
    }
    if (error == 0 && chdir("/") != 0) {
        error = -errno;
    }
    if (error == 0) {
        error = process_reset_signals();
    }
    if (error == 0) {
        error = arrange_descriptors(spawn->listener, lifeline);
    }
    if (error == 0) {
        (void)execve(spawn->program, argv, envp);
        error = -errno;
    }
    log_line(LOG_LEVEL_ERROR, 508, "cannot start a keeper, \"%s\": %s",
             spawn->program, strerror(-error));
    _exit(EXEC_FAILED);
}

int service_spawn(const struct service_spawn *spawn, pid_t *ret_pid,
                  int *ret_lifeline)
{
    int ends[2] = { -1, -1 };
    int error = make_lifeline(spawn->setup, spawn->setup_size, ends);
    sigset_t all;
    sigset_t before;
    pid_t pid;

    if (error != 0) {
        return error;
    }
    /* Until exec the child has our handlers, and their pipe to our loop: a
     * signal must wait. */
    (void)sigfillset(&all); /* cannot fail */
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        become_keeper(spawn, ends[0]);
    }
    error = pid < 0 ? -errno : 0;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    cleanup_fd(&ends[0]); /* the keeper has its own */
    if (error != 0) {
        cleanup_fd(&ends[1]);
        return error;
    }
    *ret_pid = pid;
    *ret_lifeline = ends[1];
    return 0;
}
