/* SPDX-License-Identifier: Apache-2.0
 *
 * The optional fields; see the header. Runs in a worker thread on what a
 * hostile client sent; nothing of it is repeated in a sentence.
 */
#include "pyexec_optional.h"

#include <apr_strings.h>

typedef const char *read_t(apr_pool_t *pool, const pyexec_json_t *request,
                           const char *name, pyexec_job_t *job);

static const char *read_stdin(apr_pool_t *pool, const pyexec_json_t *request,
                              const char *name, pyexec_job_t *job)
{
    return pyexec_json_get_bytes(pool, request, name, &job->input);
}

static const char *read_args(apr_pool_t *pool, const pyexec_json_t *request,
                             const char *name, pyexec_job_t *job)
{
    return pyexec_json_get_texts(pool, request, name, PYEXEC_ARGS_MOST,
                                 &job->args, &job->arg_count);
}

static const char *read_timeout(apr_pool_t *pool,
                                const pyexec_json_t *request,
                                const char *name, pyexec_job_t *job)
{
    double seconds = 0;
    const char *problem = pyexec_json_get_number(pool, request, name,
                                                 &seconds);

    if (problem != NULL) {
        return problem;
    }
    if (seconds <= 0) {
        return apr_psprintf(pool, "The field '%s' is not above 0.", name);
    }
    /* It may only shorten: what is above any limit is as good as absent. */
    if (seconds < APR_INT32_MAX / 1000) {
        job->wall_ms = (apr_uint32_t)(seconds * 1000);
        job->wall_ms += job->wall_ms == 0;
    }
    return NULL;
}

/* What the wire takes for a name; whether it is one of the source's the helper
 * finds out. */
static int is_name(pyexec_text_t text)
{
    if (text.size == 0 || text.size > PXW_NAME_MAX) {
        return 0;
    }
    for (apr_size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.bytes[i];

        if (c <= 0x20 || c == 0x7f) {
            return 0;
        }
    }
    return 1;
}

static const char *read_function(apr_pool_t *pool,
                                 const pyexec_json_t *request,
                                 const char *name, pyexec_job_t *job)
{
    pyexec_text_t text = { NULL, 0 };
    const char *problem;

    if (pyexec_json_is_empty(request, name)) {
        return NULL;
    }
    problem = pyexec_json_get_text(pool, request, name, &text);
    if (problem == NULL && !is_name(text)) {
        problem = apr_psprintf(pool, "The field '%s' is not the name of a "
                               "function.", name);
    }
    if (problem == NULL) {
        job->asked.function = text.bytes;
    }
    return problem;
}

static const char *read_params(apr_pool_t *pool, const pyexec_json_t *request,
                               const char *name, pyexec_job_t *job)
{
    return pyexec_json_is_empty(request, name)
               ? NULL
               : pyexec_json_get_container(pool, request, name, &job->params);
}

static const char *read_usage(apr_pool_t *pool, const pyexec_json_t *request,
                              const char *name, pyexec_job_t *job)
{
    return pyexec_json_get_flag(pool, request, name, &job->asked.usage);
}

const char *pyexec_optional_read(apr_pool_t *pool,
                                 const pyexec_json_t *request,
                                 const char *params, pyexec_job_t *job)
{
    const struct
    {
        const char *name;
        read_t *read;
    } fields[] = {
        { "stdin", read_stdin },
        { "args", read_args },
        { "timeout", read_timeout },
        { "function", read_function },
        { params, read_params },
        { "usage", read_usage },
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *problem = NULL;

        if (pyexec_json_has(request, fields[i].name)) {
            problem = fields[i].read(pool, request, fields[i].name, job);
        }
        if (problem != NULL) {
            return problem;
        }
    }
    return NULL;
}

int pyexec_optional_calls(const pyexec_job_t *job)
{
    return job->asked.function != NULL || job->params.bytes != NULL;
}
