/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots and jobs of the zygote. A slot is used again by the next job: a job
 * is one process that cannot start another, so that nothing can be left in it
 * once that one is reaped.
 */
#include "py_runtime.h"

#include "zygote_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdio.h"
#include "job_landlock.h"
#include "job_main.h"
#include "job_seccomp.h"
#include "log.h"
#include "slot.h"
#include "wire.h"
#include "zygote_tasks.h"

/* Without namespaces a run's threads can only be limited together with all
 * processes of this user: those that there were, as many threads as each slot
 * may need, and some room for what else of this user is started. So one run
 * can take the threads of its neighbours, but not those of the machine. */
#define TASKS_PER_SLOT 64
#define TASKS_OF_OTHERS 128

/* Descriptors of the zygote that a job may be given copies of start here: a
 * job's own take the numbers below. */
#define FIRST_FREE_FD (JOB_FDS + 1)

static struct
{
    int maker;     /* the slot maker's channel */
    int landlock;  /* the ruleset */
    int self;      /* pidfd of this process, for the jobs */
    int statm;     /* /proc/self/statm */
    int last_pid;  /* /proc/sys/kernel/ns_last_pid; -1: not to be had */
    struct zygote_job *jobs;
    uint32_t count;
    enum jail_level level;
    uint32_t tasks; /* RLIMIT_NPROC of jobs; 0: each run has its own */
} table = { .maker = -1, .landlock = -1, .self = -1, .statm = -1,
            .last_pid = -1 };

int zygote_jobs_open(void)
{
    table.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (table.statm < 0) {
        return -errno;
    }
    /* Absent without CONFIG_CHECKPOINT_RESTORE: then no slot is used twice. */
    table.last_pid = open("/proc/sys/kernel/ns_last_pid",
                          O_WRONLY | O_CLOEXEC);
    table.self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return table.self < 0 ? -errno : 0;
}

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
        int slot = table.level == JAIL_FULL ? slot_make(table.maker) : -1;

        if (table.level == JAIL_FULL && slot < 0) {
            return slot;
        }
        table.jobs[i] = (struct zygote_job){ .pidfd = -1, .slot = slot };
        table.count = i + 1;
    }
    return 0;
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

int zygote_jobs_prepare(uint32_t slots, enum jail_level level,
                        const char **ret_step)
{
    int rv;

    table.level = level;
    if (level == JAIL_FULL) {
        *ret_step = "start the slot maker";
        table.maker = slot_maker_start();
        if (table.maker < 0) {
            return table.maker;
        }
    }
    *ret_step = "build the Landlock ruleset (does the kernel have it, is"
                " landlock in its lsm= list?)";
    table.landlock = job_landlock_build(level);
    if (table.landlock < 0) {
        return table.landlock;
    }
    *ret_step = "compile the system call filter (does the kernel have"
                " CONFIG_SECCOMP_FILTER?)";
    rv = job_seccomp_compile(level);
    if (rv == 0) {
        *ret_step = "make PID namespaces (is user.max_pid_namespaces 0?)";
        rv = make_slots(slots);
    }
    if (rv == 0 && level < JAIL_FULL) {
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
    int slot = slot_make(table.maker);

    if (slot < 0) {
        return slot;
    }
    slot_end(job->slot);
    job->slot = slot;
    return slot_enter(slot);
}

/* A slot is made anew when its init died (which only a fault of ours could
 * cause), or when the next job would not be PID 2: see JOB_EXIT_AGAIN. */
static int enter_slot(struct zygote_job *job)
{
    bool counted = job->counted;

    if (table.level < JAIL_FULL) {
        return 0; /* jobs have PIDs of the host; the filter guards signals */
    }
    job->counted = table.last_pid < 0;
    return !counted && slot_enter(job->slot) == 0 ? 0 : replace_slot(job);
}

/* The child never comes back from here. */
static int fork_into(struct zygote_job *job, const int *fds, int cgroup,
                     bool selftest)
{
    struct job_start start = {
        .cgroup = cgroup,
        .landlock = table.landlock,
        .zygote = table.self,
        .last_pid = table.last_pid,
        .warm_bytes = read_warm_bytes(),
        .level = table.level,
        .tasks = table.tasks,
        .selftest = selftest,
    };
    int rv = start.warm_bytes == 0 ? -EIO : enter_slot(job);
    pid_t pid;
    int pidfd;

    if (rv != 0) {
        return rv;
    }
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
            *ret_error = fork_into(job, fds, cgroup, false);
            job->number = number;
            return *ret_error == 0 ? job : NULL;
        }
    }
    return NULL;
}

int zygote_jobs_reap(uint32_t index, int *ret_status,
                     struct rusage *ret_usage)
{
    struct zygote_job *job = &table.jobs[index];
    pid_t pid;

    do {
        pid = wait4(job->pid, ret_status, 0, ret_usage);
    } while (pid < 0 && errno == EINTR);
    if (pid != job->pid) {
        return -errno;
    }
    cleanup_fd(&job->pidfd);
    job->pid = 0;
    /* A run that feigns it makes us a new slot, nothing else. */
    job->counted = job->counted
                   || (WIFEXITED(*ret_status)
                       && WEXITSTATUS(*ret_status) == PXW_EXIT_AGAIN);
    return 0;
}

/* What the self-test's job said went wrong, as text. */
static void describe_hole(const uint8_t *frame, ssize_t size, int status,
                          char *ret_text, size_t capacity)
{
    struct pxw_header header;
    struct pxw_message failed;

    if (size < PXW_HEADER_BYTES || pxw_get_header(frame, &header) != 0
        || header.type != PXW_FAILED
        || header.length != (size_t)size - PXW_HEADER_BYTES
        || pxw_parse(PXW_FAILED, frame + PXW_HEADER_BYTES, header.length,
                     &failed) != 0) {
        (void)snprintf(ret_text, capacity, "wait status %d", status);
        return;
    }
    (void)snprintf(ret_text, capacity, "%.*s: %s",
                   (int)failed.field[PXW_F_STEP].size,
                   (const char *)failed.field[PXW_F_STEP].data,
                   strerror((int)pxw_u32(&failed, PXW_F_ERROR, 0)));
}

int zygote_jobs_selftest(void)
{
    CLEANUP_FD int report = -1;
    CLEANUP_FD int other = -1;
    uint8_t frame[1024];
    char text[PXW_NAME_MAX + 128];
    struct rusage usage;
    int ends[2];
    int fds[JOB_FDS];
    int status;
    ssize_t size;
    int rv;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    report = ends[0];
    other = fcntl(ends[1], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    (void)close(ends[1]);
    if (other < 0) {
        return -errno;
    }
    for (int i = 0; i < JOB_FDS; i++) {
        fds[i] = other; /* one pipe serves for all: nothing else is said */
    }
    rv = fork_into(&table.jobs[0], fds, -1, true);
    if (rv != 0) {
        return rv;
    }
    cleanup_fd(&other);
    size = fdio_read(report, frame, sizeof(frame));
    rv = zygote_jobs_reap(0, &status, &usage);
    if (rv == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == JOB_EXIT_OK)) {
        describe_hole(frame, size, status, text, sizeof(text));
        log_line(LOG_LEVEL_ERROR, 451, "the confinement does not hold: %s",
                 text);
        rv = -EPERM;
    }
    return rv;
}
