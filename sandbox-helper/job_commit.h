/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes what was installed the environment's next generation.
 *
 * An environment is a directory of the helper's user, with
 *
 *     000007/    a generation: what is importable, and nothing else
 *     current    a symbolic link to the one that new zygotes load from
 *     lock       locked by the keeper that installs (flock(2))
 *     turn       locked by the keeper that is next, until it has the other lock
 *     new, next  of a commit that is going on, or was interrupted
 *
 * A generation never changes. Whoever loads from one holds a shared lock on
 * its directory; a commit removes those that nobody holds.
 */
#ifndef PYEXEC_JOB_COMMIT_H
#define PYEXEC_JOB_COMMIT_H

#include <stdint.h>

#define JOB_COMMIT_CURRENT "current"
/* A number with leading zeros, of at least six digits, and a NUL. */
#define JOB_COMMIT_NAME_BYTES 16

/* In a job of our own that is confined as job_main.c has it: copies the
 * directory `packages`, which anybody may have written, into `directory`, and
 * makes it the current generation; or leaves the one that is current. `base` is
 * the name that it must have now ("": there is none yet), `most_bytes` what all
 * files may have together. Returns 0, or a negative errno with *ret_step saying
 * for a person what failed. */
int job_commit(const char *packages, int directory, const char *base,
               uint64_t most_bytes, const char **ret_step);

#endif
