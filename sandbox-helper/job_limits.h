/* SPDX-License-Identifier: Apache-2.0
 *
 * Resource limits of a job: those every job has from the start, and those of
 * the one run it is given. Hard equals soft throughout: nothing can be raised.
 */
#ifndef PYEXEC_JOB_LIMITS_H
#define PYEXEC_JOB_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct job_limits
{
    uint64_t address_bytes;  /* whole address space, warm interpreter included */
    uint32_t cpu_ms;
    uint32_t files;
    uint32_t threads;        /* 0: not limited here */
};

/* In the job, before it is confined further: everything that no run needs.
 * `processes`: the run may start some. `file_bytes`: how large a file it may
 * write, 0 where output goes to pipes and files stay as they are. Returns 0 or
 * a negative errno. */
int job_limits_close(bool processes, uint64_t file_bytes);

/* No core file, and no handler of core dumps either, which a limit of 0 would
 * still call: the kernel takes a limit of one byte as the sign for that. A job
 * needs none as long as it is not dumpable; what it executes is. 0 where the
 * hard limit is lower. */
int job_limits_forbid_dumps(void);

/* In the job, once the run is known; may run under the filter. Returns 0 or
 * a negative errno. */
int job_limits_apply(const struct job_limits *limits);

#endif
