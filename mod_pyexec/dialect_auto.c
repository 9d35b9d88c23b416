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
    const pyexec_dialect_t *dialect;
} fields[] = {
    { "code", &dialect_code },
    { "script", &dialect_report_plain },
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static pyexec_decode_e decode(apr_pool_t *pool, const pyexec_json_t *request,
                              pyexec_job_t *job, const char **ret_problem)
{
    size_t found = FIELDS;

    for (size_t i = 0; i < FIELDS; i++) {
        if (!pyexec_json_has(request, fields[i].field)) {
            continue;
        }
        if (found != FIELDS) {
            *ret_problem = apr_psprintf(pool, "The fields '%s' and '%s' "
                                        "exclude each other.",
                                        fields[found].field, fields[i].field);
            return PYEXEC_INVALID;
        }
        found = i;
    }
    if (found == FIELDS) {
        *ret_problem = "The field 'code' or 'script' is missing.";
        return PYEXEC_INVALID;
    }
    job->asked.dialect = fields[found].dialect;
    return job->asked.dialect->decode(pool, request, job, ret_problem);
}

const pyexec_dialect_t dialect_auto = {
    .name = "auto",
    .decode = decode,
};
