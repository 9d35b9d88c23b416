/* SPDX-License-Identifier: Apache-2.0
 *
 * A job from its fork to its end: confined first, then given a script.
 */
#ifndef PYEXEC_JOB_MAIN_H
#define PYEXEC_JOB_MAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "jail_trees.h"

/* Exit statuses of a job that runs no user code. The keeper does not need
 * them (the report says more); they are for whoever reads a wait status. */
enum job_exit
{
    JOB_EXIT_OK = 0,        /* refused the source, or was never given one */
    JOB_EXIT_UNCHANGED = 120, /* what a run was to install is there already */
    JOB_EXIT_INSTALLED = 121, /* what a run installed is to be taken over */
    JOB_EXIT_COMMIT = 122,  /* what was installed was not taken over */
    JOB_EXIT_SELFTEST = 124,
    JOB_EXIT_CONFINE = 125, /* a step of the confinement failed */
    JOB_EXIT_RUN = 126,     /* the RUN frame was malformed */
};

/* The descriptors of a job: as in PXW_FORK. */
enum job_fd
{
    JOB_FD_IN = 0,
    JOB_FD_OUT = 1,
    JOB_FD_ERR = 2,
    JOB_FD_REPORT = 3,
    JOB_FDS = 4,
    JOB_FD_CGROUP = 4,    /* on the way only: not one of the job's */
    JOB_FORK_FDS = 5,
    JOB_FD_DIRECTORY = 4, /* of JOB_COMMIT */
};

/* What a job is for. */
enum job_role
{
    JOB_RUN,      /* what the keeper hands to it */
    JOB_SELFTEST, /* trying its own confinement */
    JOB_COMMIT,   /* taking over what a run has installed: job_commit.h */
};

struct job_start
{
    int fds[JOB_FDS];      /* above 3, the job's from here on */
    int cgroup;            /* cgroup.procs of its own group; -1: none */
    int landlock;          /* the ruleset */
    int zygote;            /* pidfd of the zygote */
    int slot;              /* pidfd of its init; -1: none */
    int last_pid;          /* of the slot; see count_from_start() */
    uint64_t warm_bytes;   /* address space of the zygote */
    struct jail jail;
    uint32_t tasks;        /* RLIMIT_NPROC at JAIL_RESTRICTED, else 0 */
    enum job_role role;
    int directory;         /* the environment's, of JOB_COMMIT; else -1 */
};

/* In the child, right after py_runtime_fork(). Never returns: every branch
 * ends in _exit(2), so that no job can fall back into the zygote's loop. */
void __attribute__((noreturn)) job_main(const struct job_start *start);

#endif
