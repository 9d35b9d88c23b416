/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission: a bounded queue for each pool, fair between its tenants, how long
 * one may wait in it, and the sum of bytes that frames hold. Decides which run
 * is dispatched when.
 */
#ifndef PYEXEC_KEEPER_QUEUE_H
#define PYEXEC_KEEPER_QUEUE_H

#include "keeper_metrics.h"
#include "keeper_tenants.h"
#include "wire.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct keeper;
struct keeper_job;
struct keeper_pool;

/* One run from admission to outcome. The connection owns it and its frame;
 * both must stay until `done` was called or keeper_run_cancel() returned. */
struct keeper_run
{
    TAILQ_ENTRY(keeper_run) link; /* in its tenant's list, while `queued` */
    struct keeper *keeper;
    struct keeper_pool *pool; /* NULL: not known */
    struct keeper_tenant *tenant; /* valid while it waits or its job runs */
    struct keeper_job *job; /* NULL: not dispatched */
    bool queued;
    struct event timeout;
    uint64_t admitted_us;
    uint32_t groups; /* what it seems to import: keeper_plan_look() */
    unsigned repeats; /* jobs of it that ended before the script had begun */

    uint8_t *frame; /* header and body, as received */
    size_t frame_bytes;
    struct pxw_message message; /* points into `frame` */

    /* How it ended, for the metrics; set when its OUTCOME is written. */
    enum pxw_outcome outcome;
    enum keeper_refusal refusal;
    bool ran; /* a job had it; then the times are set */
    uint64_t queue_us;
    uint64_t wall_us;

    /* Called before a job gets it, each time one does. */
    void (*begin)(struct keeper_run *run);

    /* Called once with the OUTCOME frame, which it may take over; neither run
     * nor frame is touched by the caller afterwards. The frame is broken when
     * its `error` is set. */
    void (*done)(struct keeper_run *run, struct pxw_writer *answer);
};

struct keeper_queue
{
    struct keeper_tenants tenants;
    size_t length; /* of all tenants together */
    uint64_t woken_us; /* when the first branch was ready after it rested */
};

void keeper_queue_open(struct keeper_pool *pool);

/* Takes a run with `frame`, `message`, `keeper`, `pool`, `begin` and `done`
 * filled in. It is dispatched, queued, or refused before this returns; another
 * run may have been refused in its place. */
void keeper_queue_admit(struct keeper_run *run);

/* Dispatches as many waiting runs as there are ready jobs. */
void keeper_queue_serve(struct keeper_pool *pool);

/* Nothing of the script has run, and its job is gone through no fault of its
 * own: it waits again, before all others of its tenant. False: that was often
 * enough, or there is no memory. The caller calls keeper_queue_serve(). */
bool keeper_run_again(struct keeper_run *run);

/* The client went away: out of the queue, or its job is killed. `done` is not
 * called. Does nothing for a run that was never admitted or is finished. */
void keeper_run_cancel(struct keeper_run *run);

/* Ends all runs that wait. */
void keeper_queue_refuse(struct keeper_pool *pool, enum pxw_outcome outcome,
                         const char *text);

/* Ends a run of which nothing but this is known. */
void keeper_run_finish(struct keeper_run *run, enum pxw_outcome outcome,
                       const char *text);
/* The same for one that there is no room for. */
void keeper_run_refuse(struct keeper_run *run, enum keeper_refusal why);

/* Counts a run whose end is known, then calls its `done`. */
void keeper_run_answer(struct keeper_run *run, struct pxw_writer *answer);

/* Bytes about to be held for a frame. False: too much is held already. */
bool keeper_hold(struct keeper *keeper, size_t bytes);
void keeper_release(struct keeper *keeper, size_t bytes);

#endif
