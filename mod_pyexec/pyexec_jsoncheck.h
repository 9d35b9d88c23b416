/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks that bytes are exactly one JSON value (RFC 8259) without decoding
 * it, so that they can be passed on byte for byte: numbers of any length keep
 * all their digits, and nobody can add a member to what we write around them.
 * Pure, iterative, allocates nothing.
 */
#ifndef PYEXEC_JSONCHECK_H
#define PYEXEC_JSONCHECK_H

#include <stddef.h>

typedef enum
{
    PYEXEC_JSON_INVALID = 0,
    PYEXEC_JSON_OBJECT,
    PYEXEC_JSON_ARRAY,
    PYEXEC_JSON_STRING,
    PYEXEC_JSON_NUMBER,
    PYEXEC_JSON_BOOLEAN,
    PYEXEC_JSON_NULL,
} pyexec_json_e;

/* Points into the bytes that were checked; without white space around. */
typedef struct pyexec_jsonvalue_t
{
    pyexec_json_e type;
    const char *bytes;
    size_t size;
} pyexec_jsonvalue_t;

/* The one value that the bytes are; of type PYEXEC_JSON_INVALID when they
 * are anything else, are not UTF-8 or are nested too deeply. Escapes of lone
 * surrogates are let through: Python writes them. */
pyexec_jsonvalue_t pyexec_jsoncheck(const void *bytes, size_t size);

/* Member number `index` (from 0) of the object that the bytes begin with.
 * What follows it is not looked at. Its name as it is written, quotes
 * included, goes to *ret_name. Invalid: there is none. */
pyexec_jsonvalue_t pyexec_jsoncheck_member(const void *bytes, size_t size,
                                           size_t index,
                                           pyexec_jsonvalue_t *ret_name);

/* The same for the member that the byte at `position` belongs to, in one walk
 * over the object. */
pyexec_jsonvalue_t pyexec_jsoncheck_member_at(const void *bytes, size_t size,
                                              size_t position,
                                              pyexec_jsonvalue_t *ret_name);

#endif
