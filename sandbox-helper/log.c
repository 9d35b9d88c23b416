/* SPDX-License-Identifier: Apache-2.0
 *
 * Formatting of log lines. Runs in every process of the helper.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Below PIPE_BUF, so that lines of several processes never mix. */
#define LINE_BYTES 2048

static const char *log_name = "pyexec";
static enum log_level log_threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_open(const char *name, enum log_level threshold)
{
    log_name = name;
    log_threshold = threshold;
}

static size_t escape_byte(uint8_t byte, char *at)
{
    static const char digits[] = "0123456789abcdef";

    at[0] = '\\';
    at[1] = 'x';
    at[2] = digits[byte >> 4];
    at[3] = digits[byte & 15];
    return 4;
}

size_t log_escape(const void *data, size_t size, char *ret_text,
                  size_t capacity)
{
    const uint8_t *bytes = data;
    size_t length = 0;

    for (size_t i = 0; i < size && length + 5 <= capacity; i++) {
        if (bytes[i] < 0x20 || bytes[i] > 0x7e || bytes[i] == '\\') {
            length += escape_byte(bytes[i], ret_text + length);
        }
        else {
            ret_text[length++] = (char)bytes[i];
        }
    }
    if (capacity > 0) {
        ret_text[length] = '\0';
    }
    return length;
}

/* The text comes from format strings of ours, whose arguments may come from
 * anywhere: a line feed in one must not forge a second line. A backslash is
 * left alone here, so that an argument can be escaped beforehand. */
static size_t clean(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = '?';
        }
    }
    return length;
}

void log_line(enum log_level level, unsigned code, const char *format, ...)
{
    char line[LINE_BYTES];
    int saved = errno;
    int length;
    size_t used;
    va_list arguments;

    if (level > log_threshold) {
        return;
    }
    length = snprintf(line, sizeof(line), "%s[%d]: %s: PYX%04u: ", log_name,
                      (int)getpid(), level_names[level], code);
    if (length < 0 || (size_t)length >= sizeof(line) - 1) {
        errno = saved;
        return;
    }
    used = (size_t)length;
    va_start(arguments, format);
    length = vsnprintf(line + used, sizeof(line) - used - 1, format,
                       arguments);
    va_end(arguments);
    if (length > 0) {
        used += clean(line + used, strlen(line + used));
    }
    line[used++] = '\n';
    /* Nobody is left to tell when the log itself cannot be written. */
    (void)!write(STDERR_FILENO, line, used);
    errno = saved;
}
