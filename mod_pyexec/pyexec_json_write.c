/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing JSON; see the header. Runs in a worker thread and escapes bytes
 * that a hostile script wrote. The result of a script is never decoded and
 * encoded again: Python's integers fit into no type of ours.
 */
#include "pyexec_json.h"

#include "pyexec_utf8.h"

#include <apr_strings.h>
#include <string.h>

void pyexec_json_open(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "{");
}

void pyexec_json_close(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "}\n");
}

void pyexec_json_name(pyexec_buffer_t *buffer, const char *name)
{
    if (buffer->size > 0 && buffer->data[buffer->size - 1] != '{') {
        pyexec_buffer_puts(buffer, ", ");
    }
    pyexec_json_put_text(buffer, name);
    pyexec_buffer_puts(buffer, ": ");
}

void pyexec_json_object_open(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "{");
}

void pyexec_json_object_close(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "}");
}

void pyexec_json_list_open(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "[");
}

static void next_item(pyexec_buffer_t *buffer)
{
    if (buffer->size > 0 && buffer->data[buffer->size - 1] != '[') {
        pyexec_buffer_puts(buffer, ", ");
    }
}

void pyexec_json_list_object_open(pyexec_buffer_t *buffer)
{
    next_item(buffer);
    pyexec_json_object_open(buffer);
}

void pyexec_json_list_text(pyexec_buffer_t *buffer, const void *bytes,
                           apr_size_t size)
{
    next_item(buffer);
    pyexec_json_text_open(buffer);
    pyexec_json_text_add(buffer, bytes, size);
    pyexec_json_text_close(buffer);
}

void pyexec_json_list_close(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "]");
}

void pyexec_json_text_open(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "\"");
}

void pyexec_json_text_close(pyexec_buffer_t *buffer)
{
    pyexec_buffer_puts(buffer, "\"");
}

void pyexec_json_put_number(pyexec_buffer_t *buffer, apr_int64_t number)
{
    char text[24];

    (void)apr_snprintf(text, sizeof(text), "%" APR_INT64_T_FMT, number);
    pyexec_buffer_puts(buffer, text);
}

void pyexec_json_put_flag(pyexec_buffer_t *buffer, int flag)
{
    pyexec_buffer_puts(buffer, flag ? "true" : "false");
}

void pyexec_json_put_text(pyexec_buffer_t *buffer, const char *text)
{
    pyexec_json_text_open(buffer);
    pyexec_json_text_add(buffer, text, strlen(text));
    pyexec_json_text_close(buffer);
}

static void add_unit(pyexec_buffer_t *buffer, unsigned unit)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = { '\\', 'u', digits[unit >> 12 & 15],
                     digits[unit >> 8 & 15], digits[unit >> 4 & 15],
                     digits[unit & 15] };

    pyexec_buffer_add(buffer, text, sizeof(text));
}

static void add_escaped(pyexec_buffer_t *buffer, apr_int32_t code)
{
    static const char from[] = "\"\\\n\r\t\f\b";
    static const char to[] = "\"\\nrtfb";
    const char *special = code > 0 && code < 0x80 ? strchr(from, (int)code)
                                                  : NULL;

    if (special != NULL) {
        char text[2] = { '\\', to[special - from] };

        pyexec_buffer_add(buffer, text, sizeof(text));
    }
    else if (code < 0) {
        add_unit(buffer, 0xfffd);
    }
    else if (code < 0x10000) {
        add_unit(buffer, (unsigned)code);
    }
    else {
        add_unit(buffer, 0xd800 + ((unsigned)(code - 0x10000) >> 10));
        add_unit(buffer, 0xdc00 + ((unsigned)code & 0x3ff));
    }
}

static int is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void pyexec_json_text_add(pyexec_buffer_t *buffer, const void *bytes,
                          apr_size_t size)
{
    const unsigned char *at = bytes;
    apr_size_t i = 0;

    while (i < size) {
        apr_size_t start = i;
        apr_int32_t code;
        int cut;

        while (i < size && is_plain(at[i])) {
            i++;
        }
        pyexec_buffer_add(buffer, at + start, i - start);
        if (i < size) {
            i += pyexec_utf8_take(at + i, size - i, &code, &cut);
            add_escaped(buffer, code);
        }
    }
}

apr_size_t pyexec_json_whole_characters(const void *bytes, apr_size_t size)
{
    const unsigned char *at = bytes;
    apr_int32_t code;
    int cut;

    for (apr_size_t back = 1; back <= 3 && back <= size; back++) {
        if (at[size - back] >= 0xc0) {
            (void)pyexec_utf8_take(at + size - back, back, &code, &cut);
            return cut ? size - back : size;
        }
    }
    return size;
}

void pyexec_json_text_puts(pyexec_buffer_t *buffer, const char *text)
{
    pyexec_json_text_add(buffer, text, strlen(text));
}

void pyexec_json_put_value(pyexec_buffer_t *buffer,
                           const pyexec_jsonvalue_t *value)
{
    pyexec_buffer_add(buffer, value->bytes, value->size);
}

void pyexec_json_text_add_string(pyexec_buffer_t *buffer,
                                 const pyexec_jsonvalue_t *value)
{
    pyexec_buffer_add(buffer, value->bytes + 1, value->size - 2);
}

static unsigned hex_unit(const char *digits)
{
    unsigned unit = 0;

    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)digits[i];

        unit = unit << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit;
}

/* A lone surrogate takes the form of three bytes that UTF-8 forbids. */
static void add_utf8(pyexec_buffer_t *buffer, unsigned code)
{
    unsigned char bytes[4];
    apr_size_t size = code < 0x80 ? 1 : code < 0x800 ? 2
                      : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (apr_size_t i = size - 1; i > 0; i--) {
        bytes[i] = (unsigned char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    bytes[0] = (unsigned char)(lead[size] | code);
    pyexec_buffer_add(buffer, bytes, size);
}

/* What follows a backslash at `at`; returns how many bytes it took. */
static apr_size_t decode_escape(pyexec_buffer_t *buffer, const char *at,
                                apr_size_t left)
{
    static const char from[] = "nrtfb";
    static const char to[] = "\n\r\t\f\b";
    const char *special = strchr(from, at[0]);
    unsigned unit;

    if (at[0] != 'u') {
        pyexec_buffer_add(buffer, special != NULL ? to + (special - from) : at,
                          1);
        return 1;
    }
    unit = hex_unit(at + 1);
    if (unit >= 0xd800 && unit < 0xdc00 && left >= 11
        && at[5] == '\\' && at[6] == 'u') {
        unsigned second = hex_unit(at + 7);

        if (second >= 0xdc00 && second < 0xe000) {
            add_utf8(buffer, 0x10000 + ((unit - 0xd800) << 10)
                                 + (second - 0xdc00));
            return 11;
        }
    }
    add_utf8(buffer, unit);
    return 5;
}

void pyexec_json_decode_string(pyexec_buffer_t *buffer,
                               const pyexec_jsonvalue_t *value)
{
    const char *at = value->bytes + 1;
    const char *end = value->bytes + value->size - 1;

    while (at < end) {
        const char *stop = memchr(at, '\\', (apr_size_t)(end - at));

        stop = stop == NULL ? end : stop;
        pyexec_buffer_add(buffer, at, (apr_size_t)(stop - at));
        at = stop;
        if (at < end) {
            at++;
            at += decode_escape(buffer, at, (apr_size_t)(end - at));
        }
    }
}
