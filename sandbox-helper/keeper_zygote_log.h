/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines that a zygote writes to its stderr, put into the keeper's log.
 */
#ifndef PYEXEC_KEEPER_ZYGOTE_LOG_H
#define PYEXEC_KEEPER_ZYGOTE_LOG_H

#include <stddef.h>
#include <sys/types.h>

#define ZYGOTE_LOG_LINE 1024

/* The line that is being read. */
struct keeper_zygote_log
{
    char line[ZYGOTE_LOG_LINE];
    size_t size;
};

/* Relays each line that becomes complete, or too long. */
void keeper_zygote_log_take(struct keeper_zygote_log *log, const char *pool,
                            pid_t zygote, const char *bytes, size_t count);

/* Relays what is left of an unfinished line. */
void keeper_zygote_log_flush(struct keeper_zygote_log *log, const char *pool,
                             pid_t zygote);

#endif
