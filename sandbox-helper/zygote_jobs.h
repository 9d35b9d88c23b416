/* SPDX-License-Identifier: Apache-2.0
 *
 * The zygote's table of jobs: which slot is free, who is in the others.
 */
#ifndef PYEXEC_ZYGOTE_JOBS_H
#define PYEXEC_ZYGOTE_JOBS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "jail_trees.h"
#include "job_main.h"
#include "slot.h"

/* More jobs at a time than this would not fit one poll(2) comfortably. */
#define ZYGOTE_MAX_JOBS 1024

/* How a job ended, and what it has cost with all that it had started and that
 * somebody waited for. */
struct zygote_job_end
{
    int status;
    uint64_t cpu_us;
    uint64_t peak_bytes;  /* of the largest process */
};

/* A slot and the job that is in it. */
struct zygote_job
{
    uint64_t number;  /* the keeper's */
    pid_t pid;        /* 0: none */
    int pidfd;        /* -1: none, or reaped already */
    struct slot slot;
    bool counted;     /* its next process would not be PID 2 */
    struct zygote_job_end end; /* once reaped */
};

/* Before /proc goes, and with it the way to an environment: opens what is
 * needed of them. 0, or a negative errno with *ret_step naming what failed. */
int zygote_jobs_open(const struct jail *jail, const char **ret_step);

/* Before CPython is there, inside the jail: prepares the layers that jobs
 * share and makes `slots` slots. 0, or a negative errno with *ret_step naming
 * what failed. */
int zygote_jobs_prepare(uint32_t slots, const struct jail *jail,
                        const char **ret_step);

/* The table, for polling: *ret_count entries. */
const struct zygote_job *zygote_jobs_table(uint32_t *ret_count);

/* How much memory this process has that is not a file's, in bytes. */
uint64_t zygote_jobs_own_bytes(void);

/* Forks a job with the first four descriptors of PXW_FORK and the fifth, or
 * -1, in `cgroup`; they stay the caller's. Returns its entry, or NULL with *ret_error a negative errno (-EAGAIN: every
 * slot is taken). */
const struct zygote_job *zygote_jobs_fork(uint64_t number, const int *fds,
                                          int cgroup, int *ret_error);

/* The listener of a job that was just forked, the caller's from now on; -1: it
 * has no network. */
int zygote_jobs_steal_listener(const struct zygote_job *job);

/* What becomes readable when there is something to do for this entry; -1:
 * nothing is in it. */
int zygote_jobs_descriptor(const struct zygote_job *job);

/* When that is readable. 1: the job has ended, and nothing of it is left; its
 * `end` is complete, and the entry free after zygote_jobs_renew(). 0: what the
 * job has left behind is being ended. Or a negative errno. */
int zygote_jobs_reap(uint32_t index);

/* Makes the entry ready for the next job: soon, but not before the end of the
 * last one was told. */
void zygote_jobs_renew(uint32_t index);

/* Forks a job of ours, not one of the keeper's, into an entry that is free: its
 * descriptors as above. 0 or a negative errno. */
int zygote_jobs_fork_own(uint32_t index, const int *fds, enum job_role role);

#endif
