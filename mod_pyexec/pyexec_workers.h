/* SPDX-License-Identifier: Apache-2.0
 *
 * How many worker threads of this child of httpd may wait for runs. Each run
 * that goes on or waits holds one, and a child whose threads are all held
 * serves nothing else: not even on connections that it has accepted already.
 * Where there are several tenants none of them gets all: what one leaves is for
 * the others, so that a flood of its runs does not keep theirs out.
 */
#ifndef PYEXEC_WORKERS_H
#define PYEXEC_WORKERS_H

#include "pyexec_config.h"

#include <httpd.h>

/* Parent, check_config: tells what would leave nothing for others. */
void pyexec_workers_check(server_rec *s);

/* Threads of each child that runs may hold; 0: no bound, for it has but one. */
int pyexec_workers_most(const pyexec_global_t *global);

/* Hook of a child. */
void pyexec_workers_init(server_rec *s);

/* Takes a place for a tenant (NULL: nobody's), or logs and returns 0: there is
 * none. Never waits. */
int pyexec_workers_enter(request_rec *r, const char *tenant);
void pyexec_workers_leave(const char *tenant);

#endif
