/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening socket of the helper and the directory it lies in. Runs in
 * the httpd parent, as root where httpd was started by root.
 */
#ifndef PYEXEC_SOCKET_H
#define PYEXEC_SOCKET_H

#include "pyexec.h"

#include <sys/un.h>

#define PYEXEC_SOCKET_PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

/* Where the socket of the parent `pid` is; does nothing. */
const char *pyexec_socket_path(apr_pool_t *pool, pid_t pid);

/* Makes directory and socket. The directory is the helper's, which has to
 * remove the socket when httpd was killed; the socket is httpd's User's, who
 * may connect but not replace it. NULL, or what went wrong, in which case
 * nothing of it is left. */
const char *pyexec_socket_open(apr_pool_t *pool, const char *path,
                               uid_t helper_uid, gid_t helper_gid,
                               int *ret_fd);

/* Closes whatever waits in the backlog, which no helper is going to accept; to
 * those who connected it is a question that was not begun with. Never blocks. */
void pyexec_socket_turn_away(int listener);

/* Removes the socket and, if that was the last one, the directory. */
void pyexec_socket_remove(const char *path);

/* For a process that could not connect: the first directory on the way that
 * it may not search, or NULL. */
const char *pyexec_socket_denied_at(apr_pool_t *pool, const char *path);

#endif
