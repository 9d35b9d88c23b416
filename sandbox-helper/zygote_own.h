/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs that the zygote forks for itself and waits for.
 */
#ifndef PYEXEC_ZYGOTE_OWN_H
#define PYEXEC_ZYGOTE_OWN_H

#include <stddef.h>
#include <stdint.h>

/* Before the first job: one that tries its confinement. 0 when all holds,
 * otherwise a negative errno after a line in the log. */
int zygote_own_selftest(void);

/* After a job of a jail for installing was reaped: where it says that it has
 * installed something, another job makes that the environment's next
 * generation. *status, a wait status, becomes 0 exactly when that has happened,
 * or when there was nothing to do; where it could not be done `ret_text` (of
 * `size` bytes) says why, for whoever asked, and is left alone otherwise. */
void zygote_own_settle(uint32_t index, int *status, char *ret_text,
                       size_t size);

#endif
