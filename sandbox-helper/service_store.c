/* SPDX-License-Identifier: Apache-2.0
 *
 * The set-up in a file; see the header. Runs in the supervisor, as root where
 * the service was started by root. Jobs have roots of their own, or at the
 * level restricted rules of Landlock, where this file is not.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_store.h"

#include "cleanup.h"
#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEMPORARY ".new"

static int write_new(const char *path, const uint8_t *data, size_t size)
{
    /* O_EXCL: neither what a link there points to, nor a file that another
     * has open already. */
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
                                       | O_CLOEXEC, 0600);

    if (fd < 0) {
        return -errno;
    }
    return fdio_write_full(fd, data, size, -1);
}

int service_store_save(const char *path, const uint8_t *data, size_t size)
{
    char new_path[PATH_MAX];
    int error;

    if (snprintf(new_path, sizeof(new_path), "%s" TEMPORARY, path)
        >= (int)sizeof(new_path)) {
        return -ENAMETOOLONG;
    }
    (void)unlink(new_path); /* of one who was killed while writing */
    error = write_new(new_path, data, size);
    if (error == 0 && rename(new_path, path) != 0) {
        error = -errno;
    }
    if (error != 0) {
        (void)unlink(new_path); /* may not have come into being */
        (void)unlink(path);     /* may not have been there */
    }
    return error;
}

int service_store_load(const char *path, size_t most, uint8_t **ret_data,
                       size_t *ret_size)
{
    /* Not to be kept waiting by a FIFO of that name. */
    CLEANUP_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK
                                       | O_CLOEXEC);
    CLEANUP_FREE uint8_t *data = NULL;
    struct stat status;
    int error;

    if (fd < 0 || fstat(fd, &status) != 0) {
        return -errno;
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid()
        || (status.st_mode & 077) != 0) {
        return -EACCES;
    }
    if (status.st_size <= 0 || (uintmax_t)status.st_size > most) {
        return -EFBIG;
    }
    data = malloc((size_t)status.st_size);
    if (data == NULL) {
        return -ENOMEM;
    }
    error = fdio_read_full(fd, data, (size_t)status.st_size, -1);
    if (error == 0) {
        *ret_size = (size_t)status.st_size;
        *ret_data = steal_ptr(&data);
    }
    return error;
}
