/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling a stack overflow in C from any other segmentation fault. Of the main
 * thread only: other threads have no second stack to run a handler on.
 */
#ifndef PYEXEC_JOB_STACK_H
#define PYEXEC_JOB_STACK_H

/* In the zygote, in its first thread, while /proc is there and after
 * RLIMIT_STACK was set: where the stack is. Returns 0 or a negative errno. */
int job_stack_locate(void);

/* In the zygote, after CPython has looked which signals have a handler: what
 * jobs inherit. Does nothing where somebody else (AddressSanitizer) handles
 * the signal. Returns 0 or a negative errno. */
int job_stack_prepare(void);

/* In the job, when the script starts: an overflow from here on is reported to
 * this descriptor. */
void job_stack_watch(int report_fd);

#endif
