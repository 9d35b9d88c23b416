/* SPDX-License-Identifier: Apache-2.0
 *
 * Fork and exec of a zygote.
 */
#ifndef PYEXEC_KEEPER_ZYGOTE_START_H
#define PYEXEC_KEEPER_ZYGOTE_START_H

struct keeper_zygote;

/* Starts the program and fills in pid, pidfd, channel and log, the latter two
 * not blocking. 0 or a negative errno; nothing is left then. */
int keeper_zygote_start(struct keeper_zygote *zygote);

#endif
