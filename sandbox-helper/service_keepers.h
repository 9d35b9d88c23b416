/* SPDX-License-Identifier: Apache-2.0
 *
 * The keepers of a service: one serves, others finish their last runs. The
 * rules are those of httpd's module (pyexec_helper.c).
 */
#ifndef PYEXEC_SERVICE_KEEPERS_H
#define PYEXEC_SERVICE_KEEPERS_H

#include "service_cgroup.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Each change of the set-up within the longest run's time leaves one more. */
#define SERVICE_KEEPERS 16

struct service;

struct service_keeper
{
    pid_t pid; /* 0: a free slot */
    int lifeline;
    bool draining;
    uint64_t started_us;
    struct service_group group;
};

struct service_keepers
{
    struct service_keeper slot[SERVICE_KEEPERS];
    struct service_keeper *current; /* NULL: nobody serves */
    bool crowded; /* and that is because no slot was free */
    unsigned crashes;
    struct event retry;
};

/* 0 or -ENOMEM. */
int service_keepers_open(struct service *service);

/* Drains the one that serves and starts another, if there is a set-up. */
void service_keepers_replace(struct service *service);

/* Drains all; a second time ends them at once. */
void service_keepers_drain(struct service *service);
void service_keepers_end(struct service *service);

/* SIGCHLD. */
void service_keepers_reap(struct service *service);

void service_keepers_close(struct service *service);

#endif
