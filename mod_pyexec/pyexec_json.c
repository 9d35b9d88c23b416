/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading JSON; see the header. Runs in a worker thread on bytes that a
 * hostile client wrote. What goes on to a script as JSON goes on in those
 * bytes: jansson has no integers of more than 64 bits, Python has.
 */
#include "pyexec_json.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <jansson.h>
#include <string.h>

/* jansson takes up to some 130 bytes for a value of two bytes: without a cap
 * a body of 16 MiB became 300 MiB. 250,000 values stay near 32 MiB. */
#define VALUES_MOST 250000

/* Every number becomes a double, which is all that our own fields need; the
 * integers of `params` may then have any length that a double can hold. */
#define FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL \
               | JSON_DECODE_INT_AS_REAL)

/* Of a member's name in a sentence. */
#define NAME_MOST 32

/* A value in the bytes that it came in. */
typedef struct raw_t
{
    const char *name;
    pyexec_text_t json;
} raw_t;

struct pyexec_json_t
{
    json_t *root;
    pyexec_text_t body;       /* of an object that was parsed; … */
    apr_array_header_t *raw;  /* … raw_t, of one that was made */
};

void pyexec_json_init(void)
{
    json_object_seed(0);
}

/* An upper bound of the values in the text, without parsing it: every value
 * is the first of its container or follows a comma. */
static apr_size_t count_values(const char *bytes, apr_size_t size)
{
    apr_size_t values = 1;
    int in_text = 0;

    for (apr_size_t i = 0; i < size; i++) {
        char c = bytes[i];

        if (in_text) {
            if (c == '\\') {
                i++;
            }
            else if (c == '"') {
                in_text = 0;
            }
        }
        else if (c == '"') {
            in_text = 1;
        }
        else if (c == ',' || c == '[' || c == '{') {
            values++;
        }
    }
    return values;
}

/* The name of the member with the number that jansson stopped at, if it is a
 * plain one; else NULL. */
static const char *member_at(apr_pool_t *pool, pyexec_text_t body,
                             const json_error_t *error)
{
    pyexec_jsonvalue_t value;
    pyexec_jsonvalue_t name;

    if (error->position < 0) {
        return NULL;
    }
    /* One walk: with many members any search by number would cost their
     * square. */
    value = pyexec_jsoncheck_member_at(body.bytes, body.size,
                                       (apr_size_t)error->position, &name);
    if (value.type == PYEXEC_JSON_INVALID
        || name.type != PYEXEC_JSON_STRING) {
        return NULL;
    }
    for (apr_size_t i = 1; i + 1 < name.size; i++) {
        if (!apr_isalnum(name.bytes[i]) && name.bytes[i] != '_') {
            return NULL;
        }
    }
    return name.size - 2 > NAME_MOST
               ? NULL : apr_pstrmemdup(pool, name.bytes + 1, name.size - 2);
}

/* jansson's own text quotes the client's bytes; ours does not. */
static const char *explain(apr_pool_t *pool, pyexec_text_t body,
                           const json_error_t *error)
{
    const char *name;
    const char *what;

    switch (json_error_code(error)) {
    case json_error_stack_overflow:
        return "The request body is nested too deeply.";
    case json_error_duplicate_key:
        what = "has a member twice";
        break;
    case json_error_invalid_utf8:
        what = "is not valid UTF-8";
        break;
    case json_error_end_of_input_expected:
        what = "goes on after the end of its JSON object";
        break;
    case json_error_premature_end_of_input:
        what = "ends in the middle of its JSON text";
        break;
    case json_error_numeric_overflow:
        what = "has a number that is too large";
        name = member_at(pool, body, error);
        if (name != NULL) {
            return apr_psprintf(pool, "The field '%s' has a number that is "
                                "too large (line %d, column %d).", name,
                                error->line, error->column);
        }
        break;
    case json_error_null_byte_in_key:
        what = "has a NUL character in the name of a member";
        break;
    case json_error_out_of_memory:
        return "The request body is too large to be read.";
    default:
        what = "is not valid JSON";
        break;
    }
    return apr_psprintf(pool, "The request body %s (line %d, column %d).",
                        what, error->line, error->column);
}

static apr_status_t release(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

static pyexec_json_t *wrap(apr_pool_t *pool, json_t *root)
{
    pyexec_json_t *object = apr_pcalloc(pool, sizeof(*object));

    apr_pool_cleanup_register(pool, root, release, apr_pool_cleanup_null);
    object->root = root;
    return object;
}

const char *pyexec_json_parse(apr_pool_t *pool, const char *bytes,
                              apr_size_t size,
                              const pyexec_json_t **ret_object)
{
    pyexec_text_t body = { bytes, size };
    pyexec_json_t *object;
    json_error_t error;
    json_t *root;

    /* One byte order mark is what editors and .NET clients put in front. */
    if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        body.bytes += 3;
        body.size -= 3;
    }
    if (body.size == 0) {
        return "The request body is empty; a JSON object is needed.";
    }
    /* JSON has none; jansson passes over one that follows a number. */
    if (memchr(body.bytes, '\0', body.size) != NULL) {
        return "The request body has a NUL byte in it.";
    }
    if (count_values(body.bytes, body.size) > VALUES_MOST) {
        return apr_psprintf(pool, "The request body has more than %d values.",
                            VALUES_MOST);
    }
    /* NUL is let through here so that the field with it can be named. */
    root = json_loadb(body.bytes, body.size, FLAGS, &error);
    if (root == NULL) {
        return explain(pool, body, &error);
    }
    object = wrap(pool, root);
    if (!json_is_object(root)) {
        return "The request body is not a JSON object.";
    }
    object->body = body;
    *ret_object = object;
    return NULL;
}

pyexec_json_t *pyexec_json_make(apr_pool_t *pool)
{
    pyexec_json_t *object = wrap(pool, json_object());

    object->raw = apr_array_make(pool, 8, sizeof(raw_t));
    return object;
}

const char *pyexec_json_put_member(apr_pool_t *pool, pyexec_json_t *object,
                                   const char *name, pyexec_text_t text)
{
    json_t *value = json_stringn(text.bytes, text.size);

    /* json_object_set_new() takes NULL for the failure that it is. */
    return json_object_set_new(object->root, name, value) == 0
        ? NULL : apr_psprintf(pool, "The field '%s' is not valid UTF-8.", name);
}

const char *pyexec_json_put_member_value(apr_pool_t *pool,
                                         pyexec_json_t *object,
                                         const char *name, pyexec_text_t json)
{
    pyexec_jsonvalue_t checked = pyexec_jsoncheck(json.bytes, json.size);
    json_t *value = NULL;

    if (checked.type != PYEXEC_JSON_INVALID
        && count_values(json.bytes, json.size) <= VALUES_MOST) {
        value = json_loadb(json.bytes, json.size, FLAGS, NULL);
    }
    if (json_object_set_new(object->root, name, value) != 0) {
        return apr_psprintf(pool, "The field '%s' is not valid JSON.", name);
    }
    APR_ARRAY_PUSH(object->raw, raw_t) =
        (raw_t){ name, { checked.bytes, checked.size } };
    return NULL;
}

/* The member in the client's bytes. It must be there. jansson keeps the order
 * of the members, and there are no two of one name: the n-th of jansson's is
 * the n-th of the text, whatever escapes its name was written with. */
static pyexec_text_t raw_member(const pyexec_json_t *object, const char *name)
{
    pyexec_jsonvalue_t value = { PYEXEC_JSON_INVALID, NULL, 0 };
    pyexec_jsonvalue_t written;
    apr_size_t index = 0;
    const char *key;
    json_t *member;

    for (int i = 0; object->raw != NULL && i < object->raw->nelts; i++) {
        const raw_t *raw = &APR_ARRAY_IDX(object->raw, i, raw_t);

        if (strcmp(raw->name, name) == 0) {
            return raw->json;
        }
    }
    json_object_foreach(object->root, key, member) {
        if (strcmp(key, name) == 0) {
            value = pyexec_jsoncheck_member(object->body.bytes,
                                            object->body.size, index,
                                            &written);
            break;
        }
        index++;
    }
    return (pyexec_text_t){ value.bytes, value.size };
}

static const json_t *find(const pyexec_json_t *object, const char *name)
{
    return json_object_get(object->root, name);
}

int pyexec_json_has(const pyexec_json_t *object, const char *name)
{
    const json_t *value = find(object, name);

    return value != NULL && !json_is_null(value);
}

int pyexec_json_is_empty(const pyexec_json_t *object, const char *name)
{
    const json_t *value = find(object, name);

    return json_is_string(value) && json_string_length(value) == 0;
}

static const char *complain(apr_pool_t *pool, const char *name,
                            const char *what)
{
    return apr_psprintf(pool, "The field '%s' %s.", name, what);
}

const char *pyexec_json_get_bytes(apr_pool_t *pool,
                                  const pyexec_json_t *object,
                                  const char *name, pyexec_text_t *ret_text)
{
    const json_t *value = find(object, name);

    if (value == NULL) {
        return complain(pool, name, "is missing");
    }
    if (!json_is_string(value)) {
        return complain(pool, name, "is not a string");
    }
    *ret_text = (pyexec_text_t){ json_string_value(value),
                                 json_string_length(value) };
    return NULL;
}

const char *pyexec_json_get_text(apr_pool_t *pool,
                                 const pyexec_json_t *object,
                                 const char *name, pyexec_text_t *ret_text)
{
    pyexec_text_t text = { NULL, 0 };
    const char *problem = pyexec_json_get_bytes(pool, object, name, &text);

    if (problem == NULL && memchr(text.bytes, '\0', text.size) != NULL) {
        problem = complain(pool, name, "has a NUL character in it");
    }
    if (problem == NULL) {
        *ret_text = text;
    }
    return problem;
}

const char *pyexec_json_get_texts(apr_pool_t *pool,
                                  const pyexec_json_t *object,
                                  const char *name, apr_size_t most,
                                  const pyexec_text_t **ret_texts,
                                  apr_size_t *ret_count)
{
    const json_t *list = find(object, name);
    apr_size_t count = json_array_size(list);
    pyexec_text_t *texts;

    if (!json_is_array(list)) {
        return complain(pool, name, "is not a list of strings");
    }
    if (count > most) {
        return apr_psprintf(pool, "The field '%s' has more than %"
                            APR_SIZE_T_FMT " strings.", name, most);
    }
    texts = apr_palloc(pool, (count + 1) * sizeof(*texts));
    for (apr_size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_string(item)) {
            return complain(pool, name, "is not a list of strings");
        }
        texts[i] = (pyexec_text_t){ json_string_value(item),
                                    json_string_length(item) };
        if (memchr(texts[i].bytes, '\0', texts[i].size) != NULL) {
            return complain(pool, name, "has a NUL character in it");
        }
    }
    *ret_texts = texts;
    *ret_count = count;
    return NULL;
}

const char *pyexec_json_get_number(apr_pool_t *pool,
                                   const pyexec_json_t *object,
                                   const char *name, double *ret_number)
{
    const json_t *value = find(object, name);

    if (!json_is_number(value)) {
        return complain(pool, name, "is not a number");
    }
    *ret_number = json_number_value(value);
    return NULL;
}

const char *pyexec_json_get_flag(apr_pool_t *pool,
                                 const pyexec_json_t *object,
                                 const char *name, int *ret_flag)
{
    const json_t *value = find(object, name);

    if (!json_is_boolean(value)) {
        return complain(pool, name, "is neither true nor false");
    }
    *ret_flag = json_is_true(value);
    return NULL;
}

const char *pyexec_json_get_container(apr_pool_t *pool,
                                      const pyexec_json_t *object,
                                      const char *name,
                                      pyexec_text_t *ret_json)
{
    const json_t *value = find(object, name);
    pyexec_text_t json;

    if (!json_is_array(value) && !json_is_object(value)) {
        return complain(pool, name, "is neither a list nor an object");
    }
    json = raw_member(object, name);
    if (json.bytes == NULL) {
        return complain(pool, name, "is nested too deeply");
    }
    *ret_json = json;
    return NULL;
}
