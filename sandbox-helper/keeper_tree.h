/* SPDX-License-Identifier: Apache-2.0
 *
 * The processes of a run that may start some, as /proc shows them.
 */
#ifndef PYEXEC_KEEPER_TREE_H
#define PYEXEC_KEEPER_TREE_H

#include <stdint.h>
#include <sys/types.h>

/* The CPU time of all processes below these two, and of those that they and
 * the two have waited for; not what the two themselves have used. Never more
 * than that was, sometimes less: also 0 where /proc does not tell (hidepid=,
 * or a kernel without CONFIG_PROC_CHILDREN). */
uint64_t keeper_tree_cpu_us(pid_t job, pid_t init);

#endif
