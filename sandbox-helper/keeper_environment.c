/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at an environment's directory. Runs in the keeper, whose user owns it.
 */
#include "keeper_environment.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Another one is current whenever somebody has installed something in between:
 * not that often. */
#define MOST_TRIES 8

/* Like one that was made by a commit: digits and nothing else, so that it is
 * the name of something in the directory itself. */
static bool is_name(const char *name)
{
    size_t size = strspn(name, "0123456789");

    return size > 0 && size < JOB_COMMIT_NAME_BYTES && name[size] == '\0';
}

/* "" where there is none. */
static int read_current(int directory, char name[JOB_COMMIT_NAME_BYTES])
{
    ssize_t size = readlinkat(directory, JOB_COMMIT_CURRENT, name,
                              JOB_COMMIT_NAME_BYTES);

    if (size < 0 && errno == ENOENT) {
        name[0] = '\0';
        return 0;
    }
    if (size < 0) {
        return -errno;
    }
    if (size == JOB_COMMIT_NAME_BYTES) {
        return -EBADF;
    }
    name[size] = '\0';
    return is_name(name) ? 0 : -EBADF;
}

static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* -EAGAIN: it was about to be removed, or is not current any more. */
static int take(int directory, struct keeper_generation *generation)
{
    struct keeper_generation found = KEEPER_NO_GENERATION;
    CLEANUP_FD int lock = -1;
    char again[JOB_COMMIT_NAME_BYTES];
    int rv = read_current(directory, found.name);

    if (rv != 0 || found.name[0] == '\0') {
        *generation = found;
        return rv;
    }
    lock = openat(directory, found.name,
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lock < 0) {
        return errno == ENOENT ? -EAGAIN : -errno;
    }
    if (flock(lock, LOCK_SH | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    rv = read_current(directory, again);
    if (rv != 0) {
        return rv;
    }
    if (strcmp(again, found.name) != 0) {
        return -EAGAIN;
    }
    found.lock = steal_fd(&lock);
    *generation = found;
    return 0;
}

int keeper_environment_take(const char *directory,
                            struct keeper_generation *ret_generation)
{
    CLEANUP_FD int fd = open_directory(directory);
    int rv = fd < 0 ? fd : -EAGAIN;

    for (int i = 0; rv == -EAGAIN && i < MOST_TRIES; i++) {
        rv = take(fd, ret_generation);
    }
    return rv;
}

void keeper_environment_leave(struct keeper_generation *generation)
{
    cleanup_fd(&generation->lock);
}

bool keeper_environment_is(const char *directory,
                           const struct keeper_generation *generation)
{
    char name[JOB_COMMIT_NAME_BYTES];
    CLEANUP_FD int fd = open_directory(directory);

    return fd < 0 || read_current(fd, name) != 0
           || strcmp(name, generation->name) == 0;
}

/* The lock of a file, made where there is none, or a negative errno. */
static int lock_file(const char *directory, const char *name)
{
    CLEANUP_FD int fd = open_directory(directory);
    CLEANUP_FD int lock = fd < 0 ? -1
                                 : openat(fd, name,
                                          O_RDWR | O_CREAT | O_NOFOLLOW
                                              | O_CLOEXEC, 0600);

    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) {
        return fd < 0 ? fd : -errno;
    }
    return steal_fd(&lock);
}

int keeper_environment_lock(const char *directory, int *turn)
{
    int rv = *turn >= 0 ? *turn : lock_file(directory, "turn");

    if (rv < 0) {
        return rv;
    }
    *turn = rv;
    rv = lock_file(directory, "lock");
    if (rv != -EWOULDBLOCK) {
        cleanup_fd(turn);
    }
    return rv;
}
