/* SPDX-License-Identifier: Apache-2.0
 *
 * From an installation to its answer: who has asked is answered when the runs
 * of all pools would see it, and until then they go on with what there was.
 */
#ifndef PYEXEC_KEEPER_SETTLE_H
#define PYEXEC_KEEPER_SETTLE_H

#include "job_commit.h"
#include "wire.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct keeper;
struct keeper_pool;
struct keeper_run;

/* Of a pool that installs. */
struct keeper_settle
{
    char base[JOB_COMMIT_NAME_BYTES]; /* what its last run began with */
    char made[JOB_COMMIT_NAME_BYTES]; /* and, while waiting, what is current */
    bool waiting;           /* for zygotes of others */
    uint64_t until_us;      /* no longer than that */
    struct event event;     /* looks at them */
    struct keeper_run *run; /* NULL: nobody is to be answered */
    struct pxw_writer answer;
};

void keeper_settle_open(struct keeper_pool *pool);
void keeper_settle_close(struct keeper_pool *pool);

/* A run of a pool that installs begins with this generation. */
void keeper_settle_began(struct keeper_pool *pool, const char *generation);

/* It has ended, and what it has installed is current: takes the answer over
 * (`run` NULL: there is none), to give it when the time has come. False: that
 * is now. */
bool keeper_settle_begin(struct keeper_pool *pool, struct keeper_run *run,
                         struct pxw_writer *answer);

/* Whether runs of the pool may still begin with this generation, which was
 * current, though it is not any more. */
bool keeper_settle_tolerates(const struct keeper_pool *pool,
                             const char *generation);

/* A zygote of the pool has its first ready job, or was let go; or has failed, and
 * then nobody waits any longer. */
void keeper_settle_look(const struct keeper_pool *pool, bool failed);

/* The keeper drains from now on. */
void keeper_settle_hurry(struct keeper *keeper);

/* Its client went away. False: its answer was not waiting here. */
bool keeper_settle_forget(struct keeper_run *run);

#endif
