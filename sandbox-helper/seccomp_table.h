/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls a job may make: the allow-list itself, grouped, with the
 * reason for each group. Everything else answers EPERM, calls newer than
 * this list ENOSYS (seccomp(2)). Owned by job_seccomp.c; tests compare it
 * with what the kernel does.
 *
 * Left out on purpose, because each is a way around another layer:
 *   memfd_create, memfd_secret   files outside every limit, executable
 *   io_uring_*, io_*             calls that no filter sees
 *   flock, inotify_*, fanotify_* channels between runs over shared inodes
 *   fadvise64                    throws the host's page cache away
 *   sysinfo, statfs              tell about the host and the neighbours
 *   socket and friends           there is nobody to talk to; where runs have a
 *                                network: see the end
 *   bind, listen, accept         nobody calls a script
 *   sendmsg, recvmsg             descriptors in flight count for all runs
 *                                together
 *   getsockname                  the port it tells counts the connections of
 *                                others
 *   fork, vfork, execve          one process a run, and only this program;
 *                                where runs may start processes: see the end
 *   execveat                     nothing but paths is executed
 *   shm*, sem*, msg*, mq_*       memory and messages that outlive a run
 *   keyctl, add_key, request_key keyrings are in no IPC namespace
 *   mlock*, timer_create         memory and timers outside the accounts
 *   process_vm_*, ptrace, pidfd_*, kcmp   other processes
 *   userfaultfd, bpf, perf_event_open, personality, modify_ldt   kernel surface
 *   unshare, setns, mount*, chroot, pivot_root, *_by_handle_at   another root
 */
#ifndef PYEXEC_SECCOMP_TABLE_H
#define PYEXEC_SECCOMP_TABLE_H

#include <seccomp.h>

/* One name a line, each group behind its reason. */
#define SECCOMP_PLAIN(CALL) \
    /* reading, and writing to what is open: pipes only */ \
    CALL(read) CALL(readv) CALL(pread64) CALL(preadv) \
    CALL(write) CALL(writev) CALL(close) CALL(lseek) \
    /* looking at files below the read-only root */ \
    CALL(fstat) CALL(stat) CALL(lstat) CALL(newfstatat) CALL(statx) \
    CALL(access) CALL(faccessat) CALL(faccessat2) CALL(getdents64) \
    CALL(readlink) CALL(readlinkat) CALL(getcwd) CALL(chdir) \
    CALL(umask) \
    /* descriptors of its own, bounded by RLIMIT_NOFILE */ \
    CALL(dup) CALL(dup2) CALL(dup3) CALL(pipe) CALL(pipe2) \
    CALL(eventfd2) CALL(epoll_create1) CALL(epoll_ctl) CALL(epoll_wait) \
    CALL(epoll_pwait) CALL(poll) CALL(ppoll) CALL(select) CALL(pselect6) \
    /* memory, bounded by RLIMIT_AS */ \
    CALL(munmap) CALL(mremap) CALL(mprotect) CALL(brk) \
    /* threads of its own */ \
    CALL(futex) CALL(set_robust_list) CALL(set_tid_address) CALL(rseq) \
    CALL(sched_yield) CALL(sched_getaffinity) CALL(gettid) \
    /* clocks, randomness, counters; more clocks are below */ \
    CALL(nanosleep) CALL(gettimeofday) CALL(time) CALL(times) \
    CALL(getrusage) CALL(getrandom) CALL(getcpu) \
    /* who am I: answers from inside the namespaces */ \
    CALL(getpid) CALL(getppid) CALL(getpgrp) \
    CALL(getuid) CALL(geteuid) CALL(getgid) CALL(getegid) CALL(getresuid) \
    CALL(getresgid) CALL(getgroups) \
    CALL(sched_getscheduler) CALL(sched_getparam) CALL(getrlimit) \
    /* signals to itself; kill and tgkill are below */ \
    CALL(rt_sigaction) CALL(rt_sigprocmask) CALL(rt_sigreturn) \
    CALL(rt_sigsuspend) CALL(rt_sigpending) CALL(rt_sigtimedwait) \
    CALL(sigaltstack) CALL(restart_syscall) CALL(pause) CALL(alarm) \
    CALL(setitimer) CALL(getitimer) \
    /* the end; without children wait answers ECHILD */ \
    CALL(exit) CALL(exit_group) CALL(wait4) CALL(waitid)

/* Calls that tell about the host unless there is a namespace around. Clocks
 * have numbers made of PIDs, too: the CPU time of any process. */
#define SECCOMP_FULL_ONLY(CALL) \
    CALL(uname) CALL(clock_gettime) CALL(clock_getres) CALL(clock_nanosleep) \
    CALL(getpgid) CALL(getsid) CALL(getpriority)

/* Stands for the job's own pid until the filter is attached. */
#define SECCOMP_OWN_PID 0x5ca1ab1eu

/* O_TMPFILE without O_DIRECTORY. */
#define OPEN_TMPFILE_BIT 020000000
#define OPEN_WRITE_BITS \
    (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | OPEN_TMPFILE_BIT)
#define CLONE_NEW_BITS \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC \
     | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
/* With one table of descriptors and one working directory for all threads: a
 * table for each would multiply RLIMIT_NOFILE, and the kernel memory behind
 * descriptors counts nowhere else. */
#define CLONE_THREAD_BITS \
    (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FILES | CLONE_FS)

/* Calls that are allowed with some arguments only:
 * ARGUED(call, number of comparisons, comparison...). */
#define SECCOMP_ARGUED(ARGUED) \
    /* private memory only; shared memory, of which one page that stays \
     * mapped keeps all, is below */ \
    ARGUED(mmap, 1, SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED, 0)) \
    /* a thread, never a namespace; processes are below */ \
    ARGUED(clone, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, \
                             CLONE_NEW_BITS | CLONE_THREAD_BITS, \
                             CLONE_THREAD_BITS)) \
    /* the machine's clocks, and the caller's own; see SECCOMP_FULL_ONLY */ \
    ARGUED(clock_gettime, 1, SCMP_A0_32(SCMP_CMP_MASKED_EQ, ~15u, 0)) \
    ARGUED(clock_getres, 1, SCMP_A0_32(SCMP_CMP_MASKED_EQ, ~15u, 0)) \
    ARGUED(clock_nanosleep, 1, SCMP_A0_32(SCMP_CMP_MASKED_EQ, ~15u, 0)) \
    /* of itself; others would tell who belongs together, and which users \
     * have processes */ \
    ARGUED(getpgid, 1, SCMP_A0_32(SCMP_CMP_EQ, 0)) \
    ARGUED(getpgid, 1, SCMP_A0_32(SCMP_CMP_EQ, SECCOMP_OWN_PID)) \
    ARGUED(getsid, 1, SCMP_A0_32(SCMP_CMP_EQ, 0)) \
    ARGUED(getsid, 1, SCMP_A0_32(SCMP_CMP_EQ, SECCOMP_OWN_PID)) \
    ARGUED(getpriority, 2, SCMP_A0_32(SCMP_CMP_EQ, PRIO_PROCESS), \
           SCMP_A1_32(SCMP_CMP_EQ, 0)) \
    ARGUED(getpriority, 2, SCMP_A0_32(SCMP_CMP_EQ, PRIO_PROCESS), \
           SCMP_A1_32(SCMP_CMP_EQ, SECCOMP_OWN_PID)) \
    /* asyncio's self-pipe: a pair of streams and what reads and writes it; \
     * datagrams could be sent to names, MSG_OOB has had its own faults; \
     * socket(2) itself stays closed */ \
    ARGUED(socketpair, 2, SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX), \
           SCMP_A1_32(SCMP_CMP_MASKED_EQ, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), \
                      SOCK_STREAM)) \
    ARGUED(sendto, 2, SCMP_A3_32(SCMP_CMP_MASKED_EQ, \
                                 ~(MSG_DONTWAIT | MSG_NOSIGNAL), 0), \
           SCMP_A4(SCMP_CMP_EQ, 0)) \
    ARGUED(recvfrom, 1, SCMP_A3_32(SCMP_CMP_MASKED_EQ, \
                        ~(MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL), 0)) \
    /* without CLOSE_RANGE_UNSHARE, for the same reason as CLONE_FILES */ \
    ARGUED(close_range, 1, SCMP_A2_32(SCMP_CMP_MASKED_EQ, \
                                      ~CLOSE_RANGE_CLOEXEC, 0)) \
    /* what allocators ask for; never merging with other processes' pages */ \
    ARGUED(madvise, 1, SCMP_A2_32(SCMP_CMP_LE, MADV_DONTNEED)) \
    ARGUED(madvise, 1, SCMP_A2_32(SCMP_CMP_EQ, MADV_FREE)) \
    ARGUED(madvise, 1, SCMP_A2_32(SCMP_CMP_EQ, MADV_HUGEPAGE)) \
    ARGUED(madvise, 1, SCMP_A2_32(SCMP_CMP_EQ, MADV_NOHUGEPAGE)) \
    /* no locks, leases or notifications, no growing of pipes */ \
    ARGUED(fcntl, 1, SCMP_A1_32(SCMP_CMP_EQ, F_GETFD)) \
    ARGUED(fcntl, 1, SCMP_A1_32(SCMP_CMP_EQ, F_SETFD)) \
    ARGUED(fcntl, 1, SCMP_A1_32(SCMP_CMP_EQ, F_GETFL)) \
    ARGUED(fcntl, 1, SCMP_A1_32(SCMP_CMP_EQ, F_SETFL)) \
    ARGUED(fcntl, 1, SCMP_A1_32(SCMP_CMP_EQ, F_DUPFD)) \
    ARGUED(fcntl, 1, SCMP_A1_32(SCMP_CMP_EQ, F_DUPFD_CLOEXEC)) \
    /* is this a terminal; close-on-exec; blocking; how much is there */ \
    ARGUED(ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, TCGETS)) \
    ARGUED(ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, FIOCLEX)) \
    ARGUED(ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, FIONCLEX)) \
    ARGUED(ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, FIONBIO)) \
    ARGUED(ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, FIONREAD)) \
    ARGUED(ioctl, 1, SCMP_A1_32(SCMP_CMP_EQ, TIOCGWINSZ)) \
    /* a thread's name, and questions */ \
    ARGUED(prctl, 1, SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME)) \
    ARGUED(prctl, 1, SCMP_A0_32(SCMP_CMP_EQ, PR_GET_NAME)) \
    ARGUED(prctl, 1, SCMP_A0_32(SCMP_CMP_EQ, PR_GET_DUMPABLE)) \
    ARGUED(prctl, 1, SCMP_A0_32(SCMP_CMP_EQ, PR_GET_NO_NEW_PRIVS)) \
    ARGUED(prctl, 1, SCMP_A0_32(SCMP_CMP_EQ, PR_GET_SECCOMP)) \
    ARGUED(prctl, 1, SCMP_A0_32(SCMP_CMP_EQ, PR_CAPBSET_READ))

/* Where no file is ever opened for writing or created, by any route. */
#define SECCOMP_READING_ARGUED(ARGUED) \
    ARGUED(open, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, OPEN_WRITE_BITS, 0)) \
    ARGUED(openat, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, OPEN_WRITE_BITS, 0))

/* Where some are: hardly a program does without /dev/null, and packages have to
 * go somewhere. That nothing else is opened for writing is left to Landlock,
 * the read-only mounts and RLIMIT_FSIZE; files without a name stay refused. */
#define SECCOMP_WRITING_ARGUED(ARGUED) \
    ARGUED(open, 1, SCMP_A1(SCMP_CMP_MASKED_EQ, OPEN_TMPFILE_BIT, 0)) \
    ARGUED(openat, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, OPEN_TMPFILE_BIT, 0))

/* Where a run is one process. */
#define SECCOMP_ALONE_PLAIN(CALL) \
    /* its own limits: without a capability they can only go down */ \
    CALL(setrlimit)
#define SECCOMP_ALONE_ARGUED(ARGUED) \
    ARGUED(prlimit64, 1, SCMP_A0_32(SCMP_CMP_EQ, 0)) \
    /* signals to itself only */ \
    ARGUED(kill, 1, SCMP_A0_32(SCMP_CMP_EQ, SECCOMP_OWN_PID)) \
    ARGUED(tgkill, 1, SCMP_A0_32(SCMP_CMP_EQ, SECCOMP_OWN_PID))

/* Where a run may start processes. Its own pid is of no use here, since all of
 * them have the filter: what bounds it is the PID namespace, in which there is
 * nobody else but an init that takes no signal from inside. */
#define SECCOMP_TREE_PLAIN(CALL) \
    /* RLIMIT_NPROC bounds them, Landlock says what may be executed */ \
    CALL(fork) CALL(vfork) CALL(execve) \
    CALL(kill) CALL(tgkill) CALL(setsid) CALL(setpgid)

/* What libc's fork() asks for on top of a copy. */
#define CLONE_FORK_BITS \
    (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID)

#define SECCOMP_TREE_ARGUED(ARGUED) \
    /* a process as fork(), and as vfork() and posix_spawn() make it; never \
     * CLONE_PARENT, which would make it a child of the zygote's, nor parts \
     * that are shared with processes that go on */ \
    ARGUED(clone, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, ~(scmp_datum_t) \
                             CLONE_FORK_BITS, SIGCHLD)) \
    ARGUED(clone, 1, SCMP_A0(SCMP_CMP_EQ, CLONE_VM | CLONE_VFORK | SIGCHLD)) \
    /* its own limits, but for that of core dumps (4): see job_limits.h; the \
     * kernel ignores the upper half of a number, so these are lists of what \
     * is allowed, 0-3, 5, 6-7 and 8-15 */ \
    ARGUED(setrlimit, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, ~3ull, 0)) \
    ARGUED(setrlimit, 1, SCMP_A0(SCMP_CMP_EQ, 5)) \
    ARGUED(setrlimit, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, ~1ull, 6)) \
    ARGUED(setrlimit, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, ~7ull, 8)) \
    ARGUED(prlimit64, 2, SCMP_A0_32(SCMP_CMP_EQ, 0), \
           SCMP_A1(SCMP_CMP_MASKED_EQ, ~3ull, 0)) \
    ARGUED(prlimit64, 2, SCMP_A0_32(SCMP_CMP_EQ, 0), \
           SCMP_A1(SCMP_CMP_EQ, 5)) \
    ARGUED(prlimit64, 2, SCMP_A0_32(SCMP_CMP_EQ, 0), \
           SCMP_A1(SCMP_CMP_MASKED_EQ, ~1ull, 6)) \
    ARGUED(prlimit64, 2, SCMP_A0_32(SCMP_CMP_EQ, 0), \
           SCMP_A1(SCMP_CMP_MASKED_EQ, ~7ull, 8)) \
    ARGUED(prlimit64, 3, SCMP_A0_32(SCMP_CMP_EQ, 0), \
           SCMP_A1_32(SCMP_CMP_EQ, RLIMIT_CORE), SCMP_A2(SCMP_CMP_EQ, 0)) \
    /* the loader sets up thread-local storage with it (ARCH_SET_FS) */ \
    ARGUED(arch_prctl, 1, SCMP_A0_32(SCMP_CMP_EQ, 0x1002))

/* Where a run has a network: one listener in a namespace of its own, at an IPv4
 * address; everything else that there are sockets for stays closed. Of options
 * what HTTP clients set, none that takes a program, a name or more memory. */
#define SECCOMP_NETWORK_PLAIN(CALL) \
    CALL(connect) CALL(shutdown) CALL(getpeername)
#define SECCOMP_NETWORK_ARGUED(ARGUED) \
    /* TCP by no other name: not MPTCP, SCTP or SMC, nor datagrams */ \
    ARGUED(socket, 3, SCMP_A0_32(SCMP_CMP_EQ, AF_INET), \
           SCMP_A1_32(SCMP_CMP_MASKED_EQ, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), \
                      SOCK_STREAM), \
           SCMP_A2_32(SCMP_CMP_EQ, 0)) \
    ARGUED(socket, 3, SCMP_A0_32(SCMP_CMP_EQ, AF_INET), \
           SCMP_A1_32(SCMP_CMP_MASKED_EQ, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), \
                      SOCK_STREAM), \
           SCMP_A2_32(SCMP_CMP_EQ, IPPROTO_TCP)) \
    ARGUED(setsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, SOL_SOCKET), \
           SCMP_A2_32(SCMP_CMP_EQ, SO_KEEPALIVE)) \
    ARGUED(setsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, IPPROTO_TCP), \
           SCMP_A2_32(SCMP_CMP_EQ, TCP_NODELAY)) \
    /* idle, interval, count: 4, 5, 6 */ \
    ARGUED(setsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, IPPROTO_TCP), \
           SCMP_A2_32(SCMP_CMP_EQ, TCP_KEEPIDLE)) \
    ARGUED(setsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, IPPROTO_TCP), \
           SCMP_A2_32(SCMP_CMP_EQ, TCP_KEEPINTVL)) \
    ARGUED(setsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, IPPROTO_TCP), \
           SCMP_A2_32(SCMP_CMP_EQ, TCP_KEEPCNT)) \
    /* whether it is connected, and what kind it is (ssl asks) */ \
    ARGUED(getsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, SOL_SOCKET), \
           SCMP_A2_32(SCMP_CMP_EQ, SO_ERROR)) \
    ARGUED(getsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, SOL_SOCKET), \
           SCMP_A2_32(SCMP_CMP_EQ, SO_TYPE)) \
    ARGUED(getsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, SOL_SOCKET), \
           SCMP_A2_32(SCMP_CMP_EQ, SO_DOMAIN)) \
    ARGUED(getsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, SOL_SOCKET), \
           SCMP_A2_32(SCMP_CMP_EQ, SO_PROTOCOL)) \
    ARGUED(getsockopt, 2, SCMP_A1_32(SCMP_CMP_EQ, IPPROTO_TCP), \
           SCMP_A2_32(SCMP_CMP_EQ, TCP_NODELAY))

/* Where packages are installed, and where what came of it is taken over: into
 * directories of its own, which Landlock names; there are no other files to
 * change. No links to what is there, no devices, no owners, no attributes. */
#define SECCOMP_INSTALL_PLAIN(CALL) \
    CALL(mkdir) CALL(mkdirat) CALL(rmdir) CALL(unlink) CALL(unlinkat) \
    CALL(rename) CALL(renameat) CALL(renameat2) \
    CALL(chmod) CALL(fchmod) CALL(fchmodat) CALL(utimensat) \
    CALL(ftruncate) CALL(fsync) CALL(fdatasync) \
    /* which generation is the current one, and who still has another */ \
    CALL(symlinkat) CALL(flock) CALL(syncfs)

/* As on a file system without attributes: `ls -l` takes any other refusal for
 * a failure of its own. */
#define SECCOMP_TREE_UNSUPPORTED(CALL) CALL(getxattr) CALL(lgetxattr)
/* shutil asks for them when it copies a file. */
#define SECCOMP_INSTALL_UNSUPPORTED(CALL) CALL(listxattr) CALL(llistxattr)

/* There is never memory for sharing: a program that asks for it is told so in
 * the way it must be prepared for. */
#define SECCOMP_NO_MEMORY(ARGUED) \
    ARGUED(mmap, 1, SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED, MAP_SHARED))

/* glibc falls back from these to older calls on ENOSYS only. */
#define SECCOMP_ABSENT(CALL) CALL(clone3) CALL(openat2) CALL(epoll_pwait2)

#endif
