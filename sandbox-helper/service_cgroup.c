/* SPDX-License-Identifier: Apache-2.0
 *
 * The service's tree of cgroups. Runs in the supervisor, whose own leaf is
 * beside those of its keepers, for only leaves may have processes:
 *
 *     what was delegated ─┬─ supervisor
 *                         └─ keeper-NUMBER ── what keeper_cgroup.c makes of it
 *
 * Started by root it gives each group to the user that the keeper becomes, as
 * a service manager does with a service's.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_cgroup.h"

#include "cgroup_own.h"
#include "cleanup.h"
#include "fdio.h"
#include "keeper_cgroup_tree.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SUPERVISOR "supervisor"
#define KEEPER "keeper-"
#define NAME_BYTES 32
#define EMPTY_TIMEOUT_US 1000000u

static void make_name(unsigned number, char ret_name[NAME_BYTES])
{
    (void)snprintf(ret_name, NAME_BYTES, KEEPER "%u", number);
}

/* Removes the groups in a keeper's, and then it: two levels, for jobs have
 * none of their own. */
static int remove_tree(int parent, const char *name)
{
    CLEANUP_FD int directory = openat(parent, name,
                                      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int copy = directory < 0
                   ? -1 : openat(directory, ".", O_RDONLY | O_DIRECTORY
                                                     | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (listing == NULL) {
        cleanup_fd(&copy);
        return -errno;
    }
    /* Absent before Linux 5.14: then the keeper's death has ended them. */
    (void)cgroup_tree_write(directory, "cgroup.kill", "1");
    cgroup_tree_wait_empty(directory, fdio_now_us() + EMPTY_TIMEOUT_US);
    while ((entry = readdir(listing)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            /* The rest is told by the next line. */
            (void)unlinkat(directory, entry->d_name, AT_REMOVEDIR);
        }
    }
    (void)closedir(listing);
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

static void remove_left_over(int directory)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (listing == NULL) {
        cleanup_fd(&copy);
        return; /* they do no harm */
    }
    while ((entry = readdir(listing)) != NULL) {
        if (strncmp(entry->d_name, KEEPER, strlen(KEEPER)) == 0) {
            (void)remove_tree(directory, entry->d_name); /* as above */
        }
    }
    (void)closedir(listing);
}

/* Out of the way, so that what was delegated can hand its controllers on. */
static int move_aside(int directory, unsigned controllers)
{
    CLEANUP_FD int leaf = -1;
    int error;

    if (mkdirat(directory, SUPERVISOR, 0700) != 0 && errno != EEXIST) {
        return -errno;
    }
    leaf = openat(directory, SUPERVISOR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (leaf < 0) {
        return -errno;
    }
    error = cgroup_tree_write(leaf, "cgroup.procs", "0");
    if (error == 0) {
        error = cgroup_tree_write(directory, "cgroup.subtree_control",
                                  "+memory +pids");
    }
    if (error == 0 && (controllers & CGROUP_CPU) != 0) {
        /* Can be missing where a real-time policy is used. */
        (void)cgroup_tree_write(directory, "cgroup.subtree_control", "+cpu");
    }
    return error;
}

void service_cgroup_open(struct service_cgroup *cgroup, uid_t uid)
{
    CLEANUP_FD int directory = -1;
    struct cgroup_own own;
    int error;

    *cgroup = (struct service_cgroup){ .directory = -1, .uid = uid };
    cgroup_own_find(&own);
    if (own.missing != NULL) {
        log_line(LOG_LEVEL_INFO, 505, "no cgroup v2 to divide: %s",
                 own.missing);
        return;
    }
    directory = open(own.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    error = directory < 0 ? -errno : 0;
    if (error == 0) {
        remove_left_over(directory);
        error = move_aside(directory, own.controllers);
    }
    if (error != 0) {
        log_line(LOG_LEVEL_WARNING, 506, "cannot divide \"%s\": %s",
                 own.directory, strerror(-error));
        return;
    }
    cgroup->directory = steal_fd(&directory);
}

static int give_away(int group, uid_t uid)
{
    static const char *const files[] = {
        ".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads",
    };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (fchownat(group, files[i], uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW)
            != 0) {
            return -errno;
        }
    }
    return 0;
}

static int make_group(struct service_cgroup *cgroup, unsigned number,
                      int *ret_entrance)
{
    CLEANUP_FD int group = -1;
    char name[NAME_BYTES];
    int error = 0;

    make_name(number, name);
    if (mkdirat(cgroup->directory, name, 0755) != 0) {
        return -errno;
    }
    group = openat(cgroup->directory, name,
                   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0) {
        return -errno;
    }
    if (cgroup->uid != (uid_t)-1) {
        error = give_away(group, cgroup->uid);
    }
    if (error == 0) {
        *ret_entrance = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        error = *ret_entrance < 0 ? -errno : 0;
    }
    return error;
}

void service_cgroup_make(struct service_cgroup *cgroup,
                         struct service_group *ret_group, int *ret_entrance)
{
    unsigned number = cgroup->last_number + 1;
    int error;

    *ret_group = (struct service_group){ .number = 0 };
    *ret_entrance = -1;
    if (cgroup->directory < 0) {
        return;
    }
    cgroup->last_number = number;
    ret_group->number = number;
    error = make_group(cgroup, number, ret_entrance);
    if (error != 0) {
        log_line(LOG_LEVEL_WARNING, 507, "no cgroup for a keeper: %s",
                 strerror(-error));
        service_cgroup_remove(cgroup, ret_group);
    }
}

void service_cgroup_remove(const struct service_cgroup *cgroup,
                           struct service_group *group)
{
    char name[NAME_BYTES];

    if (cgroup->directory >= 0 && group->number != 0) {
        make_name(group->number, name);
        (void)remove_tree(cgroup->directory, name); /* or the next service */
    }
    group->number = 0;
}

void service_cgroup_close(struct service_cgroup *cgroup)
{
    cleanup_fd(&cgroup->directory);
}
