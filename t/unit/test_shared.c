/* SPDX-License-Identifier: Apache-2.0
 *
 * Zygotes of different tenants share memory that they execute: whatever one of
 * them did to the file, another one gets what it would have had alone, or
 * nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "zygote_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE_BYTES ((size_t)2 << 20)
#define SIZE (2 * HUGE_BYTES)

static unsigned char *text;  /* what a zygote has of its own */
static unsigned char *place; /* where it wants it */

static unsigned char *reserve(int protection)
{
    unsigned char *room = mmap(NULL, SIZE + HUGE_BYTES, protection,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(room, MAP_FAILED);
    return room + (HUGE_BYTES - (uintptr_t)room % HUGE_BYTES) % HUGE_BYTES;
}

static int setup(void **state)
{
    (void)state;
    text = reserve(PROT_READ | PROT_WRITE);
    place = reserve(PROT_NONE);
    for (size_t i = 0; i < SIZE; i++) {
        text[i] = (unsigned char)(i * 7 + i / 4096);
    }
    return 0;
}

static int new_file(void)
{
    int file = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(file >= 0);
    return file;
}

static int map(int file)
{
    return zygote_shared_map(file, text, SIZE, place);
}

static void test_same_for_all(void **state)
{
    int file = new_file();
    unsigned char byte = 0;

    (void)state;
    assert_int_equal(map(file), 0);
    assert_memory_equal(place, text, SIZE);
    assert_int_equal(map(file), 0); /* the next one finds it full */
    assert_memory_equal(place, text, SIZE);
    /* Nobody changes it any more, by any way. */
    assert_int_equal(pwrite(file, &byte, 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(file, 0), -1);
    assert_int_equal(ftruncate(file, (off_t)(2 * SIZE)), -1);
    assert_int_equal(fallocate(file, 3, 0, 4096), -1); /* a hole */
    assert_ptr_equal(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                          file, 0), MAP_FAILED);
    (void)close(file);
}

/* Who writes into the mapping has a page of its own then. */
static void test_private(void **state)
{
    int file = new_file();
    unsigned char byte;

    (void)state;
    assert_int_equal(map(file), 0);
    assert_int_equal(mprotect(place, SIZE, PROT_READ | PROT_WRITE), 0);
    place[0] ^= 1;
    assert_int_equal(pread(file, &byte, 1, 0), 1);
    assert_int_equal(byte, text[0]);
    (void)close(file);
}

static void test_other_bytes(void **state)
{
    int file = new_file();

    (void)state;
    assert_int_equal(map(file), 0);
    text[SIZE - 1] ^= 1;
    assert_int_equal(map(file), -EBADMSG);
    text[SIZE - 1] ^= 1;
    (void)close(file);
}

static void test_other_size(void **state)
{
    int file = new_file();

    (void)state;
    assert_int_equal(zygote_shared_map(file, text, HUGE_BYTES, place), 0);
    assert_int_equal(map(file), -EBADF);
    (void)close(file);
}

/* What could be changed later is not used: a writable mapping of somebody
 * else's stands against the seal. */
static void test_writer_left(void **state)
{
    int file = new_file();
    void *writable;

    (void)state;
    assert_int_equal(ftruncate(file, SIZE), 0);
    writable = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_ptr_not_equal(writable, MAP_FAILED);
    assert_int_equal(map(file), -EBUSY);
    (void)munmap(writable, SIZE);
    assert_int_equal(map(file), 0);
    (void)close(file);
}

/* Some seals, but not all. */
static void test_half_sealed(void **state)
{
    int file = new_file();

    (void)state;
    assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_SEAL), 0);
    assert_int_equal(map(file), -EPERM);
    (void)close(file);
}

static void test_being_filled(void **state)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int file = new_file();
    int told[2];
    char byte;
    pid_t other;
    int rv;

    (void)state;
    assert_int_equal(pipe(told), 0);
    other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        byte = fcntl(file, F_SETLK, &whole) == 0 ? 1 : 0;
        (void)!write(told[1], &byte, 1);
        (void)pause();
        _exit(0);
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
    rv = map(file);
    (void)kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    assert_int_equal(rv, -EAGAIN);
    assert_int_equal(map(file), 0); /* its lock ended with it */
    (void)close(told[0]);
    (void)close(told[1]);
    (void)close(file);
}

/* The signal that a larger file than allowed ends a process by must not come. */
static void test_file_limit(void **state)
{
    struct rlimit before;
    struct rlimit none;
    int file = new_file();
    int rv;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = SIZE - 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    rv = map(file);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rv, -EFBIG);
    (void)close(file);
}

/* Whether this kernel collapses a memfd's pages at all. */
static int has_huge_pages(void)
{
    int file = memfd_create("probe", MFD_CLOEXEC);
    unsigned char *room = mmap(NULL, 2 * HUGE_BYTES, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *at = room + (HUGE_BYTES - (uintptr_t)room % HUGE_BYTES)
                                   % HUGE_BYTES;
    int found = file >= 0 && room != MAP_FAILED
                && ftruncate(file, HUGE_BYTES) == 0
                && mmap(at, HUGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED, file, 0) == at;

    if (found) {
        *at = 1;
        found = madvise(at, HUGE_BYTES, 25 /* MADV_COLLAPSE */) == 0;
    }
    (void)munmap(room, 2 * HUGE_BYTES);
    (void)close(file);
    return found;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_for_all),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_other_bytes),
        cmocka_unit_test(test_other_size),
        cmocka_unit_test(test_writer_left),
        cmocka_unit_test(test_half_sealed),
        cmocka_unit_test(test_being_filled),
        cmocka_unit_test(test_file_limit),
    };

    if (!has_huge_pages()) {
        puts("1..0 # SKIP this kernel collapses no shared memory");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, NULL);
}
