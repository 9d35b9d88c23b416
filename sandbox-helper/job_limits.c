/* SPDX-License-Identifier: Apache-2.0
 *
 * setrlimit(2) for jobs. The wall clock and the amount of output are the
 * keeper's; what a limit here ends shows in the wait status.
 */
#include "job_limits.h"

#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>

/* What python3 has from an ordinary shell: deep C recursion behaves alike. */
#define STACK_BYTES (8u << 20)
/* Queued signals and timers: enough for any honest use. */
#define SIGNALS 64

/* Or what httpd was started with, where that is less: a job cannot raise it,
 * and need not. */
static int set(int resource, rlim_t value)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) {
        return -errno;
    }
    if (limit.rlim_max > value) {
        limit.rlim_max = value;
    }
    limit.rlim_cur = limit.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &limit) == 0 ? 0 : -errno;
}

int job_limits_forbid_dumps(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, &limit) != 0) {
        return -errno;
    }
    return set(RLIMIT_CORE, limit.rlim_max > 1 ? 1 : limit.rlim_max);
}

int job_limits_close(bool processes, uint64_t file_bytes)
{
    const struct
    {
        int resource;
        rlim_t value;
    } closed[] = {
        { RLIMIT_FSIZE, file_bytes },
        { RLIMIT_MEMLOCK, 0 },
        { RLIMIT_MSGQUEUE, 0 },
        { RLIMIT_NICE, 0 },
        { RLIMIT_RTPRIO, 0 },
        { RLIMIT_LOCKS, 0 },
        { RLIMIT_SIGPENDING, SIGNALS },
        { RLIMIT_STACK, STACK_BYTES },
    };

    /* No memory image anywhere. */
    int error = processes ? job_limits_forbid_dumps() : set(RLIMIT_CORE, 0);

    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        int rv = set(closed[i].resource, closed[i].value);

        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int job_limits_apply(const struct job_limits *limits)
{
    /* Whole seconds, and the warm-up counts: the second line behind the
     * keeper, which measures to the millisecond, so it is well behind. */
    int rv = set(RLIMIT_CPU, ((rlim_t)limits->cpu_ms + 999) / 1000 + 1);

    if (rv == 0) {
        rv = set(RLIMIT_AS, limits->address_bytes);
    }
    if (rv == 0) {
        rv = set(RLIMIT_NOFILE, limits->files);
    }
    if (rv == 0 && limits->threads != 0) {
        /* Counted in the job's own user namespace: this run's threads only. */
        rv = set(RLIMIT_NPROC, limits->threads);
    }
    return rv;
}
