/* SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation: the life of a request.
 *
 *   admit    Is this a place that runs code, and a request that could be
 *            code? Nothing of the body is read. Refusals: 403, 404, 405, 415.
 *   assign   The tenant, and the pool of interpreters that is for it: 503 where
 *            there is none.
 *   receive  The body, bounded (413); JSON, or a form where the place's dialect
 *            takes forms (400); the dialect decodes it into a job (400, 403),
 *            which a pool of its own does if packages are to be installed;
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
#include "pyexec_form.h"
#include "pyexec_install.h"
#include "pyexec_links.h"
#include "pyexec_notes.h"
#include "pyexec_policy.h"
#include "pyexec_reply.h"
#include "pyexec_task.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <string.h>

APLOG_USE_MODULE(pyexec);

#define NEXT PYEXEC_TASK_NEXT

static int admit(pyexec_task_t *task)
{
    request_rec *r = task->r;
    const char *problem;

    /* An SSI include or an ErrorDocument is not a client asking. */
    if (r->main != NULL || r->prev != NULL) {
        return pyexec_task_refuse(task, HTTP_FORBIDDEN,
                                  "Code is run for direct requests only.");
    }
    /* SetHandler is legal in .htaccess, PyExecEngine is not. */
    if (!task->place.engine) {
        return pyexec_task_refuse(task, HTTP_FORBIDDEN,
                                  "Running code is not enabled at this location.");
    }
    if (pyexec_config_is_below(&task->place, r->uri)) {
        return pyexec_task_refuse(task, HTTP_NOT_FOUND,
                                  pyexec_reply_sentence(HTTP_NOT_FOUND));
    }
    if (r->method_number == M_OPTIONS) {
        pyexec_body_leave_unread(r);
        pyexec_notes_outcome(r, "preflight");
        return pyexec_reply_preflight(r, &task->place);
    }
    if (r->method_number != M_POST) {
        return pyexec_task_refuse(task, HTTP_METHOD_NOT_ALLOWED,
                                  "The method is not allowed here; use POST.");
    }
    problem = pyexec_body_check_type(r,
                                     task->place.dialect->read_form != NULL,
                                     &task->is_form);
    if (problem != NULL) {
        return pyexec_task_refuse(task, HTTP_UNSUPPORTED_MEDIA_TYPE, problem);
    }
    /* A browser sends forms to anybody without asking, with its user's
     * cookies; JSON it asks for first (CORS preflight). */
    if (task->is_form && !pyexec_body_is_same_site(r, task->place.allow_origin)) {
        return pyexec_task_refuse(task, HTTP_FORBIDDEN,
                                  "Forms from pages of other origins are not taken.");
    }
    return NEXT;
}

static void put_policy(pyexec_task_t *task, const pyexec_dialect_t *dialect)
{
    struct pxw_writer *frame = &task->frame;
    pyexec_policy_t policy = pyexec_policy_of(task->r->pool, &task->place,
                                              dialect);

    /* The list is of scripts: pip is no client's. */
    if (task->pool->installs_for != NULL) {
        pxw_put_u32(frame, PXW_F_FORBID, 0);
        return;
    }
    pxw_put_u32(frame, PXW_F_FORBID, policy.forbid);
    if (policy.open && task->pool->real_environment != NULL) {
        pxw_put_u32(frame, PXW_F_OPEN, 1);
    }
    if (policy.imports != NULL) {
        pxw_put_str(frame, PXW_F_IMPORTS, policy.imports);
    }
    if (policy.deny != NULL) {
        pxw_put_str(frame, PXW_F_DENY, policy.deny);
    }
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
    put_text(frame, PXW_F_INSTALL, job->install);
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

static int build_frame(pyexec_task_t *task, const pyexec_job_t *job)
{
    struct pxw_writer *frame = &task->frame;

    pyexec_task_begin_frame(task);
    put_policy(task, job->asked.dialect);
    pyexec_task_put_limits(task);
    put_job(frame, job);
    return pxw_end(frame);
}

/* The body as the JSON object that it is, or that its form stands for. */
static const char *parse(pyexec_task_t *task, apr_pool_t *pool,
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
static int read_into(pyexec_task_t *task, apr_pool_t *pool)
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
        pyexec_task_log_rejection(task, status, pyexec_reply_sentence(status));
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
    if (job.asked.install != PYEXEC_INSTALLS_NOTHING
        && task->pool->installer == NULL) {
        decoded = PYEXEC_FORBIDDEN;
        problem = pyexec_install_off;
    }
    if (decoded != PYEXEC_DECODED) {
        pyexec_task_log_rejection(task, decoded == PYEXEC_FORBIDDEN
                                            ? HTTP_FORBIDDEN : HTTP_BAD_REQUEST,
                                  problem);
        return pyexec_reply_problem(r, job.asked.dialect, decoded, problem);
    }
    pyexec_task_set_limits(task, job.wall_ms);
    if (job.asked.install != PYEXEC_INSTALLS_NOTHING) {
        task->pool = task->pool->installer;
        pyexec_install_set_limits(&task->limits, task->pool->install_ms,
                                  task->pool->install_bytes, job.wall_ms);
    }
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

static int receive(pyexec_task_t *task)
{
    apr_pool_t *pool;
    int status;

    apr_pool_create(&pool, task->r->pool);
    status = read_into(task, pool);
    apr_pool_destroy(pool);
    return status;
}

static int answer(pyexec_task_t *task)
{
    request_rec *r = task->r;
    pyexec_outcome_t outcome;
    int status = pyexec_task_conclude(task, &outcome);

    if (status != PYEXEC_TASK_NEXT) {
        return status;
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, PYXNO(0205) "run %s ended: %s",
                  task->id, pxw_outcome_name(task->outcome));
    return pyexec_reply_outcome(r, &outcome);
}

int pyexec_handler_run(request_rec *r)
{
    static int (*const stages[])(pyexec_task_t *) = {
        admit, pyexec_task_assign, receive, pyexec_task_run, answer,
    };
    pyexec_task_t *task;
    int status = NEXT;

    if (r->handler == NULL || strcmp(r->handler, PYEXEC_HANDLER) != 0) {
        return DECLINED;
    }
    task = pyexec_task_make(r);
    for (size_t i = 0; status == NEXT; i++) {
        status = stages[i](task);
    }
    return status;
}
