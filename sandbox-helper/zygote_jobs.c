/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots and jobs of the zygote. A slot is used again by the next job where a
 * job is one process that cannot start another: nothing can be left in it once
 * that one is reaped. Where it can, the slot is cleared after its job, and the
 * next job gets a new one; the end of a job is told when its whole namespace
 * is gone, whatever was in it. A job with a network gets a new slot as well: of
 * its connections some are left behind, and counters that the next would see.
 */
#include "py_runtime.h"

#include "zygote_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "jail_site.h"
#include "job_caps.h"
#include "job_landlock.h"
#include "job_main.h"
#include "job_seccomp.h"
#include "slot.h"
#include "wire.h"
#include "zygote_tasks.h"

/* Without namespaces a run's threads can only be limited together with all
 * processes of this user: those that there were, as many threads as each slot
 * may need, and some room for what else of this user is started. So one run
 * can take the threads of its neighbours, but not those of the machine. */
#define TASKS_PER_SLOT 64
#define TASKS_OF_OTHERS 128

#define NO_SLOT ((struct slot){ .pidfd = -1, .channel = -1, .listener = -1 })

static struct
{
    int maker;     /* the slot maker's channel */
    int landlock;  /* the ruleset */
    int directory; /* the environment's, where packages are installed */
    int landlock_commit; /* the ruleset of who takes them over */
    int self;      /* pidfd of this process, for the jobs */
    int statm;     /* /proc/self/statm */
    int last_pid;  /* /proc/sys/kernel/ns_last_pid; -1: not to be had */
    int settings;  /* /proc/sys; the same */
    struct zygote_job *jobs;
    uint32_t count;
    struct jail jail;
    uint32_t tasks; /* RLIMIT_NPROC of jobs; 0: each run has its own */
} table = { .maker = -1, .landlock = -1, .directory = -1,
            .landlock_commit = -1, .self = -1, .statm = -1, .last_pid = -1,
            .settings = -1 };

/* While its path still means something. */
static int open_directory(const struct jail *jail)
{
    table.directory = jail->directory == NULL ? -1
                                              : jail_site_open(jail->directory);
    return jail->directory != NULL && table.directory < 0 ? table.directory
                                                          : 0;
}

int zygote_jobs_open(const struct jail *jail, const char **ret_step)
{
    *ret_step = "open the directory of PyExecEnvironment";
    if (open_directory(jail) != 0) {
        return table.directory;
    }
    *ret_step = "open this process's entries in /proc";
    table.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (table.statm < 0) {
        return -errno;
    }
    /* Absent without CONFIG_CHECKPOINT_RESTORE: then no slot is used twice. */
    table.last_pid = open("/proc/sys/kernel/ns_last_pid",
                          O_WRONLY | O_CLOEXEC);
    table.settings = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    table.self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return table.self < 0 ? -errno : 0;
}

static int make_slot(struct zygote_job *job)
{
    int rv = slot_make(table.maker, &job->slot);

    job->counted = false;
    return rv;
}

/* One of them now, so that what stands in the way shows before anybody waits;
 * the others when there is a job for them: enter_slot() does it. Few places
 * ever have as many runs at a time as they may. */
static int make_slots(uint32_t count)
{
    if (count == 0 || count > ZYGOTE_MAX_JOBS) {
        return -EINVAL;
    }
    table.jobs = calloc(count, sizeof(*table.jobs));
    if (table.jobs == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        table.jobs[i] = (struct zygote_job){ .pidfd = -1, .slot = NO_SLOT };
    }
    table.count = count;
    return table.jail.level == JAIL_FULL ? make_slot(&table.jobs[0]) : 0;
}

static int limit_tasks(uint32_t slots)
{
    int64_t count = zygote_tasks_count();
    struct rlimit own;

    if (count < 0 || getrlimit(RLIMIT_NPROC, &own) != 0) {
        return count < 0 ? (int)count : -errno;
    }
    /* Numbers of processes fit in 22 bits, slots in far less. */
    table.tasks = (uint32_t)count + slots * TASKS_PER_SLOT + TASKS_OF_OTHERS;
    if (own.rlim_max < table.tasks) {
        table.tasks = (uint32_t)own.rlim_max;
    }
    return 0;
}

/* What the first slot fails at, and where to look. */
static const char *step_of_slots(const struct jail *jail, int error)
{
    if (jail->network && error == -EAFNOSUPPORT) {
        return "make a socket of IPv4 for a pool with PyExecNetwork (has a"
               " service RestrictAddressFamilies= without AF_INET?)";
    }
    if (jail->network && (error == -EROFS || error == -EBADF)) {
        return "bound the memory of sockets for a pool with PyExecNetwork (can"
               " /proc/sys be written to? Not needed from Linux 6.7 on)";
    }
    return jail->network
               ? "make PID and network namespaces (is"
                 " user.max_pid_namespaces or user.max_net_namespaces 0?)"
               : "make PID namespaces (is user.max_pid_namespaces 0?)";
}

int zygote_jobs_prepare(uint32_t slots, const struct jail *jail,
                        const char **ret_step)
{
    int rv;

    table.jail = *jail;
    if (jail->level == JAIL_FULL) {
        *ret_step = "start the slot maker";
        table.maker = slot_maker_start(jail->processes, jail->network,
                                       table.settings);
        rv = table.maker < 0 ? table.maker
                             /* What else we have is the maker's alone. */
                             : job_caps_reduce(1ull << CAP_SYS_ADMIN);
        if (rv != 0) {
            return rv;
        }
    }
    cleanup_fd(&table.settings);
    table.landlock = job_landlock_build(jail, ret_step);
    if (table.landlock < 0) {
        return table.landlock;
    }
    if (table.directory >= 0) {
        table.landlock_commit = job_landlock_build_commit(table.directory);
        if (table.landlock_commit < 0) {
            return table.landlock_commit;
        }
    }
    *ret_step = "compile the system call filter (does the kernel have"
                " CONFIG_SECCOMP_FILTER?)";
    rv = job_seccomp_compile(jail);
    if (rv == 0) {
        rv = make_slots(slots);
        *ret_step = step_of_slots(jail, rv);
    }
    if (rv == 0 && jail->level < JAIL_FULL) {
        *ret_step = "count this user's processes (is its RLIMIT_NPROC used"
                    " up?)";
        rv = limit_tasks(slots);
    }
    return rv;
}

const struct zygote_job *zygote_jobs_table(uint32_t *ret_count)
{
    *ret_count = table.count;
    return table.jobs;
}

/* How much address space this process has, in bytes; 0: cannot be read. */
static uint64_t read_warm_bytes(void)
{
    char text[128];
    ssize_t size = pread(table.statm, text, sizeof(text) - 1, 0);

    if (size <= 0) {
        return 0;
    }
    text[size] = '\0';
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t zygote_jobs_own_bytes(void)
{
    char text[128];
    char *at = text;
    uint64_t pages[3]; /* of address space, resident, of these from files */
    ssize_t size = pread(table.statm, text, sizeof(text) - 1, 0);

    if (size <= 0) {
        return 0;
    }
    text[size] = '\0';
    for (int i = 0; i < 3; i++) {
        pages[i] = strtoull(at, &at, 10);
    }
    return pages[1] <= pages[2] ? 0
                                : (pages[1] - pages[2])
                                      * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int replace_slot(struct zygote_job *job)
{
    struct slot old = job->slot;
    int rv = make_slot(job);

    if (rv != 0) {
        return rv;
    }
    slot_end(&old);
    return slot_enter(&job->slot);
}

static bool slots_are_used_once(void)
{
    return table.jail.processes || table.jail.network;
}

/* With it a job makes its slot fit for the next one; -1: no slot is used twice,
 * because it cannot be had, or because of what jobs may leave behind. */
static int last_pid_for_jobs(void)
{
    return slots_are_used_once() ? -1 : table.last_pid;
}

/* A slot is made when its first job comes, and anew when its init died (which
 * only a fault of ours could cause), when it could not be renewed, or when the
 * next job would not be PID 2: see PXW_EXIT_AGAIN. */
static int enter_slot(struct zygote_job *job)
{
    int rv;

    if (table.jail.level < JAIL_FULL) {
        return 0; /* jobs have PIDs of the host; the filter guards signals */
    }
    rv = job->slot.pidfd >= 0 && !job->counted && slot_enter(&job->slot) == 0
             ? 0
             : replace_slot(job);
    job->counted = last_pid_for_jobs() < 0;
    return rv;
}

/* The child never comes back from here. */
static int fork_into(struct zygote_job *job, const int *fds, int cgroup,
                     enum job_role role)
{
    struct job_start start = {
        .cgroup = cgroup,
        .landlock = role == JOB_COMMIT ? table.landlock_commit
                                       : table.landlock,
        .zygote = table.self,
        .last_pid = last_pid_for_jobs(),
        .warm_bytes = read_warm_bytes(),
        .jail = table.jail,
        .tasks = table.tasks,
        .role = role,
        .directory = table.directory,
    };
    int rv = start.warm_bytes == 0 ? -EIO : enter_slot(job);
    pid_t pid;
    int pidfd;

    if (rv != 0) {
        return rv;
    }
    start.slot = job->slot.pidfd; /* by now */
    memcpy(start.fds, fds, sizeof(start.fds));
    pid = py_runtime_fork();
    if (pid == 0) {
        job_main(&start);
    }
    if (pid < 0) {
        return (int)pid;
    }
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        rv = -errno;
        (void)kill(pid, SIGKILL); /* our child, not reaped: it is this one */
        (void)waitpid(pid, NULL, 0);
        return rv;
    }
    job->pid = pid;
    job->pidfd = pidfd;
    return 0;
}

const struct zygote_job *zygote_jobs_fork(uint64_t number, const int *fds,
                                          int cgroup, int *ret_error)
{
    *ret_error = -EAGAIN;
    for (uint32_t i = 0; i < table.count; i++) {
        struct zygote_job *job = &table.jobs[i];

        if (job->pid == 0) {
            *ret_error = fork_into(job, fds, cgroup, JOB_RUN);
            job->number = number;
            return *ret_error == 0 ? job : NULL;
        }
    }
    return NULL;
}

int zygote_jobs_fork_own(uint32_t index, const int *fds, enum job_role role)
{
    return fork_into(&table.jobs[index], fds, -1, role);
}

int zygote_jobs_steal_listener(const struct zygote_job *job)
{
    return steal_fd(&table.jobs[job - table.jobs].slot.listener);
}

int zygote_jobs_descriptor(const struct zygote_job *job)
{
    return job->pid == 0 ? -1 : job->pidfd >= 0 ? job->pidfd : job->slot.pidfd;
}

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

/* First the job, or its namespace could not end. */
static int reap_process(struct zygote_job *job)
{
    struct rusage usage;
    int status;
    pid_t pid;

    do {
        pid = wait4(job->pid, &status, 0, &usage);
    } while (pid < 0 && errno == EINTR);
    if (pid != job->pid) {
        return -errno;
    }
    cleanup_fd(&job->pidfd);
    job->end = (struct zygote_job_end){
        .status = status,
        .cpu_us = microseconds(&usage.ru_utime)
                  + microseconds(&usage.ru_stime),
        .peak_bytes = (uint64_t)usage.ru_maxrss * 1024u,
    };
    /* A run that feigns it makes us a new slot, nothing else. */
    job->counted = job->counted
                   || (WIFEXITED(status)
                       && WEXITSTATUS(status) == PXW_EXIT_AGAIN);
    return 0;
}

int zygote_jobs_reap(uint32_t index)
{
    struct zygote_job *job = &table.jobs[index];
    struct slot_account left;

    if (job->pidfd >= 0) {
        int rv = reap_process(job);

        if (rv != 0 || !table.jail.processes) {
            return rv != 0 ? rv : 1;
        }
        slot_clear(&job->slot);
        return 0;
    }
    left = slot_account(&job->slot);
    job->end.cpu_us += left.cpu_us;
    if (left.peak_bytes > job->end.peak_bytes) {
        job->end.peak_bytes = left.peak_bytes;
    }
    return 1;
}

void zygote_jobs_renew(uint32_t index)
{
    struct zygote_job *job = &table.jobs[index];

    job->pid = 0;
    if (slots_are_used_once()) {
        slot_end(&job->slot);
        (void)make_slot(job); /* tried again, and told, with the next job */
    }
}
