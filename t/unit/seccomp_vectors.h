/* SPDX-License-Identifier: Apache-2.0
 *
 * What sandbox-helper/seccomp_table.h promises, as cases to try: a call, its
 * arguments, and the verdict that follows from the table. The verdict is
 * computed from the comparisons, without libseccomp and without a kernel.
 */
#ifndef PYEXEC_SECCOMP_VECTORS_H
#define PYEXEC_SECCOMP_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "jail_trees.h"

#define SECCOMP_ARGS 6

enum verdict
{
    VERDICT_ALLOW,
    VERDICT_EPERM,
    VERDICT_ENOSYS,
    VERDICT_ENOMEM,
    VERDICT_EOPNOTSUPP,
};

struct vector
{
    const char *name;           /* of the call; NULL: the table has none */
    int call;
    unsigned char compared[SECCOMP_ARGS];   /* the filter looks at it */
    uint64_t args[SECCOMP_ARGS];    /* of those; SECCOMP_OWN_PID is a stand-in */
    enum verdict verdict;
};

/* The cases of a jail: each number from 0 to `last`; for a call with
 * compared arguments, each row once so that it matches and once for every bit
 * that it looks at, flipped. *ret_vectors is the caller's to free. Ends the
 * process when there is no memory. */
size_t seccomp_vectors(const struct jail *jail, int last,
                       struct vector **ret_vectors);

/* One line a case: `verdict name number index=value...`, values hexadecimal,
 * what comes from the job's own pid as `pid^flipped`. */
void seccomp_vectors_print(FILE *out, const struct vector *vectors,
                           size_t count);

const char *verdict_name(enum verdict verdict);

#endif
