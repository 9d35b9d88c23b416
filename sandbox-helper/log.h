/* SPDX-License-Identifier: Apache-2.0
 *
 * The helper's log: one line a message, written to stderr in one piece as
 *
 *     name[pid]: level: PYX0nnn: text
 *
 * The keeper's stderr is httpd's error log or the journal; the zygote's is a
 * pipe that the keeper reads. Knows no event loop; safe after fork.
 */
#ifndef PYEXEC_LOG_H
#define PYEXEC_LOG_H

#include <stddef.h>

enum log_level
{
    LOG_LEVEL_ERROR,   /* the service is broken */
    LOG_LEVEL_WARNING, /* degraded, or somebody was refused */
    LOG_LEVEL_INFO,    /* start, stop, restart */
    LOG_LEVEL_DEBUG,   /* one job */
};

/* Whose name stands in front, and the least urgent level that is written.
 * `name` must stay valid. */
void log_open(const char *name, enum log_level threshold);

/* Writes one line; `code` is the number after PYX and never reused. Control
 * characters of the text become '?', what is too long is cut. Never fails and
 * leaves errno alone. */
void log_line(enum log_level level, unsigned code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Copies `size` bytes as printable text: control characters, the backslash
 * and bytes above 0x7e become \xNN. Ends `ret_text` with NUL; what does not
 * fit is cut. Returns the text's length. */
size_t log_escape(const void *data, size_t size, char *ret_text,
                  size_t capacity);

#endif
