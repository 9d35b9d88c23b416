/* SPDX-License-Identifier: Apache-2.0
 *
 * Theory of cgroups
 *
 * Whoever starts the keeper may delegate a cgroup to its user (Delegate=yes
 * of a systemd service). It is then divided, for processes may only be in the
 * leaves of the tree:
 *
 *     what was delegated ── pyexec-keeper-PID       the keeper itself
 *                        ├─ pyexec-zygotes-PID      by CLONE_INTO_CGROUP
 *                        └─ pyexec-job-PID-NUMBER   one job each
 *
 * Nothing depends on it: rlimits, filter and deadlines hold as they do without.
 * It bounds what they cannot: pipes, page tables and whatever else the kernel
 * keeps for a job, threads at the level restricted, and processor time.
 *
 * How a job gets in. libc's fork() cannot be told a cgroup, and must be used.
 * So the job moves itself, as the first step of its confinement, by writing
 * to a descriptor of its leaf's cgroup.procs that came with FORK: the kernel
 * asks what the opener may, not what the writer may. It waits for a grace
 * period of RCU there, for milliseconds at times; jobs stand by before they
 * are needed, so that no request does. Should it fail, the job does not start.
 *
 * Making and removing a directory waits for the same lock as such a move, so
 * leaves are used again. That is safe as a leaf holds counters and limits and
 * nothing a job could read. One is thrown away when its job left something:
 * a process, memory that is still charged, a count of kills.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_cgroup.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper_cgroup_tree.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Leaves that keep more than this charged are thrown away: it would count
 * against the next job, whose limit has room for that much. */
#define REST_BYTES (4u << 20)
/* Room for what no limit of a run speaks of: such a rest, page tables and what
 * else the kernel keeps for the interpreter, and pipes. */
#define ROOM_BYTES (16u << 20)
/* Page tables take 1/512 of what they map. */
#define TABLES_SHARE 256u
/* One processor: an interpreter uses no more, and a run that works outside of
 * the interpreter's lock shall not take its neighbours'. */
#define CPU_MAX "100000 100000"
#define CLOSE_TIMEOUT_US 1000000u
#define SMALL_FILE 4096

static uint64_t read_value(const struct keeper_cgroup_leaf *leaf,
                           const char *file, const char *name,
                           uint64_t unknown)
{
    char text[SMALL_FILE];
    unsigned long long value;

    return cgroup_own_read(leaf->directory, file, text, sizeof(text)) < 0
                   || cgroup_own_value(text, name, &value) != 0
               ? unknown
               : value;
}

static uint64_t read_number(const struct keeper_cgroup_leaf *leaf,
                            const char *file, uint64_t unknown)
{
    char text[64];

    return cgroup_own_read(leaf->directory, file, text, sizeof(text)) <= 0
               ? unknown
               : strtoull(text, NULL, 10);
}

static bool is_empty(const struct keeper_cgroup_leaf *leaf)
{
    return read_value(leaf, "cgroup.events", "populated", 1) == 0;
}

static void free_leaf(struct keeper_cgroup_leaf *leaf)
{
    cleanup_fd(&leaf->directory);
    cleanup_fd(&leaf->peak);
    free(leaf);
}

static bool remove_leaf(struct keeper_cgroup_leaf *leaf)
{
    char name[CGROUP_TREE_NAME_BYTES];

    cgroup_tree_job_name(leaf->cgroup->pid, leaf->number, name);
    if (unlinkat(leaf->cgroup->directory, name, AT_REMOVEDIR) != 0
        && errno == EBUSY) {
        return false;
    }
    free_leaf(leaf); /* gone, or the next keeper will remove it */
    return true;
}

/* What is the same for all jobs. */
static int limit_new(const struct keeper_cgroup_leaf *leaf)
{
    int error = cgroup_tree_write(leaf->directory, "memory.oom.group", "1");

    if (error == 0) {
        error = cgroup_tree_write(leaf->directory, "memory.swap.max", "0");
        error = error == -ENOENT ? 0 : error; /* a kernel without swap */
    }
    if (error == 0 && (leaf->cgroup->controllers & CGROUP_CPU) != 0) {
        error = cgroup_tree_write(leaf->directory, "cpu.max", CPU_MAX);
    }
    return error;
}

static int make_leaf(struct keeper_cgroup *cgroup,
                     struct keeper_cgroup_leaf **ret_leaf)
{
    char name[CGROUP_TREE_NAME_BYTES];
    struct keeper_cgroup_leaf *leaf = calloc(1, sizeof(*leaf));
    int error = leaf == NULL ? -ENOMEM : -EEXIST;

    if (error == -ENOMEM) {
        return error;
    }
    leaf->cgroup = cgroup;
    leaf->directory = -1;
    leaf->peak = -1;
    /* A number may be taken by what a keeper with our PID left. */
    for (int tries = 0; error == -EEXIST && tries < 1000; tries++) {
        leaf->number = ++cgroup->last_number;
        cgroup_tree_job_name(cgroup->pid, leaf->number, name);
        error = mkdirat(cgroup->directory, name, 0700) == 0 ? 0 : -errno;
    }
    if (error != 0) {
        free(leaf);
        return error;
    }
    leaf->directory = openat(cgroup->directory, name,
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    error = leaf->directory < 0 ? -errno : limit_new(leaf);
    if (error != 0) {
        (void)remove_leaf(leaf); /* nothing was ever in it */
        return error;
    }
    /* Refused before Linux 6.12, where it cannot be set back. */
    leaf->peak = openat(leaf->directory, "memory.peak", O_RDWR | O_CLOEXEC);
    *ret_leaf = leaf;
    return 0;
}

/* One at a time: each may wait for a lock. */
static void bury(struct keeper_cgroup *cgroup)
{
    struct keeper_cgroup_leaf *leaf = TAILQ_FIRST(&cgroup->dying);

    if (leaf != NULL && is_empty(leaf)) {
        TAILQ_REMOVE(&cgroup->dying, leaf, link);
        if (!remove_leaf(leaf)) {
            TAILQ_INSERT_TAIL(&cgroup->dying, leaf, link);
        }
    }
}

int keeper_cgroup_take(struct keeper_cgroup *cgroup, uint64_t warm_bytes,
                       struct keeper_cgroup_leaf **ret_leaf)
{
    struct keeper_cgroup_leaf *leaf = TAILQ_FIRST(&cgroup->free);
    int error = 0;

    bury(cgroup);
    if (leaf != NULL) {
        TAILQ_REMOVE(&cgroup->free, leaf, link);
    }
    else {
        error = make_leaf(cgroup, &leaf);
    }
    if (error != 0) {
        return error;
    }
    if (leaf->memory_bytes > 0
        && leaf->memory_bytes < warm_bytes + ROOM_BYTES) {
        /* The last run's pool was a smaller one: getting warm would not fit. */
        error = cgroup_tree_write(leaf->directory, "memory.max", "max");
        leaf->memory_bytes = 0;
    }
    if (error != 0) {
        keeper_cgroup_give_back(leaf);
        return error;
    }
    leaf->old_cpu_us = read_value(leaf, "cpu.stat", "usage_usec", 0);
    if (leaf->peak >= 0 && fdio_write(leaf->peak, "0", 1) != 1) {
        cleanup_fd(&leaf->peak);
    }
    *ret_leaf = leaf;
    return 0;
}

void keeper_cgroup_give_back(struct keeper_cgroup_leaf *leaf)
{
    struct keeper_cgroup *cgroup;

    if (leaf == NULL) {
        return;
    }
    cgroup = leaf->cgroup;
    if (!is_empty(leaf)) {
        (void)cgroup_tree_write(leaf->directory, "cgroup.kill", "1");
        TAILQ_INSERT_TAIL(&cgroup->dying, leaf, link);
    }
    else if (read_number(leaf, "memory.current", UINT64_MAX) > REST_BYTES
             || read_value(leaf, "memory.events", "oom_kill", 1) != 0) {
        TAILQ_INSERT_TAIL(&cgroup->dying, leaf, link);
    }
    else {
        TAILQ_INSERT_HEAD(&cgroup->free, leaf, link);
    }
    bury(cgroup);
}

int keeper_cgroup_entrance(const struct keeper_cgroup_leaf *leaf)
{
    int fd = openat(leaf->directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int write_number(const struct keeper_cgroup_leaf *leaf,
                        const char *file, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return cgroup_tree_write(leaf->directory, file, text);
}

int keeper_cgroup_limit(struct keeper_cgroup_leaf *leaf,
                        uint64_t memory_bytes, uint64_t warm_bytes,
                        uint32_t tasks)
{
    uint64_t most = INT64_MAX; /* the kernel takes it for "max" */
    int error = 0;

    if (memory_bytes < most / 4 && warm_bytes < most / 4) {
        most = memory_bytes + warm_bytes;
        most += most / TABLES_SHARE + ROOM_BYTES;
    }
    if (most != leaf->memory_bytes) {
        error = write_number(leaf, "memory.max", most);
        leaf->memory_bytes = error == 0 ? most : 0;
    }
    if (error == 0 && tasks != leaf->tasks) {
        error = write_number(leaf, "pids.max", tasks);
        leaf->tasks = error == 0 ? tasks : 0;
    }
    return error;
}

/* Takes the same lock as a move. A job of one thread is dead by its pidfd
 * already. */
void keeper_cgroup_kill(const struct keeper_cgroup_leaf *leaf)
{
    if (read_number(leaf, "pids.current", 2) > 1) {
        /* Absent before Linux 5.14: then the slot's end ends them. */
        (void)cgroup_tree_write(leaf->directory, "cgroup.kill", "1");
    }
}

uint64_t keeper_cgroup_cpu_us(const struct keeper_cgroup_leaf *leaf)
{
    uint64_t now_us = read_value(leaf, "cpu.stat", "usage_usec", 0);

    return now_us > leaf->old_cpu_us ? now_us - leaf->old_cpu_us : 0;
}

uint64_t keeper_cgroup_peak_bytes(const struct keeper_cgroup_leaf *leaf)
{
    char text[32] = "";

    /* Each descriptor has the peak since its own reset. */
    if (leaf->peak < 0
        || pread(leaf->peak, text, sizeof(text) - 1, 0) <= 0) {
        return 0;
    }
    return strtoull(text, NULL, 10);
}

/* Two counts: of processes that were killed, which also rises when the whole
 * machine is short, and of times that this very group's limit was the
 * reason. */
bool keeper_cgroup_memory_spent(const struct keeper_cgroup_leaf *leaf)
{
    return read_value(leaf, "memory.events", "oom_kill", 0) > 0
           && read_value(leaf, "memory.events", "oom", 0) > 0;
}

void keeper_cgroup_open(struct keeper_cgroup *cgroup)
{
    char names[CGROUP_NAMES_BYTES];
    struct keeper_cgroup_leaf *probe = NULL;
    struct cgroup_own own;
    int error;

    *cgroup = (struct keeper_cgroup){
        .directory = -1, .zygotes = -1, .pid = getpid(),
    };
    TAILQ_INIT(&cgroup->free);
    TAILQ_INIT(&cgroup->dying);
    cgroup_own_find(&own);
    if (own.missing != NULL) {
        log_line(LOG_LEVEL_INFO, 380, "cgroup v2 is not used: %s; resource"
                 " limits hold without it", own.missing);
        return;
    }
    error = cgroup_tree_divide(&own, cgroup);
    if (error == 0) {
        /* So that no job fails for what could be known before. */
        error = keeper_cgroup_take(cgroup, 0, &probe);
        if (error == 0) {
            error = cgroup_tree_probe(cgroup->zygotes, probe);
            keeper_cgroup_give_back(probe);
        }
    }
    if (error != 0) {
        log_line(LOG_LEVEL_WARNING, 381, "cgroup v2 is not used, though \"%s\""
                 " is delegated: %s; resource limits hold without it",
                 own.directory, strerror(-error));
        keeper_cgroup_close(cgroup);
        return;
    }
    cgroup_own_names(cgroup->controllers, names);
    log_line(LOG_LEVEL_INFO, 382, "cgroup v2 limits each run in \"%s\": %s",
             own.directory, names);
}

void keeper_cgroup_close(struct keeper_cgroup *cgroup)
{
    uint64_t end_us = fdio_now_us() + CLOSE_TIMEOUT_US;
    struct keeper_cgroup_leaf *leaf;

    TAILQ_CONCAT(&cgroup->dying, &cgroup->free, link);
    while ((leaf = TAILQ_FIRST(&cgroup->dying)) != NULL) {
        TAILQ_REMOVE(&cgroup->dying, leaf, link);
        cgroup_tree_wait_empty(leaf->directory, end_us);
        if (!remove_leaf(leaf)) {
            free_leaf(leaf); /* the next keeper will find it */
        }
    }
    if (keeper_cgroup_is_used(cgroup)) {
        cgroup_tree_leave(cgroup, end_us);
    }
    cleanup_fd(&cgroup->zygotes);
    cleanup_fd(&cgroup->directory);
}
