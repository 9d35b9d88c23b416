/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the zygote programs. Runs in the keeper before it gives up root: their
 * directory may be closed to the later user, who can start them by descriptor
 * all the same. Whoever can write there can replace the keeper, too.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "helper_pythons.h"

#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "pyexec-zygote";

static void close_dir(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* fails for a bad stream only */
    }
}

static int open_own_directory(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;
    int fd;

    if (length < 0) {
        return -errno;
    }
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL || (size_t)length == sizeof(path) - 1) {
        return -ENAMETOOLONG;
    }
    slash[slash == path] = '\0';
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* What stands behind the prefix: "" for the default one; NULL: it is none of
 * ours. */
static const char *name_of(const char *file)
{
    const char *name = file + sizeof(prefix) - 1;

    if (strncmp(file, prefix, sizeof(prefix) - 1) != 0) {
        return NULL;
    }
    if (*name == '\0') {
        return name;
    }
    return name[0] == '-' && name[1] != '\0'
               && strlen(name + 1) <= PXW_NAME_MAX ? name + 1 : NULL;
}

static bool is_program(const struct stat *status)
{
    return S_ISREG(status->st_mode)
           && (status->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
}

/* Something else of that name, or a link that leads nowhere, is nobody's
 * interpreter: then its pools say that it is missing. */
static int add(struct helper_pythons *pythons, int directory, const char *file,
               int least)
{
    const char *name = name_of(file);
    struct helper_python *python = &pythons->list[pythons->count];
    CLEANUP_FD int fd = name == NULL
                            ? -1
                            : openat(directory, file, O_PATH | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0 || !is_program(&status)) {
        return 0;
    }
    if (pythons->count == HELPER_PYTHONS_MAX) {
        return -E2BIG;
    }
    python->program = fcntl(fd, F_DUPFD_CLOEXEC, least);
    if (python->program < 0) {
        return -errno;
    }
    memcpy(python->name, name, strlen(name) + 1);
    pythons->count++;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct helper_python *one = a;
    const struct helper_python *other = b;

    return strcmp(one->name, other->name);
}

int helper_pythons_open(struct helper_pythons *ret_pythons, int least)
{
    CLEANUP_FD int directory = open_own_directory();
    CLEANUP(close_dir) DIR *dir = NULL;
    const struct dirent *entry;
    int listed;
    int rv = 0;

    ret_pythons->count = 0;
    if (directory < 0) {
        return directory;
    }
    listed = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    dir = listed < 0 ? NULL : fdopendir(listed);
    if (dir == NULL) {
        return -errno;
    }
    while (rv == 0 && (entry = readdir(dir)) != NULL) {
        rv = add(ret_pythons, directory, entry->d_name, least);
    }
    qsort(ret_pythons->list, ret_pythons->count, sizeof(ret_pythons->list[0]),
          compare);
    if (rv == 0 && (ret_pythons->count == 0
                    || ret_pythons->list[0].name[0] != '\0')) {
        return -ENOENT;
    }
    return rv;
}

void helper_pythons_close(struct helper_pythons *pythons)
{
    while (pythons->count > 0) {
        cleanup_fd(&pythons->list[--pythons->count].program);
    }
}

int helper_pythons_find(const struct helper_pythons *pythons,
                        const struct pxw_field *name)
{
    for (size_t i = 0; i < pythons->count; i++) {
        const struct helper_python *python = &pythons->list[i];
        size_t size = strlen(python->name);

        if (name->data == NULL
                ? size == 0
                : size == name->size && memcmp(python->name, name->data, size) == 0) {
            return python->program;
        }
    }
    return -ENOENT;
}
