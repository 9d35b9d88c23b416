/* SPDX-License-Identifier: Apache-2.0
 *
 * One request that brings a run, whatever is run: whose it is, which pool is
 * for it, its limits, and the conversation with the helper. A stage returns
 * PYEXEC_TASK_NEXT, or what the handler shall return because the answer is
 * written. Runs in a worker thread.
 */
#ifndef PYEXEC_TASK_H
#define PYEXEC_TASK_H

#include "pyexec_config.h"
#include "pyexec_dialect.h"

/* No legal return value of a handler. */
#define PYEXEC_TASK_NEXT (-100)

typedef struct pyexec_task_t
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
} pyexec_task_t;

/* Of the request's pool; the answer will have its notes and CORS headers. */
pyexec_task_t *pyexec_task_make(request_rec *r);

/* A request that brought no run, by its sender's fault: the line, and with
 * the answer, before anything of a body was read. */
void pyexec_task_log_rejection(const pyexec_task_t *task, int status,
                               const char *sentence);
int pyexec_task_refuse(pyexec_task_t *task, int status, const char *sentence);

/* Stage: whose run it is, and which interpreters are for it. A tenant that was
 * not known when httpd started has none, and gets no other's. */
int pyexec_task_assign(pyexec_task_t *task);

/* As the place says; `wall_ms` may only shorten, 0: as the place says. */
void pyexec_task_set_limits(pyexec_task_t *task, apr_uint32_t wall_ms);

/* The RUN frame with pool and tenant; freed by the run or with the request. */
void pyexec_task_begin_frame(pyexec_task_t *task);
void pyexec_task_put_limits(pyexec_task_t *task);

/* Stage: the run. Afterwards `outcome` is set, and `answer` where there is
 * one. */
int pyexec_task_run(pyexec_task_t *task);

/* After the run: fills *ret_outcome, which points into the task, and is
 * PYEXEC_TASK_NEXT where that is a result; a failure of ours is logged and
 * answered, and the handler returns what this does. */
int pyexec_task_conclude(pyexec_task_t *task, pyexec_outcome_t *ret_outcome);

#endif
