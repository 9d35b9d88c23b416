/* SPDX-License-Identifier: Apache-2.0
 *
 * Capability sets by capset(2), without a library: the few lines below are
 * easier to judge than one more dependency between fork and user code.
 */
#include "job_caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool holds_nothing(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct held[2];

    return syscall(SYS_capget, &header, held) == 0
           && (held[0].permitted | held[1].permitted) == 0;
}

/* Until the kernel says that there is no such capability. */
static int empty_bounding_set(void)
{
    for (unsigned long cap = 0; cap < 64; cap++) {
        int held = prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0
                       ? 0
                       : prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

        if (held < 0) {
            return errno == EINVAL && cap > 0 ? 0 : -errno;
        }
        /* Who has no capability at all may not do this either, and cannot
         * gain from the set: no_new_privs is on before user code. */
        if (held == 1 && !holds_nothing()) {
            return -EPERM;
        }
    }
    return 0;
}

static void fill(struct __user_cap_data_struct data[2], uint64_t keep)
{
    memset(data, 0, 2 * sizeof(*data));
    for (int i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(keep >> (32 * i));
        data[i].permitted = data[i].effective;
    }
}

int job_caps_reduce(uint64_t keep)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct wanted[2];
    struct __user_cap_data_struct found[2];
    int rv = empty_bounding_set();

    if (rv != 0) {
        return rv;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
        return -errno;
    }
    fill(wanted, keep);
    if (syscall(SYS_capset, &header, wanted) != 0
        || syscall(SYS_capget, &header, found) != 0) {
        return -errno;
    }
    return memcmp(wanted, found, sizeof(wanted)) == 0 ? 0 : -EPERM;
}
