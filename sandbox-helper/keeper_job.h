/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs of a branch, from the fork to the outcome:
 *
 *     starting ──READY──> ready ──dispatch──> running ──EXITED──> ended
 *         └───────────────┴── killed ──> doomed ──────EXITED──────┘
 *
 * Deadlines, output caps, kill, and what the end is called.
 */
#ifndef PYEXEC_KEEPER_JOB_H
#define PYEXEC_KEEPER_JOB_H

#include "keeper_relay.h"
#include "keeper_report.h"
#include "keeper_stream.h"
#include "wire.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

struct keeper_cgroup_leaf;
struct keeper_job;
struct keeper_branch;
struct keeper_zygote;
struct keeper_run;
struct keeper_tenant;

enum keeper_job_state
{
    JOB_STARTING, /* the zygote was asked; no pidfd or no READY yet */
    JOB_READY,
    JOB_RUNNING,
    JOB_DOOMED,   /* killed before it ran: only its EXITED is of interest */
};

/* Why the keeper ended a run. Recorded before the kill; the first one holds. */
enum keeper_job_verdict
{
    JOB_NO_VERDICT,
    JOB_CANCELLED,
    JOB_LOST, /* with its zygote */
    JOB_PAST_DEADLINE,
    JOB_PAST_CPU,
    JOB_PAST_OUTPUT,
};

/* What the zygote said of a job's process. */
struct keeper_job_process
{
    pid_t pid;
    pid_t init; /* 0: none that matters */
    int pidfd;
    int listener; /* -1: it has no network */
};

/* What the zygote said of a job's end. */
struct keeper_job_end
{
    int wait_status;
    uint64_t cpu_us;
    uint64_t peak_bytes;
    struct pxw_field text; /* why what it installed was not taken over */
};

/* A stream with the event that waits for it. */
struct keeper_job_channel
{
    struct event event;
    bool resting; /* waits for the pump instead of for its event */
};

struct keeper_job
{
    TAILQ_ENTRY(keeper_job) link;
    struct keeper_branch *branch;
    struct keeper_zygote *zygote; /* whose child it is */
    uint64_t number;
    pid_t pid;
    pid_t init; /* who adopts what it leaves behind; 0: it can leave nothing */
    int pidfd;
    struct keeper_cgroup_leaf *leaf; /* NULL: no cgroup is delegated */
    enum keeper_job_state state;
    enum keeper_job_verdict verdict;
    bool killed;

    /* The frame, then what the script reads; `sent` counts both. */
    int input;
    struct event input_event;
    size_t sent;

    struct keeper_stream out;
    struct keeper_stream err;
    struct keeper_report report;
    struct keeper_relay relay;
    struct keeper_job_channel out_channel;
    struct keeper_job_channel err_channel;
    struct keeper_job_channel report_channel;
    struct event pump;

    /* Ready by, run until, or gone by: whichever its state asks for. */
    struct event deadline;
    uint64_t deadline_us;
    bool committing; /* it has ended, and its zygote takes over what it made */

    struct keeper_run *run; /* NULL: standby, or nobody waits any more */
    struct keeper_tenant *tenant; /* while RUNNING: whose place it holds */
    uint64_t dispatched_us;

    /* Its process's clock, and what that showed when the run began. */
    clockid_t cpu_clock;
    uint64_t warm_cpu_us;
    uint32_t cpu_ms;
    uint64_t seen_cpu_us; /* of all its processes, at the last look */
    struct event cpu_check;
};

TAILQ_HEAD(keeper_job_list, keeper_job);

struct keeper_jobs
{
    struct keeper_job_list all;
    size_t wanted; /* standby; grows as runs find none */
    uint64_t last_number;
    struct event refill;
    unsigned refill_delay_ms;
};

/* Nothing of the script has run, nor was anything fetched for it: of a job that
 * is gone, its report read to the end. Our own code says STARTED before it
 * begins. */
bool keeper_job_is_unbegun(const struct keeper_job *job);

/* Its process is gone, and its zygote takes over what it has installed, if it
 * has: of a pool that installs. */
bool keeper_job_is_committing(const struct keeper_job *job);

/* What became of the run, by what the keeper saw and did. */
enum pxw_outcome keeper_job_outcome(const struct keeper_job *job,
                                    const struct keeper_job_end *end);

void keeper_jobs_open(struct keeper_branch *branch);
/* Kills and forgets all; nobody may be waiting for a run any more. */
void keeper_jobs_close(struct keeper_branch *branch);

/* Soon, outside of the caller's critical path, forks what is missing to the
 * branch's number of standby jobs, from its current zygote. */
void keeper_jobs_refill(struct keeper_branch *branch);

/* The same without delay: another zygote is current now. */
void keeper_jobs_start_over(struct keeper_branch *branch);

/* The ready job that waits longest, of the current zygote if there is one;
 * NULL: none. */
struct keeper_job *keeper_jobs_ready(struct keeper_branch *branch);

/* One was dispatched. The next is forked at once only if none is ready: a
 * fork beside the run would slow it down, and its end tells soon enough. */
void keeper_jobs_taken(struct keeper_branch *branch);

/* So many runs found none ready at the same time: the branch keeps as many from
 * now on. */
void keeper_jobs_want(struct keeper_branch *branch, size_t wanted);

/* Whether runs of the branch go on. */
bool keeper_jobs_run(const struct keeper_branch *branch);

/* Ends all that stand by, and keeps none from now on: its zygote is about to
 * retire. */
void keeper_jobs_let_go(struct keeper_branch *branch);

/* Ends those that stand by in zygotes that retire, and have loaded other packages
 * than the current ones. */
void keeper_jobs_drop_stale(struct keeper_branch *branch);

/* Their zygote is gone: kills them, runs of it end as PXW_LOST. */
void keeper_jobs_lost(struct keeper_zygote *zygote);

/* Hands a run to a ready job. Never calls the run's `done` itself. */
void keeper_job_dispatch(struct keeper_job *job, struct keeper_run *run);

/* Nobody waits for the run any more: kills the job at once. */
void keeper_job_cancel(struct keeper_job *job);

/* From the fork channel. The descriptors are taken over, also when no such job is
 * known; `error` is 0 or the zygote's errno. */
void keeper_job_forked(struct keeper_zygote *zygote, uint64_t number,
                       const struct keeper_job_process *process, int error);
void keeper_job_exited(struct keeper_zygote *zygote, uint64_t number,
                       const struct keeper_job_end *end);

#endif
