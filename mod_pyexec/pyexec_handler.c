/* SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: the life of a request.
 *
 *   admit    Is this a place that runs code, and a request that could be
 *            code? Nothing of the body is read. Refusals: 403, 404, 405, 415.
 *   assign   The tenant, and the pool of interpreters that is for it: 503 where
 *            there is none.
 *   receive  The body, bounded (413); JSON, or a form where the place's dialect
 *            takes forms (400); the dialect decodes it into a job (400, 403);
 *            the job becomes one RUN frame. After that body and JSON are given
 *            back: a run may wait for many seconds.
 *   run      One conversation with the helper, if this child has a thread to
 *            spare for it (503); that is held until the helper answers, the client leaves, httpd stops or the
 *            deadline passes; ending the conversation ends the run.
 *   answer   An outcome of theirs is encoded by the dialect, a failure of
 *            ours is a 429, 500 or 503, logged here with its code.
 *
 * A stage returns NEXT, or what the handler shall return because the answer
 * is written. Runs in a worker thread as httpd's User: the bytes from the
 * client are hostile, those from the helper are checked. Knows no dialect by
 * name, no Python, and no client by its Host header.
 */
#include "pyexec_handler.h"

#include "pyexec_body.h"
#include "pyexec_child.h"
#include "pyexec_client.h"
#include "pyexec_config.h"
#include "pyexec_dialect.h"
#include "pyexec_form.h"
#include "pyexec_links.h"
#include "pyexec_notes.h"
#include "pyexec_policy.h"
#include "pyexec_pools.h"
#include "pyexec_reply.h"
#include "pyexec_workers.h"

#include <apr_strings.h>
#include <errno.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <string.h>
#include <unistd.h>

APLOG_USE_MODULE(pyexec);

/* No legal return value of a handler. */
#define NEXT (-100)

/* For forking, warming, killing and sending megabytes of output on a busy
 * machine, on top of what the run and its queue may take. */
#define DEADLINE_SLACK_MS 5000

typedef struct task_t
{
    request_rec *r;
    const char *id;         /* of the run, in both logs */
    const char *tenant;     /* NULL: its expression gave no name */
    pyexec_place_t place;
    const pyexec_pool_t *pool;
    pyexec_limits_t limits;
    int is_form;            /* set by admit */
    pyexec_asked_t asked;   /* of the job; set by receive */
    struct pxw_writer frame;
    struct pxw_message answer;
    enum pxw_outcome outcome;
} task_t;

/* A request that brought no run, by its sender's fault. */
static void log_rejection(const task_t *task, int status, const char *sentence)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, task->r,
                  PYXNO(0208) "run %s rejected with %d: %s", task->id, status,
                  ap_escape_logitem(task->r->pool, sentence));
}

static int refuse(task_t *task, int status, const char *sentence)
{
    log_rejection(task, status, sentence);
    pyexec_body_leave_unread(task->r);
    return pyexec_reply_error(task->r, status, sentence);
}

static int admit(task_t *task)
{
    request_rec *r = task->r;
    const char *problem;

    /* An SSI include or an ErrorDocument is not a client asking. */
    if (r->main != NULL || r->prev != NULL) {
        return refuse(task, HTTP_FORBIDDEN,
                      "Code is run for direct requests only.");
    }
    /* SetHandler is legal in .htaccess, PyExecEngine is not. */
    if (!task->place.engine) {
        return refuse(task, HTTP_FORBIDDEN,
                      "Running code is not enabled at this location.");
    }
    if (pyexec_config_is_below(&task->place, r->uri)) {
        return refuse(task, HTTP_NOT_FOUND,
                      pyexec_reply_sentence(HTTP_NOT_FOUND));
    }
    if (r->method_number == M_OPTIONS) {
        pyexec_body_leave_unread(r);
        pyexec_notes_outcome(r, "preflight");
        return pyexec_reply_preflight(r, &task->place);
    }
    if (r->method_number != M_POST) {
        return refuse(task, HTTP_METHOD_NOT_ALLOWED,
                      "The method is not allowed here; use POST.");
    }
    problem = pyexec_body_check_type(r,
                                     task->place.dialect->read_form != NULL,
                                     &task->is_form);
    if (problem != NULL) {
        return refuse(task, HTTP_UNSUPPORTED_MEDIA_TYPE, problem);
    }
    /* A browser sends forms to anybody without asking, with its user's
     * cookies; JSON it asks for first (CORS preflight). */
    if (task->is_form && !pyexec_body_is_same_site(r, task->place.allow_origin)) {
        return refuse(task, HTTP_FORBIDDEN,
                      "Forms from pages of other origins are not taken.");
    }
    return NEXT;
}

/* Whose run it is, and which interpreters are for it. A tenant that was not
 * known when httpd started has none, and gets no other's. */
static int assign(task_t *task)
{
    request_rec *r = task->r;
    const char *name = NULL;

    if (task->tenant != NULL) {
        name = pyexec_pools_name(r->pool, &task->place, task->tenant);
        task->pool = pyexec_pools_find(name);
    }
    if (task->pool != NULL) {
        return NEXT;
    }
    pyexec_body_leave_unread(r);
    task->outcome = PXW_ABSENT;
    pyexec_notes_outcome(r, pxw_outcome_name(task->outcome));
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, PYXNO(0213) "no run %s: %s%s",
                  task->id, name == NULL ? "the expression of PyExecTenant gives no name"
                               : "there is no pool ",
                  name == NULL ? "" : ap_escape_logitem(r->pool, name));
    return pyexec_reply_failure(r, task->outcome);
}

static void set_limits(task_t *task, const pyexec_job_t *job)
{
    pyexec_limits_t *limits = &task->limits;

    limits->wall_ms = (apr_uint32_t)task->place.wall_ms;
    if (job->wall_ms != 0 && job->wall_ms < limits->wall_ms) {
        limits->wall_ms = job->wall_ms; /* a client may only shorten */
    }
    /* By default one second more than the wall clock, so that a run of one
     * thread meets the wall first. */
    limits->cpu_ms = task->place.cpu_ms > 0
                         ? (apr_uint32_t)task->place.cpu_ms
                         : limits->wall_ms + 1000;
    if (limits->cpu_ms > task->place.ceiling.cpu_ms) {
        limits->cpu_ms = (apr_uint32_t)task->place.ceiling.cpu_ms;
    }
    limits->memory_bytes = (apr_uint64_t)task->place.memory_bytes;
    limits->output_bytes = (apr_uint32_t)task->place.output_bytes;
    limits->files = PYEXEC_RUN_FILES;
    limits->threads = PYEXEC_RUN_THREADS;
}

static apr_status_t free_frame(void *data)
{
    pxw_writer_free(data);
    return APR_SUCCESS;
}

static void put_policy(task_t *task, const pyexec_dialect_t *dialect)
{
    struct pxw_writer *frame = &task->frame;
    pyexec_policy_t policy = pyexec_policy_of(task->r->pool, &task->place,
                                              dialect);

    pxw_put_u32(frame, PXW_F_FORBID, policy.forbid);
    if (policy.imports != NULL) {
        pxw_put_str(frame, PXW_F_IMPORTS, policy.imports);
    }
    if (policy.deny != NULL) {
        pxw_put_str(frame, PXW_F_DENY, policy.deny);
    }
}

static void put_limits(task_t *task)
{
    struct pxw_writer *frame = &task->frame;
    const pyexec_limits_t *limits = &task->limits;

    pxw_put_u32(frame, PXW_F_WALL_MS, limits->wall_ms);
    pxw_put_u32(frame, PXW_F_CPU_MS, limits->cpu_ms);
    pxw_put_u64(frame, PXW_F_MEMORY, limits->memory_bytes);
    pxw_put_u32(frame, PXW_F_OUTPUT, limits->output_bytes);
    pxw_put_u32(frame, PXW_F_FILES, limits->files);
    pxw_put_u32(frame, PXW_F_THREADS, limits->threads);
}

static void put_text(struct pxw_writer *frame, enum pxw_tag tag,
                     pyexec_text_t text)
{
    if (text.bytes != NULL) {
        pxw_put_bytes(frame, tag, text.bytes, text.size);
    }
}

static void put_job(struct pxw_writer *frame, const pyexec_job_t *job)
{
    put_text(frame, PXW_F_SOURCE, job->source);
    if (job->is_link) {
        pxw_put_u32(frame, PXW_F_LINK, 1);
    }
    put_text(frame, PXW_F_STDIN, job->input);
    for (apr_size_t i = 0; i < job->arg_count; i++) {
        put_text(frame, PXW_F_ARG, job->args[i]);
    }
    if (job->asked.call == PXW_CALL_NONE) {
        return;
    }
    pxw_put_u32(frame, PXW_F_CALL, (apr_uint32_t)job->asked.call);
    if (job->asked.function != NULL) {
        pxw_put_str(frame, PXW_F_FUNCTION, job->asked.function);
    }
    put_text(frame, PXW_F_PARAMS, job->params);
}

static int build_frame(task_t *task, const pyexec_job_t *job)
{
    struct pxw_writer *frame = &task->frame;

    apr_pool_cleanup_register(task->r->pool, frame, free_frame,
                              apr_pool_cleanup_null);
    pxw_begin(frame, PXW_RUN);
    pxw_put_str(frame, PXW_F_POOL, task->pool->name);
    if (task->tenant[0] != '\0') {
        pxw_put_str(frame, PXW_F_TENANT, task->tenant);
    }
    put_policy(task, job->asked.dialect);
    put_limits(task);
    put_job(frame, job);
    return pxw_end(frame);
}

/* The body as the JSON object that it is, or that its form stands for. */
static const char *parse(task_t *task, apr_pool_t *pool,
                         const pyexec_buffer_t *body,
                         const pyexec_json_t **ret_request)
{
    const char *problem;
    pyexec_form_t form;

    if (!task->is_form) {
        return pyexec_json_parse(pool, body->data, body->size, ret_request);
    }
    problem = pyexec_form_parse(apr_table_get(task->r->headers_in,
                                              "Content-Type"),
                                body->data, body->size, &form);
    return problem != NULL
        ? problem : task->place.dialect->read_form(pool, &form, ret_request);
}

/* Body to frame; what it needs on the way lives in `pool`. */
static int read_into(task_t *task, apr_pool_t *pool)
{
    request_rec *r = task->r;
    pyexec_buffer_t *body = pyexec_buffer_make(pool);
    const pyexec_json_t *request = NULL;
    pyexec_job_t job = { .asked.dialect = task->place.dialect };
    pyexec_decode_e decoded = PYEXEC_INVALID;
    const char *problem;
    int status = pyexec_body_read(r, task->place.body_bytes, body);

    if (status == AP_FILTER_ERROR) {
        return status;
    }
    if (status != OK) {
        log_rejection(task, status, pyexec_reply_sentence(status));
        pyexec_body_abandon(r);
        return pyexec_reply_error(r, status, pyexec_reply_sentence(status));
    }
    problem = parse(task, pool, body, &request);
    if (problem == NULL) {
        decoded = job.asked.dialect->decode(pool, request, &job, &problem);
    }
    if (decoded == PYEXEC_DECODED) {
        decoded = pyexec_links_permit(task->pool, &job, &problem);
    }
    if (decoded != PYEXEC_DECODED) {
        log_rejection(task, decoded == PYEXEC_FORBIDDEN ? HTTP_FORBIDDEN
                                                        : HTTP_BAD_REQUEST,
                      problem);
        return pyexec_reply_problem(r, job.asked.dialect, decoded, problem);
    }
    set_limits(task, &job);
    if (build_frame(task, &job) != 0) {
        pyexec_notes_outcome(r, pxw_outcome_name(PXW_BROKEN));
        ap_log_rerror(APLOG_MARK, APLOG_ERR, APR_ENOMEM, r,
                      PYXNO(0209) "run %s failed: no memory for its frame",
                      task->id);
        return pyexec_reply_error(r, HTTP_SERVICE_UNAVAILABLE,
                                  "There is no memory for this request.");
    }
    task->asked = job.asked;
    if (job.asked.function != NULL) {
        task->asked.function = apr_pstrdup(r->pool, job.asked.function);
    }
    return NEXT;
}

static int receive(task_t *task)
{
    apr_pool_t *pool;
    int status;

    apr_pool_create(&pool, task->r->pool);
    status = read_into(task, pool);
    apr_pool_destroy(pool);
    return status;
}

/* What a conversation that brought no answer means for the run. */
static enum pxw_outcome conclude(pyexec_client_end_e end)
{
    switch (end) {
    case PYEXEC_NOT_BEGUN:
    case PYEXEC_OTHER_VERSION:
    case PYEXEC_UNSERVED:
        return PXW_ABSENT;
    case PYEXEC_CROWDED:
        return PXW_BUSY;
    case PYEXEC_ENDED:
    case PYEXEC_OVERDUE:
        return PXW_LOST;
    default:
        return PXW_BROKEN;
    }
}

/* Nobody is there to be answered; httpd only has to let the connection go. */
static int give_up(task_t *task, pyexec_client_end_e end)
{
    request_rec *r = task->r;

    pyexec_notes_outcome(r, end == PYEXEC_STOPPING ? "stopped" : "left");
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  PYXNO(0201) "run %s cancelled: %s", task->id,
                  pyexec_client_end_text(end));
    r->connection->aborted = 1;
    r->connection->keepalive = AP_CONN_CLOSE;
    return DONE;
}

static void log_no_answer(const task_t *task, pyexec_client_end_e end,
                          int error)
{
    request_rec *r = task->r;
    const char *path = pyexec_child_helper_path();

    if (end == PYEXEC_UNSERVED) {
        const struct pxw_field *text = &task->answer.field[PXW_F_TEXT];

        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      PYXNO(0215) "run %s refused at once: %s", task->id,
                      ap_escape_logitem(r->pool, apr_pstrmemdup(
                          r->pool, (const char *)text->data, text->size)));
    }
    else if (end == PYEXEC_NOT_BEGUN && path == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      PYXNO(0216) "run %s refused at once: there is no helper "
                      "now; httpd's own lines tell why", task->id);
    }
    else if (end == PYEXEC_NOT_BEGUN && error == EACCES) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      PYXNO(0217) "run %s cannot be passed on: user %lu, which "
                      "httpd is for this request, may not connect to '%s'; see "
                      "PyExecSocketMode and PyExecSocketOwner, or the mode of "
                      "the service's socket", task->id,
                      (unsigned long)geteuid(), path);
    }
    else {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, error, r,
                      PYXNO(0202) "run %s %s: %s", task->id,
                      pxw_outcome_name(task->outcome),
                      pyexec_client_end_text(end));
    }
}

static int run(task_t *task)
{
    request_rec *r = task->r;
    apr_int64_t deadline_ms = task->pool->queue_ms + task->place.wall_ms
                              + DEADLINE_SLACK_MS;
    pyexec_client_end_e end = PYEXEC_NOT_BEGUN;
    int error = 0;

    if (!pyexec_workers_enter(r, task->tenant)) {
        pxw_writer_free(&task->frame);
        task->outcome = PXW_BUSY;
        return NEXT;
    }
    /* A second time only where the helper cannot have begun: a run that
     * happened twice would be worse than one that failed. */
    for (int i = 0; i < 2 && end == PYEXEC_NOT_BEGUN; i++) {
        end = pyexec_client_ask(r, &task->frame, PXW_OUTCOME, deadline_ms,
                                &task->answer, &error);
    }
    pyexec_workers_leave(task->tenant);
    pxw_writer_free(&task->frame);
    if (end == PYEXEC_CLIENT_LEFT || end == PYEXEC_STOPPING) {
        return give_up(task, end);
    }
    if (end == PYEXEC_ANSWERED) {
        task->outcome = (enum pxw_outcome)pxw_u32(&task->answer,
                                                  PXW_F_OUTCOME, PXW_BROKEN);
        pyexec_notes_times(r, &task->answer);
        return NEXT;
    }
    task->outcome = conclude(end);
    log_no_answer(task, end, error);
    return NEXT;
}

/* The helper said that it failed; it has logged the details itself. */
static void log_failure(task_t *task)
{
    const struct pxw_field *text = &task->answer.field[PXW_F_TEXT];
    const char *reason = text->data == NULL
        ? "no reason given"
        : apr_pstrmemdup(task->r->pool, (const char *)text->data, text->size);

    if (task->outcome == PXW_TENANT_BUSY) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, task->r,
                      PYXNO(0207) "run %s refused by its tenant's own cap: %s",
                      task->id, ap_escape_logitem(task->r->pool, reason));
        return;
    }
    if (task->outcome == PXW_BUSY) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, task->r,
                      PYXNO(0203) "run %s refused, the helper is busy: %s",
                      task->id, ap_escape_logitem(task->r->pool, reason));
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, task->r,
                  PYXNO(0204) "run %s failed, the helper reports '%s': %s",
                  task->id, pxw_outcome_name(task->outcome),
                  ap_escape_logitem(task->r->pool, reason));
}

static int answer(task_t *task)
{
    request_rec *r = task->r;
    pyexec_outcome_t outcome = { .outcome = task->outcome,
                                 .message = &task->answer,
                                 .limits = &task->limits,
                                 .asked = &task->asked };

    pyexec_notes_outcome(r, pxw_outcome_name(task->outcome));
    if (!pyexec_reply_is_result(task->outcome)) {
        if (task->answer.type == PXW_OUTCOME) {
            log_failure(task);
        }
        return pyexec_reply_failure(r, task->outcome);
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, PYXNO(0205) "run %s ended: %s",
                  task->id, pxw_outcome_name(task->outcome));
    return pyexec_reply_outcome(r, &outcome);
}

int pyexec_handler_run(request_rec *r)
{
    static int (*const stages[])(task_t *) = { admit, assign, receive, run, answer };
    task_t *task;
    int status = NEXT;

    if (r->handler == NULL || strcmp(r->handler, PYEXEC_HANDLER) != 0) {
        return DECLINED;
    }
    task = apr_pcalloc(r->pool, sizeof(*task)); /* a cleanup points into it */
    task->r = r;
    task->place = pyexec_config_place(r->per_dir_config);
    task->tenant = pyexec_pools_tenant(r, &task->place, r->server);
    task->id = pyexec_notes_begin(r, task->tenant);
    pyexec_reply_allow_origin(r, &task->place);
    for (size_t i = 0; status == NEXT; i++) {
        status = stages[i](task);
    }
    return status;
}
