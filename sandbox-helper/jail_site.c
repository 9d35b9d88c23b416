/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks the administrator's directories. Runs in the zygote with its rights,
 * which are a user's like any other outside.
 */
#include "jail_site.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

/* For reading, although nothing reads it here: whether one may is better found
 * now than by a script. */
int jail_site_open(const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = path[0] == '/'
                  ? syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how))
                  : (errno = EINVAL, -1L);

    return fd < 0 ? -errno : (int)fd;
}

int jail_site_each(const char *list, jail_site_visit *visit, void *context,
                   const char **ret_step)
{
    static char step[PATH_MAX + 64];
    char path[PATH_MAX];
    int rv = 0;

    for (const char *at = list; rv == 0 && at != NULL && *at != '\0';) {
        size_t size = strcspn(at, "\n");
        CLEANUP_FD int fd = -1;

        if (size >= sizeof(path)) {
            *ret_step = "take a name of PyExecSitePackages";
            return -ENAMETOOLONG;
        }
        memcpy(path, at, size);
        path[size] = '\0';
        (void)snprintf(step, sizeof(step),
                       "let runs read \"%s\" (PyExecSitePackages,"
                       " PyExecEnvironment)", path);
        *ret_step = step;
        fd = jail_site_open(path);
        rv = fd < 0 ? fd : visit(path, fd, context);
        at += size + (at[size] == '\n');
    }
    return rv;
}
