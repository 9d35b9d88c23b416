/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening; see the header. Runs in the supervisor with the rights that it
 * was started with, in a directory that is the administrator's choice.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_listen.h"

#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* As httpd's module has it. */
#define BACKLOG 511

static int make_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* A socket that nobody listens on any more. Nothing else is ever removed. */
static bool is_left_over(const struct sockaddr_un *address)
{
    CLEANUP_FD int fd = make_socket();
    struct stat status;

    return fd >= 0 && lstat(address->sun_path, &status) == 0
           && S_ISSOCK(status.st_mode)
           && connect(fd, (const struct sockaddr *)address, sizeof(*address))
                  != 0
           && errno == ECONNREFUSED;
}

static int bind_at(int fd, const struct sockaddr_un *address, mode_t mode)
{
    mode_t before;
    int error;

    if (is_left_over(address)) {
        (void)unlink(address->sun_path); /* bind() tells if it is still there */
    }
    before = umask(0777 & ~mode);
    error = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0
                ? 0 : -errno;
    (void)umask(before); /* cannot fail */
    return error;
}

/* Who may write to the directory could put something else in the socket's
 * place before root gives it away: what is given is what was looked at. */
static int give_away(const char *path, uid_t owner, struct stat *ret_status)
{
    CLEANUP_FD int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, ret_status) != 0) {
        return -errno;
    }
    if (!S_ISSOCK(ret_status->st_mode)) {
        return -ENOTSOCK;
    }
    return owner != (uid_t)-1
                   && fchownat(fd, "", owner, (gid_t)-1, AT_EMPTY_PATH) != 0
               ? -errno
               : 0;
}

int service_listen(const char *path, mode_t mode, uid_t owner,
                   struct service_socket *ret_made)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP_FD int fd = make_socket();
    struct stat status = { 0 };
    int error = fd < 0 ? fd : 0;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (error == 0) {
        error = bind_at(fd, &address, mode);
    }
    if (error == 0) {
        error = give_away(path, owner, &status);
        if (error == 0 && listen(fd, BACKLOG) != 0) {
            error = -errno;
        }
        if (error != 0) {
            (void)unlink(path); /* it was born here */
        }
    }
    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 504, "cannot listen at \"%s\": %s", path,
                 strerror(-error));
        return error;
    }
    (void)snprintf(ret_made->path, sizeof(ret_made->path), "%s", path);
    ret_made->device = status.st_dev;
    ret_made->inode = status.st_ino;
    return steal_fd(&fd);
}

void service_unlisten(const struct service_socket *made)
{
    struct stat status;

    if (made->inode != 0 && lstat(made->path, &status) == 0
        && S_ISSOCK(status.st_mode) && status.st_dev == made->device
        && status.st_ino == made->inode) {
        (void)unlink(made->path); /* or the next service does it */
    }
}
