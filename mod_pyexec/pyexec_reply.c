/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers; see the header. Runs in a worker thread. Nothing of a request is
 * repeated in an error sentence, so there is nothing to inject; but for one
 * word of the field `pip`, cut and of printable ASCII, in a text of JSON.
 */
#include "pyexec_reply.h"

#include <ap_expr.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_core.h>
#include <string.h>
#include <util_filter.h>

APLOG_USE_MODULE(pyexec);

#define FILTER_NAME "PYEXEC_JSON_ERROR"
#define JSON_TYPE "application/json"
#define ALLOWED "POST, OPTIONS"
/* Preflight answers change with the configuration only. */
#define PREFLIGHT_AGE_S "600"

/* THE table: what an outcome is on the wire. One of theirs has no sentence:
 * its dialect writes the body. */
static const struct
{
    enum pxw_outcome outcome;
    int status;
    const char *retry_after_s;
    const char *sentence;
} rows[] = {
    { PXW_NOT_ACCEPTABLE, HTTP_BAD_REQUEST, NULL, NULL },
    { PXW_DONE, HTTP_OK, NULL, NULL },
    { PXW_EXITED_NONZERO, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_WALL, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_CPU, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_MEMORY, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_OUTPUT, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_PROCESSES, HTTP_OK, NULL, NULL },
    { PXW_SIGNALLED, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_DESCRIPTORS, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_THREADS, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_RECURSION, HTTP_OK, NULL, NULL },
    { PXW_OUT_OF_STACK, HTTP_OK, NULL, NULL },
    { PXW_BUSY, HTTP_SERVICE_UNAVAILABLE, "1",
      "The service is busy; try again in a moment." },
    { PXW_TENANT_BUSY, HTTP_TOO_MANY_REQUESTS, "1",
      "Too many runs of this site are waiting; try again in a moment." },
    { PXW_ABSENT, HTTP_SERVICE_UNAVAILABLE, "1",
      "The service that runs code is not available; try again in a moment." },
    { PXW_LOST, HTTP_SERVICE_UNAVAILABLE, "1",
      "The run was lost because the service that runs code was interrupted; "
      "try again." },
    /* Nothing that a client could mend, and not over in a moment. */
    { PXW_NO_SANDBOX, HTTP_SERVICE_UNAVAILABLE, "60",
      "No code is run here now: the sandbox cannot be set up. The server's "
      "error log says why." },
    /* Last: also what an outcome without a row is. */
    { PXW_BROKEN, HTTP_INTERNAL_SERVER_ERROR, NULL,
      "The service failed to run the code; this is a fault of the service." },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t find_row(enum pxw_outcome outcome)
{
    size_t i = 0;

    while (i < ROWS - 1 && rows[i].outcome != outcome) {
        i++;
    }
    return i;
}

int pyexec_reply_is_result(enum pxw_outcome outcome)
{
    return rows[find_row(outcome)].sentence == NULL;
}

const char *pyexec_reply_sentence(int status)
{
    static const struct
    {
        int status;
        const char *sentence;
    } sentences[] = {
        { HTTP_BAD_REQUEST, "The request is malformed." },
        { HTTP_UNAUTHORIZED, "Authentication is required." },
        { HTTP_FORBIDDEN, "Access to this location is forbidden." },
        { HTTP_NOT_FOUND, "There is nothing at this location." },
        { HTTP_METHOD_NOT_ALLOWED, "The method is not allowed here." },
        { HTTP_REQUEST_TIME_OUT, "The request body did not arrive in time." },
        { HTTP_REQUEST_ENTITY_TOO_LARGE, "The request body is too large." },
        { HTTP_UNSUPPORTED_MEDIA_TYPE,
          "The media type of the request is not supported." },
        { HTTP_TOO_MANY_REQUESTS, "There are too many requests." },
        { HTTP_SERVICE_UNAVAILABLE, "The service is not available." },
    };

    for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        if (sentences[i].status == status) {
            return sentences[i].sentence;
        }
    }
    return status >= 500 ? "The server failed to handle the request."
                         : "The request cannot be handled.";
}

static void write_error(pyexec_buffer_t *buffer, const char *sentence)
{
    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "error");
    pyexec_json_put_text(buffer, sentence);
    pyexec_json_close(buffer);
}

/* An answer is nobody else's business and never a document of another type. */
static void set_headers(apr_table_t *headers)
{
    apr_table_setn(headers, "Cache-Control", "no-store");
    apr_table_setn(headers, "X-Content-Type-Options", "nosniff");
}

static int reply(request_rec *r, int status, const char *type,
                 pyexec_buffer_t *body)
{
    apr_bucket_alloc_t *allocator = r->connection->bucket_alloc;
    apr_bucket_brigade *brigade = apr_brigade_create(r->pool, allocator);

    if (body->failed) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, APR_ENOMEM, r,
                      PYXNO(0210) "no memory for the answer");
        status = HTTP_SERVICE_UNAVAILABLE;
        type = JSON_TYPE;
        body = pyexec_buffer_make(r->pool);
        write_error(body, pyexec_reply_sentence(status));
    }
    r->status = status;
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)body->size);
    set_headers(r->headers_out);
    APR_BRIGADE_INSERT_TAIL(brigade, pyexec_buffer_to_bucket(body, allocator));
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(allocator));
    if (ap_pass_brigade(r->output_filters, brigade) != APR_SUCCESS) {
        r->connection->aborted = 1; /* the only cause: nobody reads */
    }
    return OK; /* the status itself would bring httpd's error page */
}

int pyexec_reply_json(request_rec *r, int status, pyexec_buffer_t *body)
{
    return reply(r, status, JSON_TYPE, body);
}

int pyexec_reply_text(request_rec *r, const char *type, pyexec_buffer_t *body)
{
    return reply(r, HTTP_OK, type, body);
}

int pyexec_reply_error(request_rec *r, int status, const char *sentence)
{
    pyexec_buffer_t *body = pyexec_buffer_make(r->pool);

    if (status == HTTP_METHOD_NOT_ALLOWED
        && apr_table_get(r->headers_out, "Allow") == NULL) {
        apr_table_setn(r->headers_out, "Allow", ALLOWED);
    }
    write_error(body, sentence);
    return pyexec_reply_json(r, status, body);
}

int pyexec_reply_failure(request_rec *r, enum pxw_outcome outcome)
{
    size_t row = find_row(outcome);

    if (rows[row].retry_after_s != NULL) {
        apr_table_setn(r->headers_out, "Retry-After", rows[row].retry_after_s);
    }
    return pyexec_reply_error(r, rows[row].status, rows[row].sentence);
}

int pyexec_reply_problem(request_rec *r, const pyexec_dialect_t *dialect,
                         pyexec_decode_e decoded, const char *sentence)
{
    pyexec_buffer_t *body = pyexec_buffer_make(r->pool);

    if (dialect->encode_problem != NULL) {
        dialect->encode_problem(body, sentence);
    }
    else {
        write_error(body, sentence);
    }
    return pyexec_reply_json(r, decoded == PYEXEC_FORBIDDEN
                                    ? HTTP_FORBIDDEN : HTTP_BAD_REQUEST, body);
}

int pyexec_reply_outcome(request_rec *r, const pyexec_outcome_t *outcome)
{
    pyexec_buffer_t *body = pyexec_buffer_make(r->pool);

    outcome->asked->dialect->encode(body, outcome);
    return pyexec_reply_json(r, rows[find_row(outcome->outcome)].status, body);
}

void pyexec_reply_allow_origin(request_rec *r, const pyexec_place_t *place)
{
    const char *allowed = place->allow_origin;
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *vary = apr_table_get(r->err_headers_out, "Vary");

    if (ap_cstr_casecmp(allowed, "none") == 0) {
        return;
    }
    if (strcmp(allowed, "*") == 0) {
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin", "*");
        return;
    }
    /* The answer depends on who asks, also when it is no. */
    if (vary == NULL || !ap_find_token(r->pool, vary, "Origin")) {
        apr_table_mergen(r->err_headers_out, "Vary", "Origin");
    }
    if (origin != NULL && ap_cstr_casecmp(origin, allowed) == 0) {
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin",
                       allowed);
    }
}

int pyexec_reply_preflight(request_rec *r, const pyexec_place_t *place)
{
    apr_table_t *headers = r->headers_out;

    r->status = HTTP_NO_CONTENT;
    apr_table_setn(headers, "Allow", ALLOWED);
    set_headers(headers);
    if (ap_cstr_casecmp(place->allow_origin, "none") != 0) {
        apr_table_setn(headers, "Access-Control-Allow-Methods", ALLOWED);
        apr_table_setn(headers, "Access-Control-Allow-Headers",
                       "content-type");
        apr_table_setn(headers, "Access-Control-Max-Age", PREFLIGHT_AGE_S);
    }
    return OK;
}

/* Drops what httpd writes and writes one JSON object at its end. */
static apr_status_t replace_page(ap_filter_t *f, apr_bucket_brigade *brigade)
{
    request_rec *r = f->r;
    apr_bucket *next;

    for (apr_bucket *b = APR_BRIGADE_FIRST(brigade);
         b != APR_BRIGADE_SENTINEL(brigade); b = next) {
        next = APR_BUCKET_NEXT(b);
        if (APR_BUCKET_IS_EOS(b)) {
            pyexec_buffer_t *body = pyexec_buffer_make(r->pool);
            apr_bucket *answer;

            write_error(body, pyexec_reply_sentence(r->status));
            ap_set_content_length(r, (apr_off_t)body->size);
            ap_set_content_type(r, JSON_TYPE);
            set_headers(r->headers_out);
            answer = pyexec_buffer_to_bucket(body, f->c->bucket_alloc);
            APR_BUCKET_INSERT_BEFORE(b, answer);
            ap_remove_output_filter(f);
            break;
        }
        if (!APR_BUCKET_IS_METADATA(b)) {
            apr_bucket_delete(b);
        }
    }
    return ap_pass_brigade(f->next, brigade);
}

static int is_ours(const char *handler)
{
    return handler != NULL
           && (strcmp(handler, PYEXEC_HANDLER) == 0
               || strcmp(handler, PYEXEC_HEALTH_HANDLER) == 0
               || strcmp(handler, PYEXEC_METRICS_HANDLER) == 0
               || strcmp(handler, PYEXEC_PACKAGES_HANDLER) == 0
               || strcmp(handler, PYEXEC_OPENAPI_HANDLER) == 0);
}

/* r->handler is not set yet when authentication fails; what SetHandler says
 * of the place is known before. */
static int is_our_place(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *error = NULL;

    return is_ours(r->handler) || is_ours(core->handler)
           || (core->expr_handler != NULL
               && is_ours(ap_expr_str_exec(r, core->expr_handler, &error)));
}

void pyexec_reply_insert_error_filter(request_rec *r)
{
    pyexec_place_t place;

    if (r->status < 400 || !is_our_place(r)) {
        return;
    }
    place = pyexec_config_place(r->per_dir_config);
    pyexec_reply_allow_origin(r, &place);
    if (ap_response_code_string(r, ap_index_of_response(r->status)) != NULL) {
        return; /* an ErrorDocument is what the administrator wants to see */
    }
    ap_add_output_filter(FILTER_NAME, NULL, r, r->connection);
}

void pyexec_reply_register_filter(void)
{
    ap_register_output_filter(FILTER_NAME, replace_page, NULL,
                              AP_FTYPE_RESOURCE);
}
