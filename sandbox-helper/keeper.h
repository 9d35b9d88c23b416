/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper as a whole: what its parts share. See keeper.c for how they
 * work together.
 */
#ifndef PYEXEC_KEEPER_H
#define PYEXEC_KEEPER_H

#include "helper_conf.h"
#include "keeper_branch.h"
#include "keeper_cgroup.h"
#include "keeper_conn.h"
#include "keeper_install.h"
#include "keeper_metrics.h"
#include "keeper_queue.h"
#include "keeper_settle.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>

/* One pool: the runs that wait, and the branches that can serve them. */
struct keeper_pool
{
    struct keeper *keeper;
    const struct pool_conf *conf;
    struct keeper_plan plan;
    struct keeper_branch *branches; /* as many as the plan has */
    struct keeper_isolation isolation;
    struct keeper_queue queue;
    size_t running; /* dispatched, whether or not anybody waits for them */
    char python[PXW_NAME_MAX + 1]; /* empty: not known yet */
    struct keeper_install install;
    struct keeper_settle settle;
    struct keeper_pool_metrics metrics;
};

struct keeper
{
    const struct helper_conf *conf;
    struct event_base *base;
    struct keeper_cgroup cgroup;
    struct keeper_pool *pools;
    size_t pool_count;

    struct event listening;
    struct event listen_again; /* after accept failed for want of memory */
    struct event lifeline;
    struct event terminate;
    struct event interrupt;

    struct keeper_conn_list conns;
    size_t conn_count;
    size_t conn_max;
    size_t branches_most; /* of a pool, by the descriptors there are */
    unsigned processors; /* online when we started */
    size_t held_bytes; /* by frames that come in, wait, run or go out */
    struct keeper_metrics metrics;

    bool draining;
    bool orphaned; /* httpd is gone */
};

/* Serves until told to stop. Everything is released when it returns: 0, or a
 * negative errno when serving could not begin. */
int keeper_run(const struct helper_conf *conf);

/* A connection was closed: there may be room for another, or nothing left to
 * drain. */
void keeper_conn_closed(struct keeper *keeper);

/* NULL: there is no pool of that name. */
struct keeper_pool *keeper_find_pool(struct keeper *keeper, const void *name,
                                     size_t size);

#endif
