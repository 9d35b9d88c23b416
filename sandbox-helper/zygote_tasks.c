/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks the kernel, and not /proc, which may hide what counts: the least
 * RLIMIT_NPROC under which a fork succeeds is one above the number. Runs in
 * the zygote before CPython is there, as an ordinary user: the kernel exempts
 * root from the limit.
 */
#include "zygote_tasks.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The kernel's bound of process numbers. */
#define MOST (INT64_C(1) << 22)

/* 0 or a negative errno; -EAGAIN: the limit is too low. */
static int fork_under(int64_t value, rlim_t hard)
{
    struct rlimit limit = { .rlim_cur = (rlim_t)value, .rlim_max = hard };
    pid_t pid;

    if (setrlimit(RLIMIT_NPROC, &limit) != 0) {
        return -errno;
    }
    pid = vfork();
    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 || waitpid(pid, NULL, 0) != pid ? -errno : 0;
}

/* `least` was too low, or 0. */
static int64_t search(int64_t least, int64_t most, rlim_t hard)
{
    while (most - least > 1) {
        int64_t middle = least + (most - least) / 2;
        int error = fork_under(middle, hard);

        if (error != 0 && error != -EAGAIN) {
            return error;
        }
        *(error == 0 ? &most : &least) = middle;
    }
    return least;
}

int64_t zygote_tasks_count(void)
{
    struct rlimit before;
    int64_t top;
    int64_t most = 16;
    int64_t count;
    int error = -EAGAIN;

    if (getrlimit(RLIMIT_NPROC, &before) != 0) {
        return -errno;
    }
    top = before.rlim_max < (rlim_t)MOST ? (int64_t)before.rlim_max : MOST;
    /* From below: a fork that is refused costs least. */
    while (error == -EAGAIN && most < top) {
        error = fork_under(most, before.rlim_max);
        most = error == -EAGAIN ? 2 * most : most;
    }
    if (error == -EAGAIN) {
        most = top;
        error = fork_under(most, before.rlim_max);
    }
    count = error != 0 ? error : search(0, most, before.rlim_max);
    return setrlimit(RLIMIT_NPROC, &before) == 0 ? count : -errno;
}
