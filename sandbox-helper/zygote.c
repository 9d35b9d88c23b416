/* SPDX-License-Identifier: Apache-2.0
 *
 * The zygote: enters a jail of its own, warms one CPython there and forks
 * jobs from it when the keeper asks.
 *
 *     keeper ── fork channel (fd 3, SOCK_SEQPACKET) ── zygote
 *                 WARM -> WARMED                         ├── slot maker ── inits
 *                 FORK + 4 fds -> FORKED + pidfd         └── jobs, one a slot
 *                 <- EXITED
 *
 * Runs trusted code only and never sees a script: jobs read that from their
 * own pipe after the fork. Has one thread; holds CAP_SYS_ADMIN inside its user
 * namespace (setns(2) to a slot needs it) and nothing outside. Ends with the
 * keeper, and its jobs with it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdio.h"
#include "jail_mounts.h"
#include "jail_ns.h"
#include "job_caps.h"
#include "job_limits.h"
#include "job_main.h"
#include "job_stack.h"
#include "log.h"
#include "py_link.h"
#include "py_runtime.h"
#include "wire.h"
#include "zygote_jobs.h"
#include "zygote_network.h"
#include "zygote_own.h"
#include "zygote_warm.h"

#define CHANNEL 3
#define PACKET_BYTES (PXW_HEADER_BYTES + PXW_LIST_MAX + PXW_DIRS_MAX \
                      + PXW_TEXT_MAX + 8192)
#define THREAD_STACK_BYTES (2u << 20)

/* The last packet received: messages point into it. */
static uint8_t packet[PACKET_BYTES];
/* /proc/self/task, from before /proc went. */
static int tasks_fd = -1;

static void __attribute__((noreturn)) die(const char *step, int error)
{
    log_line(LOG_LEVEL_ERROR, 450, "cannot %s: %s", step, strerror(-error));
    exit(1);
}

/* Frames of another release could be understood and mean something else: what
 * one of the two takes for granted of the other's part of the confinement is in
 * no frame. `theirs` NULL: not even its frames are ours. */
static void __attribute__((noreturn)) die_of_release(const struct pxw_field *theirs)
{
    log_line(LOG_LEVEL_ERROR, 453,
             "pyexec-zygote " PACKAGE_VERSION " serves no pyexecd of another"
             " release (%.*s): one was replaced while the other started;"
             " restart httpd", theirs == NULL ? 7 : (int)theirs->size,
             theirs == NULL ? "unknown" : (const char *)theirs->data);
    exit(1);
}

/* Sends a frame with `count` descriptors; a keeper that is gone ends us. */
static void send_or_die(struct pxw_writer *frame, const int *fds, size_t count)
{
    int rv = pxw_end(frame);

    if (rv == 0) {
        rv = fdio_send(CHANNEL, frame->data, frame->size, fds, count);
    }
    pxw_writer_free(frame);
    if (rv == -EPIPE || rv == -ECONNRESET) {
        exit(0);
    }
    if (rv != 0) {
        die("answer the keeper", rv);
    }
}

/* Receives one frame of a given type with `least` to `most` descriptors and
 * returns how many. The message points into packet. */
static size_t receive_or_die(uint16_t type, int *fds, size_t least, size_t most,
                             struct pxw_message *ret_message)
{
    struct pxw_header header;
    size_t got = 0;
    ssize_t size = fdio_receive(CHANNEL, packet, sizeof(packet),
                                fds, most, &got);

    if (size == 0 || size == -ECONNRESET) {
        exit(0); /* the keeper is gone */
    }
    if (size >= PXW_HEADER_BYTES
        && pxw_get_header(packet, &header) == -EPROTONOSUPPORT) {
        die_of_release(NULL);
    }
    if (size < PXW_HEADER_BYTES || got < least
        || pxw_get_header(packet, &header) != 0 || header.type != type
        || header.length != (size_t)size - PXW_HEADER_BYTES
        || pxw_parse(type, packet + PXW_HEADER_BYTES, header.length,
                     ret_message) != 0) {
        die("understand the keeper", -EPROTO);
    }
    return got;
}

/* A second thread would hold locks that no job could ever take. */
static void check_single_thread_or_die(void)
{
    DIR *dir = fdopendir(tasks_fd);
    int tasks = 0;

    if (dir == NULL) {
        die("count threads", -errno);
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        tasks += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    tasks_fd = -1;
    if (tasks != 1) {
        die("serve: a preloaded module has started threads", -EDEADLK);
    }
}

/* Ends with the keeper, also between the fork and this line. */
static void follow_keeper_or_die(void)
{
    struct pollfd keeper = { .fd = CHANNEL };

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0
        || poll(&keeper, 1, 0) < 0) {
        die("follow the keeper's death", -errno);
    }
    if ((keeper.revents & (POLLHUP | POLLERR)) != 0) {
        exit(0);
    }
}

/* Namespaces, root, privileges: everything before CPython is there. */
static void enter_jail_or_die(const struct jail *jail)
{
    const char *step = "";
    int rv;

    tasks_fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    step = "open this process's entries in /proc";
    rv = tasks_fd < 0 ? -errno : zygote_jobs_open(jail, &step);
    if (rv != 0) {
        die(step, rv);
    }
    if (jail->level == JAIL_FULL) {
        rv = jail_ns_enter(&step);
        if (rv == 0) {
            rv = jail_mounts_enter(jail, &step);
        }
    }
    else if (chdir("/") != 0) {
        rv = -errno;
        step = "go to /";
    }
    if (rv != 0) {
        die(step, rv);
    }
    rv = job_caps_reduce(jail->level < JAIL_FULL ? 0
                         : (1ull << CAP_SYS_ADMIN)
                               | (jail->network ? 1ull << CAP_NET_ADMIN : 0));
    if (rv != 0) {
        die("drop capabilities", rv);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        die("forbid new privileges", -errno);
    }
    rv = job_limits_forbid_dumps();
    if (rv != 0) {
        die("forbid core dumps", rv);
    }
    follow_keeper_or_die();
}

static void announce(enum jail_level level)
{
    struct pxw_writer frame = { 0 };

    pxw_begin(&frame, PXW_WARMED);
    pxw_put_str(&frame, PXW_F_PYTHON, py_runtime_version());
    pxw_put_str(&frame, PXW_F_LEVEL, zygote_warm_level(level));
    pxw_put_u64(&frame, PXW_F_MEMORY, zygote_jobs_own_bytes());
    send_or_die(&frame, NULL, 0);
}

/* `started` is NULL when the fork failed, for the reason `error`. */
static void answer_fork(uint64_t number, const struct zygote_job *started,
                        int error)
{
    struct pxw_writer frame = { 0 };

    pxw_begin(&frame, PXW_FORKED);
    pxw_put_u64(&frame, PXW_F_JOB, number);
    if (started == NULL) {
        pxw_put_u32(&frame, PXW_F_ERROR, (uint32_t)-error);
        send_or_die(&frame, NULL, 0);
    }
    else {
        CLEANUP_FD int listener = zygote_jobs_steal_listener(started);
        const int fds[] = { started->pidfd, listener };

        pxw_put_u32(&frame, PXW_F_PID, (uint32_t)started->pid);
        if (started->slot.channel >= 0) {
            pxw_put_u32(&frame, PXW_F_INIT, (uint32_t)started->slot.init);
        }
        send_or_die(&frame, fds, listener < 0 ? 1 : 2);
    }
}

static void serve_request(void)
{
    int fds[JOB_FORK_FDS];
    struct pxw_message request;
    const struct zygote_job *started;
    size_t count = receive_or_die(PXW_FORK, fds, JOB_FDS, JOB_FORK_FDS,
                                  &request);
    uint64_t number;
    int error = 0;

    number = pxw_u64(&request, PXW_F_JOB, 0);
    started = zygote_jobs_fork(number, fds,
                               count > JOB_FD_CGROUP ? fds[JOB_FD_CGROUP] : -1,
                               &error);
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    answer_fork(number, started, error);
}

static void report_exit(uint32_t index, const struct zygote_job *job,
                        const struct jail *jail)
{
    struct pxw_writer frame = { 0 };
    struct zygote_job_end end;
    char text[512] = "";
    int rv = zygote_jobs_reap(index);

    if (rv < 0) {
        die("reap a job", rv);
    }
    if (rv == 0) {
        return;
    }
    end = job->end;
    if (jail->install_bytes > 0) {
        zygote_own_settle(index, &end.status, text, sizeof(text));
    }
    pxw_begin(&frame, PXW_EXITED);
    pxw_put_u64(&frame, PXW_F_JOB, job->number);
    pxw_put_u32(&frame, PXW_F_WAIT, (uint32_t)end.status);
    pxw_put_u64(&frame, PXW_F_CPU_US, end.cpu_us);
    pxw_put_u64(&frame, PXW_F_PEAK, end.peak_bytes);
    if (text[0] != '\0') {
        pxw_put_str(&frame, PXW_F_TEXT, text);
    }
    send_or_die(&frame, NULL, 0);
    zygote_jobs_renew(index);
}

/* Waits for requests and for ends of jobs, in one poll(2) without timeout. */
static void __attribute__((noreturn)) serve(const struct jail *jail)
{
    uint32_t count;
    const struct zygote_job *jobs = zygote_jobs_table(&count);
    struct pollfd *fds = calloc(count + 1, sizeof(*fds));

    if (fds == NULL) {
        die("serve", -ENOMEM);
    }
    for (;;) {
        for (uint32_t i = 0; i < count; i++) {
            /* poll(2) passes over a negative descriptor. */
            fds[i] = (struct pollfd){
                .fd = zygote_jobs_descriptor(&jobs[i]),
                .events = POLLIN,
            };
        }
        fds[count] = (struct pollfd){ .fd = CHANNEL, .events = POLLIN };
        if (poll(fds, count + 1, -1) < 0) {
            if (errno == EINTR) {
                continue;
            }
            die("wait", -errno);
        }
        /* Ends first: they free slots for the request. */
        for (uint32_t i = 0; i < count; i++) {
            if (fds[i].revents != 0) {
                report_exit(i, &jobs[i], jail);
            }
        }
        if (fds[count].revents != 0) {
            serve_request();
        }
    }
}

/* Stacks count against the memory limit with their whole size: of the usual
 * 8 MiB only 31 would fit. Recursion to Python's own limit was seen to need
 * more than 1 MiB and less than 2. */
static void set_thread_stacks(void)
{
    pthread_attr_t attributes;

    if (pthread_attr_init(&attributes) == 0) {
        (void)pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
        (void)pthread_setattr_default_np(&attributes);
        (void)pthread_attr_destroy(&attributes);
    }
}

static void check_release_or_die(const struct pxw_message *warm)
{
    static const char ours[] = PACKAGE_VERSION;
    const struct pxw_field *theirs = &warm->field[PXW_F_VERSION];

    if (theirs->data == NULL || theirs->size != sizeof(ours) - 1
        || memcmp(theirs->data, ours, sizeof(ours) - 1) != 0) {
        die_of_release(theirs->data == NULL ? NULL : theirs);
    }
}

int main(void)
{
    struct pxw_message warm;
    struct jail jail;
    const char *reason = "";
    int text_file = -1;
    struct rlimit stack = { 8u << 20, 8u << 20 };
    int rv;

    log_open("pyexec-zygote", LOG_LEVEL_INFO);
    if (geteuid() == 0 || getuid() == 0 || getegid() == 0) {
        die("run as root", -EPERM);
    }
    /* It was for the loader: functions that are looked up when they are first
     * called would be looked up by every job. Not for the scripts. */
    (void)unsetenv("LD_BIND_NOW");
    /* One heap for all threads of a script: glibc reserves 64 MiB of address
     * space for each further one, which would count against the memory limit.
     * Not by MALLOC_ARENA_MAX: scripts would see it in their environment. */
    (void)mallopt(M_ARENA_MAX, 1);
    /* The main thread's, as from a shell; where the hard limit is lower,
     * scripts get that. */
    (void)setrlimit(RLIMIT_STACK, &stack);
    set_thread_stacks();
    rv = job_stack_locate();
    if (rv != 0) {
        die("find the stack in /proc/self/maps", rv);
    }
    (void)receive_or_die(PXW_WARM, &text_file, 0, 1, &warm);
    check_release_or_die(&warm);
    rv = zygote_warm_read(&warm, &jail, &reason);
    if (rv != 0) {
        die(reason, rv);
    }
    enter_jail_or_die(&jail);
    rv = zygote_jobs_prepare(pxw_u32(&warm, PXW_F_SLOTS, 0), &jail, &reason);
    if (rv != 0) {
        die(reason, rv);
    }
    rv = jail.network ? zygote_network_tell() : 0;
    if (rv != 0) {
        die("tell scripts the way to the proxy", rv);
    }
    rv = zygote_warm_set_variables(&warm.field[PXW_F_ENV]);
    if (rv != 0) {
        die("set the variables of the environment", rv);
    }
    if (py_runtime_start(text_file, &reason) != 0) {
        log_line(LOG_LEVEL_ERROR, 452, "cannot start Python: %s", reason);
        return 1;
    }
    cleanup_fd(&text_file);
    if (py_link_prepare(&warm) != 0) {
        die("compile what fetches scripts", -EINVAL);
    }
    if (py_runtime_preload((const char *)warm.field[PXW_F_PRELOAD].data,
                           warm.field[PXW_F_PRELOAD].size, jail.site,
                           jail.install_bytes > 0 ? NULL : jail.environment)
        != 0) {
        die("take hold of Python's json and os modules, or of sys.path",
            -ENOENT);
    }
    rv = job_stack_prepare();
    if (rv != 0) {
        die("handle stack overflows", rv);
    }
    check_single_thread_or_die();
    rv = zygote_own_selftest();
    if (rv != 0) {
        die("serve: the self-test of the confinement failed", rv);
    }
    announce(jail.level);
    serve(&jail);
}
