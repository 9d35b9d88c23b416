/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper makes the file, empty, and hands it to each zygote; it never
 * looks inside. One zygote fills it and seals it: from then on nobody can
 * change it, not even who has it open. So zygotes of different tenants need
 * not trust each other: each compares before it uses, and what it compared
 * stays as it is. Who is late while another one fills it does without.
 */
#include "zygote_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* linux/mman.h; glibc 2.36 does not have it. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static bool is_sealed(int file)
{
    int seals = fcntl(file, F_GET_SEALS);

    return seals >= 0 && (seals & SEALS) == SEALS;
}

static int fill(int file, const void *from, size_t size, void *place)
{
    struct rlimit limit;
    int rv = 0;

    /* Beyond it ftruncate(2) would end this process by a signal. */
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < size) {
        return -EFBIG;
    }
    if (ftruncate(file, (off_t)size) != 0
        || mmap(place, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                file, 0) == MAP_FAILED) {
        return -errno;
    }
    memcpy(place, from, size);
    if (madvise(place, size, MADV_COLLAPSE) != 0) {
        rv = -errno;
    }
    /* No writable mapping may be left; an inaccessible one keeps the place. */
    if (mmap(place, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0) == MAP_FAILED) {
        return -errno;
    }
    return rv == 0 && fcntl(file, F_ADD_SEALS, SEALS) != 0 ? -errno : rv;
}

/* The lock is this process's: the open file is the same for all of them. It
 * ends with the process, or with the descriptor. */
static int fill_once(int file, const void *from, size_t size, void *place)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (is_sealed(file)) {
        return 0;
    }
    if (fcntl(file, F_SETLK, &whole) != 0) {
        return -errno;
    }
    return is_sealed(file) ? 0 : fill(file, from, size, place);
}

int zygote_shared_map(int file, const void *from, size_t size, void *place)
{
    struct stat found;
    int rv = fill_once(file, from, size, place);

    if (rv != 0) {
        return rv;
    }
    if (!is_sealed(file) || fstat(file, &found) != 0
        || found.st_size != (off_t)size) {
        return -EBADF;
    }
    if (mmap(place, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file,
             0) == MAP_FAILED) {
        return -errno;
    }
    return memcmp(place, from, size) == 0 ? 0 : -EBADMSG;
}
