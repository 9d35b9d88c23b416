/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes and threads of our user, all over the machine.
 */
#ifndef PYEXEC_ZYGOTE_TASKS_H
#define PYEXEC_ZYGOTE_TASKS_H

#include <stdint.h>

/* How many there are now, this process included, or a negative errno. May fork
 * a few times; nothing of that is left. */
int64_t zygote_tasks_count(void);

#endif
