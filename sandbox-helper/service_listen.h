/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets that the service makes itself, where nobody hands them over.
 */
#ifndef PYEXEC_SERVICE_LISTEN_H
#define PYEXEC_SERVICE_LISTEN_H

#include <sys/types.h>

struct service_socket
{
    char path[128];
    dev_t device;
    ino_t inode; /* 0: not made */
};

/* Listens at `path` (which fits), and says so in the log when it cannot: the
 * descriptor or a negative errno. What a dead service left there is replaced;
 * -EADDRINUSE where one is alive. `owner`: who gets it; -1: whose we are. */
int service_listen(const char *path, mode_t mode, uid_t owner,
                   struct service_socket *ret_made);

/* Removes it if it still is the one that was made. */
void service_unlisten(const struct service_socket *made);

#endif
