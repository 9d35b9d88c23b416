/* SPDX-License-Identifier: Apache-2.0
 *
 * Mounts what installing jobs write to. Runs in the zygote while it builds its
 * root.
 */
#include "jail_install.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* One for so many bytes: packages of many small files have 5 KiB and more a
 * file. Each costs the kernel about 1 KiB that no size limits. */
#define BYTES_AN_INODE 4096
/* A package or two, and what pip keeps for itself, however small the limit. */
#define LEAST_INODES 4096

static int mount_one(const struct jail *jail, const char *root,
                     const char *where)
{
    uint64_t inodes = jail->install_bytes / BYTES_AN_INODE;
    char at[PATH_MAX];
    char options[96];
    /* What is built may load parts of itself; that nothing of it is executed
     * is Landlock's matter. */
    unsigned long flags = MS_NOSUID | MS_NODEV
                          | (jail->sources ? 0 : MS_NOEXEC);

    (void)snprintf(at, sizeof(at), "%s%s", root, where);
    (void)snprintf(options, sizeof(options),
                   "mode=0755,size=%llu,nr_inodes=%llu",
                   (unsigned long long)jail->install_bytes,
                   (unsigned long long)(inodes < LEAST_INODES ? LEAST_INODES
                                                              : inodes));
    if ((mkdir(at, 0755) != 0 && errno != EEXIST)
        || mount("install", at, "tmpfs", flags, options) != 0) {
        return -errno;
    }
    return 0;
}

int jail_install_mount(const struct jail *jail, const char *root)
{
    int rv = 0;

    if (jail->install_bytes > 0) {
        rv = mount_one(jail, root, JAIL_INSTALL_PREFIX);
    }
    if (rv == 0 && jail->install_bytes > 0) {
        rv = mount_one(jail, root, JAIL_INSTALL_TEMPORARY);
    }
    return rv;
}
