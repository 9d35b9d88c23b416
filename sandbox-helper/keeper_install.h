/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools whose scripts find what clients have installed, and the pools of those
 * who install it: when a run may begin, and with which packages.
 */
#ifndef PYEXEC_KEEPER_INSTALL_H
#define PYEXEC_KEEPER_INSTALL_H

#include <event2/event_struct.h>
#include <stdbool.h>

struct keeper_branch;
struct keeper_pool;

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

/* A run of the branch was handed to a job. Who installs leaves traces in its
 * zygote's file systems, so nobody else gets a job from it. */
void keeper_install_taken(struct keeper_branch *branch);

/* A run of the pool has ended: if it has installed something, others warm up
 * with that before anybody asks. Another keeper may install now. */
void keeper_install_ended(struct keeper_pool *pool);

#endif
