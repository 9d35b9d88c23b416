/* SPDX-License-Identifier: Apache-2.0
 *
 * The counters as Prometheus reads them. Runs in the keeper; a few thousand
 * lines at most. Families with all samples of one name stand together, as the
 * format demands. Without memory the stream says so at its end.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_metrics.h"

#include "cleanup.h"
#include "keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of one pool: what a family shows of it. */
typedef uint64_t value_of(const struct keeper_pool *pool);

static void put_label(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            (void)fputs("\\n", out);
            continue;
        }
        if (*value == '\\' || *value == '"') {
            (void)fputc('\\', out);
        }
        (void)fputc(*value, out);
    }
    (void)fputc('"', out);
}

static void begin_family(FILE *out, const char *name, const char *type,
                         const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                  type);
}

static bool is_counted(int outcome)
{
    return outcome == KEEPER_METRICS_CANCELLED || outcome == PXW_BROKEN
           || (outcome != PXW_ABSENT /* only the module sees that */
               && strcmp(pxw_outcome_name((enum pxw_outcome)outcome),
                         pxw_outcome_name(PXW_BROKEN)) != 0);
}

static void put_runs(FILE *out, const char *pool, const char *tenant,
                     const uint64_t *runs)
{
    for (int i = 0; i < KEEPER_METRICS_OUTCOMES; i++) {
        if (is_counted(i)) {
            (void)fputs("pyexec_runs_total{", out);
            put_label(out, "pool", pool);
            (void)fputc(',', out);
            put_label(out, "tenant", tenant);
            (void)fprintf(out, ",outcome=\"%s\"} %" PRIu64 "\n",
                          i == KEEPER_METRICS_CANCELLED
                              ? "cancelled"
                              : pxw_outcome_name((enum pxw_outcome)i),
                          runs[i]);
        }
    }
}

static bool is_any(const uint64_t *counts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (counts[i] != 0) {
            return true;
        }
    }
    return false;
}

static void put_all_runs(FILE *out, const struct keeper *keeper)
{
    const struct keeper_metrics *metrics = &keeper->metrics;

    begin_family(out, "pyexec_runs_total", "counter",
                 "Runs by pool, tenant and outcome.");
    for (size_t i = 0; i < metrics->tenant_count; i++) {
        const struct keeper_tenant_metrics *tenant = &metrics->tenants[i];

        put_runs(out, tenant->pool->conf->name, tenant->name, tenant->runs);
    }
    for (size_t i = 0; i < keeper->pool_count; i++) {
        const struct keeper_pool *pool = &keeper->pools[i];

        if (is_any(pool->metrics.other, KEEPER_METRICS_OUTCOMES)) {
            put_runs(out, pool->conf->name, KEEPER_METRICS_OTHER,
                     pool->metrics.other);
        }
    }
    if (is_any(metrics->nowhere.other, KEEPER_METRICS_OUTCOMES)) {
        put_runs(out, "", "", metrics->nowhere.other);
    }
}

static void put_refusals(FILE *out, const char *pool, const uint64_t *refused)
{
    static const char *const reasons[KEEPER_REFUSALS] = {
        [KEEPER_REFUSED_BYTES] = "bytes",
        [KEEPER_REFUSED_FULL] = "queue_full",
        [KEEPER_REFUSED_TIMEOUT] = "queue_timeout",
        [KEEPER_REFUSED_TENANT] = "tenant_cap",
        [KEEPER_REFUSED_YIELDED] = "yielded",
    };

    for (int i = KEEPER_NOT_REFUSED + 1; i < KEEPER_REFUSALS; i++) {
        (void)fputs("pyexec_refused_total{", out);
        put_label(out, "pool", pool);
        (void)fprintf(out, ",reason=\"%s\"} %" PRIu64 "\n", reasons[i],
                      refused[i]);
    }
}

static void put_all_refusals(FILE *out, const struct keeper *keeper)
{
    const uint64_t *nowhere = keeper->metrics.nowhere.refused;

    begin_family(out, "pyexec_refused_total", "counter",
                 "Runs turned away for want of capacity, by reason.");
    for (size_t i = 0; i < keeper->pool_count; i++) {
        put_refusals(out, keeper->pools[i].conf->name,
                     keeper->pools[i].metrics.refused);
    }
    if (is_any(nowhere, KEEPER_REFUSALS)) {
        put_refusals(out, "", nowhere);
    }
}

static void put_histogram(FILE *out, const char *name, const char *pool,
                          const struct keeper_histogram *histogram)
{
    uint64_t count = 0;

    for (int i = 0; i <= KEEPER_METRICS_BUCKETS; i++) {
        count += histogram->counts[i];
        (void)fprintf(out, "%s_bucket{", name);
        put_label(out, "pool", pool);
        (void)fprintf(out, ",le=\"%s\"} %" PRIu64 "\n",
                      i < KEEPER_METRICS_BUCKETS
                          ? keeper_metrics_bounds[i].seconds
                          : "+Inf",
                      count);
    }
    (void)fprintf(out, "%s_sum{", name);
    put_label(out, "pool", pool);
    (void)fprintf(out, "} %" PRIu64 ".%06" PRIu64 "\n%s_count{",
                  histogram->sum_us / 1000000u, histogram->sum_us % 1000000u,
                  name);
    put_label(out, "pool", pool);
    (void)fprintf(out, "} %" PRIu64 "\n", count);
}

/* There may be hundreds of pools of which most are idle. */
static bool has_histograms(const struct keeper_pool *pool)
{
    return pool->metrics.answered > 0 || keeper_branches_count_up(pool) > 0;
}

static void put_histograms(FILE *out, const struct keeper *keeper)
{
    begin_family(out, "pyexec_queue_seconds", "histogram",
                 "How long runs waited that then began.");
    for (size_t i = 0; i < keeper->pool_count; i++) {
        const struct keeper_pool *pool = &keeper->pools[i];

        if (has_histograms(pool)) {
            put_histogram(out, "pyexec_queue_seconds", pool->conf->name,
                          &pool->metrics.queue);
        }
    }
    begin_family(out, "pyexec_run_seconds", "histogram",
                 "Wall-clock time of runs that began.");
    for (size_t i = 0; i < keeper->pool_count; i++) {
        const struct keeper_pool *pool = &keeper->pools[i];

        if (has_histograms(pool)) {
            put_histogram(out, "pyexec_run_seconds", pool->conf->name,
                          &pool->metrics.run);
        }
    }
}

static uint64_t is_up(const struct keeper_pool *pool)
{
    return keeper_branches_can_serve(pool);
}

static uint64_t branches_up(const struct keeper_pool *pool)
{
    return keeper_branches_count_up(pool);
}

static uint64_t running(const struct keeper_pool *pool)
{
    return pool->running;
}

static uint64_t running_most(const struct keeper_pool *pool)
{
    return pool->conf->concurrency;
}

static uint64_t queued(const struct keeper_pool *pool)
{
    return pool->queue.length;
}

static uint64_t queued_most(const struct keeper_pool *pool)
{
    return pool->conf->queue;
}

static uint64_t zygotes_started(const struct keeper_pool *pool)
{
    return pool->metrics.zygotes_started;
}

static uint64_t zygotes_failed(const struct keeper_pool *pool)
{
    return pool->metrics.zygotes_failed;
}

static uint64_t connections(const struct keeper_pool *pool)
{
    return pool->metrics.connections;
}

static uint64_t network_bytes(const struct keeper_pool *pool)
{
    return pool->metrics.network_bytes;
}

/* What is one number for each pool. */
static void put_pools(FILE *out, const struct keeper *keeper)
{
    static const struct
    {
        const char *name, *type, *help;
        value_of *value;
    } families[] = {
        { "pyexec_pool_up", "gauge", "1 when runs of the pool can be served.",
          is_up },
        { "pyexec_pool_branches_up", "gauge",
          "Branches of the pool with a zygote that is up.", branches_up },
        { "pyexec_running", "gauge", "Runs that go on now.", running },
        { "pyexec_running_limit", "gauge", "Runs that may go on at a time.",
          running_most },
        { "pyexec_queue_length", "gauge", "Runs that wait now.", queued },
        { "pyexec_queue_limit", "gauge", "Runs that may wait.", queued_most },
        { "pyexec_zygote_starts_total", "counter",
          "Zygotes started: the first, those recycled, those replaced.",
          zygotes_started },
        { "pyexec_zygote_failures_total", "counter",
          "Zygotes that died or never became ready.", zygotes_failed },
        { "pyexec_network_connections_total", "counter",
          "Connections of runs to the pool's proxy (PyExecNetwork).",
          connections },
        { "pyexec_network_bytes_total", "counter",
          "Bytes of these, both directions together.", network_bytes },
    };

    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        begin_family(out, families[f].name, families[f].type,
                     families[f].help);
        for (size_t i = 0; i < keeper->pool_count; i++) {
            (void)fprintf(out, "%s{", families[f].name);
            put_label(out, "pool", keeper->pools[i].conf->name);
            (void)fprintf(out, "} %" PRIu64 "\n",
                          families[f].value(&keeper->pools[i]));
        }
    }
}

static void put_facts(FILE *out, const struct keeper *keeper)
{
    begin_family(out, "pyexec_helper_info", "gauge", "The helper's version.");
    (void)fputs("pyexec_helper_info{version=\"" PACKAGE_VERSION "\"} 1\n",
                out);
    begin_family(out, "pyexec_helper_start_time_seconds", "gauge",
                 "When the helper was started; all counters begin there.");
    (void)fprintf(out, "pyexec_helper_start_time_seconds %" PRIu64 "\n",
                  keeper->metrics.start_s);
    begin_family(out, "pyexec_pool_info", "gauge",
                 "Interpreter and isolation of the pool.");
    for (size_t i = 0; i < keeper->pool_count; i++) {
        const struct keeper_pool *pool = &keeper->pools[i];

        (void)fputs("pyexec_pool_info{", out);
        put_label(out, "pool", pool->conf->name);
        (void)fputc(',', out);
        put_label(out, "python", pool->python);
        (void)fputc(',', out);
        put_label(out, "isolation",
                  keeper_level_name(pool->isolation.reached));
        (void)fputs("} 1\n", out);
    }
}

char *keeper_metrics_text(const struct keeper *keeper, size_t *ret_size)
{
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool failed;

    if (out == NULL) {
        return NULL;
    }
    put_facts(out, keeper);
    put_pools(out, keeper);
    put_all_runs(out, keeper);
    put_all_refusals(out, keeper);
    put_histograms(out, keeper);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        return NULL;
    }
    *ret_size = size;
    return steal_ptr(&text);
}
