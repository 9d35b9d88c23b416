/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a helper that runs in valgrind, whose version 3.19 answers
 * ENOSYS to pidfd_open(2) and pidfd_send_signal(2): here the program named by
 * PYEXEC_VALGRIND_PIDFD, which does not run in valgrind, makes the call.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "cleanup.h"
#include "fdio.h"

#include <errno.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* The tests look for the keeper by its name, which is valgrind's. */
__attribute__((constructor)) static void take_name(void)
{
    (void)prctl(PR_SET_NAME, "pyexecd");
}

/* Its errno; `inherited` is a descriptor that it uses. */
static int ask(const char *verb, int first, int second, int inherited)
{
    const char *program = getenv("PYEXEC_VALGRIND_PIDFD");
    char one[16];
    char other[16];
    char *arguments[] = { (char *)"pidfd", (char *)verb, one, other, NULL };
    char *nothing = NULL; /* this library least of all */
    int status = 0;
    pid_t pid;

    (void)snprintf(one, sizeof(one), "%d", first);
    (void)snprintf(other, sizeof(other), "%d", second);
    pid = program == NULL ? -1 : fork();
    if (pid == 0) {
        if (fdio_set_close_on_exec(inherited, false) == 0) {
            (void)execve(program, arguments, &nothing);
        }
        _exit(ENOSYS);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return ENOSYS;
    }
    return WEXITSTATUS(status);
}

int pidfd_open(pid_t pid, unsigned flags)
{
    int ends[2];
    int fd = -1;
    size_t count = 0;
    char byte;

    (void)flags;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    errno = ask("open", (int)pid, ends[1], ends[1]);
    if (errno == 0 && fdio_receive(ends[0], &byte, 1, &fd, 1, &count) != 1) {
        errno = EPROTO;
    }
    cleanup_fd(&ends[0]);
    cleanup_fd(&ends[1]);
    return fd;
}

int pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags)
{
    (void)info;
    (void)flags;
    errno = ask("kill", pidfd, number, pidfd);
    return errno == 0 ? 0 : -1;
}
