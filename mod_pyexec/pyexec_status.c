/* SPDX-License-Identifier: Apache-2.0
 *
 * Health: asks the helper and passes on what it says, 200 when it can serve
 * runs and 503 when not. Runs in a worker thread; starts nothing.
 */
#include "pyexec_status.h"

#include "pyexec_body.h"
#include "pyexec_child.h"
#include "pyexec_client.h"
#include "pyexec_reply.h"

#include <http_log.h>
#include <string.h>

APLOG_USE_MODULE(pyexec);

#define SERVICE_NAME "Python Script Executor"

/* Balancers ask every few seconds and take no answer for a no. */
#define DEADLINE_MS 2000

static apr_status_t free_frame(void *data)
{
    pxw_writer_free(data);
    return APR_SUCCESS;
}

static void put_field(pyexec_buffer_t *body, const char *name,
                      const struct pxw_message *status, enum pxw_tag tag)
{
    const struct pxw_field *field = &status->field[tag];

    if (field->data != NULL) {
        pyexec_json_name(body, name);
        pyexec_json_text_open(body);
        pyexec_json_text_add(body, field->data, field->size);
        pyexec_json_text_close(body);
    }
}

static void put_count(pyexec_buffer_t *body, const char *name,
                      const struct pxw_message *status, enum pxw_tag tag)
{
    if (pxw_has(status, tag)) {
        pyexec_json_name(body, name);
        pyexec_json_put_number(body, pxw_u32(status, tag, 0));
    }
}

/* `problem` NULL: nothing stands between the service and a run. */
static int tell(request_rec *r, const struct pxw_message *status,
                const char *problem)
{
    pyexec_buffer_t *body = pyexec_buffer_make(r->pool);

    pyexec_json_open(body);
    pyexec_json_name(body, "status");
    pyexec_json_put_text(body, problem == NULL ? "healthy" : "unavailable");
    pyexec_json_name(body, "service");
    pyexec_json_put_text(body, SERVICE_NAME);
    if (problem != NULL) {
        pyexec_json_name(body, "error");
        pyexec_json_put_text(body, problem);
        apr_table_setn(r->headers_out, "Retry-After", "1");
    }
    if (status != NULL) {
        put_field(body, "version", status, PXW_F_VERSION);
        put_field(body, "isolation", status, PXW_F_LEVEL);
        put_field(body, "cgroup", status, PXW_F_CGROUP);
        put_field(body, "python", status, PXW_F_PYTHON);
        put_count(body, "running", status, PXW_F_RUNNING);
        put_count(body, "queued", status, PXW_F_QUEUED);
        put_field(body, "detail", status, PXW_F_TEXT);
    }
    pyexec_json_close(body);
    return pyexec_reply_json(r, problem == NULL ? HTTP_OK
                                                : HTTP_SERVICE_UNAVAILABLE,
                             body);
}

static int ask(request_rec *r)
{
    struct pxw_writer *question = apr_pcalloc(r->pool, sizeof(*question));
    struct pxw_message status;
    pyexec_client_end_e end;
    int error = 0;

    if (pyexec_child_helper_path() == NULL) {
        return tell(r, NULL, "There is no helper now.");
    }
    apr_pool_cleanup_register(r->pool, question, free_frame,
                              apr_pool_cleanup_null);
    pxw_begin(question, PXW_STATUS);
    if (pxw_end(question) != 0) {
        return tell(r, NULL, "There is no memory for this request.");
    }
    end = pyexec_client_ask(r, question, PXW_STATUS_IS, DEADLINE_MS, &status,
                            &error);
    if (end != PYEXEC_ANSWERED) {
        if (end == PYEXEC_CLIENT_LEFT || end == PYEXEC_STOPPING) {
            r->connection->aborted = 1;
            r->connection->keepalive = AP_CONN_CLOSE;
            return DONE;
        }
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, error, r,
                      PYXNO(0206) "no health answer: %s",
                      pyexec_client_end_text(end));
        return tell(r, NULL, "The service that runs code does not answer.");
    }
    return tell(r, &status, pxw_u32(&status, PXW_F_READY, 0) == 1
                                ? NULL : "Runs cannot be served now.");
}

int pyexec_status_health(request_rec *r)
{
    pyexec_place_t place;

    if (r->handler == NULL || strcmp(r->handler, PYEXEC_HEALTH_HANDLER) != 0) {
        return DECLINED;
    }
    place = pyexec_config_place(r->per_dir_config);
    pyexec_reply_allow_origin(r, &place);
    pyexec_body_leave_unread(r);
    if (r->method_number != M_GET) {
        apr_table_setn(r->headers_out, "Allow", "GET, HEAD");
        return pyexec_reply_error(r, HTTP_METHOD_NOT_ALLOWED,
                                  "The method is not allowed here; use GET.");
    }
    return ask(r);
}
