/* SPDX-License-Identifier: Apache-2.0
 *
 * Between keeper_job_open.c (a job's beginning), keeper_job.c with keeper_cpu.c
 * (its life), keeper_outcome.c (its end), keeper_jobs.c (all jobs of a branch)
 * and keeper_jobs_standby.c (those that wait for a run); nobody else includes
 * this.
 */
#ifndef PYEXEC_KEEPER_JOBS_H
#define PYEXEC_KEEPER_JOBS_H

#include "keeper_job.h"

struct event_base;

/* Asks the zygote for one more job, which is counted as a standby job from
 * now on. 0, or what keeper_zygote_fork() returned, or another errno. */
int keeper_job_open(struct keeper_zygote *zygote);

/* Closes and frees what belongs to a job that is on no list any more. */
void keeper_job_free(struct keeper_job *job);

/* Ties the job's events to its descriptors; adds none. 0 or -EINVAL. */
int keeper_job_assign(struct keeper_job *job, struct event_base *base);

/* Replaces the job's deadline. */
void keeper_job_set_deadline(struct keeper_job *job, uint64_t wait_ms);

/* Records the verdict unless there is one, then kills unless done. */
void keeper_job_kill(struct keeper_job *job, enum keeper_job_verdict verdict);

/* Reads what is still in the pipes of a dead job; bounded, never waits. */
void keeper_job_drain(struct keeper_job *job);

/* Writes the OUTCOME frame of a run that ended, and returns which it is. */
enum pxw_outcome keeper_job_end(struct keeper_job *job,
                                const struct keeper_job_end *end,
                                struct pxw_writer *answer);

/* A starting job wrote what it had to, or something else. */
void keeper_jobs_reported(struct keeper_job *job);

/* A starting job will not become ready: kills it, and counts. */
void keeper_jobs_start_failed(struct keeper_job *job, const char *reason);

/* Counts a job that did not start, tells the first of them, and asks for
 * another, later each time; a zygote with too many in a row is given up. */
void keeper_jobs_count_failure(struct keeper_zygote *zygote,
                               const char *reason);

/* Kills a job that nobody shall get: a standby job is none from now on. */
void keeper_jobs_doom(struct keeper_job *job);

#endif
