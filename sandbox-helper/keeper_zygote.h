/* SPDX-License-Identifier: Apache-2.0
 *
 * One zygote as the keeper sees it: started, warmed, asked to fork, watched,
 * killed and reaped. Which of a branch's zygotes does what is the business of
 * keeper_zygotes.h.
 */
#ifndef PYEXEC_KEEPER_ZYGOTE_H
#define PYEXEC_KEEPER_ZYGOTE_H

#include "keeper_environment.h"
#include "keeper_level.h"
#include "keeper_zygote_log.h"
#include "keeper_zygote_start.h"
#include "wire.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct keeper_branch;

enum keeper_zygote_state
{
    ZYGOTE_WARMING,
    ZYGOTE_UP,
    ZYGOTE_DYING, /* killed, not reaped yet */
};

struct keeper_zygote
{
    TAILQ_ENTRY(keeper_zygote) link;
    struct keeper_branch *branch;
    enum keeper_zygote_state state;
    struct keeper_zygote_ends ends;
    struct event warm_timer; /* how long warming may take */
    struct event pidfd_event;
    struct event channel_event;
    struct event writable; /* once, when a FORK did not fit */
    struct event log_event;
    struct keeper_zygote_log log;

    enum keeper_level asked;
    uint64_t up_us; /* since when it is up; 0: never was */
    struct keeper_generation generation; /* of packages that it loads from */
    uint64_t warm_bytes; /* of its own, which a job's writes may copy */
    bool useful;    /* a run of it started */
    bool offered;   /* a job of it was ready */
    bool missed;    /* it failed and has to be replaced */

    size_t jobs;    /* of all states, killed ones included */
    size_t standby; /* of these: starting or ready */
    unsigned failed_starts; /* of jobs, in a row */
    uint32_t runs;     /* dispatched to jobs of it */
    uint32_t max_runs; /* a successor is asked for at this many; 0: never */
};

TAILQ_HEAD(keeper_zygote_list, keeper_zygote);

/* Starts one and asks it to become warm. NULL after a line in the log: there
 * is none. */
struct keeper_zygote *keeper_zygote_open(struct keeper_branch *branch,
                                         enum keeper_level level);
/* Kills and reaps it, for which it waits at most two seconds, and frees it.
 * Its jobs must have been forgotten. */
void keeper_zygote_close(struct keeper_zygote *zygote);

/* The first half of that: another close follows, which does not wait long. */
void keeper_zygote_kill(struct keeper_zygote *zygote);

/* Asks for a job. The descriptors of PXW_FORK stay the caller's. 0; -EAGAIN: full,
 * the branch is refilled once it is not; -ENOTCONN: not up; other errors. */
int keeper_zygote_fork(struct keeper_zygote *zygote, uint64_t number,
                       const int *fds, size_t count);

/* It does not do what it should: kills it, its runs are lost, and another one
 * takes its place. `reason` is for the log. */
void keeper_zygote_fail(struct keeper_zygote *zygote, const char *reason);

/* It is not needed any more and has no jobs: ends it, without complaint. */
void keeper_zygote_retire(struct keeper_zygote *zygote);

#endif
