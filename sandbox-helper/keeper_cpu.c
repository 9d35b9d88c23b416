/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs in the keeper. The kernel's own limit counts whole seconds, with the
 * warm-up, and is set by the job; here the clock of the job's process is read
 * instead. The next look is when the limit could be reached at the earliest,
 * so that a run that is far from it never wakes anybody.
 *
 * Where a run may have several processes and no cgroup, /proc tells what the
 * others have used. A process that ends between two looks, and for which nobody waits
 * (SIGCHLD ignored, say), is not seen to its end: such a run is bounded by the
 * wall clock and the number of processors.
 *
 * The clock is named by a process number, which cannot go to another process
 * before the zygote has reaped the job, and said so. Only after the death of a
 * whole zygote could a number be a stranger's for a moment: all that it gives
 * is a wrong time for a job that is about to be forgotten.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_cpu.h"

#include "fdio.h"
#include "keeper.h"
#include "keeper_jobs.h"
#include "keeper_tree.h"

#include <event2/event.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

/* More often than this is not worth the switch of context. */
#define LEAST_WAIT_US 2000u
/* A look at all processes of a run is a few hundred system calls. */
#define LEAST_WAIT_TREE_US 20000u

/* False: the process is gone. */
static bool read_clock(clockid_t clock, uint64_t *ret_us)
{
    struct timespec spent;

    if (clock_gettime(clock, &spent) != 0) {
        return false;
    }
    *ret_us = (uint64_t)spent.tv_sec * 1000000u
              + (uint64_t)spent.tv_nsec / 1000u;
    return true;
}

/* All processors could work for this one run from now on. */
static void look_again(struct keeper_job *job, uint64_t left_us)
{
    uint64_t wait_us = left_us / job->branch->pool->keeper->processors;
    uint64_t least_us = job->init != 0 ? LEAST_WAIT_TREE_US : LEAST_WAIT_US;
    struct timeval wait;

    if (wait_us < least_us) {
        wait_us = least_us;
    }
    if (fdio_now_us() + wait_us >= job->deadline_us) {
        return; /* the wall clock comes first */
    }
    wait.tv_sec = (time_t)(wait_us / 1000000u);
    wait.tv_usec = (suseconds_t)(wait_us % 1000000u);
    if (evtimer_add(&job->cpu_check, &wait) != 0) {
        /* RLIMIT_CPU and the wall clock remain. */
        return;
    }
}

/* With what the other processes of the run have used: its cgroup knows that,
 * whoever waits for them; without one /proc is asked. Less than the last time
 * means that one has vanished without a trace: what was seen stays counted. */
static uint64_t see_all(struct keeper_job *job, uint64_t spent_us)
{
    uint64_t all_us = job->leaf == NULL ? 0 : keeper_cgroup_cpu_us(job->leaf);

    if (all_us == 0 && job->init != 0) {
        all_us = spent_us + keeper_tree_cpu_us(job->pid, job->init);
    }
    if (all_us < spent_us) {
        all_us = spent_us;
    }
    if (all_us > job->seen_cpu_us) {
        job->seen_cpu_us = all_us;
    }
    return job->seen_cpu_us;
}

static void on_check(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_job *job = argument;
    uint64_t limit_us = job->warm_cpu_us + (uint64_t)job->cpu_ms * 1000u;
    uint64_t spent_us;

    (void)fd;
    (void)what;
    if (job->killed || !read_clock(job->cpu_clock, &spent_us)) {
        return; /* EXITED is on its way */
    }
    spent_us = see_all(job, spent_us);
    if (spent_us >= limit_us) {
        keeper_job_kill(job, JOB_PAST_CPU);
        return;
    }
    look_again(job, limit_us - spent_us);
}

int keeper_cpu_assign(struct keeper_job *job, struct event_base *base)
{
    return evtimer_assign(&job->cpu_check, base, on_check, job);
}

void keeper_cpu_start(struct keeper_job *job)
{
    job->warm_cpu_us = 0;
    if (clock_getcpuclockid(job->pid, &job->cpu_clock) == 0
        && read_clock(job->cpu_clock, &job->warm_cpu_us)) {
        look_again(job, (uint64_t)job->cpu_ms * 1000u);
    }
}

void keeper_cpu_settle(const struct keeper_job *job,
                       struct keeper_job_end *end)
{
    if (end->cpu_us < job->seen_cpu_us) {
        end->cpu_us = job->seen_cpu_us;
    }
}

unsigned keeper_cpu_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count < 1 ? 1 : (unsigned)count;
}
