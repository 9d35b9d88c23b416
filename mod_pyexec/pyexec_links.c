/* SPDX-License-Identifier: Apache-2.0
 *
 * See the header. Runs in a worker thread, and in the httpd parent for the
 * check of the configuration.
 */
#include "pyexec_links.h"

#include <apr_lib.h>
#include <strings.h>

int pyexec_links_is_one(pyexec_text_t *text)
{
    const char *at = text->bytes;
    const char *end = at + text->size;
    apr_size_t size;

    while (at < end && apr_isspace(*at)) {
        at++;
    }
    while (at < end && apr_isspace(end[-1])) {
        end--;
    }
    size = (apr_size_t)(end - at);
    if (!(size > 7 && strncasecmp(at, "http://", 7) == 0)
        && !(size > 8 && strncasecmp(at, "https://", 8) == 0)) {
        return 0;
    }
    for (apr_size_t i = 0; i < size; i++) {
        if (apr_isspace(at[i])) {
            return 0; /* more than one word */
        }
    }
    *text = (pyexec_text_t){ at, size };
    return 1;
}

pyexec_decode_e pyexec_links_permit(const pyexec_pool_t *pool,
                                    const pyexec_job_t *job,
                                    const char **ret_problem)
{
    if (!job->is_link || pool->links) {
        return PYEXEC_DECODED;
    }
    *ret_problem = "Running scripts from links is not enabled here; send the "
                   "script itself.";
    return PYEXEC_FORBIDDEN;
}

const char *pyexec_links_mistake(const pyexec_pool_t *pool)
{
    return pool->links && pool->network[0] == '\0'
        ? "there is no network to fetch scripts over: see PyExecNetwork"
        : NULL;
}
