/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's tree of cgroups: built at the start, removed at the end. Runs
 * in the keeper, but for the child of cgroup_tree_probe(). It touches nothing
 * but directories of its own name, so that whoever else uses the delegated
 * group, another keeper above all, is left alone.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_cgroup_tree.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper_zygote_start.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER "pyexec-keeper-"
#define ZYGOTES "pyexec-zygotes-"
#define JOB "pyexec-job-"

static void make_name(const char *prefix, pid_t pid,
                      char ret_name[CGROUP_TREE_NAME_BYTES])
{
    (void)snprintf(ret_name, CGROUP_TREE_NAME_BYTES, "%s%d", prefix, (int)pid);
}

void cgroup_tree_job_name(pid_t pid, unsigned number,
                          char ret_name[CGROUP_TREE_NAME_BYTES])
{
    (void)snprintf(ret_name, CGROUP_TREE_NAME_BYTES, JOB "%d-%u", (int)pid,
                   number);
}

int cgroup_tree_write(int directory, const char *file, const char *text)
{
    /* Where the kernel can (6.16), a lower limit then does not wait until it
     * holds. */
    CLEANUP_FD int fd = openat(directory, file,
                               O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t count;

    if (fd < 0) {
        return -errno;
    }
    count = fdio_write(fd, text, strlen(text));
    return count == (ssize_t)strlen(text) ? 0 : count < 0 ? (int)count : -EIO;
}

void cgroup_tree_wait_empty(int directory, uint64_t end_us)
{
    CLEANUP_FD int fd = openat(directory, "cgroup.events",
                               O_RDONLY | O_CLOEXEC);
    struct pollfd changed = { .fd = fd, .events = POLLPRI };
    char text[256];
    ssize_t size;

    while (fd >= 0 && (size = pread(fd, text, sizeof(text) - 1, 0)) > 0) {
        unsigned long long populated = 0;
        uint64_t now_us = fdio_now_us();

        text[size] = '\0';
        if (cgroup_own_value(text, "populated", &populated) != 0
            || populated == 0 || now_us >= end_us) {
            return;
        }
        (void)poll(&changed, 1, (int)((end_us - now_us + 999) / 1000));
    }
}

/* The number behind `prefix`; 0: another name. */
static long pid_in(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);
    long pid = strncmp(name, prefix, size) == 0
                   ? strtol(name + size, NULL, 10)
                   : 0;

    return pid > 0 ? pid : 0;
}

/* What is not empty is killed, and stays for the next keeper to remove. */
static void remove_group(int parent, const char *name)
{
    CLEANUP_FD int directory = -1;

    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno != EBUSY) {
        return;
    }
    directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) {
        (void)cgroup_tree_write(directory, "cgroup.kill", "1");
    }
}

/* True: that keeper is dead, its leaf was empty or is gone. */
static bool is_dead(int parent, long pid)
{
    char name[CGROUP_TREE_NAME_BYTES];

    make_name(KEEPER, (pid_t)pid, name);
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static void remove_leftovers(int parent)
{
    int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (directory == NULL) {
        cleanup_fd(&copy);
        return; /* they do no harm */
    }
    while ((entry = readdir(directory)) != NULL) {
        long pid = pid_in(entry->d_name, JOB);

        pid = pid == 0 ? pid_in(entry->d_name, ZYGOTES) : pid;
        if (pid != 0 && is_dead(parent, pid)) {
            remove_group(parent, entry->d_name);
        }
        pid = pid_in(entry->d_name, KEEPER);
        if (pid != 0) {
            (void)is_dead(parent, pid); /* removed if so */
        }
    }
    (void)closedir(directory);
}

/* 0 and its descriptor; it may be there already, from a dead keeper. */
static int make_group(int parent, const char *name, int *ret_directory)
{
    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST) {
        return -errno;
    }
    *ret_directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_directory < 0 ? -errno : 0;
}

/* The processor's share can be missing where a real-time policy is used. */
static int hand_on(int directory, unsigned available, unsigned *ret_used)
{
    int error = cgroup_tree_write(directory, "cgroup.subtree_control",
                                  "+memory +pids");

    if (error != 0) {
        return error;
    }
    *ret_used = CGROUP_NEEDED;
    if ((available & CGROUP_CPU) != 0
        && cgroup_tree_write(directory, "cgroup.subtree_control", "+cpu")
               == 0) {
        *ret_used |= CGROUP_CPU;
    }
    return 0;
}

static void undo(int directory, const char *keeper)
{
    /* If not even that is possible, it stays in its leaf, without harm. */
    if (cgroup_tree_write(directory, "cgroup.procs", "0") == 0) {
        (void)unlinkat(directory, keeper, AT_REMOVEDIR);
    }
}

int cgroup_tree_divide(const struct cgroup_own *own,
                       struct keeper_cgroup *cgroup)
{
    char name[CGROUP_TREE_NAME_BYTES];
    CLEANUP_FD int directory = open(own->directory,
                                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int leaf = -1;
    int error;

    if (directory < 0) {
        return -errno;
    }
    remove_leftovers(directory);
    make_name(KEEPER, cgroup->pid, name);
    error = make_group(directory, name, &leaf);
    if (error == 0) {
        error = cgroup_tree_write(leaf, "cgroup.procs", "0");
    }
    if (error == 0) {
        error = hand_on(directory, own->controllers, &cgroup->controllers);
    }
    if (error == 0) {
        char zygotes[CGROUP_TREE_NAME_BYTES];

        make_name(ZYGOTES, cgroup->pid, zygotes);
        error = make_group(directory, zygotes, &cgroup->zygotes);
    }
    if (error != 0) {
        undo(directory, name);
        return error;
    }
    cgroup->directory = steal_fd(&directory);
    return 0;
}

/* Whoever else has divided this group needs its controllers. */
static bool is_alone(const struct keeper_cgroup *cgroup)
{
    int copy = openat(cgroup->directory, ".",
                      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    bool alone = true;

    if (directory == NULL) {
        cleanup_fd(&copy);
        return false;
    }
    while ((entry = readdir(directory)) != NULL) {
        long pid = pid_in(entry->d_name, KEEPER);

        alone = alone && (pid == 0 || pid == (long)cgroup->pid);
    }
    (void)closedir(directory);
    return alone;
}

void cgroup_tree_leave(struct keeper_cgroup *cgroup, uint64_t end_us)
{
    char name[CGROUP_TREE_NAME_BYTES];

    cgroup_tree_wait_empty(cgroup->zygotes, end_us);
    make_name(ZYGOTES, cgroup->pid, name);
    remove_group(cgroup->directory, name);
    if (is_alone(cgroup)) {
        (void)cgroup_tree_write(cgroup->directory, "cgroup.subtree_control",
                                (cgroup->controllers & CGROUP_CPU) != 0
                                    ? "-memory -pids -cpu"
                                    : "-memory -pids");
        make_name(KEEPER, cgroup->pid, name);
        undo(cgroup->directory, name);
    }
}

int cgroup_tree_probe(int zygotes, const struct keeper_cgroup_leaf *leaf)
{
    CLEANUP_FD int entrance = keeper_cgroup_entrance(leaf);
    int status;
    pid_t pid;
    pid_t ended;

    if (entrance < 0) {
        return entrance;
    }
    pid = keeper_zygote_fork_into(zygotes);
    if (pid == 0) {
        /* Where it is refused, zygotes do without, too. */
        (void)unshare(CLONE_NEWUSER | CLONE_NEWCGROUP);
        _exit(write(entrance, "0", 1) == 1 ? 0 : errno & 0xff);
    }
    if (pid < 0) {
        return (int)pid;
    }
    do {
        ended = waitpid(pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    if (ended != pid || !WIFEXITED(status)) {
        return -EIO;
    }
    return -WEXITSTATUS(status);
}
