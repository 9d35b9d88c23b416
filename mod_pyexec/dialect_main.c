/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialects `main-json` and `main-object`: {"script": source} is run, its
 * main() is called, and the answer is {"result": …, "stdout": …}, or {"error":
 * …} with the stdout of what ran. Runs in a worker thread; the result is the
 * script's and hostile until it was checked.
 *
 * stderr has no member of its own: below an error it is told with it (there
 * it holds the traceback), beside a result it is not told.
 */
#include "dialect_main.h"

#include "pyexec_optional.h"
#include "pyexec_outcome.h"

#include <apr_lib.h>
#include <string.h>

static int is_word_character(char c)
{
    return apr_isalnum(c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Whether the source has the word `main` in it, comments included. */
static int has_word_main(pyexec_text_t source)
{
    const char *end = source.bytes + source.size;
    const char *at = source.bytes;

    while ((at = memmem(at, (apr_size_t)(end - at), "main", 4)) != NULL) {
        const char *after = at + 4;

        if ((at == source.bytes || !is_word_character(at[-1]))
            && (after == end || !is_word_character(*after))) {
            return 1;
        }
        at = after;
    }
    return 0;
}

pyexec_decode_e dialect_main_decode(apr_pool_t *pool,
                                    const pyexec_json_t *request,
                                    pyexec_job_t *job,
                                    const char **ret_problem)
{
    const char *problem = pyexec_json_get_text(pool, request, "script",
                                               &job->source);

    if (problem == NULL) {
        problem = pyexec_optional_read(pool, request, "params", job);
    }
    if (problem != NULL) {
        *ret_problem = problem;
        return PYEXEC_INVALID;
    }
    job->asked.call = PXW_CALL_JSON;
    job->asked.has_word_main = has_word_main(job->source);
    return PYEXEC_DECODED;
}

static void put_stdout(pyexec_buffer_t *buffer,
                       const pyexec_outcome_t *outcome, int trim)
{
    pyexec_json_name(buffer, "stdout");
    pyexec_json_text_open(buffer);
    (void)pyexec_outcome_add_stream(buffer, outcome, PXW_F_OUT, trim);
    pyexec_json_text_close(buffer);
}

static void encode_refusal(pyexec_buffer_t *buffer,
                           const pyexec_outcome_t *outcome,
                           const char *missing)
{
    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "error");
    pyexec_json_text_open(buffer);
    pyexec_outcome_add_refusal(buffer, outcome, missing);
    pyexec_json_text_close(buffer);
    pyexec_json_close(buffer);
}

/* ---- main-json ---- */

/* The value as `result`. A string has to be JSON text itself, and that text
 * is then the result: scripts of this contract end in `return json.dumps(…)`
 * as often as in a dict. It is decoded where it shall stand, checked there,
 * and taken away again if it is no JSON. */
static int put_json_result(pyexec_buffer_t *buffer,
                           const pyexec_jsonvalue_t *value)
{
    apr_size_t before = buffer->size;
    apr_size_t start;

    pyexec_json_name(buffer, "result");
    start = buffer->size;
    if (value->type != PYEXEC_JSON_STRING) {
        pyexec_json_put_value(buffer, value);
        return 1;
    }
    pyexec_json_decode_string(buffer, value);
    if (buffer->failed
        || pyexec_jsoncheck(buffer->data + start, buffer->size - start).type
               != PYEXEC_JSON_INVALID) {
        return 1; /* without memory the answer is a 503 anyway */
    }
    buffer->size = before;
    return 0;
}

static void encode_json(pyexec_buffer_t *buffer,
                        const pyexec_outcome_t *outcome)
{
    pyexec_end_t end;

    if (outcome->outcome == PXW_NOT_ACCEPTABLE) {
        encode_refusal(buffer, outcome,
                       "Script must contain a @ function");
        return;
    }
    end = pyexec_outcome_end(outcome);
    pyexec_json_open(buffer);
    if (end.kind != PYEXEC_END_VALUE
        || !put_json_result(buffer, &end.value)) {
        pyexec_json_name(buffer, "error");
        pyexec_json_text_open(buffer);
        if (end.kind == PYEXEC_END_VALUE || end.kind == PYEXEC_END_NOT_JSON) {
            pyexec_json_text_puts(buffer,
                                  "Execution did not return valid JSON");
        }
        else {
            pyexec_outcome_add_failure(buffer, outcome, &end);
        }
        pyexec_json_text_close(buffer);
    }
    put_stdout(buffer, outcome, 0);
    pyexec_outcome_put_usage(buffer, outcome);
    pyexec_json_close(buffer);
}

const pyexec_dialect_t dialect_main_json = {
    .name = "main-json",
    .decode = dialect_main_decode,
    .encode = encode_json,
};

/* ---- main-object ---- */

static void put_object_error(pyexec_buffer_t *buffer,
                             const pyexec_outcome_t *outcome,
                             const pyexec_end_t *end)
{
    pyexec_json_name(buffer, "error");
    pyexec_json_text_open(buffer);
    if (end->kind != PYEXEC_END_VALUE) {
        pyexec_outcome_add_failure(buffer, outcome, end);
    }
    else {
        pyexec_outcome_add_function(buffer, outcome);
        pyexec_json_text_puts(buffer, end->value.type == PYEXEC_JSON_NULL
                              ? " did not return a value"
                              : " must return a JSON object (e.g., a Python "
                                "dict)");
    }
    pyexec_json_text_close(buffer);
}

static void encode_object(pyexec_buffer_t *buffer,
                          const pyexec_outcome_t *outcome)
{
    static const char missing[] = "Script must define a function named @";
    pyexec_end_t end;

    if (outcome->outcome == PXW_NOT_ACCEPTABLE) {
        /* Before it is anything else, text without `main` is a script without
         * main(), whether it parses or not: the contract's own example. */
        if (pxw_u32(outcome->message, PXW_F_REASON, 0) == PXW_REASON_SYNTAX
            && outcome->asked->function == NULL
            && !outcome->asked->has_word_main) {
            pyexec_json_open(buffer);
            pyexec_json_name(buffer, "error");
            pyexec_json_put_text(buffer,
                                 "Script must define a function named main()");
            pyexec_json_close(buffer);
            return;
        }
        encode_refusal(buffer, outcome, missing);
        return;
    }
    end = pyexec_outcome_end(outcome);
    pyexec_json_open(buffer);
    if (end.kind == PYEXEC_END_VALUE
        && end.value.type == PYEXEC_JSON_OBJECT) {
        pyexec_json_name(buffer, "result");
        pyexec_json_put_value(buffer, &end.value);
    }
    else {
        put_object_error(buffer, outcome, &end);
    }
    put_stdout(buffer, outcome, 1);
    pyexec_outcome_put_usage(buffer, outcome);
    pyexec_json_close(buffer);
}

const pyexec_dialect_t dialect_main_object = {
    .name = "main-object",
    .decode = dialect_main_decode,
    .encode = encode_object,
};
