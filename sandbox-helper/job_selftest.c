/* SPDX-License-Identifier: Apache-2.0
 *
 * Probes, each harmless where it succeeds. They are few: one for each layer
 * whose absence no other test of ours would show on a running server.
 */
#include "job_selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail_install.h"
#include "jail_mounts.h"
#include "python_paths.h"
#include "wire.h"

static bool cannot_open(const char *path, int flags, int error)
{
    int fd = open(path, flags, 0600);

    if (fd >= 0) {
        (void)close(fd);
        return false;
    }
    return errno == error;
}

static bool cannot_create_a_file(void)
{
    return cannot_open("/tmp/selftest", O_WRONLY | O_CREAT, EPERM);
}

/* Where the filter lets /dev/null be opened: the mounts, and Landlock alone
 * where they say nothing. */
static bool cannot_write_but_to_null(void)
{
    return (cannot_open("/tmp/selftest", O_WRONLY | O_CREAT, EROFS)
            || cannot_open("/tmp/selftest", O_WRONLY | O_CREAT, EACCES))
           && cannot_open("/tmp", O_WRONLY | O_TMPFILE, EPERM)
           && cannot_open("/dev/zero", O_WRONLY, EACCES)
           /* the mount is asked first where the file is our user's own */
           && (cannot_open(PYEXEC_PYTHON_STDLIB "/os.py", O_WRONLY, EACCES)
               || cannot_open(PYEXEC_PYTHON_STDLIB "/os.py", O_WRONLY, EROFS));
}

static bool can_write_a_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    bool wrote = fd >= 0 && write(fd, "x", 1) == 1;

    if (fd >= 0) {
        (void)close(fd);
    }
    return wrote && unlink(path) == 0;
}

/* By the mounts, or by Landlock where they say nothing; and nothing that is no
 * file or directory. */
static bool can_write_packages_only(void)
{
    return can_write_a_file(JAIL_INSTALL_PREFIX "/selftest")
           && can_write_a_file(JAIL_INSTALL_TEMPORARY "/selftest")
           && symlinkat("/", AT_FDCWD, JAIL_INSTALL_TEMPORARY "/link") != 0
           && errno == EACCES
           && cannot_open(JAIL_HOME "/selftest", O_WRONLY | O_CREAT, EROFS)
           && cannot_open(JAIL_INSTALL_TEMPORARY, O_WRONLY | O_TMPFILE, EPERM)
           && cannot_open("/dev/zero", O_WRONLY, EACCES)
           && (cannot_open(PYEXEC_PYTHON_STDLIB "/os.py", O_WRONLY, EACCES)
               || cannot_open(PYEXEC_PYTHON_STDLIB "/os.py", O_WRONLY, EROFS));
}

static bool cannot_see_proc(void)
{
    return cannot_open("/proc/self/status", O_RDONLY, ENOENT)
           || cannot_open("/proc/self/status", O_RDONLY, EACCES);
}

/* In the root on purpose, without a right in the ruleset: only Landlock keeps
 * it shut. */
static bool landlock_holds(void)
{
    return cannot_open("/dev/full", O_RDONLY, EACCES);
}

static bool can_read_the_library(void)
{
    int fd = open(PYEXEC_PYTHON_STDLIB "/os.py", O_RDONLY);

    return fd >= 0 && close(fd) == 0;
}

/* Nothing of these is ever given to scripts, not even as a directory above. */
static bool root_is_private(void)
{
    struct stat st;

    return stat("/var/log", &st) != 0 && stat("/usr/share/doc", &st) != 0
           && stat("/sys", &st) != 0;
}

static bool root_has_no_programs(void)
{
    struct stat st;

    return stat("/usr/bin", &st) != 0;
}

static bool cannot_make_a_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM
           && socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM;
}

static bool cannot_make(int domain, int type, int protocol)
{
    int fd = socket(domain, type, protocol);

    if (fd >= 0) {
        (void)close(fd);
    }
    return fd < 0 && errno == EPERM;
}

static bool cannot_make_other_sockets(void)
{
    return cannot_make(AF_UNIX, SOCK_STREAM, 0)
           && cannot_make(AF_INET6, SOCK_STREAM, 0)
           && cannot_make(AF_INET, SOCK_DGRAM, 0)
           && cannot_make(AF_INET, SOCK_RAW, IPPROTO_ICMP)
           && cannot_make(AF_INET, SOCK_STREAM, 262) /* MPTCP */
           && cannot_make(AF_NETLINK, SOCK_RAW, 0)
           && cannot_make(AF_PACKET, SOCK_RAW, 0);
}

/* 0 or an errno. */
static int connecting(uint32_t address, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(address) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int error = fd < 0 || connect(fd, (const struct sockaddr *)&to,
                                  sizeof(to)) != 0
                    ? errno
                    : 0;

    if (fd >= 0) {
        (void)close(fd);
    }
    return error;
}

static bool can_reach_the_listener(void)
{
    return connecting(INADDR_LOOPBACK, PXW_PROXY_PORT) == 0;
}

/* An address that is nobody's anywhere (RFC 5737), at the port that Landlock
 * allows: only the namespace is in the way. */
static bool cannot_reach_a_network(void)
{
    return connecting(0xc0000201, PXW_PROXY_PORT) == ENETUNREACH;
}

/* By Landlock, or because nobody listens. */
static bool cannot_reach_other_ports(void)
{
    int error = connecting(INADDR_LOOPBACK, PXW_PROXY_PORT + 1);

    return error == EACCES || error == ECONNREFUSED;
}

static bool cannot_listen(void)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool refused = fd >= 0
                   && bind(fd, (const struct sockaddr *)&any, sizeof(any)) != 0
                   && errno == EPERM && listen(fd, 1) != 0 && errno == EPERM;

    if (fd >= 0) {
        (void)close(fd);
    }
    return refused;
}

/* Bare, so that no fork handler runs where a process could come of it. */
static bool cannot_fork(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);

    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 && errno == EPERM;
}

/* Without the filter the answer would be ENOENT. */
static bool cannot_execute(void)
{
    char *const none[] = { NULL };

    return execve("/nonexistent", none, none) != 0 && errno == EPERM;
}

/* What becomes of a program in a process of its own: its exit status, or that
 * of the process when it cannot be executed (errno); -1: there was none, or it
 * was killed. */
static int execute(const char *path, const char *argument)
{
    char *const arguments[] = { (char *)path, "-c", (char *)argument, NULL };
    char *const none[] = { NULL };
    pid_t pid = vfork();
    int status;

    if (pid == 0) {
        (void)execve(path, arguments, none);
        _exit(errno);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? WEXITSTATUS(status)
               : -1;
}

/* Not a status that a failure could have. */
static bool can_execute_programs(void)
{
    return execute("/bin/sh", "exit 200") == 200
           && execute(PYEXEC_PYTHON, "raise SystemExit(201)") == 201;
}

/* An executable file where no program is to be taken from: mounted without
 * noexec, so that Landlock alone keeps it from being executed. */
static bool cannot_execute_a_library(void)
{
    return execute(PYEXEC_MULTIARCH_LIBDIR "/libc.so.6", "") == EACCES;
}

/* By descriptor, and of no file at all. */
static bool cannot_execute_without_a_path(void)
{
    char *const none[] = { NULL };

    return syscall(SYS_execveat, -1, "", none, none, AT_EMPTY_PATH) != 0
           && errno == EPERM;
}

/* The zygote would have to reap it, and its end would be nobody's. */
static bool cannot_fork_a_sibling(void)
{
    long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);

    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 && errno == EPERM;
}

/* If it could, this process would die with it. */
static bool cannot_hurt_init(void)
{
    static const int signals[] = { SIGKILL, SIGSTOP, SIGTERM, SIGSEGV };

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void)kill(1, signals[i]); /* refused, or of no effect */
        (void)syscall(SYS_tgkill, 1, 1, signals[i]);
    }
    return execute("/bin/sh", "exit 202") == 202;
}

static bool cannot_make_namespaces(void)
{
    return unshare(CLONE_NEWUSER) != 0 && errno == EPERM;
}

static bool cannot_fork_into_namespaces(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);

    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 && errno == EPERM;
}

static bool cannot_signal_others(void)
{
    return kill(1, 0) != 0 && errno == EPERM
           && syscall(SYS_tgkill, 1, 1, 0) != 0 && errno == EPERM
           && kill(getpid(), 0) == 0
           && syscall(SYS_tgkill, getpid(), getpid(), 0) == 0;
}

static bool is_not_init(void)
{
    return getpid() > 1;
}

static bool is_not_root(void)
{
    return getuid() != 0 && geteuid() != 0 && getgid() != 0 && getegid() != 0;
}

static bool has_no_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
           && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

/* Nobody may empty the set without a capability, so not at every level. */
static bool bounding_set_is_empty(void)
{
    return prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0;
}

/* A table of descriptors for each thread would multiply the limit. */
static bool cannot_unshare_descriptors(void)
{
    return syscall(SYS_close_range, 1000, 1001, CLOSE_RANGE_UNSHARE) != 0
           && errno == EPERM;
}

static bool cannot_share_memory(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1,
                        0);

    return memory == MAP_FAILED && errno == ENOMEM
           && syscall(SYS_memfd_create, "selftest", 0) < 0 && errno == EPERM;
}

static bool is_filtered(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}

static bool cannot_dump_core(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0;
}

/* What is executed is dumpable, and a limit of 0 would let the machine's own
 * handler be called: see job_limits_forbid_dumps(). */
static bool cannot_dump_programs(void)
{
    static const struct rlimit none = { 0, 0 };
    struct rlimit limit;

    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max <= 1
           && setrlimit(RLIMIT_CORE, &none) != 0 && errno == EPERM;
}

static bool holds_no_other_descriptor(void)
{
    for (int fd = 4; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            return false;
        }
    }
    return true;
}

/* What jobs may be allowed on top. */
enum trait
{
    TREE = 1,    /* to start processes */
    NETWORK = 2, /* to connect to the proxy */
    INSTALL = 4, /* to write where packages go */
};

static const struct
{
    const char *hole;
    bool (*holds)(void);
    enum jail_level level;
    unsigned int needs;  /* traits: for jobs that have all of these */
    unsigned int spares; /* … and none of these */
} probes[] = {
    { "self-test: a file can be created", cannot_create_a_file, JAIL_RESTRICTED, 0,
      TREE | INSTALL },
    { "self-test: a file can be written to", cannot_write_but_to_null, JAIL_FULL, TREE,
      INSTALL },
    { "self-test: files can be written elsewhere than where packages go",
      can_write_packages_only, JAIL_FULL, INSTALL, 0 },
    { "self-test: /proc can be seen", cannot_see_proc, JAIL_RESTRICTED, 0, 0 },
    { "self-test: Landlock does not hold", landlock_holds, JAIL_RESTRICTED, 0, 0 },
    { "self-test: the library cannot be read", can_read_the_library, JAIL_RESTRICTED, 0, 0 },
    { "self-test: the root is not private", root_is_private, JAIL_FULL, 0, 0 },
    { "self-test: programs can be seen", root_has_no_programs, JAIL_FULL, 0, TREE },
    { "self-test: a socket can be made", cannot_make_a_socket, JAIL_RESTRICTED, 0, NETWORK },
    { "self-test: sockets other than TCP's can be made", cannot_make_other_sockets, JAIL_FULL,
      NETWORK, 0 },
    { "self-test: the way to the proxy is not there", can_reach_the_listener, JAIL_FULL, NETWORK, 0 },
    { "self-test: the network can be reached", cannot_reach_a_network, JAIL_FULL, NETWORK, 0 },
    { "self-test: other ports can be reached", cannot_reach_other_ports, JAIL_FULL, NETWORK, 0 },
    { "self-test: a port can be listened at", cannot_listen, JAIL_FULL, NETWORK, 0 },
    { "self-test: a process can be started", cannot_fork, JAIL_RESTRICTED, 0, TREE },
    { "self-test: a program can be executed", cannot_execute, JAIL_RESTRICTED, 0, TREE },
    { "self-test: no program can be executed", can_execute_programs, JAIL_FULL, TREE, 0 },
    { "self-test: any file can be executed", cannot_execute_a_library, JAIL_FULL, TREE, 0 },
    { "self-test: programs without a path can be executed", cannot_execute_without_a_path,
      JAIL_FULL, TREE, 0 },
    { "self-test: a process can escape its parent", cannot_fork_a_sibling, JAIL_FULL, TREE, 0 },
    { "self-test: PID 1 can be hurt", cannot_hurt_init, JAIL_FULL, TREE, 0 },
    { "self-test: a process in namespaces can be started", cannot_fork_into_namespaces,
      JAIL_FULL, 0, 0 },
    { "self-test: a namespace can be made", cannot_make_namespaces, JAIL_RESTRICTED, 0, 0 },
    { "self-test: another process can be signalled", cannot_signal_others,
      JAIL_RESTRICTED, 0, TREE },
    { "self-test: the job is PID 1", is_not_init, JAIL_RESTRICTED, 0, 0 },
    { "self-test: the job is root", is_not_root, JAIL_RESTRICTED, 0, 0 },
    { "self-test: privileges are left", has_no_privileges, JAIL_RESTRICTED, 0, 0 },
    { "self-test: capabilities are left", bounding_set_is_empty, JAIL_FULL, 0, 0 },
    { "self-test: no filter is attached", is_filtered, JAIL_RESTRICTED, 0, 0 },
    { "self-test: descriptors can be multiplied", cannot_unshare_descriptors,
      JAIL_RESTRICTED, 0, 0 },
    { "self-test: memory can be shared", cannot_share_memory, JAIL_RESTRICTED, 0, 0 },
    { "self-test: a core can be dumped", cannot_dump_core, JAIL_RESTRICTED, 0, TREE },
    { "self-test: a program can be dumped", cannot_dump_programs, JAIL_FULL, TREE, 0 },
    { "self-test: a descriptor was inherited", holds_no_other_descriptor,
      JAIL_RESTRICTED, 0, 0 },
};

const char *job_selftest(const struct jail *jail)
{
    unsigned int has = (jail->processes ? TREE : 0)
                       | (jail->network ? NETWORK : 0)
                       | (jail->install_bytes > 0 ? INSTALL : 0);

    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        if (jail->level >= probes[i].level
            && (probes[i].needs & has) == probes[i].needs
            && (probes[i].spares & has) == 0 && !probes[i].holds()) {
            return probes[i].hole;
        }
    }
    return NULL;
}
