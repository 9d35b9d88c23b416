/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the private root. It holds the interpreter's library trees, the
 * shared libraries, time zones, the C.UTF-8 locale and four devices, and
 * nothing that tells about this machine: /etc is made here, not bound.
 *
 * mount_setattr(2) sets the flags, because it only ever adds them: a classic
 * remount inside a user namespace fails when it would clear a locked one.
 */
#include "jail_mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "jail_install.h"
#include "jail_programs.h"
#include "jail_site.h"

/* A directory that every system has and that nothing is ever bound from: the
 * new root is built over it, and hides it. */
#define BUILD_AT "/sys"

/* Directories, stubs and links only: a few pages. */
#define ROOT_OPTIONS "mode=0755,size=256k,nr_inodes=1024"

/* More entries of update-alternatives than any system has libraries, and
 * fewer than the root has inodes. */
#define MAX_ALTERNATIVES 512

/* What is bound, read-only. */
struct tree
{
    const char *path;
    bool needed;
};

#define TREE(where, needs) { .path = where, .needed = needs },
static const struct tree trees[] = { JAIL_TREES(TREE) };
static const struct tree programs[] = { JAIL_PROGRAM_TREES(TREE) };
static const struct tree certificates[] = { JAIL_NETWORK_TREES(TREE) };
#undef TREE

/* /dev/full is the one that no Landlock rule grants: the self-test tries it. */
static const char *const devices[] = {
    "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/full",
};

/* Files that libc looks at. They say no more than that there is one user: the
 * one that a job, whose user namespace maps nobody, sees itself as. */
static const struct
{
    const char *path;
    const char *text;
} stubs[] = {
    { "/etc/passwd", "sandbox:x:65534:65534::" JAIL_HOME ":/nonexistent\n" },
    { "/etc/group", "sandbox:x:65534:\n" },
    { "/etc/hosts", "127.0.0.1 localhost\n" },
};

static const char *const directories[] = { "/tmp", JAIL_HOME, "/etc", "/dev" };

static int set_flags(const char *path, unsigned int at_flags, uint64_t flags)
{
    struct mount_attr attr = { .attr_set = flags };

    if (syscall(SYS_mount_setattr, AT_FDCWD, path, at_flags, &attr,
                sizeof(attr)) != 0) {
        return -errno;
    }
    return 0;
}

static int join(char *out, size_t size, const char *path)
{
    int length = snprintf(out, size, "%s%s", BUILD_AT, path);

    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

/* Makes the directories above `path` (which is below BUILD_AT) and, if
 * `itself`, the last one too. */
static int make_directories(char *path, bool itself)
{
    for (char *at = path + strlen(BUILD_AT) + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            if (mkdir(path, 0755) != 0 && errno != EEXIST) {
                return -errno;
            }
            *at = '/';
        }
    }
    if (itself && mkdir(path, 0755) != 0 && errno != EEXIST) {
        return -errno;
    }
    return 0;
}

static int make_file(const char *path, const char *text)
{
    CLEANUP_FD int fd = -1;
    char at[PATH_MAX];
    size_t size = strlen(text);
    int rv = join(at, sizeof(at), path);

    if (rv == 0) {
        rv = make_directories(at, false);
    }
    if (rv != 0) {
        return rv;
    }
    fd = open(at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0) {
        return -errno;
    }
    return write(fd, text, size) == (ssize_t)size ? 0 : -EIO;
}

/* Part of an earlier tree. */
static bool is_there(const char *at, const struct stat *source)
{
    struct stat st;

    return stat(at, &st) == 0 && st.st_dev == source->st_dev
           && st.st_ino == source->st_ino;
}

/* Binds `source` where `path` is to be. An alias in the source (a symlink) is
 * resolved: what is bound is the real tree, under the name by which the
 * interpreter asks for it. */
static int bind_at(const char *source, const char *path, uint64_t flags)
{
    char at[PATH_MAX];
    struct stat st;
    int rv = join(at, sizeof(at), path);

    if (rv != 0) {
        return rv;
    }
    if (stat(source, &st) != 0) {
        return -errno;
    }
    if (is_there(at, &st)) {
        return 0;
    }
    if (S_ISDIR(st.st_mode)) {
        rv = make_directories(at, true);
    }
    else {
        rv = make_file(path, "");
    }
    if (rv != 0) {
        return rv;
    }
    if (mount(source, at, NULL, MS_BIND | MS_REC, NULL) != 0) {
        return -errno;
    }
    return set_flags(at, AT_RECURSIVE, flags);
}

static int bind_tree(const char *path, uint64_t flags)
{
    return bind_at(path, path, flags);
}

/* What the new root has under a name so far. */
static int open_inside(const char *path, uint64_t resolve)
{
    struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | resolve,
    };
    CLEANUP_FD int root = open(BUILD_AT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    long fd = root < 0 ? -1L
                       : syscall(SYS_openat2, root, path + 1, &how,
                                 sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

/* Where a part of the name is in what was mounted before, somebody may own it
 * and put a link there, which mount(2) would follow anywhere: then nothing is
 * mounted, and what is there already must be what was opened. 1: it is; 0: all
 * of the name is our own to make. */
static int look_inside(const char *path, int fd)
{
    CLEANUP_FD int own = open_inside(path, RESOLVE_NO_XDEV);
    CLEANUP_FD int found = own == -EXDEV ? open_inside(path, 0) : -1;
    struct stat is;
    struct stat wanted;

    if (own != -EXDEV) {
        return own >= 0 || own == -ENOENT ? 0 : own;
    }
    if (found < 0) {
        return found;
    }
    if (fstat(found, &is) != 0 || fstat(fd, &wanted) != 0) {
        return -errno;
    }
    return is.st_dev == wanted.st_dev && is.st_ino == wanted.st_ino ? 1
                                                                    : -ESTALE;
}

/* By descriptor: the path may name something else by now. */
static int bind_site(const char *path, int fd, void *unused)
{
    char source[64];
    int rv = look_inside(path, fd);

    (void)unused;
    (void)snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    return rv != 0 ? (rv < 0 ? rv : 0)
                   : bind_at(source, path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
                                               | MOUNT_ATTR_NODEV);
}

static int bind_list(const struct tree *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rv = bind_tree(list[i].path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
                                             | MOUNT_ATTR_NODEV);

        if (rv != 0 && !(rv == -ENOENT && !list[i].needed)) {
            return rv;
        }
    }
    return 0;
}

static int bind_trees(const struct jail *jail)
{
    int error = bind_list(trees, sizeof(trees) / sizeof(trees[0]));

    if (error == 0 && jail->processes) {
        error = bind_list(programs, sizeof(programs) / sizeof(programs[0]));
    }
    if (error == 0 && jail->network) {
        error = bind_list(certificates,
                          sizeof(certificates) / sizeof(certificates[0]));
    }
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        int rv = bind_tree(devices[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
                                           | MOUNT_ATTR_NOEXEC);

        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

/* A link with the target it has outside. */
static int copy_link(const char *path)
{
    char at[PATH_MAX];
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof(target) - 1);
    int rv;

    if (length < 0) {
        return errno == ENOENT || errno == EINVAL ? 0 : -errno;
    }
    target[length] = '\0';
    rv = join(at, sizeof(at), path);
    if (rv == 0) {
        rv = make_directories(at, false);
    }
    if (rv == 0 && symlink(target, at) != 0) {
        rv = -errno;
    }
    return rv;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* fails for a bad stream only */
    }
}

static bool is_library(const char *path)
{
    const char *name = strrchr(path, '/') + 1;

    return strncmp(name, "lib", 3) == 0 && strstr(name, ".so.") != NULL;
}

static bool is_program(const char *path)
{
    char target[PATH_MAX];

    return readlink(path, target, sizeof(target)) > (ssize_t)strlen("/usr/bin/")
           && strncmp(target, "/usr/bin/", strlen("/usr/bin/")) == 0;
}

/* Debian finds libblas.so.3 through /etc/alternatives: without its links
 * numpy does not load. Only those of shared libraries are copied, and those of
 * programs (awk, say) where there are any. */
static int copy_alternatives(bool with_programs)
{
    static const char where[] = "/etc/alternatives";
    CLEANUP(close_dir) DIR *dir = opendir(where);
    const struct dirent *entry;
    int copied = 0;
    int rv = 0;

    if (dir == NULL) {
        return errno == ENOENT ? 0 : -errno;
    }
    while (rv == 0 && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", where, entry->d_name);
        if (!is_library(path) && !(with_programs && is_program(path))) {
            continue;
        }
        if (++copied > MAX_ALTERNATIVES) {
            return -E2BIG;
        }
        rv = copy_link(path);
    }
    return rv;
}

/* "#!/bin/sh", and the name of the loader that is written into programs. */
static int link_programs(void)
{
    const char *loader = jail_loader();
    char real[PATH_MAX];
    char at[PATH_MAX];
    int rv = copy_link("/bin");

    if (rv != 0 || loader == NULL) {
        return rv;
    }
    if (realpath(loader, real) == NULL) {
        return -errno;
    }
    rv = join(at, sizeof(at), loader);
    if (rv == 0) {
        rv = make_directories(at, false);
    }
    return rv != 0 || symlink(real, at) == 0 || errno == EEXIST ? rv : -errno;
}

static int fill_etc(const struct jail *jail)
{
    int rv = copy_alternatives(jail->processes);

    if (rv == 0) {
        rv = copy_link("/etc/localtime");
    }
    for (size_t i = 0; rv == 0 && i < sizeof(stubs) / sizeof(stubs[0]); i++) {
        rv = make_file(stubs[i].path, stubs[i].text);
    }
    /* The loader's default directories, where /usr is merged. */
    if (rv == 0 && symlink("usr/lib", BUILD_AT "/lib") != 0) {
        rv = -errno;
    }
    return rv == 0 && jail->processes ? link_programs() : rv;
}

static int make_tmpfs(void)
{
    /* Nothing done here may reach the other mount namespaces. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
        || mount("sandbox", BUILD_AT, "tmpfs", MS_NOSUID | MS_NODEV,
                 ROOT_OPTIONS) != 0) {
        return -errno;
    }
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        char at[PATH_MAX];
        int rv = join(at, sizeof(at), directories[i]);

        if (rv == 0) {
            rv = make_directories(at, true);
        }
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

/* pivot_root(2): "." twice stacks the old root on the new one, so that no
 * directory for it is needed. */
static int change_root(void)
{
    if (chdir(BUILD_AT) != 0 || syscall(SYS_pivot_root, ".", ".") != 0
        || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
        return -errno;
    }
    return 0;
}

int jail_mounts_enter(const struct jail *jail, const char **ret_step)
{
    mode_t mask = umask(022);
    int rv;

    *ret_step = "make the root file system (does AppArmor or a"
                " container forbid mounting?)";
    rv = make_tmpfs();
    if (rv == 0) {
        *ret_step = "bind the interpreter's trees and devices";
        rv = bind_trees(jail);
    }
    if (rv == 0) {
        rv = jail_site_each(jail->site, bind_site, NULL, ret_step);
    }
    if (rv == 0) {
        rv = jail_site_each(jail->environment, bind_site, NULL, ret_step);
    }
    if (rv == 0) {
        *ret_step = "fill /etc";
        rv = fill_etc(jail);
    }
    if (rv == 0) {
        *ret_step = "make room for packages (PyExecInstall)";
        rv = jail_install_mount(jail, BUILD_AT);
    }
    if (rv == 0) {
        *ret_step = "change the root";
        rv = change_root();
    }
    if (rv == 0) {
        *ret_step = "make the root read-only";
        rv = set_flags("/", 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
                                   | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    }
    if (rv == 0) {
        *ret_step = "go to " JAIL_HOME;
        rv = chdir(JAIL_HOME) == 0 ? 0 : -errno;
    }
    (void)umask(mask); /* cannot fail */
    return rv;
}
