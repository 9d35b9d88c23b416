/* SPDX-License-Identifier: Apache-2.0
 *
 * See the header. Runs in a worker thread, and in the httpd parent for the
 * check of the configuration.
 */
#include "pyexec_links.h"

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
