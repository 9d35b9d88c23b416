/* SPDX-License-Identifier: Apache-2.0
 *
 * The zygote of a pool as the keeper sees it: started, warmed, asked to fork,
 * watched, and replaced when it dies or hangs.
 */
#ifndef PYEXEC_KEEPER_ZYGOTE_H
#define PYEXEC_KEEPER_ZYGOTE_H

#include "wire.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct keeper_pool;

enum keeper_zygote_state
{
    ZYGOTE_DOWN,    /* no process; `timer` starts one */
    ZYGOTE_WARMING, /* `timer` is how long that may take */
    ZYGOTE_UP,
    ZYGOTE_DYING,   /* killed, not reaped yet */
};

#define ZYGOTE_LOG_LINE 1024

struct keeper_zygote
{
    struct keeper_pool *pool;
    enum keeper_zygote_state state;
    pid_t pid;
    int pidfd;
    int channel;
    int log;
    struct event timer;
    struct event pidfd_event;
    struct event channel_event;
    struct event writable; /* once, when a FORK did not fit */
    struct event log_event;

    unsigned failures;  /* in a row: how long to wait before the next start */
    uint64_t up_us;     /* since when it is up */
    bool useful;        /* a run of it started */

    char python[PXW_NAME_MAX + 1]; /* empty: not known yet */
    char level[PXW_NAME_MAX + 1];
    char log_line[ZYGOTE_LOG_LINE];
    size_t log_size;
};

/* Begins with starting it, as soon as the loop runs. */
void keeper_zygote_open(struct keeper_pool *pool);
/* Kills and reaps it; waits for that at most two seconds. */
void keeper_zygote_close(struct keeper_zygote *zygote);

/* Asks for a job. The four descriptors stay the caller's. 0; -EAGAIN: full,
 * the pool is refilled once it is not; -ENOTCONN: not up; other errors. */
int keeper_zygote_fork(struct keeper_zygote *zygote, uint64_t number,
                       const int fds[4]);

/* It does not do what it should: kills it, its runs are lost, and another one
 * takes its place. `reason` is for the log. */
void keeper_zygote_fail(struct keeper_zygote *zygote, const char *reason);

#endif
