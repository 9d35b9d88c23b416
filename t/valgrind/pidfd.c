/* SPDX-License-Identifier: Apache-2.0
 *
 * Two system calls that valgrind 3.19 does not know, for a process that runs
 * in it (see preload.c): `pidfd open PID SOCKET` sends a pidfd through the
 * socket, `pidfd kill PIDFD SIGNAL` signals one. The exit status is the errno.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "fdio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>

static int number_of(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static int open_one(int pid, int channel)
{
    int fd = pidfd_open(pid, 0);

    return fd < 0 ? errno : -fdio_send(channel, "", 1, &fd, 1);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "open") == 0) {
        return open_one(number_of(argv[2]), number_of(argv[3]));
    }
    if (argc == 4 && strcmp(argv[1], "kill") == 0) {
        return pidfd_send_signal(number_of(argv[2]), number_of(argv[3]), NULL,
                                 0) == 0
                   ? 0
                   : errno;
    }
    return EINVAL;
}
