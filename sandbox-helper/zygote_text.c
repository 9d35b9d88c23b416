/* SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * fork(2) does not copy page tables of plain file mappings: every job finds
 * the interpreter's code absent and takes about fifty page faults, sixteen
 * pages each, to get it back, and as many pages are unmapped one by one at its
 * end. That was a quarter of the time of a short run. The same bytes in
 * anonymous memory would be copied at the fork, page by page, which costs as
 * much. In huge pages it is three entries of a page table.
 *
 *     libpython   | R consts | R-X code | R consts | R relocated | RW data
 *     huge pages  |<---------- read and execute -------------->|  as it was
 *
 * The copy is made in fresh memory, closed for writing, and only then moved
 * over the original by one mremap(2): there is no moment at which memory is
 * writable and executable, or code is missing. Constants become executable by
 * this, as they were in every program before 2018; nothing becomes writable.
 */
#include "zygote_text.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_BYTES ((uintptr_t)2 << 20)

/* linux/mman.h; glibc 2.36 does not have it. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct library
{
    uintptr_t inside;
    uintptr_t start;  /* of what is read-only */
    uintptr_t end;
    bool found;
};

static uintptr_t round_up(uintptr_t address)
{
    return (address + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
}

static uintptr_t round_down(uintptr_t address)
{
    return address & ~(HUGE_BYTES - 1);
}

/* The segments before the writable one, and of that the part that the loader
 * has closed again. Where there are gaps between them, nothing is found. */
static int measure(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct library *library = argument;
    uintptr_t first = UINTPTR_MAX;
    uintptr_t writable = UINTPTR_MAX;
    uintptr_t last = 0;
    uintptr_t relocated = 0;
    uintptr_t page = (uintptr_t)getpagesize();
    bool gaps = false;

    (void)size; /* newer members of the struct are not used */
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + part->p_vaddr;

        if (part->p_type == PT_GNU_RELRO) {
            relocated = at + part->p_memsz;
        }
        if (part->p_type != PT_LOAD) {
            continue;
        }
        gaps = gaps || (last != 0 && at / page > (last + page - 1) / page);
        first = at < first ? at : first;
        last = at + part->p_memsz;
        if ((part->p_flags & PF_W) != 0 && at < writable) {
            writable = at;
        }
    }
    if (library->inside < first || library->inside >= last) {
        return 0;
    }
    library->found = !gaps;
    library->start = first;
    library->end = writable == UINTPTR_MAX ? last
                   : relocated > writable  ? relocated
                                           : writable;
    return 1;
}

/* A copy in huge pages, readable and executable; NULL: there are none. */
static void *copy(uintptr_t from, size_t size, void **ret_room,
                  size_t *ret_room_size)
{
    size_t room_size = size + HUGE_BYTES;
    void *room = mmap(NULL, room_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *place;

    if (room == MAP_FAILED) {
        *ret_room = NULL;
        return NULL;
    }
    *ret_room = room;
    *ret_room_size = room_size;
    place = (void *)round_up((uintptr_t)room);
    (void)madvise(place, size, MADV_HUGEPAGE); /* the next but one tells */
    memcpy(place, (const void *)from, size);
    if (madvise(place, size, MADV_COLLAPSE) != 0
        || mprotect(place, size, PROT_READ | PROT_EXEC) != 0) {
        return NULL;
    }
    return place;
}

size_t zygote_text_move(const void *inside)
{
    struct library library = { .inside = (uintptr_t)inside };
    void *room = NULL;
    void *place;
    size_t room_size = 0;
    size_t size;

    (void)dl_iterate_phdr(measure, &library);
    library.start = round_up(library.start);
    library.end = round_down(library.end);
    if (!library.found || library.end <= library.start) {
        return 0;
    }
    size = library.end - library.start;
    place = copy(library.start, size, &room, &room_size);
    if (place != NULL
        && mremap(place, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                  (void *)library.start)
               == MAP_FAILED) {
        place = NULL;
    }
    /* What is left of it on both sides, or all. */
    if (room != NULL) {
        (void)munmap(room, room_size);
    }
    return place == NULL ? 0 : size;
}
