/* SPDX-License-Identifier: Apache-2.0
 *
 * A form: the first line is its Content-Type, the rest its body. What is
 * accepted lies within the body and holds no delimiter; then the dialect that
 * takes forms decodes it.
 */
#include "fuzz.h"

#include "pyexec_dialect.h"
#include "pyexec_form.h"

#include <apr_general.h>
#include <string.h>

const char fuzz_name[] = "form";

static void check_text(const char *text, size_t text_size, const char *body,
                       size_t size)
{
    FUZZ_HOLDS(text >= body && text <= body + size);
    FUZZ_HOLDS(text_size <= (size_t)(body + size - text));
}

static void check_part(const pyexec_form_part_t *part, const char *body,
                       size_t size)
{
    check_text(part->name, part->name_size, body, size);
    check_text(part->content, part->content_size, body, size);
    FUZZ_HOLDS(part->name_size > 0);
    FUZZ_HOLDS(part->content > part->name + part->name_size);
    FUZZ_HOLDS(part->is_file || !part->has_file_name);
    /* All delimiters begin with the same bytes as the body does. */
    FUZZ_HOLDS(memcmp(part->content + part->content_size, "\r\n--", 4) == 0);
}

static void decode(const pyexec_form_t *form)
{
    const pyexec_json_t *request = NULL;
    const char *problem;
    pyexec_job_t job = { .asked.dialect = &dialect_run };
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    problem = dialect_run.read_form(pool, form, &request);
    FUZZ_HOLDS((problem == NULL) == (request != NULL));
    if (problem == NULL) {
        pyexec_decode_e decoded = dialect_run.decode(pool, request, &job,
                                                     &problem);

        FUZZ_HOLDS((decoded == PYEXEC_DECODED) == (problem == NULL));
        FUZZ_HOLDS(decoded != PYEXEC_DECODED || job.source.bytes != NULL);
    }
    apr_pool_destroy(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int begun;
    const uint8_t *line = memchr(data, '\n', size);
    size_t type_size = line == NULL ? 0 : (size_t)(line - data);
    char type[512];
    pyexec_form_t form;
    const char *body;

    if (!begun) {
        FUZZ_HOLDS(apr_initialize() == APR_SUCCESS);
        pyexec_json_init();
        begun = 1;
    }
    if (line == NULL || type_size >= sizeof(type)
        || memchr(data, '\0', type_size) != NULL) {
        return 0;
    }
    memcpy(type, data, type_size);
    type[type_size] = '\0';
    body = (const char *)line + 1;
    size -= type_size + 1;
    if (pyexec_form_parse(type, body, size, &form) != NULL) {
        return 0;
    }
    FUZZ_HOLDS(form.count > 0 && form.count <= PYEXEC_FORM_PARTS_MOST);
    for (size_t i = 0; i < form.count; i++) {
        check_part(&form.parts[i], body, size);
    }
    decode(&form);
    return 0;
}
