/* SPDX-License-Identifier: Apache-2.0
 *
 * Places for runs among the worker threads of a child; see the header. Where
 * a child has one thread (prefork) each connection has a process of its own,
 * and what bounds runs is the helper's queue alone.
 */
#include "pyexec_workers.h"

#include "pyexec_config.h"
#include "pyexec_spawn.h"

#include <ap_mpm.h>
#include <apr_time.h>
#include <http_log.h>

APLOG_USE_MODULE(pyexec);

/* Of ThreadsPerChild by default: what else a server does is much shorter than
 * a run, and a quarter of the threads does a lot of it. */
#define SHARE_NUMERATOR 3
#define SHARE_DENOMINATOR 4

static int most;   /* 0: no bound; constant once threads are there */
static int taken;  /* by all threads, atomic */
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
    apr_int64_t runs = (apr_int64_t)global.queue
                       + pyexec_spawn_concurrency(&global);
    apr_int64_t each = threads == 1 ? 1 : global.workers;

    /* Unknown before the MPM has read its own directives. */
    if (all > 0 && runs >= all && each >= threads) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s,
                     PYXNO(0006) "runs that go on or wait can hold all %"
                     APR_INT64_T_FMT " workers of httpd, which then serves "
                     "nothing else: lower PyExecMaxQueue%s", all,
                     threads == 1 ? "" : " or PyExecMaxWorkers");
    }
}

void pyexec_workers_init(server_rec *s)
{
    pyexec_global_t global = pyexec_config_global(s);
    int threads = threads_of_child();

    most = 0;
    if (threads > 1) {
        most = global.workers != PYEXEC_WORKERS_AUTO
                   ? (int)global.workers
                   : threads * SHARE_NUMERATOR / SHARE_DENOMINATOR;
    }
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

int pyexec_workers_enter(request_rec *r)
{
    if (__atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED) <= most || most == 0) {
        return 1;
    }
    pyexec_workers_leave();
    complain(r);
    return 0;
}

void pyexec_workers_leave(void)
{
    (void)__atomic_sub_fetch(&taken, 1, __ATOMIC_RELAXED);
}
