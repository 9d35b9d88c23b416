/* SPDX-License-Identifier: Apache-2.0
 *
 * Python takes memory for its objects in arenas of 1 MiB. Side by side in
 * huge pages, where the kernel has them, they cost a fork one entry of a page
 * table for each 2 MiB instead of 512; pages that a job changes are copied one
 * by one all the same.
 *
 * The zygote keeps arenas that Python frees for its next need, so that chunks
 * stay whole; a job gives them back, as its memory limit would have it.
 *
 * In the arenas, and in the heap of malloc(3), there are gaps where something
 * was freed: one here, one there, for each size. A job that is given them
 * copies a page for each, and one more for the header of its pool. So the
 * zygote takes all gaps for itself in the end, some hundred KiB.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "py_arenas.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)2 << 20)

/* Python's own: pools of blocks of one size, the first behind a header. */
#define POOL_BYTES ((uintptr_t)16 << 10)
#define POOL_HEADER_BYTES 48
#define BLOCK_STEP ((size_t)16)
#define BLOCK_MOST ((size_t)512)
/* All gaps of a zygote with every module were seen to be a tenth of this: an
 * allocator of another kind is not searched without end. */
#define GAPS_MOST_BYTES ((size_t)8 << 20)

/* Up to here glibc keeps what is freed for the next who wants this size; from
 * there on it goes back to the end of the heap. */
#define KEPT_MOST ((size_t)1040)
/* Below what it takes from the kernel one by one. */
#define HEAP_MOST ((size_t)64 << 10)

/* A freed arena, in its own first bytes. */
struct freed
{
    struct freed *next;
    size_t size;
};

static struct freed *freed;
static uint8_t *next;
static uint8_t *end;
static pid_t zygote; /* whose arenas are in chunks */

static void *map(size_t size)
{
    void *place = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return place == MAP_FAILED ? NULL : place;
}

/* A chunk at a multiple of its size; what is mapped around it is given up. */
static bool open_chunk(void)
{
    uint8_t *room = map(2 * CHUNK_BYTES);
    uintptr_t skip;

    if (room == NULL) {
        return false;
    }
    skip = (CHUNK_BYTES - (uintptr_t)room % CHUNK_BYTES) % CHUNK_BYTES;
    next = room + skip;
    end = next + CHUNK_BYTES;
    if (skip > 0) {
        (void)munmap(room, skip);
    }
    (void)munmap(end, CHUNK_BYTES - skip);
    (void)madvise(next, CHUNK_BYTES, MADV_HUGEPAGE); /* or small pages */
    return true;
}

static void *take_freed(size_t size)
{
    for (struct freed **at = &freed; *at != NULL; at = &(*at)->next) {
        if ((*at)->size == size) {
            struct freed *found = *at;

            *at = found->next;
            return found;
        }
    }
    return NULL;
}

static void *allocate(void *context, size_t size)
{
    void *place = take_freed(size);

    (void)context;
    if (place != NULL) {
        return place;
    }
    if ((size_t)(end - next) >= size) {
        place = next;
        next += size;
        return place;
    }
    /* In a job a huge page would be cleared as a whole for little use. */
    if (getpid() != zygote || size > CHUNK_BYTES || !open_chunk()) {
        return map(size);
    }
    return allocate(context, size);
}

static void release(void *context, void *place, size_t size)
{
    struct freed *arena = place;

    (void)context;
    if (getpid() != zygote) {
        (void)munmap(place, size); /* fails for want of memory only */
        return;
    }
    arena->next = freed;
    arena->size = size;
    freed = arena;
}

void py_arenas_install(void)
{
    PyObjectArenaAllocator allocator = { NULL, allocate, release };

    zygote = getpid();
    PyObject_SetArenaAllocator(&allocator);
}

/* The first block of a pool that nobody else has anything in. */
static bool opens_pool(const void *block)
{
    return (uintptr_t)block % POOL_BYTES == POOL_HEADER_BYTES;
}

static void fill_pools(size_t size, size_t *left)
{
    void *block;

    do {
        block = *left < size ? NULL : PyObject_Malloc(size);
        if (block == NULL) {
            return;
        }
        *left -= size;
    } while (!opens_pool(block));
    PyObject_Free(block); /* and the pool with it */
}

static void fill_heap(size_t size, const void *edge, size_t *left)
{
    void *block;

    do {
        block = *left < size ? NULL : malloc(size);
        if (block == NULL) {
            return;
        }
        *left -= size;
    } while ((uintptr_t)block < (uintptr_t)edge);
    if (size > KEPT_MOST) {
        free(block);
    }
}

void py_arenas_fill_gaps(void)
{
    const void *edge = sbrk(0);
    size_t left = GAPS_MOST_BYTES;

    for (size_t size = BLOCK_STEP; size <= BLOCK_MOST; size += BLOCK_STEP) {
        fill_pools(size, &left);
    }
    for (size_t size = HEAP_MOST; size > KEPT_MOST; size /= 2) {
        fill_heap(size, edge, &left);
    }
    for (size_t size = KEPT_MOST; size >= BLOCK_STEP; size -= BLOCK_STEP) {
        fill_heap(size - sizeof(size_t), edge, &left);
    }
}
