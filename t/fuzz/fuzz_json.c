/* SPDX-License-Identifier: Apache-2.0
 *
 * A request body in JSON: every dialect decodes it to a job or to a sentence.
 * The same bytes, written as a text, are one JSON string that decodes to them.
 */
#include "fuzz.h"

#include "pyexec_dialect.h"

#include <apr_general.h>
#include <string.h>

const char fuzz_name[] = "json";

static void check_job(const pyexec_job_t *job)
{
    FUZZ_HOLDS(job->asked.dialect != NULL);
    FUZZ_HOLDS(job->asked.dialect->encode != NULL);
    FUZZ_HOLDS(job->source.bytes != NULL);
    FUZZ_HOLDS(memchr(job->source.bytes, '\0', job->source.size) == NULL);
    FUZZ_HOLDS(job->asked.function == NULL
               || strlen(job->asked.function) <= PXW_NAME_MAX);
    for (apr_size_t i = 0; i < job->arg_count; i++) {
        FUZZ_HOLDS(memchr(job->args[i].bytes, '\0', job->args[i].size)
                   == NULL);
    }
    if (job->params.bytes != NULL) {
        pyexec_json_e type = pyexec_jsoncheck(job->params.bytes,
                                              job->params.size).type;

        FUZZ_HOLDS(type == PYEXEC_JSON_ARRAY || type == PYEXEC_JSON_OBJECT);
    }
}

/* Exactly one object: two readers of the body cannot differ about its end. */
static void check_whole(const uint8_t *data, size_t size)
{
    size_t mark = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    FUZZ_HOLDS(pyexec_jsoncheck(data + mark, size - mark).type
               == PYEXEC_JSON_OBJECT);
}

static void decode(apr_pool_t *pool, const uint8_t *data, size_t size)
{
    static const pyexec_dialect_t *const dialects[] = {
        &dialect_auto, &dialect_code, &dialect_main_json, &dialect_main_object,
        &dialect_report, &dialect_run,
    };
    const pyexec_json_t *request = NULL;

    if (pyexec_json_parse(pool, (const char *)data, size, &request) != NULL) {
        FUZZ_HOLDS(request == NULL);
        return;
    }
    check_whole(data, size);
    for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
        pyexec_job_t job = { .asked.dialect = dialects[i] };
        const char *problem = NULL;
        pyexec_decode_e decoded = dialects[i]->decode(pool, request, &job,
                                                      &problem);

        FUZZ_HOLDS((decoded == PYEXEC_DECODED) == (problem == NULL));
        if (decoded == PYEXEC_DECODED) {
            check_job(&job);
        }
        else {
            FUZZ_HOLDS(pyexec_jsoncheck(problem, strlen(problem)).type
                       == PYEXEC_JSON_INVALID); /* a sentence */
        }
    }
}

static void write_text(apr_pool_t *pool, const uint8_t *data, size_t size)
{
    pyexec_buffer_t *buffer = pyexec_buffer_make(pool);
    pyexec_buffer_t *decoded = pyexec_buffer_make(pool);
    pyexec_buffer_t *again = pyexec_buffer_make(pool);
    pyexec_jsonvalue_t value;
    size_t half = size / 2;

    /* An end of a piece is no end of a character: whole ones go in. */
    half = pyexec_json_whole_characters(data, half);
    pyexec_json_text_open(buffer);
    pyexec_json_text_add(buffer, data, half);
    pyexec_json_text_add(buffer, data + half, size - half);
    pyexec_json_text_close(buffer);
    value = pyexec_jsoncheck(buffer->data, buffer->size);
    FUZZ_HOLDS(value.type == PYEXEC_JSON_STRING);
    FUZZ_HOLDS(value.size == buffer->size);
    pyexec_json_decode_string(decoded, &value);
    pyexec_json_text_open(again);
    pyexec_json_text_add(again, decoded->data, decoded->size);
    pyexec_json_text_close(again);
    FUZZ_HOLDS(again->size == buffer->size
               && memcmp(again->data, buffer->data, buffer->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int begun;
    pyexec_jsonvalue_t value;
    apr_pool_t *pool;

    if (!begun) {
        FUZZ_HOLDS(apr_initialize() == APR_SUCCESS);
        pyexec_json_init();
        begun = 1;
    }
    apr_pool_create(&pool, NULL);
    decode(pool, data, size);
    write_text(pool, data, size);
    value = pyexec_jsoncheck(data, size);
    if (value.type == PYEXEC_JSON_STRING) {
        pyexec_json_decode_string(pyexec_buffer_make(pool), &value);
    }
    apr_pool_destroy(pool);
    return 0;
}
