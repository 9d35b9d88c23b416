/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies what a job has installed from memory to its place on a disk. Runs in a
 * job of our own: confined to reading the one and writing the other, without
 * Python. The one who wrote the source is gone, and may have been hostile:
 * only files and directories are taken, by descriptor, with modes of our own,
 * so that a generation can be read by anybody and removed by us.
 */
#include "job_commit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define NEW "new"
#define NEXT "next"
/* Two descriptors a level. The deepest of packages seen has 11. */
#define MOST_DEPTH 32
/* A copy, and the directory that it is in. */
#define MOST_REMOVED_DEPTH (MOST_DEPTH + 1)
/* More than the file system in memory has for any size. */
#define MOST_ENTRIES 1000000u
#define COPY_BYTES (256u << 10)

/* What may still be copied. */
struct allowance
{
    uint64_t bytes;
    uint32_t entries;
};

static void close_stream(DIR **stream)
{
    if (*stream != NULL) {
        (void)closedir(*stream); /* fails for a bad stream only */
    }
}

/* Takes `fd` over, also on failure. */
static DIR *open_stream(int fd)
{
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (stream == NULL && fd >= 0) {
        cleanup_fd(&fd);
    }
    return stream;
}

static int open_directory(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The next entry that is not "." or ".."; NULL: the end, or errno. */
static const struct dirent *read_entry(DIR *stream)
{
    const struct dirent *entry;

    do {
        errno = 0;
        entry = readdir(stream);
    } while (entry != NULL && (strcmp(entry->d_name, ".") == 0
                               || strcmp(entry->d_name, "..") == 0));
    return entry;
}

/* ---- removing ---- */

static int remove_entry(int at, const char *name, unsigned int depth);

static int empty_directory(int fd, unsigned int depth)
{
    CLEANUP(close_stream) DIR *stream = open_stream(fd);
    const struct dirent *entry;
    int rv = 0;

    if (stream == NULL) {
        return -errno;
    }
    while (rv == 0 && (entry = read_entry(stream)) != NULL) {
        rv = remove_entry(dirfd(stream), entry->d_name, depth);
    }
    return rv != 0 ? rv : -errno;
}

/* Of our own making, so it is as deep as a copy may be and its modes are ours;
 * of whatever else somebody put there, as much as that lets us. */
static int remove_entry(int at, const char *name, unsigned int depth)
{
    int rv;

    if (unlinkat(at, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) {
        return -errno;
    }
    if (depth == MOST_REMOVED_DEPTH) {
        return -ELOOP;
    }
    rv = empty_directory(open_directory(at, name), depth + 1);
    return rv != 0 ? rv : unlinkat(at, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

static bool is_generation(const char *name)
{
    size_t size = strspn(name, "0123456789");

    return size >= 6 && size < JOB_COMMIT_NAME_BYTES && name[size] == '\0';
}

/* Whoever loads from it holds it, and so does who is about to. */
static void remove_unused(int directory, const char *name)
{
    CLEANUP_FD int fd = open_directory(directory, name);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        (void)remove_entry(directory, name, 0); /* tried again next time */
    }
}

/* What earlier commits have left, but for `current`; *ret_last is the highest
 * number that there was. */
static int tidy(int directory, const char *current, unsigned long *ret_last)
{
    CLEANUP(close_stream) DIR *stream = open_stream(open_directory(directory,
                                                                   "."));
    const struct dirent *entry;

    *ret_last = 0;
    if (stream == NULL) {
        return -errno;
    }
    while ((entry = read_entry(stream)) != NULL) {
        if (is_generation(entry->d_name)) {
            unsigned long number = strtoul(entry->d_name, NULL, 10);

            *ret_last = number > *ret_last ? number : *ret_last;
            if (strcmp(entry->d_name, current) != 0) {
                remove_unused(directory, entry->d_name);
            }
        }
    }
    return errno != 0                                  ? -errno
           : remove_entry(directory, NEXT, 0) != 0 ? -EEXIST
                                                       : remove_entry(directory, NEW, 0);
}

/* ---- copying ---- */

/* The size that a file has when it is read counts, not what it said before. */
static int copy_bytes(int from, int to, struct allowance *left)
{
    static char bytes[COPY_BYTES];
    ssize_t count;

    while ((count = read(from, bytes, sizeof(bytes))) > 0) {
        if ((uint64_t)count > left->bytes) {
            return -EFBIG;
        }
        left->bytes -= (uint64_t)count;
        for (ssize_t at = 0; at < count;) {
            ssize_t written = write(to, bytes + at, (size_t)(count - at));

            if (written < 0) {
                return -errno;
            }
            at += written;
        }
    }
    return count < 0 ? -errno : 0;
}

/* With its time: what was compiled of a source is valid for that alone. */
static int copy_file(int from_at, int to_at, const char *name,
                     const struct stat *status, struct allowance *left)
{
    CLEANUP_FD int from = openat(from_at, name,
                                 O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP_FD int to = -1;
    const struct timespec times[2] = { status->st_mtim, status->st_mtim };
    int rv;

    if (from < 0) {
        return -errno;
    }
    to = openat(to_at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
                                 | O_CLOEXEC, 0644);
    if (to < 0) {
        return -errno;
    }
    rv = copy_bytes(from, to, left);
    return rv != 0 ? rv : futimens(to, times) == 0 ? 0 : -errno;
}

static int copy_directory(int from, int to, unsigned int depth,
                          struct allowance *left);

static int copy_subdirectory(int from_at, int to_at, const char *name,
                             unsigned int depth, struct allowance *left)
{
    CLEANUP_FD int to = -1;

    if (depth == MOST_DEPTH) {
        return -ELOOP;
    }
    if (mkdirat(to_at, name, 0755) != 0) {
        return -errno;
    }
    to = open_directory(to_at, name);
    return to < 0 ? -errno
                  : copy_directory(open_directory(from_at, name), to,
                                   depth + 1, left);
}

/* Python's module `site` executes lines of these, where they are at the top of
 * a directory that it is told of. We tell it of none; an administrator may. */
static bool is_left_out(const char *name, unsigned int depth)
{
    size_t size = strlen(name);

    return depth == 0 && size >= 4 && strcmp(name + size - 4, ".pth") == 0;
}

static int copy_entry(int from, int to, const char *name, unsigned int depth,
                      struct allowance *left)
{
    struct stat status;

    if (left->entries-- == 0) {
        return -EFBIG;
    }
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return -errno;
    }
    if (S_ISREG(status.st_mode)) {
        return is_left_out(name, depth)
                   ? 0
                   : copy_file(from, to, name, &status, left);
    }
    /* No package has anything else: a wheel cannot. */
    return S_ISDIR(status.st_mode)
               ? copy_subdirectory(from, to, name, depth, left)
               : -EMEDIUMTYPE;
}

/* Takes `from` over. */
static int copy_directory(int from, int to, unsigned int depth,
                          struct allowance *left)
{
    CLEANUP(close_stream) DIR *stream = open_stream(from);
    const struct dirent *entry;
    int rv = 0;

    if (stream == NULL) {
        return -errno;
    }
    while (rv == 0 && (entry = read_entry(stream)) != NULL) {
        rv = copy_entry(dirfd(stream), to, entry->d_name, depth, left);
    }
    return rv != 0 ? rv : -errno;
}

/* ---- the commit ---- */

static int copy_packages(const char *packages, int directory,
                         uint64_t most_bytes)
{
    struct allowance left = { .bytes = most_bytes, .entries = MOST_ENTRIES };
    CLEANUP_FD int from = open_directory(AT_FDCWD, packages);
    CLEANUP_FD int to = -1;
    int rv;

    if (from < 0) {
        return -errno;
    }
    if (mkdirat(directory, NEW, 0755) != 0) {
        return -errno;
    }
    to = open_directory(directory, NEW);
    if (to < 0) {
        return -errno;
    }
    rv = copy_directory(steal_fd(&from), to, 0, &left);
    return rv != 0 ? rv : syncfs(to) == 0 ? 0 : -errno;
}

/* The link is replaced in one step, and only by something complete. */
static int publish(int directory, const char *name)
{
    if (renameat(directory, NEW, directory, name) != 0
        || symlinkat(name, directory, NEXT) != 0
        || renameat(directory, NEXT, directory, JOB_COMMIT_CURRENT) != 0) {
        return -errno;
    }
    (void)fsync(directory); /* with the power goes no more than the link */
    return 0;
}

static int read_current(int directory, char name[JOB_COMMIT_NAME_BYTES])
{
    ssize_t size = readlinkat(directory, JOB_COMMIT_CURRENT, name,
                              JOB_COMMIT_NAME_BYTES - 1);

    if (size < 0 && errno != ENOENT) {
        return -errno;
    }
    name[size < 0 ? 0 : size] = '\0';
    return 0;
}

/* Another than the one that the job began with: what it has made knows nothing
 * of what came in between. */
static int check_base(int directory, const char *base,
                      char current[JOB_COMMIT_NAME_BYTES])
{
    int rv = read_current(directory, current);

    return rv != 0 ? rv : strcmp(current, base) == 0 ? 0 : -ESTALE;
}

int job_commit(const char *packages, int directory, const char *base,
               uint64_t most_bytes, const char **ret_step)
{
    char current[JOB_COMMIT_NAME_BYTES];
    char name[JOB_COMMIT_NAME_BYTES];
    unsigned long last;
    int rv;

    *ret_step = "find the environment as it was (did somebody else install?)";
    rv = check_base(directory, base, current);
    if (rv == 0) {
        *ret_step = "tidy up the environment's directory";
        rv = tidy(directory, current, &last);
    }
    if (rv == 0) {
        *ret_step = "copy the packages into the environment";
        rv = copy_packages(packages, directory, most_bytes);
    }
    if (rv == 0) {
        *ret_step = "replace the environment";
        (void)snprintf(name, sizeof(name), "%06lu", last + 1);
        rv = publish(directory, name);
    }
    if (rv != 0) {
        (void)remove_entry(directory, NEW, 0); /* or by the next commit */
    }
    return rv;
}
