/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialect `run`: a script, as JSON or as an uploaded file, is run and
 * answered by {"result": what it printed}, or by {"result": str() of a value}
 * when `function` or parameters call a function of it; {"error": …} else.
 * Runs in a worker thread; the streams are the script's and hostile.
 *
 * The contract has one member: what is printed beside the value of a call,
 * and stderr beside a result, are not told. Below an error stderr is told.
 */
#include "pyexec_form.h"
#include "pyexec_install.h"
#include "pyexec_optional.h"
#include "pyexec_outcome.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>
#include <strings.h>

/* What this contract calls dangerous: foreign code and memory, and other
 * programs. It is an early and clear answer to an honest mistake; what holds
 * when it is evaded is the sandbox. socket is not among them: the contract's
 * own clients use requests, whose errors are told in terms of it, and what can
 * be reached is the sandbox's matter, whatever is imported. code, codeop and runpy are
 * eval and exec by other names. */
#define DENIED                                                              \
    "ctypes\n_ctypes\ncffi\n_cffi_backend\nsubprocess\n_posixsubprocess\n"  \
    "multiprocessing\n_multiprocessing\npty\ncode\ncodeop\nrunpy"

/* ---- the form ---- */

static const struct
{
    const char *name;
    int is_json;  /* its text is JSON; else it is what it is */
} form_fields[] = {
    { "file", 0 },
    { "script", 0 },
    { "code", 0 },
    { "params", 1 },
    { "parameters", 1 },
    { "function", 0 },
    { "pip", 0 },
    { "stdin", 0 },
    { "args", 1 },
    { "timeout", 1 },
    { "usage", 1 },
};

static const char *read_part(apr_pool_t *pool, pyexec_json_t *request,
                             const pyexec_form_part_t *part, size_t field)
{
    const char *name = form_fields[field].name;
    pyexec_text_t content = { part->content, part->content_size };

    /* What a browser sends where no file was chosen. */
    if (part->is_file && !part->has_file_name && content.size == 0) {
        return NULL;
    }
    /* A file is a script, never a link, whatever its field is called. */
    if (part->is_file && part->has_file_name
        && (strcmp(name, "script") == 0 || strcmp(name, "code") == 0)) {
        name = "file";
    }
    if (pyexec_json_has(request, name)) {
        return apr_psprintf(pool, "The form has more than one '%s'.", name);
    }
    if (form_fields[field].is_json) {
        return content.size == 0
            ? NULL
            : pyexec_json_put_member_value(pool, request, name, content);
    }
    /* A byte order mark is an editor's, not the script's. */
    if (part->is_file && content.size >= 3
        && memcmp(content.bytes, "\xef\xbb\xbf", 3) == 0) {
        content.bytes += 3;
        content.size -= 3;
    }
    return pyexec_json_put_member(pool, request, name, content);
}

static const char *read_form(apr_pool_t *pool,
                             const struct pyexec_form_t *form,
                             const pyexec_json_t **ret_request)
{
    pyexec_json_t *request = pyexec_json_make(pool);

    for (size_t i = 0; i < form->count; i++) {
        const pyexec_form_part_t *part = &form->parts[i];

        for (size_t j = 0;
             j < sizeof(form_fields) / sizeof(form_fields[0]); j++) {
            const char *problem = NULL;

            if (pyexec_form_is(part, form_fields[j].name)) {
                problem = read_part(pool, request, part, j);
            }
            if (problem != NULL) {
                return problem;
            }
        }
    }
    *ret_request = request;
    return NULL;
}

/* ---- the request ---- */

/* The one of `names` that the request has; "" is as good as none if `empty`
 * says so. NULL: none of them. */
static const char *choose(apr_pool_t *pool, const pyexec_json_t *request,
                          const char *const *names, int empty,
                          const char **ret_problem)
{
    const char *found = NULL;

    for (; *names != NULL; names++) {
        if (!pyexec_json_has(request, *names)
            || (empty && pyexec_json_is_empty(request, *names))) {
            continue;
        }
        if (found != NULL) {
            *ret_problem = apr_psprintf(pool, "The fields '%s' and '%s' "
                                        "exclude each other.", found, *names);
        }
        found = *names;
    }
    return found;
}

/* An address of http or https and, but for space around it, nothing else. *text is
 * then without that space. */
static int is_link(pyexec_text_t *text)
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

static const char *read_request(apr_pool_t *pool, const pyexec_json_t *request,
                                pyexec_job_t *job)
{
    static const char *const source_names[] = { "script", "code", "file",
                                                NULL };
    static const char *const params_names[] = { "params", "parameters", NULL };
    const char *problem = NULL;
    const char *source = choose(pool, request, source_names, 0, &problem);
    const char *params = choose(pool, request, params_names, 1, &problem);

    if (problem == NULL && source == NULL) {
        problem = "The field 'script' (or a file named 'file') is missing.";
    }
    if (problem == NULL) {
        problem = pyexec_json_get_text(pool, request, source, &job->source);
    }
    if (problem == NULL && strcmp(source, "file") != 0) {
        job->is_link = is_link(&job->source);
    }
    if (problem == NULL) {
        problem = pyexec_optional_read(pool, request,
                                       params == NULL ? "params" : params,
                                       job);
    }
    return problem;
}

static pyexec_decode_e decode(apr_pool_t *pool, const pyexec_json_t *request,
                              pyexec_job_t *job, const char **ret_problem)
{
    pyexec_text_t pip = { "", 0 };
    const char *problem = NULL;

    if (pyexec_json_has(request, "pip")) {
        problem = pyexec_json_get_text(pool, request, "pip", &pip);
    }
    if (problem == NULL && pip.size > 0) {
        return pyexec_install_decode(pool, request, pip, job, ret_problem);
    }
    if (problem == NULL) {
        problem = read_request(pool, request, job);
    }
    if (problem != NULL) {
        *ret_problem = problem;
        return PYEXEC_INVALID;
    }
    job->asked.call = pyexec_optional_calls(job) ? PXW_CALL_TEXT
                                                 : PXW_CALL_NONE;
    return PYEXEC_DECODED;
}

/* ---- the answer ---- */

static void put_error(pyexec_buffer_t *buffer,
                      const pyexec_outcome_t *outcome,
                      const pyexec_end_t *end)
{
    const char *function = outcome->asked->function;

    pyexec_json_name(buffer, "error");
    pyexec_json_text_open(buffer);
    if (outcome->outcome == PXW_NOT_ACCEPTABLE) {
        pyexec_outcome_add_refusal(buffer, outcome, function == NULL
                                   ? "The script defines no function that "
                                     "could be called"
                                   : "The script does not define a function "
                                     "named @");
    }
    /* The traceback of a script that called nothing says it all. */
    else if (end->kind == PYEXEC_END_ITSELF
             && outcome->asked->call == PXW_CALL_NONE
             && pyexec_outcome_text(outcome, PXW_F_ERR).size > 0) {
        (void)pyexec_outcome_add_stream(buffer, outcome, PXW_F_ERR, 1);
    }
    else {
        pyexec_outcome_add_failure(buffer, outcome, end);
    }
    pyexec_json_text_close(buffer);
}

static void encode(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome)
{
    pyexec_end_t end = { .kind = PYEXEC_END_STOPPED };
    int ran = outcome->outcome != PXW_NOT_ACCEPTABLE;

    if (ran) {
        end = pyexec_outcome_end(outcome);
    }
    pyexec_json_open(buffer);
    if (ran && outcome->asked->install != PYEXEC_INSTALLS_NOTHING) {
        pyexec_install_put(buffer, outcome);
    }
    else if (end.kind == PYEXEC_END_VALUE) {
        pyexec_json_name(buffer, "result");
        pyexec_json_put_value(buffer, &end.value);
    }
    else if (outcome->outcome == PXW_DONE
             && outcome->asked->call == PXW_CALL_NONE) {
        pyexec_json_name(buffer, "result");
        pyexec_json_text_open(buffer);
        (void)pyexec_outcome_add_stream(buffer, outcome, PXW_F_OUT, 1);
        pyexec_json_text_close(buffer);
    }
    else {
        put_error(buffer, outcome, &end);
    }
    if (ran) {
        pyexec_outcome_put_usage(buffer, outcome);
    }
    pyexec_json_close(buffer);
}

const pyexec_dialect_t dialect_run = {
    .name = "run",
    .deny = DENIED,
    .forbid = PXW_FORBID_EVAL | PXW_FORBID_OS_SYSTEM | PXW_FORBID_SHELL
              | PXW_FORBID_AT_RUN_TIME,
    .read_form = read_form,
    .decode = decode,
    .encode = encode,
};
