/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools whose scripts find what clients have installed, and the pools of those
 * who install it: when a run may begin, and with which packages.
 */
#ifndef PYEXEC_KEEPER_INSTALL_H
#define PYEXEC_KEEPER_INSTALL_H

#include <event2/event_struct.h>
#include <stdbool.h>

struct keeper_job;
struct keeper_pool;
struct keeper_run;
struct pxw_writer;

struct keeper_install
{
    int lock; /* of its environment, for one run; -1: not ours now */
    int turn; /* to have it next; -1 */
    struct event again; /* looks whether it is to be had */
};

void keeper_install_open(struct keeper_pool *pool);
void keeper_install_close(struct keeper_pool *pool);

/* Before runs are handed to jobs: replaces zygotes that have loaded other
 * packages than the current ones, and takes the lock if the pool installs.
 * False: not now; the pool is served again when that has changed. May refuse
 * all that waits. */
bool keeper_install_may_serve(struct keeper_pool *pool);

/* A run waits no longer, and was not handed to a job: the lock is given back if
 * it was the last. */
void keeper_install_left(struct keeper_pool *pool);

/* A run was handed to the job. Who installs leaves traces in its zygote's file
 * systems, so nobody else gets a job from that. */
void keeper_install_taken(const struct keeper_job *job);

/* A run of the pool has ended, with this status from its zygote: if it has
 * installed something, others warm up with that before anybody asks. True: the
 * answer was taken over, and is given when they have (keeper_settle.h). */
bool keeper_install_ended(struct keeper_pool *pool, int status,
                          struct keeper_run *run, struct pxw_writer *answer);
/* Its answer is about to be given: runs begin with what is current from now on,
 * and another keeper may install. */
void keeper_install_settled(struct keeper_pool *pool);

/* Whether these two load from one environment. */
bool keeper_install_shares(const struct keeper_pool *pool,
                           const struct keeper_pool *other);

/* Replaces zygotes of the pool that have loaded other packages than the current
 * ones: at once, or where those are still tolerated when others are warm. */
void keeper_install_look(struct keeper_pool *pool);

#endif
