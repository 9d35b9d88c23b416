/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission. Runs in the keeper. The tenants of a pool take turns, one run each;
 * within a tenant it is first come, first served. A queue that is full belongs
 * to nobody: who holds the most of it makes room for who holds less. A run
 * waits only for a job, never for another connection.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_queue.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"

#include <event2/event.h>

/* Four of the largest frames, or some thousands of usual ones: more memory
 * than this in scripts that wait helps nobody. */
#define MAX_HELD_BYTES (256u << 20)

/* Whom a job is offered before the next one is ready: how many runs of one
 * tenant, and of all. */
#define LOOKS_OF_TENANT 16
#define LOOKS 256

/* Of one run. All zygotes of a pool may be dying when the first one's death is
 * seen, and a run would then go from one to the next. */
#define MOST_REPEATS 8

void keeper_queue_open(struct keeper_pool *pool)
{
    keeper_tenants_open(&pool->queue.tenants);
}

bool keeper_hold(struct keeper *keeper, size_t bytes)
{
    if (bytes == 0) {
        return true; /* answers may hold more than the bound by themselves */
    }
    if (bytes > MAX_HELD_BYTES
        || keeper->held_bytes > MAX_HELD_BYTES - bytes) {
        return false;
    }
    keeper->held_bytes += bytes;
    return true;
}

void keeper_release(struct keeper *keeper, size_t bytes)
{
    keeper->held_bytes -= bytes;
}

void keeper_run_finish(struct keeper_run *run, enum pxw_outcome outcome,
                       const char *text)
{
    CLEANUP(pxw_writer_free) struct pxw_writer answer = { 0 };

    run->outcome = outcome;
    run->ran = false;
    pxw_begin(&answer, PXW_OUTCOME);
    pxw_put_u32(&answer, PXW_F_OUTCOME, outcome);
    pxw_put_str(&answer, PXW_F_TEXT, text);
    pxw_put_u64(&answer, PXW_F_QUEUE_US, fdio_now_us() - run->admitted_us);
    (void)pxw_end(&answer); /* kept in answer.error */
    keeper_run_answer(run, &answer);
}

void keeper_run_refuse(struct keeper_run *run, enum keeper_refusal why)
{
    static const struct
    {
        enum pxw_outcome outcome;
        const char *text;
    } refusals[KEEPER_REFUSALS] = {
        [KEEPER_NOT_REFUSED] = { PXW_BROKEN, "refused without a reason" },
        [KEEPER_REFUSED_BYTES] = { PXW_BUSY, "too many bytes are waiting" },
        [KEEPER_REFUSED_FULL] = { PXW_BUSY, "the queue is full" },
        [KEEPER_REFUSED_TIMEOUT] = { PXW_BUSY,
                                     "waited too long for a free slot" },
        [KEEPER_REFUSED_TENANT] = { PXW_TENANT_BUSY,
                                    "the tenant's queue is full" },
        [KEEPER_REFUSED_YIELDED] = { PXW_BUSY, "the queue is full and another"
                                               " tenant's turn" },
    };

    run->refusal = why;
    keeper_run_finish(run, refusals[why].outcome, refusals[why].text);
}

void keeper_run_answer(struct keeper_run *run, struct pxw_writer *answer)
{
    keeper_metrics_answered(run);
    run->done(run, answer);
}

static void stop_waiting(struct keeper_run *run)
{
    run->pool->queue.length--;
    run->queued = false;
    (void)event_del(&run->timeout);
}

static void leave_queue(struct keeper_run *run)
{
    if (run->queued) {
        stop_waiting(run);
        keeper_tenants_leave(&run->pool->queue.tenants, run);
        keeper_install_left(run->pool);
    }
}

void keeper_queue_refuse(struct keeper_pool *pool, enum pxw_outcome outcome,
                         const char *text)
{
    struct keeper_tenant *tenant;

    while ((tenant = TAILQ_FIRST(&pool->queue.tenants.turn)) != NULL) {
        struct keeper_run *run = TAILQ_FIRST(&tenant->waiting);

        leave_queue(run);
        keeper_run_finish(run, outcome, text);
    }
}

static struct timeval patience_of(const struct keeper_pool *pool)
{
    return (struct timeval){
        .tv_sec = pool->conf->queue_ms / 1000,
        .tv_usec = pool->conf->queue_ms % 1000 * 1000,
    };
}

/* What was let go comes back within a time of its own, or fails; the time that
 * a run waits for its place is counted from then on. */
static bool wait_on(struct keeper_run *run)
{
    const struct keeper_pool *pool = run->pool;
    uint64_t now_us = fdio_now_us();
    uint64_t from_us = keeper_branches_wake(pool) ? now_us
                                                  : pool->queue.woken_us;
    uint64_t end_us = from_us + pool->conf->queue_ms * (uint64_t)1000;
    struct timeval left = {
        .tv_sec = (time_t)((end_us - now_us) / 1000000u),
        .tv_usec = (suseconds_t)((end_us - now_us) % 1000000u),
    };

    return from_us > run->admitted_us && end_us > now_us
           && evtimer_add(&run->timeout, &left) == 0;
}

static void on_timeout(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_run *run = argument;

    (void)fd;
    (void)what;
    if (wait_on(run)) {
        return;
    }
    leave_queue(run);
    keeper_run_refuse(run, KEEPER_REFUSED_TIMEOUT);
}

/* A run for which a slot is free waits at most for its job to be forked and
 * does not count as waiting. */
static bool is_full(const struct keeper_pool *pool)
{
    return pool->queue.length + pool->running
           >= (size_t)pool->conf->concurrency + pool->conf->queue;
}

static bool is_at_cap(const struct keeper_pool *pool,
                      const struct keeper_tenant *tenant)
{
    return pool->conf->tenant_concurrency > 0
           && tenant->running >= pool->conf->tenant_concurrency;
}

/* As is_full(), by the tenant's own cap and what it may use of the slots. */
static bool is_tenant_full(const struct keeper_pool *pool,
                           const struct keeper_tenant *tenant)
{
    const struct pool_conf *conf = pool->conf;
    size_t slots = pool->running < conf->concurrency
                       ? conf->concurrency - pool->running
                       : 0;

    if (is_at_cap(pool, tenant)) {
        slots = 0;
    }
    else if (conf->tenant_concurrency > 0
             && slots > conf->tenant_concurrency - tenant->running) {
        slots = conf->tenant_concurrency - tenant->running;
    }
    return conf->tenant_queue > 0
           && tenant->length >= slots + conf->tenant_queue;
}

static bool is_link(const struct keeper_run *run)
{
    return pxw_u32(&run->message, PXW_F_LINK, 0) != 0;
}

static bool start_waiting(struct keeper_run *run,
                          void (*wait)(struct keeper_tenants *tenants,
                                       struct keeper_run *run))
{
    struct keeper_pool *pool = run->pool;
    struct timeval patience = patience_of(pool);
    const struct pxw_field *source = &run->message.field[PXW_F_SOURCE];

    if (evtimer_assign(&run->timeout, pool->keeper->base, on_timeout, run)
            != 0
        || evtimer_add(&run->timeout, &patience) != 0) {
        return false;
    }
    run->groups = is_link(run)
                      ? keeper_plan_anything(&pool->plan)
                      : keeper_plan_look(&pool->plan, source->data,
                                         source->size);
    wait(&pool->queue.tenants, run);
    pool->queue.length++;
    run->queued = true;
    return true;
}

/* Its tenant is there for nothing else, perhaps. */
static void forget_tenant(struct keeper_run *run)
{
    keeper_tenants_put(&run->pool->queue.tenants, run->tenant);
    run->tenant = NULL;
}

void keeper_queue_admit(struct keeper_run *run)
{
    struct keeper_pool *pool = run->pool;
    struct keeper_tenants *tenants = &pool->queue.tenants;
    const struct pxw_field *name = &run->message.field[PXW_F_TENANT];
    struct keeper_run *yielding = NULL;
    bool full = is_full(pool);

    run->admitted_us = fdio_now_us();
    if (keeper_zygotes_hopeless(pool)) {
        keeper_run_finish(run, PXW_NO_SANDBOX, KEEPER_NO_SANDBOX);
        return;
    }
    if ((is_link(run) && pool->conf->link_ms == 0)
        || pxw_has(&run->message, PXW_F_INSTALL)
               != (pool->conf->install_bytes > 0)) {
        /* As with a pool that is not there: a restart has changed it. */
        keeper_run_finish(run, PXW_LOST, "the pool is not for such runs");
        return;
    }
    run->tenant = keeper_tenants_get(tenants, name->data, name->size);
    if (run->tenant == NULL) {
        keeper_run_finish(run, PXW_BROKEN, "no memory for a tenant");
        return;
    }
    if (is_tenant_full(pool, run->tenant)) {
        forget_tenant(run);
        keeper_run_refuse(run, KEEPER_REFUSED_TENANT);
        return;
    }
    if (full) {
        yielding = keeper_tenants_yielding(tenants, run->tenant);
    }
    if (full && yielding == NULL) {
        forget_tenant(run);
        keeper_run_refuse(run, KEEPER_REFUSED_FULL);
        return;
    }
    if (!start_waiting(run, keeper_tenants_wait)) {
        forget_tenant(run);
        keeper_run_finish(run, PXW_BROKEN, "no timer");
        return;
    }
    if (yielding != NULL) {
        leave_queue(yielding);
        keeper_run_refuse(yielding, KEEPER_REFUSED_YIELDED);
    }
    keeper_queue_serve(pool);
}

/* Its tenant was the job's, and may be gone with it. */
bool keeper_run_again(struct keeper_run *run)
{
    const struct pxw_field *name = &run->message.field[PXW_F_TENANT];

    if (run->repeats == MOST_REPEATS) {
        return false;
    }
    run->tenant = keeper_tenants_get(&run->pool->queue.tenants, name->data,
                                     name->size);
    if (run->tenant == NULL) {
        return false;
    }
    if (!start_waiting(run, keeper_tenants_wait_first)) {
        forget_tenant(run);
        return false;
    }
    run->repeats++;
    run->ran = false; /* nothing of it, as the metrics see it */
    return true;
}

/* The first run of a tenant for which a job is ready. Whoever's branch has
 * none yet lets others pass: it waits for a fork that is under way, they for
 * nothing. */
static struct keeper_run *choose_run(struct keeper_pool *pool,
                                     struct keeper_tenant *tenant,
                                     unsigned *looks,
                                     struct keeper_job **ret_job)
{
    struct keeper_run *run = TAILQ_FIRST(&tenant->waiting);

    if (is_at_cap(pool, tenant)) {
        return NULL;
    }
    for (int i = 0; run != NULL && i < LOOKS_OF_TENANT && *looks > 0; i++) {
        struct keeper_job *job = keeper_branches_choose(pool, run->groups);

        (*looks)--;
        if (job != NULL) {
            *ret_job = job;
            return run;
        }
        run = TAILQ_NEXT(run, link);
    }
    return NULL;
}

/* Once round: who gets nothing keeps its place, for nothing becomes ready
 * meanwhile; who is served comes round again after all others. */
void keeper_queue_serve(struct keeper_pool *pool)
{
    struct keeper_tenant *tenant;
    unsigned looks = LOOKS;

    if (!keeper_install_may_serve(pool)) {
        return;
    }
    tenant = TAILQ_FIRST(&pool->queue.tenants.turn);
    keeper_branches_begin_pass(pool);
    while (tenant != NULL && looks > 0
           && pool->running < pool->conf->concurrency) {
        struct keeper_tenant *next = TAILQ_NEXT(tenant, link);
        struct keeper_job *job = NULL;
        struct keeper_run *run = choose_run(pool, tenant, &looks, &job);

        if (run != NULL) {
            stop_waiting(run);
            keeper_job_dispatch(job, run);
            keeper_jobs_taken(job->branch);
            keeper_install_taken(job);
            if (next == NULL && tenant->length > 0) {
                next = tenant;
            }
        }
        tenant = next;
    }
}

void keeper_run_cancel(struct keeper_run *run)
{
    if (run->queued || run->job != NULL || keeper_settle_forget(run)) {
        keeper_metrics_cancelled(run);
    }
    leave_queue(run);
    if (run->job != NULL) {
        keeper_job_cancel(run->job);
    }
}
