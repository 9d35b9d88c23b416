/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket: httpd's parent sends the set-up and stays connected.
 */
#ifndef PYEXEC_SERVICE_CONTROL_H
#define PYEXEC_SERVICE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct service;
struct service_control;

struct service_controls
{
    TAILQ_HEAD(service_control_list, service_control) all;
    unsigned count;
    /* Whose set-up it is; NULL: his who comes next. */
    struct service_control *owner;
    uint64_t told_us; /* of a connection that was refused */
    unsigned untold;  /* since then */
};

void service_control_open(struct service *service);
/* Takes what waits on the control socket. */
void service_control_accept(struct service *service);
void service_control_close(struct service *service);

#endif
