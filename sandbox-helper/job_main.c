/* SPDX-License-Identifier: Apache-2.0
 *
 * The ordered list of steps between fork and user code. If one fails, the job
 * says which and ends: nothing runs. Runs in the job, at first with the
 * zygote's rights, at the end with none.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "job_main.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdio.h"
#include "jail_install.h"
#include "job_caps.h"
#include "job_commit.h"
#include "job_landlock.h"
#include "job_limits.h"
#include "job_seccomp.h"
#include "job_selftest.h"
#include "job_stack.h"
#include "py_environment.h"
#include "py_examine.h"
#include "py_hints.h"
#include "py_hooks.h"
#include "py_install.h"
#include "py_link.h"
#include "py_run.h"
#include "py_runtime.h"
#include "slot.h"
#include "wire.h"

/* Where the report waits during a call: above the descriptors that any run may
 * have by default, below the soft limit that the zygote may have. */
#define REPORT_FD 900

/* Where the report goes: moves to JOB_FD_REPORT with the other descriptors. */
static int report;

/* Numbers that go on from job to job would tell each how many processes and
 * threads the ones before had. So each sets the counter back for its
 * successor; after a job with threads of its own that was not enough, and the
 * zygote has to take another slot. */
static int count_from_start(const struct job_start *start)
{
    if (start->last_pid < 0) {
        return 0; /* every slot is used once */
    }
    if (getpid() != 2) {
        _exit(PXW_EXIT_AGAIN);
    }
    return pwrite(start->last_pid, "1", 1, 0) == 1 ? 0 : -EPERM;
}

/* Early, so that what follows is charged to the job's own group. */
static int enter_cgroup(const struct job_start *start)
{
    return start->cgroup < 0 ? 0
                             : fdio_write_full(start->cgroup, "0", 1, -1);
}

static int leave_session(const struct job_start *start)
{
    (void)start;
    return setsid() < 0 ? -errno : 0;
}

/* While there is still the right to. What the job is left with there is only
 * what the network itself allows. */
static int enter_network(const struct job_start *start)
{
    return start->jail.network ? slot_enter_network(start->slot) : 0;
}

/* A user namespace of the job's own, without any id mapped: it has no power
 * over the zygote's namespaces, and RLIMIT_NPROC counts this job only. */
static int leave_user_namespace(const struct job_start *start)
{
    (void)start;
    return unshare(CLONE_NEWUSER) != 0 ? -errno : 0;
}

static int close_limits(const struct job_start *start)
{
    return job_limits_close(start->jail.processes, start->jail.install_bytes);
}

static int drop_capabilities(const struct job_start *start)
{
    (void)start;
    return job_caps_reduce(0);
}

static int forbid_privileges(const struct job_start *start)
{
    (void)start;
    /* The zygote has set the first one already; it cannot be unset. */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                   || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0
               ? -errno
               : 0;
}

/* After the changes of credentials, which may clear it. The zygote's pidfd
 * tells whether it died before: getppid() is 0 across PID namespaces. */
static int follow_zygote(const struct job_start *start)
{
    struct pollfd zygote = { .fd = start->zygote, .events = POLLIN };

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0
        || poll(&zygote, 1, 0) < 0) {
        return -errno;
    }
    return zygote.revents == 0 ? 0 : -ESRCH;
}

static int restrict_files(const struct job_start *start)
{
    return job_landlock_restrict(start->landlock);
}

/* Nothing is left open but the job's own four. Python keeps none of its own:
 * it was started with these numbers being pipes. */
static int take_descriptors(const struct job_start *start)
{
    unsigned int kept = JOB_FDS;

    for (int fd = 0; fd < JOB_FDS; fd++) {
        if (dup2(start->fds[fd], fd) != fd) {
            return -errno;
        }
    }
    report = JOB_FD_REPORT;
    if (start->role == JOB_COMMIT) {
        if (dup2(start->directory, JOB_FD_DIRECTORY) != JOB_FD_DIRECTORY) {
            return -errno;
        }
        kept = JOB_FD_DIRECTORY + 1;
    }
    return close_range(kept, ~0u, 0) != 0 ? -errno : 0;
}

static int reset_signals(const struct job_start *start)
{
    sigset_t none;

    (void)start;
    (void)sigemptyset(&none);
    (void)umask(022); /* what python3 has from a shell */
    return sigprocmask(SIG_SETMASK, &none, NULL) != 0 ? -errno : 0;
}

static int refresh_interpreter(const struct job_start *start)
{
    (void)start;
    py_runtime_refresh();
    return 0;
}

/* Last: it refuses what the other steps need. */
static int filter_calls(const struct job_start *start)
{
    (void)start;
    return job_seccomp_attach();
}

static const struct
{
    const char *name;
    int (*run)(const struct job_start *start);
    enum jail_level level;  /* the least that has this step */
} steps[] = {
    { "count processes from the start", count_from_start, JAIL_FULL },
    { "enter the cgroup", enter_cgroup, JAIL_RESTRICTED },
    { "leave the session", leave_session, JAIL_RESTRICTED },
    { "enter the network", enter_network, JAIL_FULL },
    { "leave the user namespace", leave_user_namespace, JAIL_FULL },
    { "close resource limits", close_limits, JAIL_RESTRICTED },
    { "drop capabilities", drop_capabilities, JAIL_RESTRICTED },
    { "forbid new privileges", forbid_privileges, JAIL_RESTRICTED },
    { "follow the zygote's death", follow_zygote, JAIL_RESTRICTED },
    { "restrict files by Landlock", restrict_files, JAIL_RESTRICTED },
    { "take descriptors", take_descriptors, JAIL_RESTRICTED },
    { "reset signals", reset_signals, JAIL_RESTRICTED },
    { "refresh the interpreter", refresh_interpreter, JAIL_RESTRICTED },
    { "filter system calls", filter_calls, JAIL_RESTRICTED },
};

/* Sends a frame and frees it. A keeper that is gone needs no answer. */
static void tell(struct pxw_writer *frame)
{
    if (pxw_end(frame) == 0) {
        (void)fdio_write_full(report, frame->data, frame->size, -1);
    }
    pxw_writer_free(frame);
}

static void tell_plain(enum pxw_type type)
{
    struct pxw_writer frame = { 0 };

    pxw_begin(&frame, type);
    tell(&frame);
}

static void __attribute__((noreturn)) fail_or_die(const char *step, int error,
                                                  enum job_exit status)
{
    struct pxw_writer frame = { 0 };

    pxw_begin(&frame, PXW_FAILED);
    pxw_put_str(&frame, PXW_F_STEP, step);
    pxw_put_u32(&frame, PXW_F_ERROR, (uint32_t)-error);
    tell(&frame);
    _exit(status);
}

static void confine_or_die(const struct job_start *start)
{
    report = start->fds[JOB_FD_REPORT];
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int rv = start->jail.level < steps[i].level ? 0 : steps[i].run(start);

        if (rv != 0) {
            fail_or_die(steps[i].name, rv, JOB_EXIT_CONFINE);
        }
    }
}

/* The RUN frame, and nothing behind it: that is the script's stdin. The body
 * stays allocated, the message points into it. */
static void read_run_or_die(struct pxw_message *ret_run)
{
    uint8_t head[PXW_HEADER_BYTES];
    struct pxw_header header;
    uint8_t *body;
    int rv = fdio_read_full(JOB_FD_IN, head, sizeof(head), -1);

    if (rv == -ENODATA) {
        _exit(JOB_EXIT_OK); /* not needed any more */
    }
    if (rv == 0) {
        rv = pxw_get_header(head, &header);
    }
    if (rv == 0 && header.type != PXW_RUN) {
        rv = -EBADMSG;
    }
    if (rv != 0) {
        fail_or_die("read the run", rv, JOB_EXIT_RUN);
    }
    body = malloc(header.length);
    rv = body == NULL ? -ENOMEM
                      : fdio_read_full(JOB_FD_IN, body, header.length, -1);
    if (rv == 0) {
        rv = pxw_parse(PXW_RUN, body, header.length, ret_run);
    }
    if (rv != 0) {
        fail_or_die("read the run", rv, JOB_EXIT_RUN);
    }
}

/* Saturating: a limit that wraps would be none, or far too small. */
static uint64_t add_up(uint64_t one, uint64_t other)
{
    return other > UINT64_MAX - one ? UINT64_MAX : one + other;
}

static void apply_limits_or_die(const struct job_start *start,
                                const struct pxw_message *run)
{
    struct job_limits limits = {
        .address_bytes = add_up(start->warm_bytes,
                                pxw_u64(run, PXW_F_MEMORY, 0)),
        .cpu_ms = pxw_u32(run, PXW_F_CPU_MS, 0),
        .files = pxw_u32(run, PXW_F_FILES, 0),
        /* Without a user namespace of its own the count is that of everybody
         * with this uid. */
        .threads = start->jail.level == JAIL_FULL
                       ? pxw_u32(run, PXW_F_THREADS, 0)
                       : start->tasks,
    };
    int rv = job_limits_apply(&limits);

    if (rv != 0) {
        fail_or_die("apply the run's limits", rv, JOB_EXIT_RUN);
    }
}

static void __attribute__((noreturn)) refuse(const struct py_refusal *refusal)
{
    struct pxw_writer frame = { 0 };

    pxw_begin(&frame, PXW_REFUSED);
    pxw_put_u32(&frame, PXW_F_REASON, refusal->reason);
    pxw_put_bytes(&frame, PXW_F_TEXT, refusal->text,
                  pxw_text_size(refusal->text, strlen(refusal->text)));
    if (refusal->names != NULL) {
        py_hints_put_list(&frame, PXW_F_NAMES, refusal->names);
    }
    tell(&frame);
    _exit(JOB_EXIT_OK);
}

static char *copy_source(const struct pxw_message *run)
{
    static const struct py_refusal too_large = {
        .reason = PXW_REASON_LIMIT,
        .text = "The script does not fit into the memory limit",
    };
    const struct pxw_field *field = &run->field[PXW_F_SOURCE];
    char *source = malloc((size_t)field->size + 1);

    if (source == NULL) {
        refuse(&too_large);
    }
    memcpy(source, field->data, field->size);
    source[field->size] = '\0';
    return source;
}

/* The text that is checked and run: the request's, or what its link leads to. */
static char *take_source(const struct pxw_message *run)
{
    static struct py_refusal refusal;
    char *source;
    int rv;

    if (pxw_u32(run, PXW_F_LINK, 0) == 0) {
        return copy_source(run);
    }
    rv = py_link_fetch(run, report, &source, &refusal);
    if (rv != 0) {
        fail_or_die("fetch the script", rv, JOB_EXIT_RUN);
    }
    if (source == NULL) {
        refuse(&refusal);
    }
    return source;
}

static struct py_policy policy_of(const struct pxw_message *run)
{
    return (struct py_policy){
        .imports = (const char *)run->field[PXW_F_IMPORTS].data,
        .imports_size = run->field[PXW_F_IMPORTS].size,
        .deny = (const char *)run->field[PXW_F_DENY].data,
        .deny_size = run->field[PXW_F_DENY].size,
        .installed = pxw_u32(run, PXW_F_OPEN, 0) != 0
                         ? py_environment_names()
                         : NULL,
        .forbid = pxw_u32(run, PXW_F_FORBID, 0),
    };
}

/* Out of the script's way: above its own limit of descriptors, so that it
 * neither counts nor is closed by a loop over all of them. No program that it
 * executes has it. */
static void move_report_or_die(void)
{
    int fd = fcntl(JOB_FD_REPORT, F_DUPFD_CLOEXEC, REPORT_FD);

    if (fd < 0 && errno == EINVAL) {
        return; /* the machine's own limit is lower: it stays where it is */
    }
    if (fd < 0) {
        fail_or_die("move the report", -errno, JOB_EXIT_RUN);
    }
    (void)close(JOB_FD_REPORT);
    report = fd;
}

/* No script: pip, with what the run names. There is no policy of imports, and
 * nothing of it is called. */
static void __attribute__((noreturn))
install_or_die(const struct job_start *start, const struct pxw_message *run)
{
    static struct py_script script;
    const struct pxw_field *wanted = &run->field[PXW_F_INSTALL];
    int status;

    if (wanted->data == NULL || start->jail.install_bytes == 0
        || !py_install_prepare(&start->jail, (const char *)wanted->data,
                               wanted->size, &script)) {
        fail_or_die("prepare an installation", -EINVAL, JOB_EXIT_RUN);
    }
    tell_plain(PXW_STARTED);
    job_stack_watch(report);
    script.call.report = report;
    script.call.owner = getpid();
    status = py_run_script(&script);
    _exit(status == 0                    ? JOB_EXIT_INSTALLED
          : status == JOB_EXIT_UNCHANGED ? JOB_EXIT_UNCHANGED
                                         : 1);
}

static void __attribute__((noreturn)) run_or_die(const struct job_start *start)
{
    static struct py_policy policy; /* the hooks keep it */
    static struct py_script script;
    struct py_refusal refusal;
    struct pxw_message run;

    read_run_or_die(&run);
    move_report_or_die();
    apply_limits_or_die(start, &run);
    if (start->jail.install_bytes > 0 || pxw_has(&run, PXW_F_INSTALL)) {
        install_or_die(start, &run);
    }
    policy = policy_of(&run);
    if (!py_examine(&run, take_source(&run), &policy, &script, &refusal)) {
        refuse(&refusal);
    }
    if ((policy.forbid & PXW_FORBID_AT_RUN_TIME) != 0
        && py_hooks_arm(&policy) != 0) {
        fail_or_die("arm the policy's hooks", -ENOMEM, JOB_EXIT_RUN);
    }
    tell_plain(PXW_STARTED);
    job_stack_watch(report);
    script.call.report = report;
    script.call.owner = getpid();
    _exit(py_run_script(&script));
}

static void __attribute__((noreturn))
test_or_die(const struct job_start *start)
{
    const char *hole = job_selftest(&start->jail);

    if (hole != NULL) {
        fail_or_die(hole, -EPERM, JOB_EXIT_SELFTEST);
    }
    _exit(JOB_EXIT_OK);
}

static void __attribute__((noreturn))
commit_or_die(const struct job_start *start)
{
    const char *base = start->jail.environment;
    const char *step = "";
    int rv = job_commit(JAIL_INSTALL_PACKAGES, JOB_FD_DIRECTORY,
                        base == NULL ? "" : strrchr(base, '/') + 1,
                        start->jail.install_bytes, &step);

    if (rv != 0) {
        fail_or_die(step, rv, JOB_EXIT_COMMIT);
    }
    _exit(JOB_EXIT_OK);
}

void job_main(const struct job_start *start)
{
    confine_or_die(start);
    if (start->role == JOB_SELFTEST) {
        test_or_die(start);
    }
    if (start->role == JOB_COMMIT) {
        commit_or_die(start);
    }
    tell_plain(PXW_READY);
    run_or_die(start);
}
