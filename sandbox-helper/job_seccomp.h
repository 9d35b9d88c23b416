/* SPDX-License-Identifier: Apache-2.0
 *
 * The job's system call filter: compiled once by the zygote, attached by each
 * job as the last step before it reads what it is to run.
 */
#ifndef PYEXEC_JOB_SECCOMP_H
#define PYEXEC_JOB_SECCOMP_H

#include "jail_trees.h"

/* In the zygote, before any job: compiles the table with libseccomp, in place of
 * what was compiled before. Returns 0 or a negative errno. */
int job_seccomp_compile(const struct jail *jail);

/* In the job: attaches the compiled filter to the calling thread (the only
 * one), with the job's own pid in the rules about signals. no_new_privs must
 * be set. Returns 0 or a negative errno. */
int job_seccomp_attach(void);

#endif
