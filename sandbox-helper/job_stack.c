/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler of SIGSEGV. It runs in the job, on a stack of its own, with the
 * script's rights, at any moment: it makes system calls and nothing else. It
 * tells which limit was met and lets the fault happen once more, so that the
 * wait status is what it would have been.
 *
 * A script sees nothing of it: signal.getsignal() tells what CPython found when
 * it started. One that sets a handler of its own, or enables faulthandler,
 * replaces it, and then nothing is told.
 */
#include "job_stack.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include "wire.h"

/* The frame of a signal is large where there are wide registers: 11 KiB with
 * AMX. Not touched, it costs nothing. */
#define HANDLER_STACK_BYTES (64u << 10)
/* How far below its limit a stack pointer may be: as far as the kernel keeps
 * free below a stack. */
#define GAP_BYTES (1u << 20)
/* What code may touch below its stack pointer: a call's return address, and
 * the red zone of leaf functions. */
#define RED_ZONE_BYTES 256u

static uint8_t handler_stack[HANDLER_STACK_BYTES];
static uintptr_t stack_end;           /* its highest address, exclusive */
static volatile sig_atomic_t report = -1;
static volatile sig_atomic_t owner;   /* not a process that the script forks */

int job_stack_locate(void)
{
    struct rlimit limit;
    pthread_attr_t attributes;
    void *low;
    size_t bytes;
    int rv;

    if (getrlimit(RLIMIT_STACK, &limit) != 0) {
        return -errno;
    }
    rv = pthread_getattr_np(pthread_self(), &attributes);
    if (rv != 0) {
        return -rv;
    }
    rv = pthread_attr_getstack(&attributes, &low, &bytes);
    (void)pthread_attr_destroy(&attributes);
    /* Its idea of the low end is exact; its size leaves out what is above the
     * first frame, the environment, which counts for the kernel. */
    stack_end = (uintptr_t)low + (uintptr_t)limit.rlim_cur;
    return -rv;
}

static uintptr_t stack_pointer(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#else
    (void)context;
    return 0; /* never an overflow */
#endif
}

/* 0: the fault has nothing to do with the stack. */
static enum pxw_outcome limit_of(uintptr_t fault, uintptr_t pointer)
{
    struct rlimit limit;
    uintptr_t low;

    /* The script may have lowered it. */
    if (getrlimit(RLIMIT_STACK, &limit) != 0
        || limit.rlim_cur >= stack_end - GAP_BYTES) {
        return (enum pxw_outcome)0;
    }
    low = stack_end - (uintptr_t)limit.rlim_cur;
    if (pointer < low - GAP_BYTES || pointer >= stack_end
        || fault < pointer - RED_ZONE_BYTES || fault >= stack_end) {
        return (enum pxw_outcome)0;
    }
    /* Within its limit a stack grows, unless there is no memory for it. */
    return fault < low ? PXW_OUT_OF_STACK : PXW_OUT_OF_MEMORY;
}

static void tell(enum pxw_outcome limit)
{
    uint8_t frame[PXW_EXHAUSTED_BYTES];

    pxw_put_exhausted(frame, limit);
    if (write(report, frame, sizeof(frame)) < 0) {
        return; /* the script has closed it: then nothing is told */
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int error = errno;
    enum pxw_outcome limit;

    /* From here on as if there had never been a handler. */
    (void)signal(number, SIG_DFL);
    if (info->si_code <= 0) {
        /* Sent, not met: it would not happen again by itself. Delivered when
         * this returns. */
        (void)raise(number);
    }
    else if (report >= 0 && getpid() == owner) {
        limit = limit_of((uintptr_t)info->si_addr, stack_pointer(context));
        if (limit != (enum pxw_outcome)0) {
            tell(limit);
        }
    }
    errno = error;
}

int job_stack_prepare(void)
{
    stack_t stack = { .ss_sp = handler_stack, .ss_size = HANDLER_STACK_BYTES };
    struct sigaction action = { .sa_sigaction = on_fault,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK };
    struct sigaction old;

    if (sigaction(SIGSEGV, NULL, &old) != 0) {
        return -errno;
    }
    if ((old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL) {
        return 0;
    }
    (void)sigemptyset(&action.sa_mask);
    return sigaltstack(&stack, NULL) != 0
                   || sigaction(SIGSEGV, &action, NULL) != 0
               ? -errno
               : 0;
}

void job_stack_watch(int report_fd)
{
    owner = getpid();
    report = report_fd;
}
