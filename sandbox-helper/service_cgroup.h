/* SPDX-License-Identifier: Apache-2.0
 *
 * The cgroup (v2) that was delegated to the service, divided so that each
 * keeper finds itself alone in one of its own, which is what it asks for.
 */
#ifndef PYEXEC_SERVICE_CGROUP_H
#define PYEXEC_SERVICE_CGROUP_H

#include <sys/types.h>

struct service_cgroup
{
    int directory; /* of what was delegated; -1: nothing was */
    unsigned last_number;
    uid_t uid;     /* whom keepers' groups are given to; -1: they are ours */
};

/* One keeper's; number 0: none. */
struct service_group
{
    unsigned number;
};

/* Never fails: what cannot be had is told in the log, and keepers say what
 * that means for runs. `uid` as in the struct. */
void service_cgroup_open(struct service_cgroup *cgroup, uid_t uid);

/* Makes a group for a keeper. *ret_entrance is its cgroup.procs, which is
 * entered by writing "0"; -1: there is none, which is no failure. */
void service_cgroup_make(struct service_cgroup *cgroup,
                         struct service_group *ret_group, int *ret_entrance);

/* Once its keeper is dead: removes it with all that it may have left. */
void service_cgroup_remove(const struct service_cgroup *cgroup,
                           struct service_group *group);

void service_cgroup_close(struct service_cgroup *cgroup);

#endif
