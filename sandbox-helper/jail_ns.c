/* SPDX-License-Identifier: Apache-2.0
 *
 * Enters the zygote's namespaces, unprivileged: the user namespace comes
 * first and gives the capabilities for the others, which count only inside.
 */
#include "jail_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cleanup.h"

#define NAMESPACES \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC \
     | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* One write(2): these files take their whole text at once. */
static int write_file(const char *path, const char *text)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t size = strlen(text);

    if (fd < 0) {
        return -errno;
    }
    if (write(fd, text, size) != (ssize_t)size) {
        return -errno;
    }
    return 0;
}

static int map_ids(uid_t uid, gid_t gid)
{
    char line[64];
    int rv = write_file("/proc/self/setgroups", "deny");

    if (rv == 0) {
        (void)snprintf(line, sizeof(line), "%d %u 1", JAIL_UID, uid);
        rv = write_file("/proc/self/uid_map", line);
    }
    if (rv == 0) {
        (void)snprintf(line, sizeof(line), "%d %u 1", JAIL_GID, gid);
        rv = write_file("/proc/self/gid_map", line);
    }
    return rv;
}

/* The kernel's word for a domain that was never named tells nothing. */
static bool is_named(void)
{
    struct utsname names;

    return uname(&names) == 0 && strcmp(names.nodename, JAIL_HOST_NAME) == 0
           && (strcmp(names.domainname, "") == 0
               || strcmp(names.domainname, "(none)") == 0);
}

/* A container's seccomp profile may give namespaces and refuse the names
 * (podman's does). What counts is that they say nothing of the host. */
static int set_names(void)
{
    int error = 0;

    if (sethostname(JAIL_HOST_NAME, strlen(JAIL_HOST_NAME)) != 0
        || setdomainname("", 0) != 0) {
        error = errno;
    }
    return error == EPERM && is_named() ? 0 : -error;
}

int jail_ns_enter(const char **ret_step)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int rv;

    *ret_step = "create user, mount, network, ipc, uts and cgroup namespaces"
                " (see kernel.unprivileged_userns_clone, the user.max_*"
                " limits, kernel.apparmor_restrict_unprivileged_userns, a"
                " container's seccomp profile)";
    if (unshare(NAMESPACES) != 0) {
        return -errno;
    }
    *ret_step = "map user and group id";
    rv = map_ids(uid, gid);
    if (rv != 0) {
        return rv;
    }
    *ret_step = "set host and domain name (where a container's seccomp profile"
                " forbids it: --hostname=" JAIL_HOST_NAME ")";
    return set_names();
}
