/* SPDX-License-Identifier: Apache-2.0
 *
 * Where this process is in cgroup v2, and whether it may divide what it has
 * there. Only looks; used by the keeper and by --check.
 */
#ifndef PYEXEC_CGROUP_OWN_H
#define PYEXEC_CGROUP_OWN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Controllers that limit runs. The first two must be there. */
enum cgroup_controller
{
    CGROUP_MEMORY = 1u << 0,
    CGROUP_PIDS = 1u << 1,
    CGROUP_CPU = 1u << 2,
};
#define CGROUP_NEEDED (CGROUP_MEMORY | CGROUP_PIDS)
/* All names with a blank between them, and the final NUL. */
#define CGROUP_NAMES_BYTES 32

struct cgroup_own
{
    char directory[PATH_MAX]; /* empty: not found */
    unsigned controllers;     /* that it may hand on to groups below it */
    bool is_old;              /* version 1 has some that are needed */
    const char *missing;      /* what stands in the way; NULL: nothing */
};

/* Fills all of *ret_own. */
void cgroup_own_find(struct cgroup_own *ret_own);

/* The path behind "0::" in the text of /proc/self/cgroup, which must end with
 * NUL. 0; -ENOENT: no cgroup v2 there; -ENAMETOOLONG. */
int cgroup_own_path(const char *text, char *ret_path, size_t capacity);

/* Whether that text says that version 1 has memory or pids: then version 2
 * cannot have it, delegated or not. */
bool cgroup_own_is_old(const char *text);

/* The directory of that group below the first mount of cgroup v2 that shows
 * it, by the text of /proc/self/mountinfo. 0; -ENOENT: none is mounted;
 * -EXDEV: not to be seen there; -ENAMETOOLONG. */
int cgroup_own_directory(const char *mounts, const char *path,
                         char *ret_directory, size_t capacity);

/* Known names in a text like that of cgroup.controllers. */
unsigned cgroup_own_controllers(const char *text);

/* The other way round, for a person: "memory pids cpu". */
void cgroup_own_names(unsigned controllers,
                      char ret_text[CGROUP_NAMES_BYTES]);

/* The number behind `name` in a text of lines "name number", as memory.events
 * and cpu.stat have them. 0 or -ENOENT. */
int cgroup_own_value(const char *text, const char *name,
                     unsigned long long *ret_value);

/* The whole of a small file, with NUL behind it. Its size or a negative
 * errno; -EFBIG: it does not fit. */
int cgroup_own_read(int directory, const char *name, char *ret_text,
                    size_t capacity);

#endif
