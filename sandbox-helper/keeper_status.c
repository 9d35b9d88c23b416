/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers to questions about the keeper itself. Runs in the keeper, in one
 * turn of its loop.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_status.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"

#include <errno.h>

static void put_python(struct pxw_writer *answer, const char *python)
{
    if (python[0] != '\0') {
        pxw_put_str(answer, PXW_F_PYTHON, python);
    }
}

static void put_pool(struct pxw_writer *answer, const struct keeper_pool *pool)
{
    size_t open = pxw_put_open(answer, PXW_F_POOL_IS);

    pxw_put_bytes(answer, PXW_F_POOL, pool->conf->name, pool->conf->name_size);
    pxw_put_u32(answer, PXW_F_READY, keeper_branches_can_serve(pool));
    pxw_put_str(answer, PXW_F_LEVEL,
                keeper_level_name(pool->isolation.reached));
    put_python(answer, pool->python);
    pxw_put_u32(answer, PXW_F_RUNNING, (uint32_t)pool->running);
    pxw_put_u32(answer, PXW_F_QUEUED, (uint32_t)pool->queue.length);
    pxw_put_u32(answer, PXW_F_BRANCHES,
                (uint32_t)keeper_branches_count_up(pool));
    pxw_put_u64(answer, PXW_F_RUNS, pool->metrics.answered);
    pxw_put_u32(answer, PXW_F_LAZY, pool->conf->lazy);
    pxw_put_close(answer, open);
}

void keeper_status_write(const struct keeper *keeper,
                         struct pxw_writer *answer)
{
    enum keeper_level level = LEVEL_NONE;
    const char *python = "";
    uint32_t ready = 1;
    uint32_t running = 0;
    uint32_t queued = 0;
    char cgroup[CGROUP_NAMES_BYTES];
    bool hopeless = false;

    pxw_begin(answer, PXW_STATUS_IS);
    for (size_t i = 0; i < keeper->pool_count; i++) {
        const struct keeper_pool *pool = &keeper->pools[i];

        /* A lazy one may never be asked, and then says nothing. */
        ready = ready && (pool->conf->lazy || keeper_branches_can_serve(pool));
        hopeless = hopeless || keeper_zygotes_hopeless(pool);
        /* The least that any pool has; one that never was up says nothing. */
        if (pool->isolation.reached != LEVEL_NONE
            && (level == LEVEL_NONE || pool->isolation.reached < level)) {
            level = pool->isolation.reached;
        }
        python = python[0] == '\0' ? pool->python : python;
        running += (uint32_t)pool->running;
        queued += (uint32_t)pool->queue.length;
        put_pool(answer, pool);
    }
    pxw_put_u32(answer, PXW_F_READY, ready);
    pxw_put_str(answer, PXW_F_LEVEL, keeper_level_name(level));
    pxw_put_str(answer, PXW_F_VERSION, PACKAGE_VERSION);
    put_python(answer, python);
    cgroup_own_names(keeper->cgroup.controllers, cgroup);
    pxw_put_str(answer, PXW_F_CGROUP, cgroup[0] == '\0' ? "none" : cgroup);
    pxw_put_u32(answer, PXW_F_RUNNING, running);
    pxw_put_u32(answer, PXW_F_QUEUED, queued);
    if (hopeless) {
        pxw_put_str(answer, PXW_F_TEXT, KEEPER_NO_SANDBOX);
    }
    (void)pxw_end(answer); /* kept in answer->error */
}

void keeper_status_write_metrics(const struct keeper *keeper,
                                 struct pxw_writer *answer)
{
    size_t size = 0;
    CLEANUP_FREE char *text = keeper_metrics_text(keeper, &size);

    pxw_begin(answer, PXW_METRICS_ARE);
    if (text != NULL) {
        pxw_put_bytes(answer, PXW_F_METRICS, text, size);
    }
    if (pxw_end(answer) == 0 && text == NULL) {
        answer->error = -ENOMEM;
    }
}

void keeper_status_tell_version(int fd)
{
    CLEANUP(pxw_writer_free) struct pxw_writer frame = { 0 };

    pxw_begin(&frame, PXW_UNSERVED);
    pxw_put_u32(&frame, PXW_F_REASON, PXW_UNSERVED_VERSION);
    pxw_put_str(&frame, PXW_F_TEXT, "the helper is " PACKAGE_VERSION " and"
                " speaks another version of the protocol");
    if (pxw_end(&frame) == 0) {
        (void)!fdio_write(fd, frame.data, frame.size);
    }
}
