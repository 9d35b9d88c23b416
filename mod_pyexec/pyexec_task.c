/* SPDX-License-Identifier: Apache-2.0
 *
 * The stages of a request that are the same whatever is run; see the header.
 * Runs in a worker thread as httpd's User: what comes from the helper is
 * checked.
 */
#include "pyexec_task.h"

#include "pyexec_body.h"
#include "pyexec_child.h"
#include "pyexec_client.h"
#include "pyexec_notes.h"
#include "pyexec_pools.h"
#include "pyexec_reply.h"
#include "pyexec_workers.h"

#include <apr_strings.h>
#include <errno.h>
#include <http_core.h>
#include <http_log.h>
#include <unistd.h>

APLOG_USE_MODULE(pyexec);

/* For forking, warming, killing and sending megabytes of output on a busy
 * machine, on top of what the run and its queue may take. */
#define DEADLINE_SLACK_MS 5000

pyexec_task_t *pyexec_task_make(request_rec *r)
{
    /* A cleanup points into it. */
    pyexec_task_t *task = apr_pcalloc(r->pool, sizeof(*task));

    task->r = r;
    task->place = pyexec_config_place(r->per_dir_config);
    task->tenant = pyexec_pools_tenant(r, &task->place, r->server);
    task->id = pyexec_notes_begin(r, task->tenant);
    pyexec_reply_allow_origin(r, &task->place);
    return task;
}

void pyexec_task_log_rejection(const pyexec_task_t *task, int status,
                               const char *sentence)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, task->r,
                  PYXNO(0208) "run %s rejected with %d: %s", task->id, status,
                  ap_escape_logitem(task->r->pool, sentence));
}

int pyexec_task_refuse(pyexec_task_t *task, int status, const char *sentence)
{
    pyexec_task_log_rejection(task, status, sentence);
    pyexec_body_leave_unread(task->r);
    return pyexec_reply_error(task->r, status, sentence);
}

int pyexec_task_assign(pyexec_task_t *task)
{
    request_rec *r = task->r;
    const char *name = NULL;

    if (task->tenant != NULL) {
        name = pyexec_pools_name(r->pool, &task->place, task->tenant);
        task->pool = pyexec_pools_find(name);
    }
    if (task->pool != NULL) {
        return PYEXEC_TASK_NEXT;
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

void pyexec_task_set_limits(pyexec_task_t *task, apr_uint32_t wall_ms)
{
    pyexec_limits_t *limits = &task->limits;

    limits->wall_ms = (apr_uint32_t)task->place.wall_ms;
    if (wall_ms != 0 && wall_ms < limits->wall_ms) {
        limits->wall_ms = wall_ms; /* a client may only shorten */
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

void pyexec_task_begin_frame(pyexec_task_t *task)
{
    struct pxw_writer *frame = &task->frame;

    apr_pool_cleanup_register(task->r->pool, frame, free_frame,
                              apr_pool_cleanup_null);
    pxw_begin(frame, PXW_RUN);
    pxw_put_str(frame, PXW_F_POOL, task->pool->name);
    if (task->tenant[0] != '\0') {
        pxw_put_str(frame, PXW_F_TENANT, task->tenant);
    }
    pxw_put_str(frame, PXW_F_RUN_ID, task->id);
}

void pyexec_task_put_limits(pyexec_task_t *task)
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
static int give_up(pyexec_task_t *task, pyexec_client_end_e end)
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

static void log_no_answer(const pyexec_task_t *task, pyexec_client_end_e end,
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

int pyexec_task_run(pyexec_task_t *task)
{
    request_rec *r = task->r;
    apr_int64_t deadline_ms = task->pool->queue_ms + task->limits.wall_ms
                              + DEADLINE_SLACK_MS
                              + (task->pool->installs_for == NULL
                                     ? 0 : PXW_COMMIT_MS + PXW_SETTLE_MS);
    pyexec_client_end_e end = PYEXEC_NOT_BEGUN;
    int error = 0;

    if (!pyexec_workers_enter(r, task->tenant)) {
        pxw_writer_free(&task->frame);
        task->outcome = PXW_BUSY;
        return PYEXEC_TASK_NEXT;
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
        return PYEXEC_TASK_NEXT;
    }
    task->outcome = conclude(end);
    log_no_answer(task, end, error);
    return PYEXEC_TASK_NEXT;
}

static void log_failure(const pyexec_task_t *task)
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

int pyexec_task_conclude(pyexec_task_t *task, pyexec_outcome_t *ret_outcome)
{
    request_rec *r = task->r;

    *ret_outcome = (pyexec_outcome_t){ .outcome = task->outcome,
                                       .message = &task->answer,
                                       .limits = &task->limits,
                                       .asked = &task->asked };
    pyexec_notes_outcome(r, pxw_outcome_name(task->outcome));
    if (pyexec_reply_is_result(task->outcome)) {
        return PYEXEC_TASK_NEXT;
    }
    if (task->answer.type == PXW_OUTCOME) {
        log_failure(task);
    }
    return pyexec_reply_failure(r, task->outcome);
}
