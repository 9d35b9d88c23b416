/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics: the helper counts and writes the text, this adds whether it is
 * there. A helper that is not is an answer, too: 200 with `pyexec_up 0`, for a
 * monitor makes nothing of a 503. Runs in a worker thread; starts nothing.
 */
#include "pyexec_metrics.h"

#include "pyexec_body.h"
#include "pyexec_config.h"
#include "pyexec_query.h"
#include "pyexec_reply.h"

#include <http_log.h>
#include <string.h>

APLOG_USE_MODULE(pyexec);

#define TYPE "text/plain; version=0.0.4"

/* Below the ten seconds that a monitor waits by default. */
#define DEADLINE_MS 5000

static int ask(request_rec *r)
{
    pyexec_buffer_t *body = pyexec_buffer_make(r->pool);
    struct pxw_message answer;
    int error = 0;
    pyexec_client_end_e end = pyexec_query(r, PXW_METRICS, PXW_METRICS_ARE,
                                           DEADLINE_MS, &answer, &error);

    if (end == PYEXEC_CLIENT_LEFT || end == PYEXEC_STOPPING) {
        r->connection->aborted = 1;
        r->connection->keepalive = AP_CONN_CLOSE;
        return DONE;
    }
    pyexec_buffer_puts(body, "# HELP pyexec_up Whether the helper answers.\n"
                             "# TYPE pyexec_up gauge\n");
    if (end == PYEXEC_ANSWERED) {
        const struct pxw_field *text = &answer.field[PXW_F_METRICS];

        pyexec_buffer_puts(body, "pyexec_up 1\n");
        pyexec_buffer_add(body, text->data, text->size);
    }
    else {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, error, r,
                      PYXNO(0211) "no metrics: %s",
                      pyexec_client_end_text(end));
        pyexec_buffer_puts(body, "pyexec_up 0\n");
    }
    return pyexec_reply_text(r, TYPE, body);
}

int pyexec_metrics_run(request_rec *r)
{
    pyexec_place_t place;

    if (r->handler == NULL || strcmp(r->handler, PYEXEC_METRICS_HANDLER) != 0) {
        return DECLINED;
    }
    place = pyexec_config_place(r->per_dir_config);
    pyexec_reply_allow_origin(r, &place);
    pyexec_body_leave_unread(r);
    /* SetHandler is legal in .htaccess, and who the other tenants are and what
     * they do is none of its author's business. */
    if (!place.metrics) {
        return pyexec_reply_error(r, HTTP_FORBIDDEN,
                                  "Metrics are not enabled at this location.");
    }
    if (r->method_number != M_GET) {
        apr_table_setn(r->headers_out, "Allow", "GET, HEAD");
        return pyexec_reply_error(r, HTTP_METHOD_NOT_ALLOWED,
                                  "The method is not allowed here; use GET.");
    }
    return ask(r);
}
