/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading, writing and passing descriptors. Runs in every process of the
 * helper with that process's rights; what arrives is not looked at here.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "fdio.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

uint64_t fdio_now_us(void)
{
    struct timespec now = { 0 };

    /* Cannot fail: the clock exists on every Linux. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

ssize_t fdio_read(int fd, void *data, size_t size)
{
    ssize_t count;

    do {
        count = read(fd, data, size);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

ssize_t fdio_write(int fd, const void *data, size_t size)
{
    ssize_t count;

    do {
        count = write(fd, data, size);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

ssize_t fdio_writev(int fd, const struct iovec *parts, int count)
{
    ssize_t written;

    do {
        written = writev(fd, parts, count);
    } while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : written;
}

/* Waits until `end_us` (0: for ever) for `events`. */
static int wait_for(int fd, short events, uint64_t end_us)
{
    struct pollfd waited = { .fd = fd, .events = events };
    int ready;

    do {
        int wait_ms = -1;

        if (end_us != 0) {
            uint64_t now_us = fdio_now_us();

            if (now_us >= end_us) {
                return -ETIMEDOUT;
            }
            /* Rounded up, or the last millisecond would spin. */
            wait_ms = (int)((end_us - now_us + 999) / 1000);
        }
        ready = poll(&waited, 1, wait_ms);
    } while (ready == 0 || (ready < 0 && errno == EINTR));
    return ready < 0 ? -errno : 0;
}

static uint64_t end_of(int timeout_ms)
{
    return timeout_ms < 0 ? 0 : fdio_now_us() + (uint64_t)timeout_ms * 1000u;
}

int fdio_read_full(int fd, void *data, size_t size, int timeout_ms)
{
    uint64_t end_us = end_of(timeout_ms);
    uint8_t *at = data;

    while (size > 0) {
        ssize_t count;
        int error = end_us == 0 ? 0 : wait_for(fd, POLLIN, end_us);

        if (error != 0) {
            return error;
        }
        count = fdio_read(fd, at, size);
        if (count == 0) {
            return -ENODATA;
        }
        if (count == -EAGAIN) {
            error = wait_for(fd, POLLIN, end_us);
            if (error != 0) {
                return error;
            }
            continue;
        }
        if (count < 0) {
            return (int)count;
        }
        at += count;
        size -= (size_t)count;
    }
    return 0;
}

int fdio_write_full(int fd, const void *data, size_t size, int timeout_ms)
{
    uint64_t end_us = end_of(timeout_ms);
    const uint8_t *at = data;

    while (size > 0) {
        ssize_t count;
        int error = end_us == 0 ? 0 : wait_for(fd, POLLOUT, end_us);

        if (error != 0) {
            return error;
        }
        count = fdio_write(fd, at, size);
        if (count == -EAGAIN) {
            error = wait_for(fd, POLLOUT, end_us);
            if (error != 0) {
                return error;
            }
            continue;
        }
        if (count < 0) {
            return (int)count;
        }
        at += count;
        size -= (size_t)count;
    }
    return 0;
}

/* Room for the descriptors of one packet; aligned as cmsg(3) asks. */
union control
{
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDIO_MAX_FDS * sizeof(int))];
};

int fdio_send(int channel, const void *data, size_t size, const int *fds,
              size_t count)
{
    struct iovec part = { .iov_base = (void *)data, .iov_len = size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    union control control = { .bytes = { 0 } };
    ssize_t sent;

    if (count > FDIO_MAX_FDS) {
        return -EINVAL;
    }
    if (count > 0) {
        struct cmsghdr *header = &control.align;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    do {
        sent = sendmsg(channel, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return -errno;
    }
    return (size_t)sent == size ? 0 : -EMSGSIZE;
}

/* Moves the descriptors of a received message to `ret_fds`; those for which
 * there is no room are closed. Returns how many there were. */
static size_t take_fds(struct msghdr *message, int *ret_fds, size_t max_fds)
{
    size_t found = 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        size_t bytes = header->cmsg_len - CMSG_LEN(0);

        if (header->cmsg_level != SOL_SOCKET
            || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
            if (found < max_fds) {
                ret_fds[found] = fd;
            }
            else {
                cleanup_fd(&fd);
            }
            found++;
        }
    }
    return found;
}

ssize_t fdio_receive(int channel, void *data, size_t size, int *ret_fds,
                     size_t max_fds, size_t *ret_count)
{
    struct iovec part = { .iov_base = data, .iov_len = size };
    union control control = { .bytes = { 0 } };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    int fds[FDIO_MAX_FDS];
    ssize_t count;
    size_t found;

    if (max_fds > FDIO_MAX_FDS) {
        return -EINVAL;
    }
    do {
        count = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        return -errno;
    }
    found = take_fds(&message, fds, max_fds);
    if (found > max_fds || message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
        for (size_t i = 0; i < found && i < max_fds; i++) {
            cleanup_fd(&fds[i]);
        }
        return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : -EBADMSG;
    }
    if (found > 0) {
        memcpy(ret_fds, fds, found * sizeof(fds[0]));
    }
    *ret_count = found;
    return count;
}

static int compare_fds(const void *left, const void *right)
{
    int a = *(const int *)left;
    int b = *(const int *)right;

    return (a > b) - (a < b);
}

int fdio_close_all_but(int *keep, size_t count)
{
    unsigned from = STDERR_FILENO + 1;

    qsort(keep, count, sizeof(keep[0]), compare_fds);
    for (size_t i = 0; i < count; i++) {
        unsigned kept = (unsigned)keep[i];

        if (keep[i] < 0 || kept < from) {
            continue;
        }
        if (kept > from && close_range(from, kept - 1, 0) != 0) {
            return -errno;
        }
        from = kept + 1;
    }
    return close_range(from, UINT_MAX, 0) == 0 ? 0 : -errno;
}

int fdio_fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            /* The lowest free number is `fd`: those below are open. */
            int opened = open("/dev/null", O_RDWR);

            if (opened < 0) {
                return -errno;
            }
            if (opened != fd) {
                cleanup_fd(&opened);
                return -EBADF;
            }
        }
    }
    return 0;
}

int fdio_set_nonblocking(int fd, bool nonblocking)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0) {
        return -errno;
    }
    flags = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl(fd, F_SETFL, flags) == 0 ? 0 : -errno;
}

int fdio_set_close_on_exec(int fd, bool close_on_exec)
{
    return fcntl(fd, F_SETFD, close_on_exec ? FD_CLOEXEC : 0) == 0 ? 0
                                                                    : -errno;
}
