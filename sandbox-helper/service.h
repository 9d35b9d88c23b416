/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor of `pyexecd --service`: what its files share.
 */
#ifndef PYEXEC_SERVICE_H
#define PYEXEC_SERVICE_H

#include "service_cgroup.h"
#include "service_control.h"
#include "service_keepers.h"
#include "service_listen.h"
#include "wire.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>

struct service_conf;

/* The largest SETUP frame. */
#define SERVICE_SETUP_MOST (PXW_HEADER_BYTES + (1u << 20))

struct service
{
    const struct service_conf *conf;
    struct event_base *base;
    char program[PATH_MAX]; /* our own, of which keepers are made */

    int runs;
    int control;
    struct service_socket made[2]; /* those that are ours to remove */

    /* The frame as httpd sent it, malloc; NULL: none yet. Holds the token. */
    uint8_t *setup;
    size_t setup_size;

    struct service_keepers keepers;
    struct service_controls controls;
    struct service_cgroup cgroup;

    struct event refusing;  /* connections of runs, while nobody serves */
    struct event accepting; /* connections of httpd */
    struct event again;     /* after accept failed for want of memory */
    struct event terminate;
    struct event interrupt;
    struct event hangup;
    struct event child;
    bool refuses; /* `refusing` is wanted */
    bool stopping;
    uint64_t told_us; /* that accept fails */
};

/* Serves until it is told to end. 0 or a negative errno. */
int service_run(const struct service_conf *conf);

/* Takes a SETUP frame over (copies it), keeps it, and starts a keeper with it
 * in the place of the one that there is. NULL, or why not, for httpd to read;
 * nothing has changed then. */
const char *service_take_setup(struct service *service, const uint8_t *frame,
                               size_t size);

/* Called by service_keepers.c: whether somebody accepts runs, or will; else
 * they are told at once that nobody does. */
void service_serving(struct service *service, bool serving);
/* Either socket's accept said this errno: tries again in a while, where trying
 * at once would be for ever. */
void service_accept_failed(struct service *service, int error);
/* The last keeper is gone. */
void service_keepers_gone(struct service *service);

/* Tells the service manager how things are. */
void service_tell(const struct service *service);

#endif
