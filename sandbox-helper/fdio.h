/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading, writing and passing descriptors, for every process of the helper.
 * The only place where EINTR is retried. Knows no event loop; every function
 * returns 0 (or a count) or a negative errno.
 */
#ifndef PYEXEC_FDIO_H
#define PYEXEC_FDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;

/* Descriptors that one packet may carry (PXW_FORK has up to five). */
#define FDIO_MAX_FDS 5

/* CLOCK_MONOTONIC in microseconds: the helper's only clock. */
uint64_t fdio_now_us(void);

/* One read(2), write(2) or writev(2). The count, 0 only at end of file, or
 * -EAGAIN on a descriptor that does not block. */
ssize_t fdio_read(int fd, void *data, size_t size);
ssize_t fdio_write(int fd, const void *data, size_t size);
ssize_t fdio_writev(int fd, const struct iovec *parts, int count);

/* All `size` bytes or an error: -ENODATA when the file ends first,
 * -ETIMEDOUT after `timeout_ms` for the whole of it (-1: no limit). Work on
 * descriptors of either mode. */
int fdio_read_full(int fd, void *data, size_t size, int timeout_ms);
int fdio_write_full(int fd, const void *data, size_t size, int timeout_ms);

/* Sends one packet with `count` descriptors (0..FDIO_MAX_FDS), which stay the
 * caller's. Never raises SIGPIPE. */
int fdio_send(int channel, const void *data, size_t size, const int *fds,
              size_t count);

/* Receives one packet of at most `size` bytes with at most `max_fds`
 * descriptors, all close-on-exec. Returns its size, 0 at end of file.
 * -EBADMSG: more descriptors than that, -EMSGSIZE: more bytes; every
 * descriptor that came along was closed then. The caller owns the *ret_count
 * descriptors and still has to compare their number with what the packet's
 * type asks for. */
ssize_t fdio_receive(int channel, void *data, size_t size, int *ret_fds,
                     size_t max_fds, size_t *ret_count);

/* Closes everything above stderr but the `count` descriptors in `keep`, which
 * is sorted on the way. */
int fdio_close_all_but(int *keep, size_t count);

/* Opens /dev/null for each of 0, 1, 2 that is closed: otherwise the next
 * descriptor would become somebody's stderr. */
int fdio_fill_standard(void);

int fdio_set_nonblocking(int fd, bool nonblocking);
int fdio_set_close_on_exec(int fd, bool close_on_exec);

#endif
