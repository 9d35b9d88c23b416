/* SPDX-License-Identifier: Apache-2.0
 *
 * The zygotes of a branch. One is current: new jobs are forked from it. One may
 * be coming: it takes over once it is warm. Those that were current before
 * retire: they fork no more and end with their last job.
 */
#ifndef PYEXEC_KEEPER_ZYGOTES_H
#define PYEXEC_KEEPER_ZYGOTES_H

#include "keeper_level.h"
#include "keeper_zygote.h"

#include <event2/event_struct.h>
#include <stdbool.h>

struct keeper_branch;
struct keeper_pool;

struct keeper_zygotes
{
    struct keeper_zygote_list all;
    struct keeper_zygote *current; /* up; NULL: nothing can be forked */
    struct keeper_zygote *coming;  /* warming or dying; NULL: none */
    struct event timer;            /* starts the one that is coming */
    unsigned failures; /* in a row: how long to wait before the next start */
    bool overdue;      /* the current one is to be replaced */

};

/* What holds for all branches of a pool: isolation must not depend on which of
 * them serves a run. */
struct keeper_isolation
{
    enum keeper_level asked;   /* of the next zygote that is started */
    enum keeper_level reached; /* LEVEL_NONE: no zygote ever became warm */
    unsigned failures;         /* to start one, until one was warm */
    bool level_told;           /* that full cannot be had */
    bool none_told;            /* nor restricted */
};

/* Why runs of a hopeless pool are refused, for people. */
#define KEEPER_NO_SANDBOX \
    "the isolation that PyExecIsolation demands was not reached"

/* No zygote of the pool ever became warm, at any level that it accepts. It is
 * tried on, but nobody need wait. */
bool keeper_zygotes_hopeless(const struct keeper_pool *pool);

/* Starts none yet. */
void keeper_zygotes_open(struct keeper_branch *branch);
/* Starts the first, as soon as the loop runs. */
void keeper_zygotes_start(struct keeper_branch *branch);
/* The current one is to be replaced as soon as another one is warm. */
void keeper_zygotes_renew(struct keeper_branch *branch);
/* The current one retires and none takes its place, until started again. None
 * may be coming. */
void keeper_zygotes_let_go(struct keeper_branch *branch);
/* Ends all; their jobs must have been forgotten. */
void keeper_zygotes_close(struct keeper_branch *branch);

/* From one zygote. `level` is what it says it has reached; it becomes the
 * current one, or is failed. */
void keeper_zygotes_warmed(struct keeper_zygote *zygote,
                           enum keeper_level level);
/* It is given up: no job comes from it any more. */
void keeper_zygotes_failed(struct keeper_zygote *zygote);
/* It was reaped, and is freed here. */
void keeper_zygotes_ended(struct keeper_zygote *zygote);

/* One more run was dispatched to a job of it. */
void keeper_zygotes_count_run(struct keeper_zygote *zygote);
/* A job of it was forgotten: ends it if it retires and that was the last. */
void keeper_zygotes_job_gone(struct keeper_zygote *zygote);

#endif
