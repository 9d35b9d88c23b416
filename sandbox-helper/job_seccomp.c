/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiles and attaches the system call filter. Default deny with an errno:
 * a Python script then meets an OSError, not a death that nobody can explain,
 * and a call newer than the list cannot slip through. Wrong architectures
 * (int 0x80, x32) end the process.
 */
#include "job_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "seccomp_table.h"

/* Newer than Debian 12's newest table (fchmodat2, cachestat): answered with
 * ENOSYS, as a kernel of that age would. */
#define FIRST_UNKNOWN_CALL 453

/* 4,096 instructions is the kernel's own bound for unprivileged filters. */
#define MAX_INSTRUCTIONS 4096
/* The check of the architecture, in front of the search tree. */
#define PREFIX_MOST 8
/* What put_range() puts behind it. */
#define RANGE_LENGTH 2

static struct sock_filter *program;
static unsigned short program_length;

/* One table holds what is allowed, these what is refused in another way than
 * by EPERM. */
static int add_refusals(scmp_filter_ctx context, const struct jail *jail)
{
    uint32_t action = SCMP_ACT_ERRNO(ENOMEM);
    int rv = 0;

#define CALL(name) \
    if (rv == 0) { \
        rv = seccomp_rule_add(context, action, SCMP_SYS(name), 0); \
    }
#define ARGUED(name, count, ...) \
    if (rv == 0) { \
        rv = seccomp_rule_add(context, action, SCMP_SYS(name), count, \
                              __VA_ARGS__); \
    }
    SECCOMP_NO_MEMORY(ARGUED)
    action = SCMP_ACT_ERRNO(EOPNOTSUPP);
    if (jail->processes) {
        SECCOMP_TREE_UNSUPPORTED(CALL)
    }
    if (jail->install_bytes > 0) {
        SECCOMP_INSTALL_UNSUPPORTED(CALL)
    }
    action = SCMP_ACT_ERRNO(ENOSYS);
    SECCOMP_ABSENT(CALL)
#undef CALL
#undef ARGUED
    return rv;
}

static int add_rules(scmp_filter_ctx context, const struct jail *jail)
{
    int rv = add_refusals(context, jail);

#define CALL(name) \
    if (rv == 0) { \
        rv = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(name), 0); \
    }
#define ARGUED(name, count, ...) \
    if (rv == 0) { \
        rv = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(name), \
                              count, __VA_ARGS__); \
    }
    SECCOMP_PLAIN(CALL)
    SECCOMP_ARGUED(ARGUED)
    if (jail->level == JAIL_FULL) {
        SECCOMP_FULL_ONLY(CALL)
    }
    if (jail->network) {
        SECCOMP_NETWORK_PLAIN(CALL)
        SECCOMP_NETWORK_ARGUED(ARGUED)
    }
    if (jail->processes) {
        SECCOMP_TREE_PLAIN(CALL)
        SECCOMP_TREE_ARGUED(ARGUED)
    }
    else {
        SECCOMP_ALONE_PLAIN(CALL)
        SECCOMP_ALONE_ARGUED(ARGUED)
    }
    if (jail->install_bytes > 0) {
        SECCOMP_INSTALL_PLAIN(CALL)
    }
    if (jail->processes || jail->install_bytes > 0) {
        SECCOMP_WRITING_ARGUED(ARGUED)
    }
    else {
        SECCOMP_READING_ARGUED(ARGUED)
    }
#undef CALL
#undef ARGUED
    return rv;
}

/* libseccomp knows single calls, no ranges; one comparison in front of its
 * search tree does, and leaves the tree half as large: the kernel walks it
 * for every call there is when the filter is attached. */
static int shift(uint8_t *jump, size_t from, size_t at)
{
    if (from + 1 + *jump >= at) {
        if (*jump > UINT8_MAX - RANGE_LENGTH) {
            return -ENOEXEC;
        }
        *jump += RANGE_LENGTH;
    }
    return 0;
}

static int put_range(struct sock_filter *found, size_t count)
{
    static const struct sock_filter load_number = BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    static const struct sock_filter range[RANGE_LENGTH] = {
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN_CALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    size_t at = 0;
    int rv = 0;

    for (size_t i = 0; i < count && i < PREFIX_MOST; i++) {
        if (memcmp(&found[i], &load_number, sizeof(load_number)) == 0) {
            at = i + 1;
        }
    }
    /* Jumps are relative and forward: those from before to behind it grow. */
    for (size_t i = 0; rv == 0 && i < at; i++) {
        if (BPF_CLASS(found[i].code) == BPF_JMP) {
            rv = shift(&found[i].jt, i, at);
            rv = rv == 0 ? shift(&found[i].jf, i, at) : rv;
        }
    }
    if (rv != 0 || at == 0) {
        return -ENOEXEC;
    }
    free(program);
    program = malloc((count + RANGE_LENGTH) * sizeof(*program));
    if (program == NULL) {
        return -ENOMEM;
    }
    memcpy(program, found, at * sizeof(*program));
    memcpy(program + at, range, sizeof(range));
    memcpy(program + at + RANGE_LENGTH, found + at,
           (count - at) * sizeof(*program));
    program_length = (unsigned short)(count + RANGE_LENGTH);
    return 0;
}

/* libseccomp 2.5 exports to a descriptor only. */
static int export_program(scmp_filter_ctx context)
{
    CLEANUP_FD int fd = memfd_create("filter", MFD_CLOEXEC);
    CLEANUP_FREE void *bytes = NULL;
    off_t size;
    int rv;

    if (fd < 0) {
        return -errno;
    }
    rv = seccomp_export_bpf(context, fd);
    if (rv != 0) {
        return rv;
    }
    size = lseek(fd, 0, SEEK_END);
    if (size <= 0 || size % (off_t)sizeof(struct sock_filter) != 0
        || size / (off_t)sizeof(struct sock_filter) > MAX_INSTRUCTIONS
                                                        - RANGE_LENGTH) {
        return -ENOEXEC;
    }
    bytes = malloc((size_t)size);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    if (pread(fd, bytes, (size_t)size, 0) != size) {
        return -EIO;
    }
    return put_range(bytes, (size_t)size / sizeof(struct sock_filter));
}

static bool is_own_pid(const struct sock_filter *step)
{
    return BPF_CLASS(step->code) == BPF_JMP && step->k == SECCOMP_OWN_PID;
}

int job_seccomp_compile(const struct jail *jail)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    unsigned int placeholders = 0;
    int rv;

    if (context == NULL) {
        return -ENOMEM;
    }
    rv = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH,
                          SCMP_ACT_KILL_PROCESS);
    if (rv == 0) {
        /* Binary search instead of a walk: the list is long. */
        rv = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    if (rv == 0) {
        rv = add_rules(context, jail);
    }
    if (rv == 0) {
        rv = export_program(context);
    }
    seccomp_release(context);
    for (unsigned short i = 0; rv == 0 && i < program_length; i++) {
        placeholders += is_own_pid(&program[i]);
    }
    /* libseccomp lets kill and tgkill share one comparison. None at all would
     * mean that the rule is not what the table says, or any where it has none. */
    if (rv == 0 && (placeholders == 0) != jail->processes) {
        rv = -ENOEXEC;
    }
    return rv;
}

int job_seccomp_attach(void)
{
    struct sock_fprog filter = { .len = program_length, .filter = program };

    if (program == NULL) {
        return -ENOEXEC;
    }
    /* In place: this process's own copy by now. */
    for (unsigned short i = 0; i < program_length; i++) {
        if (is_own_pid(&program[i])) {
            program[i].k = (uint32_t)getpid();
        }
    }
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
        return -errno;
    }
    return 0;
}
