/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots: PID namespaces for jobs, each held open by a tiny init of its own.
 * A job is never PID 1, so that it can be signalled and can abort like any
 * process; and no namespace is made while somebody waits for a run.
 */
#ifndef PYEXEC_SLOT_H
#define PYEXEC_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The descriptors are close-on-exec and the holder's; -1: none. */
struct slot
{
    int pidfd;   /* of the init; readable when the whole namespace is gone */
    int channel; /* to an init that keeps accounts; see slot_clear() */
    int listener; /* in its network namespace, if it has one of its own */
    pid_t init;  /* in the zygote's PID namespace */
};

/* What the init has seen of processes that nobody else waited for. */
struct slot_account
{
    uint64_t cpu_us;
    uint64_t peak_bytes; /* of the largest one */
};

/* In the zygote, inside its namespaces, before CPython is there: starts the
 * slot maker, a small process that makes inits on request (a fork from there
 * copies no interpreter). With `accounts` the inits reap what is orphaned in
 * their namespaces themselves, and can be told to clear them. With `network`
 * (which takes CAP_NET_ADMIN) each slot has a network namespace as well: see
 * jail_net.h, also for `settings`. Returns its
 * channel (close-on-exec, the caller's) or a negative errno. The maker ends
 * with the channel or the zygote. */
int slot_maker_start(bool accounts, bool network, int settings);

/* In the zygote: a new slot. 0 or a negative errno. Blocks for one fork. */
int slot_make(int maker, struct slot *ret_slot);

/* In the zygote: the next fork() will be a process of this slot. May be called
 * any number of times. Returns 0 or a negative errno. */
int slot_enter(const struct slot *slot);

/* In a job of this slot that is still privileged: goes where the listener is.
 * Returns 0 or a negative errno. */
int slot_enter_network(int pidfd);

/* In the zygote, once the job itself is reaped (the namespace could not end
 * before): has the init kill and reap all that is left, tell its account and
 * end. Does not wait for that: `pidfd` becomes readable. Where the init cannot
 * be told, it is killed, and everything with it. */
void slot_clear(struct slot *slot);

/* In the zygote, after that: the account; zeroes if the init was killed. */
struct slot_account slot_account(const struct slot *slot);

/* In the zygote: ends the slot's init and with it all that is in it. The
 * descriptors are closed; a slot without any is left as it is. */
void slot_end(struct slot *slot);

#endif
