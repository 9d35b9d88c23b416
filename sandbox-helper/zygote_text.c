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
 *
 * Where the kernel has put the library at a multiple of a huge page, as it does
 * since Linux 6.7 on most file systems, the part in front of what the loader
 * relocates is the same in every zygote, and they share one copy.
 */
#include "zygote_text.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "zygote_shared.h"

#define HUGE_BYTES ((uintptr_t)2 << 20)

/* linux/mman.h; glibc 2.36 does not have it. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct library
{
    uintptr_t inside;
    uintptr_t start;  /* of what is read-only */
    uintptr_t alike;  /* the end of what is so in the file */
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
    library->alike = writable == UINTPTR_MAX ? last : writable;
    library->end = writable == UINTPTR_MAX ? last
                   : relocated > writable  ? relocated
                                           : writable;
    return 1;
}

/* A copy of our own in huge pages, readable and executable, or -1: there are
 * none. */
static int copy(uintptr_t from, size_t size, void *place)
{
    (void)madvise(place, size, MADV_HUGEPAGE); /* the next but one tells */
    memcpy(place, (const void *)from, size);
    return madvise(place, size, MADV_COLLAPSE) == 0
                   && mprotect(place, size, PROT_READ | PROT_EXEC) == 0
               ? 0
               : -1;
}

/* Puts a copy in the place of what is there: the shared one, or with no file
 * one of our own. Returns `size`, or 0: all is as it was. */
static size_t replace(uintptr_t from, size_t size, int file)
{
    size_t room_size = size + HUGE_BYTES;
    void *room = mmap(NULL, room_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *place;
    int rv;

    if (room == MAP_FAILED) {
        return 0;
    }
    place = (void *)round_up((uintptr_t)room);
    rv = file < 0 ? copy(from, size, place)
                  : zygote_shared_map(file, (const void *)from, size, place);
    if (rv == 0
        && mremap(place, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                  (void *)from)
               == MAP_FAILED) {
        rv = -1;
    }
    /* What is left of it on both sides, or all. */
    (void)munmap(room, room_size);
    return rv == 0 ? size : 0;
}

size_t zygote_text_move(const void *inside, int file)
{
    struct library library = { .inside = (uintptr_t)inside };
    size_t shared = 0;

    (void)dl_iterate_phdr(measure, &library);
    if (file >= 0 && library.start == round_up(library.start)) {
        library.alike = round_down(library.alike);
        if (library.found && library.alike > library.start) {
            shared = replace(library.start, library.alike - library.start,
                             file);
        }
    }
    library.start = round_up(library.start) + shared;
    library.end = round_down(library.end);
    if (!library.found || library.end <= library.start) {
        return shared;
    }
    return shared + replace(library.start, library.end - library.start, -1);
}
