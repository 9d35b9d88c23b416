/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialect `auto`: the field that a request has decides which contract it
 * is. Runs in a worker thread on what a client sent; decides nothing else.
 */
#include "pyexec_dialect.h"

#include <apr_strings.h>

static const struct
{
    const char *field;
    const pyexec_dialect_t *dialect;  /* NULL: not taken yet */
} fields[] = {
    { "code", &dialect_code },
    { "script", NULL },
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static const char *decode(apr_pool_t *pool, const pyexec_json_t *request,
                          pyexec_job_t *ret_job)
{
    size_t found = FIELDS;

    for (size_t i = 0; i < FIELDS; i++) {
        if (!pyexec_json_has(request, fields[i].field)) {
            continue;
        }
        if (found != FIELDS) {
            return apr_psprintf(pool, "The fields '%s' and '%s' exclude each "
                                "other.", fields[found].field,
                                fields[i].field);
        }
        found = i;
    }
    if (found == FIELDS) {
        return "The field 'code' or 'script' is missing.";
    }
    if (fields[found].dialect == NULL) {
        return apr_psprintf(pool, "This service does not take '%s' yet; send "
                            "'code'.", fields[found].field);
    }
    return fields[found].dialect->decode(pool, request, ret_job);
}

const pyexec_dialect_t dialect_auto = {
    .name = "auto",
    .decode = decode,
};
