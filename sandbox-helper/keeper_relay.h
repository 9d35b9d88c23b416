/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of one run to its pool's HTTP proxy: what connects to the run's
 * listener is passed on to the proxy, byte by byte, and counted.
 */
#ifndef PYEXEC_KEEPER_RELAY_H
#define PYEXEC_KEEPER_RELAY_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct event_base;
struct keeper_link;
struct pool_conf;
struct pxw_field;

/* Connections of a run at the same time; more wait in the listener's backlog.
 * What HTTP clients with pools of their own keep open, ten, fits. */
#define KEEPER_RELAY_OPEN 16
/* How many descriptors a run's relay has, without its listener. */
#define KEEPER_RELAY_FDS (2 * KEEPER_RELAY_OPEN)

/* Of a run's name, for the log. */
#define KEEPER_RELAY_ID_BYTES 64

TAILQ_HEAD(keeper_link_list, keeper_link);

struct keeper_relay
{
    const struct pool_conf *conf;
    struct event_base *base;
    int listener; /* ours, in the job's network namespace; -1: none (left) */
    struct event accepting;
    struct event again; /* after a failure that may pass */
    struct event rest;  /* until the next turns */
    unsigned turns;     /* that are left before it */
    bool started;
    struct keeper_link_list links;
    size_t open;
    uint32_t connections; /* so far */
    uint64_t bytes;       /* the same, of both directions together */
    char id[KEEPER_RELAY_ID_BYTES]; /* printable; "-": not known */
};

/* Before anything else. */
void keeper_relay_init(struct keeper_relay *relay);

/* The listener is the relay's from now on. False: it is not one of TCP. */
bool keeper_relay_take(struct keeper_relay *relay, int listener);

/* The run begins: serves the listener. `conf` must outlive the relay, `id` is
 * what the module calls the run. 0 or a negative errno. */
int keeper_relay_start(struct keeper_relay *relay, struct event_base *base,
                       const struct pool_conf *conf,
                       const struct pxw_field *id);

/* The run is over, or was killed: cuts all connections, and listens no more.
 * The counts stay. May be called again. */
void keeper_relay_close(struct keeper_relay *relay);

#endif
