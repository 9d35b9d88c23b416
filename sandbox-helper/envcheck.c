/* SPDX-License-Identifier: Apache-2.0
 *
 * The report of --check. Runs instead of the keeper, as the same user and with
 * the same rights; every probe that changes its process runs in a child, so
 * that nothing sticks. The probes explain, they decide nothing: the verdict is
 * what a real zygote, which tests itself, says in the end.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "envcheck.h"

#include "cgroup_own.h"
#include "cleanup.h"
#include "envcheck_zygote.h"
#include "fdio.h"
#include "helper_pythons.h"
#include "jail_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/* The same on every architecture. */
#define CALL_LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_VERSION 1u
/* The newest ABI that our rulesets make use of. */
#define LANDLOCK_BEST 6
/* What the keeper needs for itself, and for one run with its standby job. */
#define FDS_LEAST 192
#define FDS_PER_RUN 31

/* A probe's child: 0, or an errno above 0 that becomes its exit status. */
typedef int probe_function(void);

enum verdict
{
    VERDICT_YES,
    VERDICT_NO,      /* a level depends on it */
    VERDICT_WITHOUT, /* works without it, not as well */
};

static void tell(const char *feature, enum verdict verdict,
                 const char *detail)
{
    static const char *const words[] = {
        [VERDICT_YES] = "yes",
        [VERDICT_NO] = "NO",
        [VERDICT_WITHOUT] = "no",
    };

    (void)printf("%-22s %-4s %s\n", feature, words[verdict], detail);
}

/* 0 or the probe's errno; EIO when the child ended in another way. */
static int run_probe(probe_function *probe)
{
    int status;
    pid_t pid;
    pid_t ended;

    (void)fflush(stdout); /* or the child has a copy of what waits in it */
    pid = fork();
    if (pid == 0) {
        /* The keeper is not; /proc/self would be closed to us. */
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        _exit(probe() & 0xff);
    }
    if (pid < 0) {
        return errno;
    }
    do {
        ended = waitpid(pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    return ended == pid && WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static int write_file(const char *path, const char *text)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        return errno;
    }
    return 0;
}

/* The first line of a file; false: it is not there. */
static bool read_line(const char *path, char *ret_text, size_t capacity)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : fdio_read(fd, ret_text, capacity - 1);

    if (size < 0) {
        return false;
    }
    ret_text[size] = '\0';
    ret_text[strcspn(ret_text, "\n")] = '\0';
    return true;
}

static int enter_user_namespace(int others)
{
    char line[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int error;

    if (unshare(CLONE_NEWUSER | others) != 0) {
        return errno;
    }
    error = write_file("/proc/self/setgroups", "deny");
    if (error == 0) {
        (void)snprintf(line, sizeof(line), "1000 %u 1", uid);
        error = write_file("/proc/self/uid_map", line);
    }
    if (error == 0) {
        (void)snprintf(line, sizeof(line), "1000 %u 1", gid);
        error = write_file("/proc/self/gid_map", line);
    }
    return error;
}

static int probe_user(void)
{
    return enter_user_namespace(0);
}

static int probe_mount(void)
{
    int error = enter_user_namespace(CLONE_NEWNS);

    if (error == 0
        && (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
            || mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, NULL)
                   != 0)) {
        error = errno;
    }
    return error;
}

static int probe_others(void)
{
    struct utsname names;
    int error = enter_user_namespace(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
                                     | CLONE_NEWCGROUP);

    if (error == 0 && uname(&names) == 0
        && strcmp(names.nodename, JAIL_HOST_NAME) != 0
        && sethostname(JAIL_HOST_NAME, strlen(JAIL_HOST_NAME)) != 0) {
        error = errno;
    }
    return error;
}

static int probe_pid(void)
{
    int error = enter_user_namespace(CLONE_NEWPID);
    int status;
    pid_t pid;

    if (error != 0) {
        return error;
    }
    pid = fork();
    if (pid == 0) {
        _exit(getpid() == 1 ? 0 : EPERM);
    }
    if (pid < 0) {
        return errno;
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? WEXITSTATUS(status)
               : EIO;
}

static int probe_seccomp(void)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { .len = 1, .filter = &allow };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return errno;
    }
    return 0;
}

static int probe_pidfd(void)
{
    CLEANUP_FD int fd = pidfd_open(getpid(), 0);

    return fd < 0 || pidfd_send_signal(fd, 0, NULL, 0) != 0 ? errno : 0;
}

static int probe_last_pid(void)
{
    CLEANUP_FD int fd = open("/proc/sys/kernel/ns_last_pid",
                             O_WRONLY | O_CLOEXEC);

    return fd < 0 ? errno : 0;
}

/* One switch of the kernel: its value, and whether it stands in the way. */
static void tell_switch(const char *name, const char *path, bool zero_closes)
{
    char value[64];
    char detail[256];
    bool closes;

    if (!read_line(path, value, sizeof(value))) {
        return; /* this kernel has no such switch */
    }
    closes = (strcmp(value, "0") == 0) == zero_closes;
    (void)snprintf(detail, sizeof(detail), "%s%s%s", value,
                   closes ? ": closes user namespaces; set it to " : "",
                   !closes       ? ""
                   : zero_closes ? "1 or more with sysctl"
                                 : "0 with sysctl, or give pyexec-zygote an"
                                   " AppArmor profile with `userns,`");
    (void)printf("  %s = %s\n", name, detail);
}

static bool tell_probe(const char *feature, probe_function *probe,
                       enum verdict otherwise, const char *remedy)
{
    int error = run_probe(probe);
    char detail[512] = "";

    if (error != 0) {
        (void)snprintf(detail, sizeof(detail), "%s; %s", strerror(error),
                       remedy);
    }
    tell(feature, error == 0 ? VERDICT_YES : otherwise, detail);
    return error == 0;
}

/* The other kinds, which an ordinary user only gets inside a user namespace:
 * without that, they would all fail for the same reason. */
static void tell_inner_namespaces(void)
{
    (void)tell_probe("mounting in them", probe_mount, VERDICT_NO,
                     "a security module forbids it: AppArmor needs `mount,`"
                     " and `userns,` in a profile; or"
                     " user.max_mnt_namespaces is 0");
    (void)tell_probe("net, ipc, uts, cgroup", probe_others, VERDICT_NO,
                     "user.max_net_namespaces, user.max_ipc_namespaces,"
                     " user.max_uts_namespaces and"
                     " user.max_cgroup_namespaces must be above 0; or a"
                     " seccomp profile forbids to set the host's name (then:"
                     " --hostname=" JAIL_HOST_NAME " of the container)");
    (void)tell_probe("PID namespaces", probe_pid, VERDICT_NO,
                     "user.max_pid_namespaces must be above 0");
}

static void tell_namespaces(void)
{
    bool user = tell_probe("user namespaces", probe_user, VERDICT_NO,
                           "see the switches below; in a container also its"
                           " seccomp profile");

    tell_switch("kernel.unprivileged_userns_clone",
                "/proc/sys/kernel/unprivileged_userns_clone", true);
    tell_switch("user.max_user_namespaces",
                "/proc/sys/user/max_user_namespaces", true);
    tell_switch("kernel.apparmor_restrict_unprivileged_userns",
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                false);
    if (user) {
        tell_inner_namespaces();
    }
    else {
        tell("mounting in them", VERDICT_NO, "needs user namespaces");
        tell("net, ipc, uts, cgroup", VERDICT_NO, "needs user namespaces");
        tell("PID namespaces", VERDICT_NO, "needs user namespaces");
    }
    (void)tell_probe("ns_last_pid", probe_last_pid, VERDICT_WITHOUT,
                     "a kernel with CONFIG_CHECKPOINT_RESTORE and a writable"
                     " /proc/sys make new PID namespaces for each run"
                     " unnecessary");
}

static void tell_landlock(void)
{
    long abi = syscall(CALL_LANDLOCK_CREATE_RULESET, NULL, 0,
                       LANDLOCK_VERSION);
    char detail[256];

    if (abi < 0) {
        (void)snprintf(detail, sizeof(detail), "%s; %s", strerror(errno),
                       errno == EOPNOTSUPP
                           ? "add landlock to the kernel's lsm= list"
                           : "a kernel of 5.13 or newer with"
                             " CONFIG_SECURITY_LANDLOCK, and a container"
                             " that lets the call through");
    }
    else {
        (void)snprintf(detail, sizeof(detail), "ABI %ld%s", abi,
                       abi >= LANDLOCK_BEST ? ""
                       : abi >= 4 ? ": no scoping of signals and abstract"
                                    " sockets (ABI 6)"
                                  : ": no rules for TCP (ABI 4), no scoping"
                                    " (ABI 6)");
    }
    tell("Landlock", abi < 0 ? VERDICT_NO : VERDICT_YES, detail);
}

static void tell_descriptors(void)
{
    struct rlimit limit = { 0 };
    char detail[256];

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        tell("RLIMIT_NOFILE", VERDICT_WITHOUT, strerror(errno));
        return;
    }
    if (limit.rlim_max <= FDS_LEAST + FDS_PER_RUN) {
        (void)snprintf(detail, sizeof(detail),
                       "hard limit %llu; raise it (LimitNOFILE= of the"
                       " service, or ulimit -Hn)",
                       (unsigned long long)limit.rlim_max);
        tell("RLIMIT_NOFILE", VERDICT_NO, detail);
        return;
    }
    (void)snprintf(detail, sizeof(detail),
                   "hard limit %llu: enough for about %llu runs at a time",
                   (unsigned long long)limit.rlim_max,
                   (unsigned long long)(limit.rlim_max - FDS_LEAST)
                       / FDS_PER_RUN);
    tell("RLIMIT_NOFILE", VERDICT_YES, detail);
}

static void tell_cgroup(void)
{
    struct cgroup_own own;
    char names[CGROUP_NAMES_BYTES];
    char detail[512];

    cgroup_own_find(&own);
    cgroup_own_names(own.controllers, names);
    (void)snprintf(detail, sizeof(detail), "%s%s%s",
                   own.missing != NULL ? own.missing
                                       : "delegated, controllers: ",
                   own.missing != NULL
                       ? "; resource limits hold without it" : names,
                   own.missing == NULL && (own.controllers & CGROUP_CPU) == 0
                       ? "; without cpu a run may use all processors" : "");
    tell("cgroup v2", own.missing == NULL ? VERDICT_YES : VERDICT_WITHOUT,
         detail);
}

/* A link to a program that was tried already. */
static bool is_alias(const struct helper_pythons *pythons, size_t index)
{
    struct stat status;
    struct stat other;

    if (fstat(pythons->list[index].program, &status) != 0) {
        return false;
    }
    for (size_t i = 0; i < index; i++) {
        if (fstat(pythons->list[i].program, &other) == 0
            && other.st_dev == status.st_dev
            && other.st_ino == status.st_ino) {
            return true;
        }
    }
    return false;
}

static enum envcheck_result try_python(const struct helper_python *python)
{
    if (envcheck_zygote(python, LEVEL_FULL, ENVCHECK_PLAIN) == 0) {
        /* Only told: who needs it is refused with a line in the log. */
        (void)envcheck_zygote(python, LEVEL_FULL, ENVCHECK_PROCESSES);
        (void)envcheck_zygote(python, LEVEL_FULL, ENVCHECK_NETWORK);
        return ENVCHECK_FULL;
    }
    return envcheck_zygote(python, LEVEL_RESTRICTED, ENVCHECK_PLAIN) == 0
               ? ENVCHECK_RESTRICTED
               : ENVCHECK_NOTHING;
}

enum envcheck_result envcheck_run(const struct helper_pythons *pythons)
{
    enum envcheck_result least = ENVCHECK_FULL;

    (void)printf("What user %d, group %d gets from this machine:\n",
                 (int)geteuid(), (int)getegid());
    tell_namespaces();
    tell_landlock();
    (void)tell_probe("seccomp filters", probe_seccomp, VERDICT_NO,
                     "a kernel with CONFIG_SECCOMP_FILTER is needed");
    (void)tell_probe("pidfds", probe_pidfd, VERDICT_NO,
                     "a kernel of 5.3 or newer, and a container that lets"
                     " pidfd_open and pidfd_send_signal through");
    tell_descriptors();
    tell_cgroup();
    (void)fflush(stdout);
    for (size_t i = 0; i < pythons->count; i++) {
        enum envcheck_result result =
            is_alias(pythons, i) ? least : try_python(&pythons->list[i]);

        least = result > least ? result : least;
    }
    if (least == ENVCHECK_RESTRICTED) {
        (void)printf("Pools need \"PyExecIsolation restricted\" here.\n");
    }
    if (least == ENVCHECK_NOTHING) {
        (void)printf(pythons->count > 1 ? "Not everything can be served here.\n"
                                        : "Nothing can be served here.\n");
    }
    return least;
}
