/* SPDX-License-Identifier: Apache-2.0
 *
 * An environment as the keeper sees it: which generation of packages is the
 * current one, and who may make the next. How its directory is laid out is
 * told by job_commit.h. Everything in there was written by jobs: a name and a
 * lock is all that is looked at.
 */
#ifndef PYEXEC_KEEPER_ENVIRONMENT_H
#define PYEXEC_KEEPER_ENVIRONMENT_H

#include "job_commit.h"

#include <stdbool.h>

/* One that is loaded from, and hence not removed. */
struct keeper_generation
{
    int lock;                         /* -1: none */
    char name[JOB_COMMIT_NAME_BYTES]; /* "": the environment has none yet */
};

#define KEEPER_NO_GENERATION ((struct keeper_generation){ .lock = -1 })

/* Takes hold of the one that is current. 0, also when there is none yet, or a
 * negative errno: the directory cannot be read, or has something else. */
int keeper_environment_take(const char *directory,
                            struct keeper_generation *ret_generation);
void keeper_environment_leave(struct keeper_generation *generation);

/* Whether that is still the current one; also where nothing can be read, for
 * what is loaded is better than nothing. A system call or two, for before each
 * run. */
bool keeper_environment_is(const char *directory,
                           const struct keeper_generation *generation);

/* For who installs: a descriptor whose lock keeps all others from it, keepers
 * of other servers included; -EWOULDBLOCK: somebody else has it; or another
 * negative errno. Closing it gives it back. *turn, -1 at first, is a descriptor
 * of the one that is next, kept between attempts; closing it gives up the turn.
 * Whoever has had the lock has to wait for one that is next before him. */
int keeper_environment_lock(const char *directory, int *turn);

#endif
