/* SPDX-License-Identifier: Apache-2.0
 *
 * What a helper is told of the configuration; see the header. Runs in the
 * httpd parent.
 */
#include "pyexec_setup.h"

#include "pyexec_environment.h"
#include "pyexec_pools.h"

#include <unistd.h>

apr_uint32_t pyexec_setup_concurrency(const pyexec_pool_t *pool)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (pool->concurrency != PYEXEC_CONCURRENCY_AUTO) {
        return (apr_uint32_t)pool->concurrency;
    }
    return online < 1 ? 1
           : online > PYEXEC_CONCURRENCY_CEILING ? PYEXEC_CONCURRENCY_CEILING
                                                 : (apr_uint32_t)online;
}

static void put_pool(struct pxw_writer *frame, const pyexec_pool_t *pool)
{
    size_t open = pxw_put_open(frame, PXW_F_POOL_DEF);

    pxw_put_str(frame, PXW_F_POOL, pool->name);
    pxw_put_u32(frame, PXW_F_LAZY, (uint32_t)pool->lazy);
    pxw_put_u32(frame, PXW_F_CONCURRENCY, pyexec_setup_concurrency(pool));
    pxw_put_u32(frame, PXW_F_QUEUE, (uint32_t)pool->queue);
    pxw_put_u32(frame, PXW_F_QUEUE_MS, (uint32_t)pool->queue_ms);
    pxw_put_u32(frame, PXW_F_TENANT_CONCURRENCY,
                (uint32_t)pool->tenant_concurrency);
    pxw_put_u32(frame, PXW_F_TENANT_QUEUE, (uint32_t)pool->tenant_queue);
    pxw_put_u32(frame, PXW_F_WALL_MS, (uint32_t)PYEXEC_WALL_CEILING_MS);
    pxw_put_u32(frame, PXW_F_CPU_MS, (uint32_t)PYEXEC_CPU_CEILING_MS);
    pxw_put_u64(frame, PXW_F_MEMORY, (uint64_t)PYEXEC_MEMORY_CEILING_BYTES);
    pxw_put_u32(frame, PXW_F_OUTPUT, (uint32_t)PYEXEC_OUTPUT_CEILING_BYTES);
    pxw_put_u32(frame, PXW_F_FILES, PYEXEC_FILES_CEILING);
    pxw_put_u32(frame, PXW_F_THREADS, PYEXEC_THREADS_CEILING);
    pxw_put_str(frame, PXW_F_LEVEL, pool->isolation);
    pxw_put_u32(frame, PXW_F_PROCESSES, (uint32_t)pool->processes);
    pxw_put_u32(frame, PXW_F_RECYCLE_RUNS, (uint32_t)pool->recycle_runs);
    pxw_put_u32(frame, PXW_F_RECYCLE_MS, (uint32_t)pool->recycle_ms);
    pxw_put_u32(frame, PXW_F_IDLE_MS, (uint32_t)pool->idle_ms);
    pxw_put_str(frame, PXW_F_PRELOAD, pool->preload);
    if (pool->env != NULL) {
        pxw_put_str(frame, PXW_F_ENV, pool->env);
    }
    if (pool->python != NULL) {
        pxw_put_str(frame, PXW_F_INTERPRETER, pool->python);
    }
    if (pool->real_site != NULL) {
        pxw_put_str(frame, PXW_F_SITE, pool->real_site);
    }
    if (pool->network[0] != '\0') {
        pxw_put_str(frame, PXW_F_PROXY, pool->network);
        pxw_put_u32(frame, PXW_F_CONNECTIONS, (uint32_t)pool->connections);
        pxw_put_u64(frame, PXW_F_NETWORK_BYTES,
                    (uint64_t)pool->network_bytes);
    }
    if (pool->links) {
        pxw_put_u32(frame, PXW_F_LINK, 1);
        pxw_put_u32(frame, PXW_F_LINK_MS, (uint32_t)pool->link_ms);
        pxw_put_u32(frame, PXW_F_LINK_BYTES, (uint32_t)pool->link_bytes);
    }
    pyexec_environment_put(frame, pool);
    pxw_put_close(frame, open);
}

int pyexec_setup_build(struct pxw_writer *frame, const unsigned char *token,
                       apr_uint64_t generation)
{
    int count = 0;
    const pyexec_pool_t *const *pools = pyexec_pools_all(&count);

    pxw_begin(frame, PXW_SETUP);
    pxw_put_bytes(frame, PXW_F_TOKEN, token, PXW_TOKEN_BYTES);
    if (generation != 0) {
        pxw_put_u64(frame, PXW_F_GENERATION, generation);
    }
    for (int i = 0; i < count; i++) {
        put_pool(frame, pools[i]);
    }
    return pxw_end(frame);
}

void pyexec_setup_free(struct pxw_writer *frame)
{
    if (frame->data != NULL && frame->error == 0) {
        /* The token need not lie about in freed memory. */
        explicit_bzero(frame->data, frame->size);
    }
    pxw_writer_free(frame);
}
