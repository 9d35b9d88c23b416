/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a program on a kernel that seems to lack something:
 *
 *     hide FEATURE... -- PROGRAM [ARGUMENT...]
 *
 * A system call filter, which all descendants inherit, answers as a kernel or
 * a container without the feature does. The program is executed in place, with
 * the descriptors and the environment it was given. FEATURE is one of the
 * table below, or landlock-abi=N: there the answer must be computed, which a
 * second process does until the last that is under the filter has ended. The
 * kernel allows one such listener: landlock-abi does not nest.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdio.h"

/* Not in the headers of every distribution. */
#define CLONE_PIDFD_BIT 0x1000u
#define LANDLOCK_VERSION 1u

/* The kinds of namespaces, which clone(2) and unshare(2) are asked for. */
#define EACH_NAMESPACE(X) \
    X(CLONE_NEWUSER) X(CLONE_NEWNS) X(CLONE_NEWPID) X(CLONE_NEWNET) \
    X(CLONE_NEWIPC) X(CLONE_NEWUTS) X(CLONE_NEWCGROUP)

#define ALWAYS { .arg = 0, .op = SCMP_CMP_MASKED_EQ }
#define HAS(number, bits) \
    { .arg = (number), .op = SCMP_CMP_MASKED_EQ, .datum_a = (bits), \
      .datum_b = (bits) }
#define IS(number, value) \
    { .arg = (number), .op = SCMP_CMP_EQ, .datum_a = (value) }

#define CONTAINER(call) { "container", SCMP_SYS(call), EPERM, ALWAYS },
#define CONTAINER_CLONE(kind) \
    { "container", SCMP_SYS(clone), EPERM, HAS(0, kind) },

/* What is answered to which call. The error 0 claims that it was done. */
static const struct
{
    const char *feature;
    int call;
    int error;
    struct scmp_arg_cmp when;
} rules[] = {
    /* as a container's default profile: clone3's flags cannot be filtered */
    { "userns", SCMP_SYS(unshare), EPERM, HAS(0, CLONE_NEWUSER) },
    { "userns", SCMP_SYS(clone), EPERM, HAS(0, CLONE_NEWUSER) },
    { "userns", SCMP_SYS(clone3), ENOSYS, ALWAYS },
    /* Docker's default profile, for a container without capabilities; of what
     * it refuses, all that is about other processes or a way into the kernel */
    EACH_NAMESPACE(CONTAINER_CLONE)
    { "container", SCMP_SYS(clone3), ENOSYS, ALWAYS },
    CONTAINER(unshare) CONTAINER(setns) CONTAINER(mount) CONTAINER(umount2)
    CONTAINER(pivot_root) CONTAINER(chroot) CONTAINER(mount_setattr)
    CONTAINER(move_mount) CONTAINER(open_tree) CONTAINER(fsopen)
    CONTAINER(sethostname) CONTAINER(setdomainname) CONTAINER(pidfd_getfd)
    CONTAINER(kcmp) CONTAINER(process_madvise) CONTAINER(keyctl)
    CONTAINER(add_key) CONTAINER(request_key) CONTAINER(bpf)
    CONTAINER(perf_event_open) CONTAINER(userfaultfd)
    CONTAINER(io_uring_setup) CONTAINER(open_by_handle_at)
    CONTAINER(set_mempolicy) CONTAINER(mbind) CONTAINER(syslog)
    /* podman's default profile gives namespaces and mounts, but no name */
    { "hostname", SCMP_SYS(sethostname), EPERM, ALWAYS },
    { "hostname", SCMP_SYS(setdomainname), EPERM, ALWAYS },
    /* user.max_user_namespaces is 0 */
    { "userns-limit", SCMP_SYS(unshare), ENOSPC, HAS(0, CLONE_NEWUSER) },
    /* AppArmor gives the namespace and no rights in it */
    { "mount", SCMP_SYS(mount), EACCES, ALWAYS },
    { "netns", SCMP_SYS(unshare), ENOSPC, HAS(0, CLONE_NEWNET) },
    /* RestrictAddressFamilies=AF_UNIX of systemd */
    { "inet", SCMP_SYS(socket), EAFNOSUPPORT, IS(0, AF_INET) },
    { "inet", SCMP_SYS(socket), EAFNOSUPPORT, IS(0, AF_INET6) },
    { "pidns", SCMP_SYS(clone), ENOSPC, HAS(0, CLONE_NEWPID) },
    { "pidns", SCMP_SYS(unshare), ENOSPC, HAS(0, CLONE_NEWPID) },
    { "landlock", SCMP_SYS(landlock_create_ruleset), ENOSYS, ALWAYS },
    /* compiled in, and not in the list lsm= */
    { "landlock-boot", SCMP_SYS(landlock_create_ruleset), EOPNOTSUPP, ALWAYS },
    { "landlock-void", SCMP_SYS(landlock_restrict_self), 0, ALWAYS },
    { "seccomp", SCMP_SYS(seccomp), ENOSYS, ALWAYS },
    { "seccomp", SCMP_SYS(prctl), EINVAL, IS(0, PR_SET_SECCOMP) },
    /* with a flag it is libseccomp's question what there is */
    { "seccomp-void", SCMP_SYS(seccomp), 0, IS(1, 0) },
    { "pidfd", SCMP_SYS(pidfd_open), ENOSYS, ALWAYS },
    { "pidfd", SCMP_SYS(pidfd_send_signal), ENOSYS, ALWAYS },
    { "pidfd", SCMP_SYS(pidfd_getfd), ENOSYS, ALWAYS },
    { "pidfd", SCMP_SYS(clone), EINVAL, HAS(0, CLONE_PIDFD_BIT) },
    { "pidfd-signal", SCMP_SYS(pidfd_send_signal), EPERM, ALWAYS },
    { "clone3", SCMP_SYS(clone3), ENOSYS, ALWAYS },
};

/* landlock(7): what each ABI can handle, and its size of the attributes. */
struct attributes
{
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};
static const struct
{
    struct attributes known;
    size_t size;
} abis[] = {
    { { (1u << 13) - 1, 0, 0 }, 8 },  { { (1u << 14) - 1, 0, 0 }, 8 },
    { { (1u << 15) - 1, 0, 0 }, 8 },  { { (1u << 15) - 1, 3, 0 }, 16 },
    { { (1u << 16) - 1, 3, 0 }, 16 }, { { (1u << 16) - 1, 3, 3 }, 24 },
};
#define ABIS ((long)(sizeof(abis) / sizeof(abis[0])))

/* 0: it is not hidden. */
static long landlock_abi;

static void __attribute__((noreturn)) die(const char *what, int error)
{
    (void)fprintf(stderr, "hide: %s: %s\n", what, strerror(error));
    exit(126);
}

static void add_or_die(scmp_filter_ctx context, uint32_t action, int call,
                       struct scmp_arg_cmp when)
{
    int rv = seccomp_rule_add(context, action, call, 1, when);

    /* Two features may hide the same call. */
    if (rv != 0 && rv != -EEXIST) {
        die("seccomp_rule_add", -rv);
    }
}

static void hide_abi_or_die(scmp_filter_ctx context)
{
    struct scmp_arg_cmp always = ALWAYS;
    struct scmp_arg_cmp any_flag = { .arg = 1, .op = SCMP_CMP_NE };

    add_or_die(context, SCMP_ACT_NOTIFY, SCMP_SYS(landlock_create_ruleset),
               always);
    /* Rules of other kinds fit no ruleset that was accepted. */
    add_or_die(context, SCMP_ACT_ERRNO(EINVAL),
               SCMP_SYS(landlock_restrict_self), any_flag);
}

static void hide_or_die(scmp_filter_ctx context, const char *feature)
{
    const char *number = "landlock-abi=";
    bool found = false;

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strcmp(rules[i].feature, feature) == 0) {
            found = true;
            add_or_die(context, SCMP_ACT_ERRNO((uint32_t)rules[i].error),
                       rules[i].call, rules[i].when);
        }
    }
    if (strncmp(feature, number, strlen(number)) == 0 && landlock_abi == 0) {
        char *end;

        landlock_abi = strtol(feature + strlen(number), &end, 10);
        found = *end == '\0' && landlock_abi >= 1 && landlock_abi <= ABIS;
        if (found) {
            hide_abi_or_die(context);
        }
    }
    if (!found) {
        (void)fprintf(stderr, "hide: there is no \"%s\" to hide\n", feature);
        exit(2);
    }
}

/* What a kernel of that ABI says to attributes of this content: 0, or an errno
 * below 0. */
static int judge(const struct attributes *asked)
{
    const struct attributes *known = &abis[landlock_abi - 1].known;
    size_t size = abis[landlock_abi - 1].size;

    if ((size < 16 && asked->net != 0) || (size < 24 && asked->scoped != 0)) {
        return -E2BIG; /* fields that it does not know must be 0 */
    }
    return (asked->fs & ~known->fs) != 0 || (asked->net & ~known->net) != 0
                   || (asked->scoped & ~known->scoped) != 0
               ? -EINVAL
               : 0;
}

static int judge_call(int listener, const struct seccomp_notif *call)
{
    struct attributes asked = { 0 };
    size_t size = call->data.args[1];
    struct iovec ours = { .iov_base = &asked, .iov_len = sizeof(asked) };
    struct iovec theirs = { .iov_base = (void *)call->data.args[0] };
    ssize_t got;

    if (size > sizeof(asked)) {
        return -E2BIG; /* newer than anything that is known here */
    }
    theirs.iov_len = ours.iov_len = size;
    got = process_vm_readv((pid_t)call->pid, &ours, 1, &theirs, 1, 0);
    if (got < 0 && errno == EPERM) {
        /* Who is not root may not look into a process that has closed itself
         * to others, as ours do: its size alone must fit. */
        return size > abis[landlock_abi - 1].size ? -E2BIG : 0;
    }
    if (got != (ssize_t)size
        || seccomp_notify_id_valid(listener, call->id) != 0) {
        return -EFAULT;
    }
    return judge(&asked);
}

static void answer(int listener, const struct seccomp_notif *call,
                   struct seccomp_notif_resp *reply)
{
    const __u64 *args = call->data.args;

    memset(reply, 0, sizeof(*reply));
    reply->id = call->id;
    if (args[0] == 0 && args[1] == 0 && args[2] == LANDLOCK_VERSION) {
        reply->val = landlock_abi;
        return;
    }
    reply->error = args[2] != 0 ? -EINVAL : judge_call(listener, call);
    if (reply->error == 0) {
        reply->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
}

/* Not a child of the program, which would wonder, and not of its session. */
static void __attribute__((noreturn)) supervise_or_die(int channel)
{
    struct seccomp_notif *call;
    struct seccomp_notif_resp *reply;
    int listener = -1;
    size_t count = 0;
    char byte;

    (void)setsid();
    if (fork() != 0) {
        _exit(0);
    }
    if (fdio_receive(channel, &byte, 1, &listener, 1, &count) != 1
        || count != 1 || dup2(listener, 0) != 0
        || close_range(1, ~0u, 0) != 0
        || seccomp_notify_alloc(&call, &reply) != 0) {
        _exit(1);
    }
    for (;;) {
        struct pollfd waited = { .fd = 0, .events = POLLIN };

        memset(call, 0, sizeof(*call)); /* the kernel insists */
        if (poll(&waited, 1, -1) < 0 || (waited.revents & POLLIN) == 0) {
            _exit(0); /* nobody is left under the filter */
        }
        if (seccomp_notify_receive(0, call) == 0) {
            answer(0, call, reply);
            /* Fails when the caller was killed meanwhile. */
            (void)seccomp_notify_respond(0, reply);
        }
    }
}

static int start_supervisor_or_die(void)
{
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        die("socketpair", errno);
    }
    pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        supervise_or_die(ends[1]);
    }
    if (pid < 0 || waitpid(pid, NULL, 0) != pid) {
        die("fork", errno);
    }
    (void)close(ends[1]);
    return ends[0];
}

int main(int argc, char **argv)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    int channel = -1;
    int at = 1;
    int rv;

    if (context == NULL
        || seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW)
               != 0) {
        die("seccomp_init", ENOMEM);
    }
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        hide_or_die(context, argv[at]);
    }
    if (at < 2 || at + 1 >= argc) {
        (void)fputs("usage: hide FEATURE... -- PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    if (landlock_abi != 0) {
        channel = start_supervisor_or_die();
    }
    rv = seccomp_load(context);
    if (rv == 0 && channel >= 0) {
        int listener = seccomp_notify_fd(context); /* close-on-exec */

        rv = fdio_send(channel, "l", 1, &listener, 1);
    }
    if (rv != 0) {
        die("seccomp_load", -rv);
    }
    (void)execv(argv[at + 1], argv + at + 1);
    die(argv[at + 1], errno);
}
