/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON both ways; see the header. Reads bytes that a hostile client wrote and
 * escapes bytes that a hostile script wrote. Must not decode and encode the
 * result of a script: Python's integers do not fit into jansson's.
 */
#include "pyexec_json.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

/* jansson takes up to some 130 bytes for a value of two bytes: without a cap
 * a body of 16 MiB became 300 MiB. 250,000 values stay near 32 MiB. */
#define VALUES_MOST 250000

void pyexec_json_init(void)
{
    json_object_seed(0);
}

/* An upper bound of the values in the text, without parsing it: every value
 * is the first of its container or follows a comma. */
static apr_size_t count_values(const char *bytes, apr_size_t size)
{
    apr_size_t values = 1;
    int in_text = 0;

    for (apr_size_t i = 0; i < size; i++) {
        char c = bytes[i];

        if (in_text) {
            if (c == '\\') {
                i++;
            }
            else if (c == '"') {
                in_text = 0;
            }
        }
        else if (c == '"') {
            in_text = 1;
        }
        else if (c == ',' || c == '[' || c == '{') {
            values++;
        }
    }
    return values;
}

/* jansson's own text quotes the client's bytes; ours does not. */
static const char *explain(apr_pool_t *pool, const json_error_t *error)
{
    const char *what;

    switch (json_error_code(error)) {
    case json_error_stack_overflow:
        return "The request body is nested too deeply.";
    case json_error_duplicate_key:
        what = "has a member twice";
        break;
    case json_error_invalid_utf8:
        what = "is not valid UTF-8";
        break;
    case json_error_end_of_input_expected:
        what = "goes on after the end of its JSON object";
        break;
    case json_error_premature_end_of_input:
        what = "ends in the middle of its JSON text";
        break;
    case json_error_numeric_overflow:
        what = "has a number that is too large";
        break;
    case json_error_null_byte_in_key:
        what = "has a NUL character in the name of a member";
        break;
    case json_error_out_of_memory:
        return "The request body is too large to be read.";
    default:
        what = "is not valid JSON";
        break;
    }
    return apr_psprintf(pool, "The request body %s (line %d, column %d).",
                        what, error->line, error->column);
}

static apr_status_t release(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

const char *pyexec_json_parse(apr_pool_t *pool, const char *bytes,
                              apr_size_t size,
                              const pyexec_json_t **ret_object)
{
    json_error_t error;
    json_t *root;

    /* One byte order mark is what editors and .NET clients put in front. */
    if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3;
        size -= 3;
    }
    if (size == 0) {
        return "The request body is empty; a JSON object is needed.";
    }
    if (count_values(bytes, size) > VALUES_MOST) {
        return apr_psprintf(pool, "The request body has more than %d values.",
                            VALUES_MOST);
    }
    /* NUL is let through here so that the field with it can be named. */
    root = json_loadb(bytes, size,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY
                      | JSON_ALLOW_NUL, &error);
    if (root == NULL) {
        return explain(pool, &error);
    }
    apr_pool_cleanup_register(pool, root, release, apr_pool_cleanup_null);
    if (!json_is_object(root)) {
        return "The request body is not a JSON object.";
    }
    *ret_object = (const pyexec_json_t *)root;
    return NULL;
}

int pyexec_json_has(const pyexec_json_t *object, const char *name)
{
    return json_object_get((const json_t *)object, name) != NULL;
}

const char *pyexec_json_get_text(apr_pool_t *pool,
                                 const pyexec_json_t *object,
                                 const char *name, const char **ret_text,
                                 apr_size_t *ret_size)
{
    const json_t *value = json_object_get((const json_t *)object, name);
    apr_size_t size;

    if (value == NULL) {
        return apr_psprintf(pool, "The field '%s' is missing.", name);
    }
    if (!json_is_string(value)) {
        return apr_psprintf(pool, "The field '%s' is not a string.", name);
    }
    size = json_string_length(value);
    if (memchr(json_string_value(value), '\0', size) != NULL) {
        return apr_psprintf(pool, "The field '%s' has a NUL character in it.",
                            name);
    }
    *ret_text = json_string_value(value);
    *ret_size = size;
    return NULL;
}

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

void pyexec_json_put_text(pyexec_buffer_t *buffer, const char *text)
{
    pyexec_json_text_open(buffer);
    pyexec_json_text_add(buffer, text, strlen(text));
    pyexec_json_text_close(buffer);
}

/* Takes one character at `at`. Returns how many bytes it took (at least 1)
 * and its code point, or -1 for an ill-formed maximal subpart; *ret_cut tells
 * whether only the end of the bytes made it so. The bounds of the second byte
 * are those of table 3-7 of the Unicode standard. */
static apr_size_t take_character(const unsigned char *at, apr_size_t left,
                                 apr_int32_t *ret_code, int *ret_cut)
{
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    apr_int32_t code;
    apr_size_t need;
    apr_size_t i;

    *ret_code = -1;
    *ret_cut = 0;
    if (at[0] < 0x80) {
        *ret_code = at[0];
        return 1;
    }
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 1;
    }
    need = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : low;
    high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : high;
    code = at[0] & (0xff >> (need + 1));
    for (i = 1; i < need; i++) {
        if (i == left) {
            *ret_cut = 1;
            return i;
        }
        if (at[i] < low || at[i] > high) {
            return i;
        }
        code = code << 6 | (at[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *ret_code = code;
    return need;
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
            i += take_character(at + i, size - i, &code, &cut);
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
            (void)take_character(at + size - back, back, &code, &cut);
            return cut ? size - back : size;
        }
    }
    return size;
}
