/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of dialects. Constant; used while the configuration is read.
 */
#include "pyexec_dialect.h"

#include <apr_strings.h>
#include <httpd.h>

static const pyexec_dialect_t *const dialects[] = {
    &dialect_auto,
    &dialect_code,
    &dialect_main_json,
    &dialect_main_object,
    &dialect_report,
    &dialect_run,
};

#define DIALECTS (sizeof(dialects) / sizeof(dialects[0]))

const pyexec_dialect_t *pyexec_dialect_find(const char *name)
{
    for (size_t i = 0; i < DIALECTS; i++) {
        if (ap_cstr_casecmp(dialects[i]->name, name) == 0) {
            return dialects[i];
        }
    }
    return NULL;
}

const char *pyexec_dialect_names(apr_pool_t *pool)
{
    const char *names = dialects[0]->name;

    for (size_t i = 1; i < DIALECTS; i++) {
        names = apr_pstrcat(pool, names, ", ", dialects[i]->name, NULL);
    }
    return names;
}
