/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process of ours does to itself at its start. 0 or a negative errno.
 */
#ifndef PYEXEC_PROCESS_H
#define PYEXEC_PROCESS_H

#include <stdbool.h>

/* Default handlers, an empty mask, SIGPIPE ignored. */
int process_reset_signals(void);

/* No core file, not dumpable; `for_good`: nor any privilege gained by exec
 * from here on, which is no good for who has to start the program again that
 * a security module keeps a profile for. */
int process_close(bool for_good);

#endif
