/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds and applies the Landlock ruleset. Every right that the running
 * kernel knows is handled, that is, denied unless granted; granted are
 * reading files and directories below the library trees and the devices, and
 * EXECUTE (dlopen does not need it, execve does) only to jobs that may start
 * programs, only for those and the loader; and connecting to one port, to those
 * that have a network. landlock(7) says
 * which ABI knows which right; the tables follow it. The constants are our
 * own because the build machine's headers may be older than its kernel.
 */
#include "job_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "jail_install.h"
#include "jail_programs.h"
#include "jail_site.h"
#include "wire.h"

/* The numbers are the same on every architecture. */
#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE 445
#define CALL_RESTRICT_SELF 446

#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_DIR (1ull << 4)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_DIR (1ull << 7)
#define FS_MAKE_REG (1ull << 8)
#define FS_MAKE_SYM (1ull << 12)
#define FS_REFER (1ull << 13)
#define FS_TRUNCATE (1ull << 14)
#define NET_CONNECT_TCP (1ull << 1)

struct ruleset_attr
{
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct path_beneath
{
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct net_port
{
    uint64_t allowed_access;
    uint64_t port; /* in the machine's own byte order */
};

/* What each ABI can handle, and how much of ruleset_attr it reads. */
static const struct
{
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
    size_t size;
} abis[] = {
    { (1ull << 13) - 1, 0, 0, 8 },   /* 1: execute … make_sym */
    { (1ull << 14) - 1, 0, 0, 8 },   /* 2: refer */
    { (1ull << 15) - 1, 0, 0, 8 },   /* 3: truncate */
    { (1ull << 15) - 1, 3, 0, 16 },  /* 4: bind and connect TCP */
    { (1ull << 16) - 1, 3, 0, 16 },  /* 5: ioctl on devices */
    { (1ull << 16) - 1, 3, 3, 24 },  /* 6: abstract sockets, signals */
};

#define READ (FS_READ_FILE | FS_READ_DIR)
/* Files and directories, nothing else that a file system has. */
#define CHANGE \
    (READ | FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG | FS_MAKE_DIR \
     | FS_REMOVE_FILE | FS_REMOVE_DIR)

/* What a job may read, from which level on. A path that is not there grants
 * nothing. In the private root there is little else: "/" grants listing, of the
 * root itself and of the empty directories in it. */
static const struct
{
    const char *path;
    uint64_t access;
    enum jail_level level;
} grants[] = {
    { "/", FS_READ_DIR, JAIL_FULL },
    { "/usr", READ, JAIL_FULL },
    { "/opt", READ, JAIL_FULL },
    { "/etc", READ, JAIL_FULL },
#define TREE(where, needs) { where, READ, JAIL_RESTRICTED },
    JAIL_TREES(TREE)
#undef TREE
    { "/etc/localtime", FS_READ_FILE, JAIL_RESTRICTED },
};

/* What a job that may start programs gets on top. The kernel opens the loader
 * itself, and asks for the same right. */
static const char *const programs[] = {
#define TREE(where, needs) where,
    JAIL_PROGRAM_TREES(TREE)
#undef TREE
};

/* At every level. /dev/full is left out for the self-test. */
static const char *const devices[] = {
    "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
};

static int grant_file(int ruleset, int fd, uint64_t access)
{
    struct path_beneath rule = { .allowed_access = access, .parent_fd = fd };
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return -errno;
    }
    if (!S_ISDIR(st.st_mode)) {
        rule.allowed_access &= ~FS_READ_DIR; /* the kernel refuses it */
    }
    if (syscall(CALL_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0) {
        return -errno;
    }
    return 0;
}

static int grant(int ruleset, const char *path, uint64_t access)
{
    CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    return grant_file(ruleset, fd, access);
}

static int grant_site(const char *path, int fd, void *ruleset)
{
    (void)path; /* what it names may be something else by now */
    return grant_file(*(int *)ruleset, fd, READ);
}

static int add_programs(int ruleset)
{
    const char *loader = jail_loader();
    int rv = loader == NULL ? 0
                            : grant(ruleset, loader, FS_EXECUTE | FS_READ_FILE);

    for (size_t i = 0; rv == 0 && i < sizeof(programs) / sizeof(programs[0]);
         i++) {
        rv = grant(ruleset, programs[i], FS_EXECUTE | READ);
    }
    /* The only thing anywhere that is opened for writing. */
    return rv != 0 ? rv : grant(ruleset, "/dev/null", FS_WRITE_FILE);
}

/* Whatever ABI there is: the kernel refuses rights that are not handled. */
static int add_install(int ruleset, uint64_t handled_fs)
{
    uint64_t access = (CHANGE | FS_REFER) & handled_fs;
    int rv = grant(ruleset, JAIL_INSTALL_PREFIX, access);

    return rv != 0 ? rv : grant(ruleset, JAIL_INSTALL_TEMPORARY, access);
}

static int add_grants(int ruleset, const struct jail *jail,
                      uint64_t handled_fs, const char **ret_step)
{
    int rv = jail->processes ? add_programs(ruleset) : 0;

    if (rv == 0 && jail->install_bytes > 0) {
        rv = add_install(ruleset, handled_fs);
    }
    if (rv == 0) {
        rv = jail_site_each(jail->site, grant_site, &ruleset, ret_step);
    }
    if (rv == 0) {
        rv = jail_site_each(jail->environment, grant_site, &ruleset, ret_step);
    }

    for (size_t i = 0; rv == 0 && i < sizeof(grants) / sizeof(grants[0]);
         i++) {
        if (grants[i].level <= jail->level) {
            rv = grant(ruleset, grants[i].path, grants[i].access);
        }
    }
    for (size_t i = 0; rv == 0 && i < sizeof(devices) / sizeof(devices[0]);
         i++) {
        rv = grant(ruleset, devices[i], FS_READ_FILE);
    }
    return rv;
}

/* Of addresses Landlock knows nothing: that only the listener is there is the
 * network namespace's matter. On an older kernel (before ABI 4), which has no
 * rules for ports, a job may try the others: see jail_net.c. */
static int add_network(int ruleset, uint64_t handled_net)
{
    static const struct net_port rule = { .allowed_access = NET_CONNECT_TCP,
                                          .port = PXW_PROXY_PORT };

    return handled_net == 0
                   || syscall(CALL_ADD_RULE, ruleset, RULE_NET_PORT, &rule, 0)
                          == 0
               ? 0
               : -errno;
}

/* The kernel's ABI, as far as the table goes; below 1: it has no Landlock. */
static long known_abi(void)
{
    const long known = (long)(sizeof(abis) / sizeof(abis[0]));
    long abi = syscall(CALL_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);

    return abi > known ? known : abi;
}

bool job_landlock_knows_ports(void)
{
    long abi = known_abi();

    return abi >= 1 && abis[abi - 1].net != 0;
}

/* One that grants nothing yet: a descriptor, with what it handles, or a
 * negative errno. */
static int create_ruleset(struct ruleset_attr *ret_attr)
{
    long abi = known_abi();
    int ruleset;

    if (abi < 1) {
        return abi < 0 ? -errno : -ENOSYS;
    }
    *ret_attr = (struct ruleset_attr){
        .handled_access_fs = abis[abi - 1].fs,
        .handled_access_net = abis[abi - 1].net,
        .scoped = abis[abi - 1].scoped,
    };
    ruleset = (int)syscall(CALL_CREATE_RULESET, ret_attr, abis[abi - 1].size,
                           0);
    return ruleset < 0 ? -errno : ruleset;
}

int job_landlock_build_commit(int directory)
{
    struct ruleset_attr attr;
    CLEANUP_FD int ruleset = create_ruleset(&attr);
    int rv;

    if (ruleset < 0) {
        return ruleset;
    }
    rv = grant(ruleset, JAIL_INSTALL_PREFIX, READ);
    if (rv == 0) {
        rv = grant_file(ruleset, directory,
                        (CHANGE | FS_MAKE_SYM) & attr.handled_access_fs);
    }
    return rv != 0 ? rv : steal_fd(&ruleset);
}

int job_landlock_build(const struct jail *jail, const char **ret_step)
{
    struct ruleset_attr attr;
    CLEANUP_FD int ruleset = -1;
    int rv;

    *ret_step = "build the Landlock ruleset (does the kernel have it, is"
                " landlock in its lsm= list?)";
    ruleset = create_ruleset(&attr);
    if (ruleset < 0) {
        return ruleset;
    }
    rv = add_grants(ruleset, jail, attr.handled_access_fs, ret_step);
    if (rv == 0 && jail->network) {
        rv = add_network(ruleset, attr.handled_access_net);
    }
    if (rv != 0) {
        return rv;
    }
    return steal_fd(&ruleset);
}

int job_landlock_restrict(int ruleset_fd)
{
    if (syscall(CALL_RESTRICT_SELF, ruleset_fd, 0) != 0) {
        return -errno;
    }
    return 0;
}
