/* SPDX-License-Identifier: Apache-2.0
 *
 * One datagram; see the header. Runs in the supervisor.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_notify.h"

#include "cleanup.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void service_notify(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = path == NULL ? 0 : strlen(path);
    CLEANUP_FD int fd = -1;

    if (size < 2 || size > sizeof(address.sun_path)
        || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(address.sun_path, path, size);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* an abstract name */
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        /* Nobody is left to tell when the manager cannot be told. One that does
         * not listen is waited for when it waits for us, and never else: runs
         * and keepers are worth more than a line about them. */
        int flags = strcmp(lines, "READY=1") == 0
                        ? MSG_NOSIGNAL
                        : MSG_NOSIGNAL | MSG_DONTWAIT;

        (void)sendto(fd, lines, strlen(lines), flags,
                     (struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path)
                                 + size));
    }
}
