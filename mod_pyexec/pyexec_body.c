/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a body that a hostile client sends. Every size is compared to the
 * limit before it is believed; chunked bodies are counted while they come.
 */
#include "pyexec_body.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <string.h>

#define READ_BYTES 16384

/* Up to this much httpd may read and throw away to keep a connection. */
#define DRAIN_BYTES 65536

static const char *skip_space(const char *at)
{
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    return at;
}

/* Whether the parameter list is acceptable: no charset, or utf-8. */
static int is_utf8(const char *parameters)
{
    const char *at = parameters;

    while (at != NULL && *at != '\0') {
        at = skip_space(at + 1); /* past the semicolon */
        if (ap_cstr_casecmpn(at, "charset=", 8) == 0) {
            at += 8;
            at += *at == '"';
            if (ap_cstr_casecmpn(at, "utf-8", 5) == 0) {
                at += 5;
            }
            else if (ap_cstr_casecmpn(at, "utf8", 4) == 0) {
                at += 4;
            }
            else {
                return 0;
            }
            at = skip_space(at + (*at == '"'));
            if (*at != '\0' && *at != ';') {
                return 0;
            }
        }
        at = strchr(at, ';');
    }
    return 1;
}

/* application/json or anything/something+json. */
static int is_json(const char *type, apr_size_t size)
{
    const char *slash = memchr(type, '/', size);

    if (size == 16 && ap_cstr_casecmpn(type, "application/json", 16) == 0) {
        return 1;
    }
    return slash != NULL && slash > type
           && size - (apr_size_t)(slash - type) > 6
           && ap_cstr_casecmpn(type + size - 5, "+json", 5) == 0;
}

/* mod_deflate takes the header away when it decodes, but only at the first
 * read; its filter is there before. */
static int is_decoded(const request_rec *r, const char *coding)
{
    if (ap_cstr_casecmp(coding, "gzip") != 0
        && ap_cstr_casecmp(coding, "x-gzip") != 0
        && ap_cstr_casecmp(coding, "deflate") != 0) {
        return 0;
    }
    for (const ap_filter_t *f = r->input_filters; f != NULL; f = f->next) {
        if (ap_cstr_casecmp(f->frec->name, "deflate") == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_form(const char *type, apr_size_t size)
{
    return size == 19 && ap_cstr_casecmpn(type, "multipart/form-data", 19) == 0;
}

static const char *check_json_type(const char *type, apr_size_t size,
                                   int takes_forms)
{
    if (!is_json(type, size)) {
        return takes_forms
            ? "The Content-Type is neither application/json nor "
              "multipart/form-data."
            : "The Content-Type is not application/json.";
    }
    return is_utf8(strchr(type, ';'))
        ? NULL : "The charset of the Content-Type is not utf-8.";
}

const char *pyexec_body_check_type(const request_rec *r, int takes_forms,
                                   int *ret_is_form)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    const char *coding = apr_table_get(r->headers_in, "Content-Encoding");
    const char *problem = NULL;
    apr_size_t size;

    *ret_is_form = 0;
    if (type == NULL) {
        return "The request has no Content-Type; application/json is needed.";
    }
    type = skip_space(type);
    size = strcspn(type, "; \t");
    *ret_is_form = takes_forms && is_form(type, size);
    if (!*ret_is_form) {
        problem = check_json_type(type, size, takes_forms);
    }
    if (problem != NULL) {
        return problem;
    }
    if (coding != NULL && ap_cstr_casecmp(coding, "identity") != 0
        && !is_decoded(r, coding)) {
        return "The Content-Encoding of the request is not supported here.";
    }
    return NULL;
}

int pyexec_body_is_same_site(request_rec *r, const char *allowed)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *host = apr_table_get(r->headers_in, "Host");
    const char *own;

    if (strcmp(allowed, "*") == 0
        || (origin != NULL && ap_cstr_casecmp(origin, allowed) == 0)) {
        return 1;
    }
    if (site != NULL) {
        return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    }
    if (origin == NULL) {
        return 1;
    }
    /* A browser that is old enough to send no Sec-Fetch-Site: the page's host
     * must be the one that was asked. */
    own = strstr(origin, "://");
    return own != NULL && host != NULL && ap_cstr_casecmp(own + 3, host) == 0;
}

/* One brigade into the buffer. OK, DONE after the last one, or a status. */
static int take(apr_bucket_brigade *brigade, apr_size_t limit,
                pyexec_buffer_t *body)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(brigade);
         b != APR_BRIGADE_SENTINEL(brigade); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t size;

        if (APR_BUCKET_IS_EOS(b)) {
            return DONE;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if (apr_bucket_read(b, &data, &size, APR_BLOCK_READ) != APR_SUCCESS) {
            return HTTP_BAD_REQUEST;
        }
        if (size > limit - body->size) {
            return HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
        pyexec_buffer_add(body, data, size);
        if (body->failed) {
            return HTTP_SERVICE_UNAVAILABLE;
        }
    }
    return OK;
}

int pyexec_body_read(request_rec *r, apr_int64_t limit_bytes,
                     pyexec_buffer_t *body)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t core_limit = ap_get_limit_req_body(r);
    apr_bucket_brigade *brigade;
    apr_off_t announced = 0;
    apr_size_t limit;
    int status = OK;

    if (core_limit > 0 && core_limit < limit_bytes) {
        limit_bytes = core_limit;
    }
    limit = (apr_size_t)limit_bytes;
    if (length != NULL && !ap_parse_strict_length(&announced, length)) {
        return HTTP_BAD_REQUEST;
    }
    /* Before the first read: with Expect: 100-continue the client then never
     * sends the body. */
    if (announced > limit_bytes) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (status == OK) {
        apr_size_t room = limit - body->size;
        apr_status_t rv = ap_get_brigade(r->input_filters, brigade,
                                         AP_MODE_READBYTES, APR_BLOCK_READ,
                                         room < READ_BYTES ? room + 1
                                                           : READ_BYTES);

        if (rv != APR_SUCCESS) {
            status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
        else {
            status = take(brigade, limit, body);
        }
        (void)apr_brigade_cleanup(brigade); /* always succeeds */
    }
    (void)apr_brigade_destroy(brigade);
    return status == DONE ? OK : status;
}

void pyexec_body_abandon(request_rec *r)
{
    /* An HTTP/2 stream ends by itself, and only its session may say when. */
    if (r->connection->master == NULL) {
        r->connection->keepalive = AP_CONN_CLOSE;
    }
}

void pyexec_body_leave_unread(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t announced = 0;

    if (apr_table_get(r->headers_in, "Transfer-Encoding") != NULL
        || (length != NULL
            && (!ap_parse_strict_length(&announced, length)
                || announced > DRAIN_BYTES))) {
        pyexec_body_abandon(r);
    }
}
