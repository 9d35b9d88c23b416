/* SPDX-License-Identifier: Apache-2.0
 *
 * Client connections of the keeper: one request each.
 */
#ifndef PYEXEC_KEEPER_CONN_H
#define PYEXEC_KEEPER_CONN_H

#include <stdbool.h>
#include <sys/queue.h>

struct keeper;
struct keeper_conn;

TAILQ_HEAD(keeper_conn_list, keeper_conn);

/* Takes over `fd`, which does not block; reads at once what is there. */
void keeper_conn_open(struct keeper *keeper, int fd);

/* Makes room by closing the oldest connection that has not shown the token
 * yet. False: there is none. */
bool keeper_conn_evict(struct keeper *keeper);

/* Closes all without an answer and cancels their runs. */
void keeper_conn_close_all(struct keeper *keeper);

#endif
