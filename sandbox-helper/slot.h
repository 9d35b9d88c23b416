/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots: PID namespaces for jobs, each held open by a tiny init of its own.
 * A job is never PID 1, so that it can be signalled and can abort like any
 * process; and no namespace is made while somebody waits for a run.
 */
#ifndef PYEXEC_SLOT_H
#define PYEXEC_SLOT_H

/* In the zygote, inside its namespaces, before CPython is there: starts the
 * slot maker, a small process that makes inits on request (a fork from there
 * copies no interpreter). Returns its channel (close-on-exec, the caller's)
 * or a negative errno. The maker ends with the channel or the zygote. */
int slot_maker_start(void);

/* In the zygote: a new slot. Returns the pidfd of its init (close-on-exec,
 * the caller's) or a negative errno. Blocks for one fork. */
int slot_make(int maker);

/* In the zygote: the next fork() will be a process of this slot. May be called
 * any number of times. Returns 0 or a negative errno. */
int slot_enter(int slot);

/* In the zygote: ends the slot's init and with it all that is in it. The
 * descriptor is closed. */
void slot_end(int slot);

#endif
