/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of a run to its pool's proxy. Between keeper_relay.c, which has
 * the run's listener and limits, and keeper_link.c; nobody else includes this.
 */
#ifndef PYEXEC_KEEPER_LINK_H
#define PYEXEC_KEEPER_LINK_H

#include <stdbool.h>

struct keeper_link;
struct keeper_relay;

/* A connection was accepted: connects to the proxy and relays from then on. The
 * descriptor is taken over in any case. */
void keeper_link_open(struct keeper_relay *relay, int fd);

/* Ends it so that neither side takes that for the regular end. */
void keeper_link_cut(struct keeper_link *link);

/* All that wait for turns have some again. */
void keeper_link_resume_all(struct keeper_relay *relay);

/* keeper_relay.c's side of it: one that the relay had is gone; */
void keeper_relay_link_ended(struct keeper_relay *relay);
/* bytes are about to be moved, or a connection taken. False: nobody could go on
 * later. */
bool keeper_relay_take_turn(struct keeper_relay *relay);

#endif
