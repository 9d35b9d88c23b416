/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU time of a run, watched to the millisecond from outside.
 */
#ifndef PYEXEC_KEEPER_CPU_H
#define PYEXEC_KEEPER_CPU_H

#include <stdint.h>

struct event_base;
struct keeper_job;
struct keeper_job_end;

/* Ties the job's timer to the loop; adds nothing. 0 or -1. */
int keeper_cpu_assign(struct keeper_job *job, struct event_base *base);

/* The run begins: what its process has spent by now was the warm-up. Its
 * wall deadline and `cpu_ms` must be set. */
void keeper_cpu_start(struct keeper_job *job);

/* The run has ended: what was seen of it counts, if the zygote, which knows
 * only what somebody waited for, tells less. */
void keeper_cpu_settle(const struct keeper_job *job,
                       struct keeper_job_end *end);

/* How many processors there are at most to spend time on; never 0. */
unsigned keeper_cpu_processors(void);

#endif
