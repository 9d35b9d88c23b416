/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON check; see the header. Runs in a worker thread on bytes that a
 * hostile script or client chose; its memory is one bit a level.
 */
#include "pyexec_jsoncheck.h"

#include "pyexec_utf8.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

/* As deep as jansson reads, and twice what Python writes. */
#define DEPTH_MOST 2048

typedef struct cursor_t
{
    const unsigned char *at;
    const unsigned char *end;
} cursor_t;

/* Which of the containers that are open are objects. */
typedef struct nesting_t
{
    unsigned depth;
    unsigned char is_object[DEPTH_MOST / CHAR_BIT];
} nesting_t;

/* The next byte, or -1 at the end. */
static int peek(const cursor_t *cursor)
{
    return cursor->at < cursor->end ? *cursor->at : -1;
}

static int take(cursor_t *cursor, int c)
{
    if (peek(cursor) != c) {
        return 0;
    }
    cursor->at++;
    return 1;
}

static void skip_space(cursor_t *cursor)
{
    while (cursor->at < cursor->end
           && (*cursor->at == ' ' || *cursor->at == '\n'
               || *cursor->at == '\r' || *cursor->at == '\t')) {
        cursor->at++;
    }
}

static int is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int is_hex(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* What follows a backslash. */
static int scan_escape(cursor_t *cursor)
{
    int c = peek(cursor);

    if (c < 0) {
        return 0;
    }
    cursor->at++;
    if (c != 'u') {
        return c != 0 && strchr("\"\\/bfnrt", c) != NULL;
    }
    for (int i = 0; i < 4; i++) {
        if (!is_hex(peek(cursor))) {
            return 0;
        }
        cursor->at++;
    }
    return 1;
}

static int scan_string(cursor_t *cursor)
{
    if (!take(cursor, '"')) {
        return 0;
    }
    while (cursor->at < cursor->end) {
        unsigned char c = *cursor->at;
        int32_t code;
        int cut;

        if (c >= 0x80) {
            cursor->at += pyexec_utf8_take(cursor->at,
                                           (size_t)(cursor->end - cursor->at),
                                           &code, &cut);
            if (code < 0) {
                return 0;
            }
            continue;
        }
        cursor->at++;
        if (c == '"') {
            return 1;
        }
        if (c < 0x20 || (c == '\\' && !scan_escape(cursor))) {
            return 0;
        }
    }
    return 0;
}

static int scan_digits(cursor_t *cursor)
{
    if (!is_digit(peek(cursor))) {
        return 0;
    }
    while (is_digit(peek(cursor))) {
        cursor->at++;
    }
    return 1;
}

static int scan_number(cursor_t *cursor)
{
    (void)take(cursor, '-');
    if (!take(cursor, '0') && !scan_digits(cursor)) {
        return 0;
    }
    if (take(cursor, '.') && !scan_digits(cursor)) {
        return 0;
    }
    if (take(cursor, 'e') || take(cursor, 'E')) {
        if (!take(cursor, '+')) {
            (void)take(cursor, '-');
        }
        return scan_digits(cursor);
    }
    return 1;
}

static int scan_word(cursor_t *cursor, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(cursor->end - cursor->at) < size
        || memcmp(cursor->at, word, size) != 0) {
        return 0;
    }
    cursor->at += size;
    return 1;
}

static pyexec_json_e type_of(int c)
{
    switch (c) {
    case '{':
        return PYEXEC_JSON_OBJECT;
    case '[':
        return PYEXEC_JSON_ARRAY;
    case '"':
        return PYEXEC_JSON_STRING;
    case 't':
    case 'f':
        return PYEXEC_JSON_BOOLEAN;
    case 'n':
        return PYEXEC_JSON_NULL;
    default:
        return c == '-' || is_digit(c) ? PYEXEC_JSON_NUMBER
                                       : PYEXEC_JSON_INVALID;
    }
}

static int scan_scalar(cursor_t *cursor)
{
    switch (type_of(peek(cursor))) {
    case PYEXEC_JSON_STRING:
        return scan_string(cursor);
    case PYEXEC_JSON_NUMBER:
        return scan_number(cursor);
    case PYEXEC_JSON_BOOLEAN:
        return scan_word(cursor, "true") || scan_word(cursor, "false");
    case PYEXEC_JSON_NULL:
        return scan_word(cursor, "null");
    default:
        return 0;
    }
}

/* A member's name and the colon. */
static int scan_name(cursor_t *cursor)
{
    skip_space(cursor);
    if (!scan_string(cursor)) {
        return 0;
    }
    skip_space(cursor);
    return take(cursor, ':');
}

static int push(nesting_t *nesting, int is_object)
{
    unsigned bit = 1u << nesting->depth % CHAR_BIT;
    unsigned char *byte = &nesting->is_object[nesting->depth / CHAR_BIT];

    if (nesting->depth == DEPTH_MOST) {
        return 0;
    }
    *byte = (unsigned char)(is_object ? *byte | bit : *byte & ~bit);
    nesting->depth++;
    return 1;
}

static int in_object(const nesting_t *nesting)
{
    unsigned top = nesting->depth - 1;

    return nesting->is_object[top / CHAR_BIT] >> top % CHAR_BIT & 1;
}

typedef enum { BROKEN, VALUE_DUE, COMPLETE } next_e;

/* A value has ended: takes commas, names and closing brackets until another
 * value is due or all is complete. */
static next_e after_value(cursor_t *cursor, nesting_t *nesting)
{
    while (nesting->depth > 0) {
        int object = in_object(nesting);

        skip_space(cursor);
        if (take(cursor, ',')) {
            return !object || scan_name(cursor) ? VALUE_DUE : BROKEN;
        }
        if (!take(cursor, object ? '}' : ']')) {
            return BROKEN;
        }
        nesting->depth--;
    }
    return COMPLETE;
}

static next_e take_value(cursor_t *cursor, nesting_t *nesting)
{
    pyexec_json_e type;

    skip_space(cursor);
    type = type_of(peek(cursor));
    if (type != PYEXEC_JSON_OBJECT && type != PYEXEC_JSON_ARRAY) {
        return scan_scalar(cursor) ? after_value(cursor, nesting) : BROKEN;
    }
    if (!push(nesting, type == PYEXEC_JSON_OBJECT)) {
        return BROKEN;
    }
    cursor->at++;
    skip_space(cursor);
    if (peek(cursor) == (type == PYEXEC_JSON_OBJECT ? '}' : ']')) {
        return after_value(cursor, nesting);
    }
    return type == PYEXEC_JSON_ARRAY || scan_name(cursor) ? VALUE_DUE : BROKEN;
}

static pyexec_jsonvalue_t scan_value(cursor_t *cursor)
{
    pyexec_jsonvalue_t value = { PYEXEC_JSON_INVALID, NULL, 0 };
    nesting_t nesting = { .depth = 0 };
    const unsigned char *start;
    next_e next = VALUE_DUE;

    skip_space(cursor);
    start = cursor->at;
    while (next == VALUE_DUE) {
        next = take_value(cursor, &nesting);
    }
    if (next == COMPLETE) {
        value.type = type_of(*start);
        value.bytes = (const char *)start;
        value.size = (size_t)(cursor->at - start);
    }
    return value;
}

pyexec_jsonvalue_t pyexec_jsoncheck(const void *bytes, size_t size)
{
    static const pyexec_jsonvalue_t none = { PYEXEC_JSON_INVALID, NULL, 0 };
    cursor_t cursor = { .at = bytes, .end = (const unsigned char *)bytes };
    pyexec_jsonvalue_t value;

    if (size == 0) {
        return none;
    }
    cursor.end += size;
    value = scan_value(&cursor);
    skip_space(&cursor);
    return cursor.at == cursor.end ? value : none;
}

/* Walks the members once, until number `index`, or the one that reaches
 * `position` (both from 0), whichever comes first. */
static pyexec_jsonvalue_t find_member(const unsigned char *bytes, size_t size,
                                      size_t index, size_t position,
                                      pyexec_jsonvalue_t *ret_name)
{
    pyexec_jsonvalue_t none = { PYEXEC_JSON_INVALID, NULL, 0 };
    pyexec_jsonvalue_t value;
    cursor_t cursor = { .at = bytes, .end = bytes + size };
    const unsigned char *name;
    const unsigned char *name_end;

    skip_space(&cursor);
    if (!take(&cursor, '{')) {
        return none;
    }
    for (size_t i = 0; ; i++) {
        skip_space(&cursor);
        if (i > 0 && !take(&cursor, ',')) {
            return none;
        }
        skip_space(&cursor);
        name = cursor.at;
        if (!scan_name(&cursor)) {
            return none;
        }
        name_end = cursor.at - 1;
        value = scan_value(&cursor);
        if (value.type == PYEXEC_JSON_INVALID) {
            return none;
        }
        if (i == index
            || (size_t)(cursor.at - bytes) >= position) {
            *ret_name = pyexec_jsoncheck(name, (size_t)(name_end - name));
            return value;
        }
    }
}

pyexec_jsonvalue_t pyexec_jsoncheck_member(const void *bytes, size_t size,
                                           size_t index,
                                           pyexec_jsonvalue_t *ret_name)
{
    return find_member(bytes, size, index, SIZE_MAX, ret_name);
}

pyexec_jsonvalue_t pyexec_jsoncheck_member_at(const void *bytes, size_t size,
                                              size_t position,
                                              pyexec_jsonvalue_t *ret_name)
{
    return find_member(bytes, size, SIZE_MAX, position, ret_name);
}
