/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a job of our own to its end. Runs in the zygote, which does nothing else
 * meanwhile; should it take too long, the keeper ends the zygote, and the job
 * with it.
 */
#include "zygote_own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdio.h"
#include "job_main.h"
#include "log.h"
#include "wire.h"
#include "zygote_jobs.h"

/* Descriptors of the zygote that a job may be given copies of start here: a
 * job's own take the numbers below. */
#define FIRST_FREE_FD (JOB_FDS + 1)

/* What it said went wrong, as text, and its errno; 0: it said nothing. */
static int describe(const uint8_t *frame, ssize_t size, int status,
                    char *ret_text, size_t capacity)
{
    struct pxw_header header;
    struct pxw_message failed;
    int error;

    if (size < PXW_HEADER_BYTES || pxw_get_header(frame, &header) != 0
        || header.type != PXW_FAILED
        || header.length != (size_t)size - PXW_HEADER_BYTES
        || pxw_parse(PXW_FAILED, frame + PXW_HEADER_BYTES, header.length,
                     &failed) != 0) {
        (void)snprintf(ret_text, capacity, "wait status %d", status);
        return 0;
    }
    error = (int)pxw_u32(&failed, PXW_F_ERROR, 0);
    (void)snprintf(ret_text, capacity, "%.*s: %s",
                   (int)failed.field[PXW_F_STEP].size,
                   (const char *)failed.field[PXW_F_STEP].data,
                   strerror(error));
    return error;
}

/* One pipe serves for all: nothing but a report is written. */
static int fork_with_pipe(uint32_t index, enum job_role role, int *ret_report)
{
    CLEANUP_FD int report = -1;
    CLEANUP_FD int other = -1;
    int ends[2];
    int fds[JOB_FDS];
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
        fds[i] = other;
    }
    rv = zygote_jobs_fork_own(index, fds, role);
    if (rv == 0) {
        *ret_report = steal_fd(&report);
    }
    return rv;
}

/* 0 when it ended well; -EPERM when not, with its word for it; else what kept
 * it from being run. *ret_error is its errno, or 0. */
static int run(uint32_t index, enum job_role role, char *ret_text,
               size_t capacity, int *ret_error)
{
    CLEANUP_FD int report = -1;
    uint8_t frame[1024];
    struct pollfd gone = { .events = POLLIN };
    uint32_t count;
    const struct zygote_job *job = &zygote_jobs_table(&count)[index];
    int rv = fork_with_pipe(index, role, &report);
    int status;
    ssize_t size;

    *ret_error = 0;
    if (rv != 0) {
        return rv;
    }
    size = fdio_read(report, frame, sizeof(frame));
    do {
        rv = zygote_jobs_reap(index);
        gone.fd = zygote_jobs_descriptor(job);
    } while (rv == 0 && (poll(&gone, 1, -1) >= 0 || errno == EINTR));
    zygote_jobs_renew(index);
    if (rv != 1) {
        return rv < 0 ? rv : -EIO;
    }
    status = job->end.status;
    if (WIFEXITED(status) && WEXITSTATUS(status) == JOB_EXIT_OK) {
        return 0;
    }
    *ret_error = describe(frame, size, status, ret_text, capacity);
    return -EPERM;
}

int zygote_own_selftest(void)
{
    char text[PXW_NAME_MAX + 128];
    int error;
    int rv = run(0, JOB_SELFTEST, text, sizeof(text), &error);

    if (rv == -EPERM) {
        log_line(LOG_LEVEL_ERROR, 451, "the confinement does not hold: %s",
                 text);
    }
    return rv;
}

/* 0, or why not in `ret_text`. */
static int commit(uint32_t index, char *ret_text, size_t size)
{
    static const struct
    {
        int error;
        const char *reason;
    } known[] = {
        { EFBIG, "they are more than PyExecInstallSize allows" },
        { ELOOP, "their directories are too deep" },
        { EMEDIUMTYPE, "they have something other than files and"
                       " directories" },
        { ESTALE, "another installation came in between; try again" },
    };
    char text[PXW_NAME_MAX + 128] = "";
    int error;
    int rv = run(index, JOB_COMMIT, text, sizeof(text), &error);

    if (rv == 0) {
        return 0;
    }
    if (rv != -EPERM) {
        (void)snprintf(text, sizeof(text), "cannot start a process: %s",
                       strerror(-rv));
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (error == known[i].error) {
            (void)snprintf(text, sizeof(text), "%s", known[i].reason);
        }
    }
    log_line(LOG_LEVEL_WARNING, 454, "what was installed is not taken over: %s",
             text);
    (void)snprintf(ret_text, size, "The packages were not taken over: %s",
                   text);
    return rv;
}

/* Only statuses of our own stand for packages that are complete; others may
 * come from whatever ran there, or from a job that was never given a run. */
void zygote_own_settle(uint32_t index, int *status, char *ret_text, size_t size)
{
    int code = WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;

    if (code == JOB_EXIT_INSTALLED) {
        zygote_jobs_renew(index);
        *status = commit(index, ret_text, size) == 0 ? W_EXITCODE(0, 0)
                                                     : W_EXITCODE(1, 0);
    }
    else if (code == JOB_EXIT_UNCHANGED) {
        *status = W_EXITCODE(0, 0);
    }
    else if (code == 0) {
        *status = W_EXITCODE(1, 0);
    }
}
