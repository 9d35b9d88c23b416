/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON check beside jansson, which reads the same language but for what
 * is named here: both take a text or both refuse it.
 */
#include "fuzz.h"

#include "pyexec_jsoncheck.h"

#include <jansson.h>
#include <string.h>

const char fuzz_name[] = "jsoncheck";

static int jansson_takes(const uint8_t *data, size_t size,
                         enum json_error_code *ret_code)
{
    json_error_t error;
    json_t *value = json_loadb((const char *)data, size,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL
                               | JSON_DECODE_INT_AS_REAL, &error);
    int takes = value != NULL;

    *ret_code = takes ? json_error_unknown : json_error_code(&error);
    json_decref(value);
    return takes;
}

/* jansson decodes escapes and numbers and stumbles over some of them; the
 * check passes them on as they are. */
static int may_differ(const uint8_t *data, size_t size,
                      enum json_error_code code)
{
    return code == json_error_numeric_overflow
           || code == json_error_null_byte_in_key
           || code == json_error_out_of_memory
           || memmem(data, size, "\\u", 2) != NULL;
}

static void check_members(const uint8_t *data, size_t size)
{
    pyexec_jsonvalue_t value;
    pyexec_jsonvalue_t name;
    const char *end = (const char *)data;

    for (size_t i = 0; i < 64; i++) {
        value = pyexec_jsoncheck_member(data, size, i, &name);
        if (value.type == PYEXEC_JSON_INVALID) {
            break;
        }
        FUZZ_HOLDS(name.type == PYEXEC_JSON_STRING);
        FUZZ_HOLDS(name.bytes > end && value.bytes > name.bytes + name.size);
        end = value.bytes + value.size;
        FUZZ_HOLDS(end <= (const char *)data + size);
        FUZZ_HOLDS(pyexec_jsoncheck(value.bytes, value.size).type
                   == value.type);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pyexec_jsonvalue_t value = pyexec_jsoncheck(data, size);
    enum json_error_code code;
    int takes = jansson_takes(data, size, &code);

    if (value.type == PYEXEC_JSON_INVALID) {
        /* jansson reads over a NUL that follows a number. */
        FUZZ_HOLDS(!takes || memchr(data, '\0', size) != NULL);
    }
    else {
        pyexec_jsonvalue_t again = pyexec_jsoncheck(value.bytes, value.size);

        FUZZ_HOLDS(takes || may_differ(data, size, code));
        FUZZ_HOLDS(value.bytes >= (const char *)data);
        FUZZ_HOLDS(value.bytes + value.size <= (const char *)data + size);
        FUZZ_HOLDS(again.type == value.type && again.bytes == value.bytes
                   && again.size == value.size);
    }
    check_members(data, size);
    return 0;
}
