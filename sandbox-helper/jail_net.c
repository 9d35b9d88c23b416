/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the network of one job; see the header. Runs in the slot maker.
 *
 * There is no route and no interface but lo, and a job can neither bind nor
 * listen: what it connects to is the listener, nobody, or itself: who tries one
 * port for long enough gets that very port for his own end. Landlock's rules for
 * ports forbid that, where the kernel has them. The kernel's memory behind
 * the sockets counts against no limit of the job's, so it is bounded here:
 *   - buffers of a fixed size on our side;
 *   - an MTU that keeps the first flight of a connection small on the other:
 *     what nobody reads of one takes 230 KB so, and with the 64 KiB that lo has
 *     it would be 3.8 MB;
 *   - least sizes for what TCP makes of buffers in this namespace: a connection
 *     to itself would grow to 30 MB.
 */
#include "jail_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "job_landlock.h"
#include "wire.h"

#define LOOPBACK "lo"
/* Ethernet's: what every network stack is used to. */
#define MTU_BYTES 1500
/* Of each connection and direction, where the keeper is slow; inherited by
 * what is accepted. The kernel doubles it for its own needs. */
#define BUFFER_BYTES (16 << 10)
/* Connections that wait while as many go on as a run may have at a time: all
 * that a run has descriptors for, since whoever finds no place here would try
 * again after a second. */
#define BACKLOG 64

static int bring_up(int fd)
{
    struct ifreq request = { 0 };

    memcpy(request.ifr_name, LOOPBACK, sizeof(LOOPBACK));
    request.ifr_mtu = MTU_BYTES;
    if (ioctl(fd, SIOCSIFMTU, &request) != 0) {
        return -errno;
    }
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) {
        return -errno;
    }
    request.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0 ? 0 : -errno;
}

static int set_buffers(int fd)
{
    int size = BUFFER_BYTES;

    return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) != 0
                   || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size,
                                 sizeof(size)) != 0
               ? -errno
               : 0;
}

/* Each has the least, the first and the greatest size of a buffer. */
static int set_tcp(int settings)
{
    static const char *const files[] = { "net/ipv4/tcp_rmem",
                                         "net/ipv4/tcp_wmem" };
    static const char sizes[] = "4096 16384 32768";

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        /* Of the namespace that the caller is in now. */
        CLEANUP_FD int fd = openat(settings, files[i], O_WRONLY | O_CLOEXEC);

        /* The kernel takes such a line as a whole or not at all. */
        if (fd < 0 || write(fd, sizes, sizeof(sizes) - 1) < 0) {
            return -errno;
        }
    }
    return 0;
}

int jail_net_make(int settings)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(PXW_PROXY_PORT),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    CLEANUP_FD int fd = -1;
    int rv;

    if (unshare(CLONE_NEWNET) != 0) {
        return -errno;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    rv = bring_up(fd);
    if (rv == 0) {
        rv = set_buffers(fd);
    }
    if (rv == 0) {
        rv = set_tcp(settings);
        /* Read-only in some containers: then Landlock has to do it alone. */
        rv = rv != 0 && job_landlock_knows_ports() ? 0 : rv;
    }
    if (rv != 0) {
        return rv;
    }
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0
        || listen(fd, BACKLOG) != 0) {
        return -errno;
    }
    return steal_fd(&fd);
}
