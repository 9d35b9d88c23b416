/* SPDX-License-Identifier: Apache-2.0
 *
 * The filter as the kernel runs it against the table that it was made of:
 * every number of system call, the compat entry and the numbers of x32.
 *
 * No call happens. Below the filter under test lies another one that answers
 * ALLOWED to everything; the kernel takes the stricter of two verdicts, and of
 * two errors that of the filter attached last. So what the child under test
 * gets is its filter's own word, whatever the call would do.
 *
 * With --list the cases are printed for t/sandbox/walk.t.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "job_seccomp.h"
#include "seccomp_vectors.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "seccomp_table.h"

/* An error that no filter of ours gives. */
#define ALLOWED EXFULL
#define X32_BIT 0x40000000
/* Beyond what any kernel has. */
#define LAST_CALL 1023
/* Failures that are told one by one. */
#define MAX_TOLD 5

enum entry { ENTRY_NATIVE, ENTRY_COMPAT };

/* What libc's wrapper would hide: the answer itself. Inline, because a child
 * whose calls are answered by a filter must not need any other. */
static inline long enter(enum entry entry, long call, const uint64_t *args)
{
    register uint64_t r10 __asm__("r10") = args[3];
    register uint64_t r8 __asm__("r8") = args[4];
    register uint64_t r9 __asm__("r9") = args[5];
    long answer = call;

    if (entry == ENTRY_COMPAT) {
        /* The arguments are truncated and in other places: no matter. */
        __asm__ volatile("int $0x80" : "+a"(answer)
                         : "c"(args[1]), "d"(args[2])
                         : "memory", "r8", "r9", "r10", "r11");
    }
    else {
        __asm__ volatile("syscall" : "+a"(answer)
                         : "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10),
                           "r"(r8), "r"(r9)
                         : "memory", "rcx", "r11");
    }
    return answer;
}

/* Answers ALLOWED to all but what attaching the filter under test needs. */
static int attach_ground(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ALLOWED),
    };
    struct sock_fprog ground = {
        .len = sizeof(steps) / sizeof(steps[0]), .filter = steps,
    };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &ground) == 0
        ? 0 : -errno;
}

static void fill_in(uint64_t *args, const struct vector *vector, pid_t pid)
{
    for (int i = 0; i < SECCOMP_ARGS; i++) {
        uint64_t flipped = vector->args[i] ^ SECCOMP_OWN_PID;

        args[i] = vector->compared[i] != 0 && (flipped & (flipped - 1)) == 0
            ? (uint64_t)pid ^ flipped : vector->args[i];
    }
}

/* In a child: all cases one after the other; it cannot end in any other way
 * than by an illegal instruction, as every call is answered by a filter. */
static void __attribute__((noreturn))
walk(enum entry entry, long bits, const struct vector *vectors, size_t count,
     long *answers)
{
    pid_t pid = getpid();
    uint64_t args[SECCOMP_ARGS];

    (void)signal(SIGILL, SIG_DFL); /* a sanitizer has its own */
    if (attach_ground() != 0 || job_seccomp_attach() != 0) {
        _exit(99);
    }
    for (size_t i = 0; i < count; i++) {
        fill_in(args, &vectors[i], pid);
        answers[i] = enter(entry, vectors[i].call | bits, args);
    }
    __builtin_trap();
}

/* The answers are in memory that the child shares: it cannot write. */
static int run_walk(enum entry entry, long bits, const struct vector *vectors,
                    size_t count, long *answers)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        walk(entry, bits, vectors, count, answers);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static long *new_answers(size_t count)
{
    long *answers = mmap(NULL, count * sizeof(*answers),
                         PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);

    assert_ptr_not_equal(answers, MAP_FAILED);
    return answers;
}

static long answer_for(const struct vector *vector)
{
    switch (vector->verdict) {
    case VERDICT_EPERM: return -EPERM;
    case VERDICT_ENOSYS: return -ENOSYS;
    case VERDICT_ENOMEM: return -ENOMEM;
    case VERDICT_EOPNOTSUPP: return -EOPNOTSUPP;
    case VERDICT_ALLOW: break;
    }
    /* The ground lets it through, it is harmless. */
    return vector->call == SYS_getpid ? 0 : -ALLOWED;
}

/* Newer kernels answer these two before any filter is asked: they are for the
 * trampolines of probes that the machine's administrator has set, and do
 * nothing for anybody else (SIGILL, ENXIO). */
static bool is_probe_return(int call)
{
    return call == 335 || call == 336;
}

static void check_probe_return(const struct vector *vector)
{
    long *answer = new_answers(1);
    int status = run_walk(ENTRY_NATIVE, 0, vector, 1, answer);

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
    assert_true(*answer == 0 || *answer == -ENXIO
                || *answer == answer_for(vector));
    (void)munmap(answer, sizeof(*answer));
}

static void check_jail(const struct jail *jail)
{
    struct vector *vectors;
    size_t count = seccomp_vectors(jail, LAST_CALL, &vectors);
    long *answers = new_answers(count);
    size_t wrong = 0;
    int status;

    assert_int_equal(job_seccomp_compile(jail), 0);
    for (size_t i = 0; i < count; i++) {
        if (is_probe_return(vectors[i].call)) {
            check_probe_return(&vectors[i]);
            vectors[i] = vectors[count - 1];
        }
    }
    status = run_walk(ENTRY_NATIVE, 0, vectors, count, answers);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
    for (size_t i = 0; i < count; i++) {
        long want = answer_for(&vectors[i]);
        long got = want == 0 && answers[i] > 0 ? 0 : answers[i];

        if (got != want && ++wrong <= MAX_TOLD) {
            print_error("# call %d: %ld instead of %ld\n# ", vectors[i].call,
                        got, want);
            seccomp_vectors_print(stderr, &vectors[i], 1);
        }
    }
    assert_int_equal(wrong, 0);
    (void)munmap(answers, count * sizeof(*answers));
    free(vectors);
}

static const struct jail full = { .level = JAIL_FULL };
static const struct jail processes = { .level = JAIL_FULL, .processes = true };
static const struct jail network = { .level = JAIL_FULL, .network = true };
static const struct jail install = { .level = JAIL_FULL, .network = true,
                                     .install_bytes = 1 };
static const struct jail sources = { .level = JAIL_FULL, .network = true,
                                     .install_bytes = 1, .processes = true,
                                     .sources = true };
static const struct jail restricted = { .level = JAIL_RESTRICTED };

static void test_full(void **state)
{
    (void)state;
    check_jail(&full);
}

static void test_processes(void **state)
{
    (void)state;
    check_jail(&processes);
}

static void test_network(void **state)
{
    (void)state;
    check_jail(&network);
}

static void test_install(void **state)
{
    (void)state;
    check_jail(&install);
}

static void test_sources(void **state)
{
    (void)state;
    check_jail(&sources);
}

static void test_restricted(void **state)
{
    (void)state;
    check_jail(&restricted);
}

/* What becomes of a process without any filter that enters so. */
static int end_without_filter(enum entry entry, long call)
{
    uint64_t none[SECCOMP_ARGS] = { 0 };
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)enter(entry, call, none);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Each number ends a process of its own. */
static void check_killed(enum entry entry, long bits)
{
    long *answer = new_answers(1);
    /* getpid of i386. A kernel without that entry raises a fault. */
    int plain = end_without_filter(entry, entry == ENTRY_COMPAT ? 20 : bits);
    int by = WIFSIGNALED(plain) ? WTERMSIG(plain) : SIGSYS;

    assert_int_equal(job_seccomp_compile(&full), 0);
    for (int call = 0; call <= LAST_CALL; call++) {
        struct vector vector = { .call = call };
        int status = run_walk(entry, bits, &vector, 1, answer);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != by) {
            fail_msg("call %d was answered: %ld", call, *answer);
        }
    }
    (void)munmap(answer, sizeof(*answer));
}

static void test_compat(void **state)
{
    (void)state;
    check_killed(ENTRY_COMPAT, 0);
}

static void test_x32(void **state)
{
    (void)state;
    check_killed(ENTRY_NATIVE, X32_BIT);
}

/* Without the filter under test the ground's word is heard: the walk would
 * see a call that is let through. */
static void test_witness(void **state)
{
    static const int calls[] = { SYS_execve, SYS_reboot, LAST_CALL };
    long *answers = new_answers(1);
    uint64_t none[SECCOMP_ARGS] = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
            (void)signal(SIGILL, SIG_DFL);
            if (attach_ground() != 0) {
                _exit(99);
            }
            *answers = enter(ENTRY_NATIVE, calls[i], none);
            __builtin_trap();
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
        assert_int_equal(*answers, -ALLOWED);
    }
    (void)munmap(answers, sizeof(*answers));
}

/* --list JAIL LAST: the cases of that jail up to that number. */
static int list(const char *name, const char *last)
{
    struct vector *vectors;
    size_t count = seccomp_vectors(
        strcmp(name, "full") == 0        ? &full
        : strcmp(name, "processes") == 0 ? &processes
        : strcmp(name, "network") == 0   ? &network
                                         : &restricted,
        (int)strtol(last, NULL, 10), &vectors);

    seccomp_vectors_print(stdout, vectors, count);
    free(vectors);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_install),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_restricted),
        cmocka_unit_test(test_compat),
        cmocka_unit_test(test_x32),
        cmocka_unit_test(test_witness),
    };

    if (argc == 4 && strcmp(argv[1], "--list") == 0) {
        return list(argv[2], argv[3]);
    }
    return cmocka_run_group_tests_name("seccomp", tests, NULL, NULL);
}
