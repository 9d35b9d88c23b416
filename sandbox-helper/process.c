/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process of ours does to itself at its start, whoever started it. Runs
 * in the keeper and in the service's supervisor, with the rights they have.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* httpd ignores SIGPIPE and may block others; both are inherited. */
int process_reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++) {
        /* Fails for SIGKILL, SIGSTOP and those that libc keeps. */
        (void)signal(number, SIG_DFL);
    }
    (void)sigemptyset(&none); /* cannot fail */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return -errno;
    }
    return sigprocmask(SIG_SETMASK, &none, NULL) == 0 ? 0 : -errno;
}

/* Our memory holds the token and everybody's scripts: no core file, and no
 * tracing by others of the same user. One byte is too little for a file, and
 * what programs of runs need that are not to be dumped: see job_limits.h. */
int process_close(bool for_good)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, &limit) != 0) {
        return -errno;
    }
    limit.rlim_max = limit.rlim_max > 1 ? 1 : limit.rlim_max;
    limit.rlim_cur = limit.rlim_max;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0
        || (for_good && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)) {
        return -errno;
    }
    return setrlimit(RLIMIT_CORE, &limit) == 0 ? 0 : -errno;
}
