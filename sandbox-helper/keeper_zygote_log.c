/* SPDX-License-Identifier: Apache-2.0
 *
 * Relaying of log lines. Runs in the keeper. What a zygote writes is our own
 * text as a rule, and that of any library it preloads otherwise: it is
 * bounded, escaped, and never more than one line.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_zygote_log.h"

#include "log.h"

#include <stdbool.h>
#include <string.h>

/* What a line of log.c says before its text. */
struct head
{
    enum log_level level;
    unsigned code;
    size_t size; /* up to where the text begins */
};

static bool skip_text(const char **at, const char *end, const char *text)
{
    size_t size = strlen(text);

    if ((size_t)(end - *at) < size || memcmp(*at, text, size) != 0) {
        return false;
    }
    *at += size;
    return true;
}

static bool skip_number(const char **at, const char *end, size_t max_digits,
                        unsigned *ret_number)
{
    unsigned number = 0;
    size_t digits = 0;

    while (*at < end && **at >= '0' && **at <= '9' && digits < max_digits) {
        number = 10 * number + (unsigned)(**at - '0');
        (*at)++;
        digits++;
    }
    *ret_number = number;
    return digits > 0;
}

static bool skip_level(const char **at, const char *end,
                       enum log_level *ret_level)
{
    static const struct
    {
        const char *name;
        enum log_level level;
    } levels[] = {
        { "error", LOG_LEVEL_ERROR },
        { "warning", LOG_LEVEL_WARNING },
        { "info", LOG_LEVEL_INFO },
        { "debug", LOG_LEVEL_DEBUG },
    };

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (skip_text(at, end, levels[i].name)) {
            *ret_level = levels[i].level;
            return true;
        }
    }
    return false;
}

/* "name[pid]: level: PYX0nnn: ". Between fork and exec a zygote still has the
 * keeper's name. */
static bool read_head(const char *line, size_t size, struct head *ret_head)
{
    const char *at = line;
    const char *end = line + size;
    struct head head = { 0 };
    unsigned pid;

    if ((!skip_text(&at, end, "pyexec-zygote[")
         && !skip_text(&at, end, "pyexecd["))
        || !skip_number(&at, end, 9, &pid) || !skip_text(&at, end, "]: ")
        || !skip_level(&at, end, &head.level)
        || !skip_text(&at, end, ": PYX")
        || !skip_number(&at, end, 4, &head.code)
        || !skip_text(&at, end, ": ")) {
        return false;
    }
    head.size = (size_t)(at - line);
    *ret_head = head;
    return true;
}

void keeper_zygote_log_flush(struct keeper_zygote_log *log, const char *pool,
                             pid_t zygote)
{
    /* Room for half of the bytes to be escaped; the rest is cut. */
    char text[2 * ZYGOTE_LOG_LINE];
    struct head head = { .level = LOG_LEVEL_INFO, .code = 361 };

    if (log->size == 0) {
        return;
    }
    (void)read_head(log->line, log->size, &head);
    (void)log_escape(log->line + head.size, log->size - head.size, text,
                     sizeof(text));
    log_line(head.level, head.code, "pool \"%s\": zygote %d: %s", pool,
             (int)zygote, text);
    log->size = 0;
}

void keeper_zygote_log_take(struct keeper_zygote_log *log, const char *pool,
                            pid_t zygote, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\n') {
            log->line[log->size++] = bytes[i];
        }
        if (bytes[i] == '\n' || log->size == ZYGOTE_LOG_LINE) {
            keeper_zygote_log_flush(log, pool, zygote);
        }
    }
}
