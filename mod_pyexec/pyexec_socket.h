/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening socket of the helper and the directory it lies in. Runs in
 * the httpd parent, as root where httpd was started by root.
 */
#ifndef PYEXEC_SOCKET_H
#define PYEXEC_SOCKET_H

#include "pyexec_config.h"

#include <sys/un.h>

#define PYEXEC_SOCKET_PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

/* Where the socket of the parent `pid` is; does nothing. */
const char *pyexec_socket_path(apr_pool_t *pool, pid_t pid);

/* Who may connect: to do so is to write to the socket. */
typedef struct pyexec_socket_access_t
{
    uid_t uid;
    gid_t gid;
    mode_t mode;
} pyexec_socket_access_t;

/* What PyExecSocketOwner and PyExecSocketMode come to; or what is wrong. */
const char *pyexec_socket_access(apr_pool_t *pool,
                                 const pyexec_global_t *global,
                                 pyexec_socket_access_t *ret_access);

/* Makes directory and socket. The directory is the helper's, which has to
 * remove the socket when httpd was killed; the socket is of whoever may
 * connect but not replace it. NULL, or what went wrong, in which case
 * nothing of it is left. */
const char *pyexec_socket_open(apr_pool_t *pool, const char *path,
                               uid_t helper_uid, gid_t helper_gid,
                               const pyexec_socket_access_t *access,
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
