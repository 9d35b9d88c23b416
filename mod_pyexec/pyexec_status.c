/* SPDX-License-Identifier: Apache-2.0
 *
 * Health and the section of mod_status: both ask the helper and pass on what
 * it says. Health is 200 when every pool that it tells of can serve runs and 503
 * when not: nobody's pool can make a node look ill to somebody else. Runs
 * in a worker thread; starts nothing. Names came over the wire: they have no
 * control characters, and are escaped for the page they go to.
 */
#include "pyexec_status.h"

#include "pyexec_body.h"
#include "pyexec_config.h"
#include "pyexec_places.h"
#include "pyexec_pools.h"
#include "pyexec_query.h"
#include "pyexec_reply.h"

#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <mod_status.h>
#include <string.h>

APLOG_USE_MODULE(pyexec);

#define SERVICE_NAME "Python Script Executor"

/* Balancers ask every few seconds and take no answer for a no. */
#define DEADLINE_MS 2000
/* What stands for a level on the wire before there is one. */
#define NO_LEVEL "unknown"
/* The page has more to show than us. */
#define SECTION_DEADLINE_MS 100

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

/* Names of other tenants' pools, and how busy they are, are for whom the
 * metrics are for. */
static int is_ours(request_rec *r, const struct pxw_message *pool)
{
    pyexec_place_t place = pyexec_config_place(r->per_dir_config);
    const char *tenant = pyexec_pools_tenant(r, &place, r->server);
    const struct pxw_field *name = &pool->field[PXW_F_POOL];
    const char *own = tenant == NULL
                          ? "" : pyexec_pools_name(r->pool, &place, tenant);

    return place.metrics || (strlen(own) == name->size
                             && memcmp(own, name->data, name->size) == 0);
}

/* Of the pools that are told, together: the helper's own sums would tell how
 * busy the others are. */
static void put_load(request_rec *r, pyexec_buffer_t *body,
                     const struct pxw_message *status)
{
    struct pxw_message pool;
    apr_size_t at = 0;
    apr_int64_t running = 0;
    apr_int64_t queued = 0;

    while (pyexec_query_next_pool(status, &at, &pool)) {
        if (is_ours(r, &pool)) {
            running += pxw_u32(&pool, PXW_F_RUNNING, 0);
            queued += pxw_u32(&pool, PXW_F_QUEUED, 0);
        }
    }
    pyexec_json_name(body, "running");
    pyexec_json_put_number(body, running);
    pyexec_json_name(body, "queued");
    pyexec_json_put_number(body, queued);
}

/* No pool has reached any level: whether this machine can run code at all is
 * not known, or known not to be so. */
static int was_none_up(const struct pxw_message *status)
{
    const struct pxw_field *level = &status->field[PXW_F_LEVEL];

    return level->size == strlen(NO_LEVEL)
           && memcmp(level->data, NO_LEVEL, level->size) == 0;
}

/* A lazy one may never be asked, and then says nothing. Where none is told, or
 * the others cannot be of any better health, it is the helper's word for all. */
static int is_well(request_rec *r, const struct pxw_message *status)
{
    struct pxw_message pool;
    apr_size_t at = 0;
    int told = 0;

    if (was_none_up(status)) {
        return pxw_u32(status, PXW_F_READY, 0) == 1;
    }
    while (pyexec_query_next_pool(status, &at, &pool)) {
        if (is_ours(r, &pool)) {
            told = 1;
            if (pxw_u32(&pool, PXW_F_READY, 0) != 1
                && pxw_u32(&pool, PXW_F_LAZY, 0) == 0) {
                return 0;
            }
        }
    }
    return told || pxw_u32(status, PXW_F_READY, 0) == 1;
}

static void put_pools(request_rec *r, pyexec_buffer_t *body,
                      const struct pxw_message *status)
{
    struct pxw_message pool;
    apr_size_t at = 0;

    pyexec_json_name(body, "pools");
    pyexec_json_list_open(body);
    while (pyexec_query_next_pool(status, &at, &pool)) {
        if (!is_ours(r, &pool)) {
            continue;
        }
        pyexec_json_list_object_open(body);
        put_field(body, "name", &pool, PXW_F_POOL);
        pyexec_json_name(body, "up");
        pyexec_json_put_flag(body, pxw_u32(&pool, PXW_F_READY, 0) == 1);
        put_field(body, "isolation", &pool, PXW_F_LEVEL);
        put_field(body, "python", &pool, PXW_F_PYTHON);
        put_count(body, "running", &pool, PXW_F_RUNNING);
        put_count(body, "queued", &pool, PXW_F_QUEUED);
        put_count(body, "branches_up", &pool, PXW_F_BRANCHES);
        pyexec_json_object_close(body);
    }
    pyexec_json_list_close(body);
}

/* `problem` NULL: nothing stands between the service and a run. `status` NULL:
 * the helper did not answer. */
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
        put_load(r, body, status);
        if (problem != NULL) {
            put_field(body, "detail", status, PXW_F_TEXT);
        }
        put_pools(r, body, status);
    }
    pyexec_json_close(body);
    return pyexec_reply_json(r, problem == NULL ? HTTP_OK
                                                : HTTP_SERVICE_UNAVAILABLE,
                             body);
}

static int ask(request_rec *r)
{
    struct pxw_message status;
    int error = 0;
    pyexec_client_end_e end = pyexec_query(r, PXW_STATUS, PXW_STATUS_IS,
                                           DEADLINE_MS, &status, &error);

    if (end == PYEXEC_CLIENT_LEFT || end == PYEXEC_STOPPING) {
        r->connection->aborted = 1;
        r->connection->keepalive = AP_CONN_CLOSE;
        return DONE;
    }
    if (end != PYEXEC_ANSWERED) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, error, r,
                      PYXNO(0206) "no health answer: %s",
                      pyexec_client_end_text(end));
        return tell(r, NULL, "The service that runs code does not answer.");
    }
    if (!is_well(r, &status)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      PYXNO(0212) "not healthy: the helper has a pool that "
                      "cannot serve runs");
        return tell(r, &status, "Runs cannot be served now.");
    }
    return tell(r, &status, NULL);
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

static const char *name_of(request_rec *r, const struct pxw_message *message,
                           enum pxw_tag tag)
{
    const struct pxw_field *field = &message->field[tag];

    return field->data == NULL
        ? "unknown"
        : apr_pstrmemdup(r->pool, (const char *)field->data, field->size);
}

/* One `Key: value` a line, as ?auto has it; pools are numbered, for a name may
 * hold a colon. */
static void write_lines(request_rec *r, const struct pxw_message *status)
{
    struct pxw_message pool;
    apr_size_t at = 0;

    ap_rprintf(r, "PyExecReady: %u\nPyExecVersion: %s\nPyExecIsolation: %s\n"
               "PyExecRunning: %u\nPyExecQueued: %u\n",
               pxw_u32(status, PXW_F_READY, 0),
               name_of(r, status, PXW_F_VERSION),
               name_of(r, status, PXW_F_LEVEL),
               pxw_u32(status, PXW_F_RUNNING, 0),
               pxw_u32(status, PXW_F_QUEUED, 0));
    for (int i = 0; pyexec_query_next_pool(status, &at, &pool); i++) {
        ap_rprintf(r, "PyExecPool%dName: %s\nPyExecPool%dUp: %u\n"
                   "PyExecPool%dPython: %s\nPyExecPool%dIsolation: %s\n"
                   "PyExecPool%dRunning: %u\nPyExecPool%dQueued: %u\n"
                   "PyExecPool%dAnswered: %" APR_UINT64_T_FMT "\n",
                   i, name_of(r, &pool, PXW_F_POOL),
                   i, pxw_u32(&pool, PXW_F_READY, 0),
                   i, name_of(r, &pool, PXW_F_PYTHON),
                   i, name_of(r, &pool, PXW_F_LEVEL),
                   i, pxw_u32(&pool, PXW_F_RUNNING, 0),
                   i, pxw_u32(&pool, PXW_F_QUEUED, 0),
                   i, (apr_uint64_t)pxw_u64(&pool, PXW_F_RUNS, 0));
    }
}

static void write_html(request_rec *r, const struct pxw_message *status)
{
    struct pxw_message pool;
    apr_size_t at = 0;

    ap_rprintf(r, "<dt>Helper %s, isolation %s, %u running, %u queued</dt>\n",
               ap_escape_html(r->pool, name_of(r, status, PXW_F_VERSION)),
               ap_escape_html(r->pool, name_of(r, status, PXW_F_LEVEL)),
               pxw_u32(status, PXW_F_RUNNING, 0),
               pxw_u32(status, PXW_F_QUEUED, 0));
    while (pyexec_query_next_pool(status, &at, &pool)) {
        ap_rprintf(r, "<dt>Pool %s: %s, Python %s, isolation %s, %u running, "
                   "%u queued, %" APR_UINT64_T_FMT " answered</dt>\n",
                   ap_escape_html(r->pool, name_of(r, &pool, PXW_F_POOL)),
                   pxw_u32(&pool, PXW_F_READY, 0) == 1 ? "up" : "down",
                   ap_escape_html(r->pool, name_of(r, &pool, PXW_F_PYTHON)),
                   ap_escape_html(r->pool, name_of(r, &pool, PXW_F_LEVEL)),
                   pxw_u32(&pool, PXW_F_RUNNING, 0),
                   pxw_u32(&pool, PXW_F_QUEUED, 0),
                   (apr_uint64_t)pxw_u64(&pool, PXW_F_RUNS, 0));
    }
}

int pyexec_status_section(request_rec *r, int flags)
{
    struct pxw_message status;
    int is_short = (flags & AP_STATUS_SHORT) != 0;
    int error = 0;
    int is_up;

    if (!pyexec_places_any_engine()) {
        return DECLINED; /* nothing runs code here */
    }
    is_up = pyexec_query(r, PXW_STATUS, PXW_STATUS_IS, SECTION_DEADLINE_MS,
                         &status, &error) == PYEXEC_ANSWERED;
    if (is_short) {
        ap_rprintf(r, "PyExecUp: %d\n", is_up);
        if (is_up) {
            write_lines(r, &status);
        }
        return OK;
    }
    ap_rputs("<hr />\n<h2>mod_pyexec</h2>\n<dl>\n", r);
    if (is_up) {
        write_html(r, &status);
    }
    else {
        ap_rputs("<dt>The helper does not answer.</dt>\n", r);
    }
    ap_rputs("</dl>\n", r);
    return OK;
}
