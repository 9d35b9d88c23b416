/* SPDX-License-Identifier: Apache-2.0
 *
 * Places for runs among the worker threads of a child; see the header. Where
 * a child has one thread (prefork) each connection has a process of its own,
 * and what bounds runs is the helper's queue alone.
 */
#include "pyexec_workers.h"

#include "pyexec_config.h"
#include "pyexec_pools.h"
#include "pyexec_setup.h"

#include <ap_mpm.h>
#include <apr_hash.h>
#include <apr_time.h>
#include <http_log.h>

APLOG_USE_MODULE(pyexec);

/* Of ThreadsPerChild by default: what else a server does is much shorter than
 * a run, and a quarter of the threads does a lot of it. */
#define SHARE_NUMERATOR 3
#define SHARE_DENOMINATOR 4

/* Tenants are told apart by a hash: two of the same share what one has. */
#define TENANTS 64

static int most;   /* 0: no bound; constant once threads are there */
static int taken;  /* by all threads, atomic */
static int taken_by[TENANTS];  /* of these; atomic */
static apr_uint64_t seen;      /* bit i: taken_by[i] was used; atomic */
static apr_int64_t told_s;  /* when a refusal was last logged; atomic */

static int ask_mpm(int query)
{
    int value = 0;

    return ap_mpm_query(query, &value) == APR_SUCCESS ? value : 0;
}

/* Of the MPM that is loaded; 1: it has no threads. */
static int threads_of_child(void)
{
    int threads = ask_mpm(AP_MPMQ_IS_THREADED) == AP_MPMQ_NOT_SUPPORTED
                      ? 1 : ask_mpm(AP_MPMQ_MAX_THREADS);

    return threads < 1 ? 1 : threads;
}

void pyexec_workers_check(server_rec *s)
{
    pyexec_global_t global = pyexec_config_global(s);
    int threads = threads_of_child();
    apr_int64_t all = (apr_int64_t)threads * ask_mpm(AP_MPMQ_MAX_DAEMONS);
    apr_int64_t runs = 0;
    apr_int64_t each = threads == 1 ? 1 : global.workers;
    int count = 0;
    const pyexec_pool_t *const *pools = pyexec_pools_all(&count);

    for (int i = 0; i < count; i++) {
        runs += pools[i]->queue + pyexec_setup_concurrency(pools[i]);
    }

    /* Unknown before the MPM has read its own directives. */
    if (all > 0 && runs >= all && each >= threads) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s,
                     PYXNO(0006) "runs that go on or wait can hold all %"
                     APR_INT64_T_FMT " workers of httpd, which then serves "
                     "nothing else: lower PyExecMaxQueue%s", all,
                     threads == 1 ? "" : " or PyExecMaxWorkers");
    }
}

int pyexec_workers_most(const pyexec_global_t *global)
{
    int threads = threads_of_child();

    return threads <= 1 ? 0
           : global->workers != PYEXEC_WORKERS_AUTO
               ? (int)global->workers
               : threads * SHARE_NUMERATOR / SHARE_DENOMINATOR;
}

void pyexec_workers_init(server_rec *s)
{
    pyexec_global_t global = pyexec_config_global(s);

    most = pyexec_workers_most(&global);
    /* Virtual hosts are tenants, also those that have not shown up yet. */
    seen = s->next != NULL ? ~(apr_uint64_t)0 : 0;
}

/* One line a second: an overload brings thousands. */
static void complain(request_rec *r)
{
    apr_int64_t now_s = apr_time_sec(apr_time_now());
    apr_int64_t last_s = __atomic_exchange_n(&told_s, now_s, __ATOMIC_RELAXED);

    if (last_s != now_s) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      PYXNO(0214) "run refused: %d threads of this child of "
                      "httpd wait for runs, and no more may", most);
    }
}

static unsigned index_of(const char *tenant)
{
    apr_ssize_t size = APR_HASH_KEY_STRING;

    return tenant == NULL ? 0 : apr_hashfunc_default(tenant, &size) % TENANTS;
}

/* What one tenant may hold: all, until another one has shown up. */
static int share(unsigned index)
{
    apr_uint64_t bit = (apr_uint64_t)1 << index;
    apr_uint64_t others = __atomic_or_fetch(&seen, bit, __ATOMIC_RELAXED)
                          & ~bit;

    return others == 0 || most < SHARE_DENOMINATOR
               ? most : most * SHARE_NUMERATOR / SHARE_DENOMINATOR;
}

int pyexec_workers_enter(request_rec *r, const char *tenant)
{
    unsigned index = index_of(tenant);
    int all = __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
    int own = __atomic_add_fetch(&taken_by[index], 1, __ATOMIC_RELAXED);

    if (most == 0 || (all <= most && own <= share(index))) {
        return 1;
    }
    pyexec_workers_leave(tenant);
    complain(r);
    return 0;
}

void pyexec_workers_leave(const char *tenant)
{
    (void)__atomic_sub_fetch(&taken_by[index_of(tenant)], 1, __ATOMIC_RELAXED);
    (void)__atomic_sub_fetch(&taken, 1, __ATOMIC_RELAXED);
}
