/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's counters: each run is counted once, times go into the right
 * bucket, and no tenant's name can grow or spoil the text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pool_conf confs[2];
static struct keeper_pool pools[2];
static struct keeper_branch branches[2];
static struct keeper keeper;

static int set_up(void **state)
{
    (void)state;
    memset(&keeper, 0, sizeof(keeper));
    memset(pools, 0, sizeof(pools));
    memset(confs, 0, sizeof(confs));
    memcpy(confs[0].name, "one", 4);
    memcpy(confs[1].name, "t\\w\"o\n", 7);
    for (size_t i = 0; i < 2; i++) {
        pools[i].keeper = &keeper;
        pools[i].conf = &confs[i];
        pools[i].branches = &branches[i];
        pools[i].plan.count = 1;
    }
    keeper.pools = pools;
    keeper.pool_count = 2;
    return 0;
}

static struct keeper_run make_run(size_t pool, const char *tenant)
{
    struct keeper_run run = {
        .keeper = &keeper,
        .pool = &pools[pool],
        .outcome = PXW_DONE,
    };

    run.message.field[PXW_F_TENANT] = (struct pxw_field){
        .data = (const uint8_t *)tenant,
        .size = tenant == NULL ? 0 : (uint32_t)strlen(tenant),
    };
    return run;
}

static void count(size_t pool, const char *tenant)
{
    struct keeper_run run = make_run(pool, tenant);

    keeper_metrics_answered(&run);
}

/* Whether the text has this line. */
static void assert_line(const char *line, bool there)
{
    size_t size = 0;
    char *text = keeper_metrics_text(&keeper, &size);
    char *whole;

    assert_non_null(text);
    assert_int_equal(size, strlen(text));
    assert_true(asprintf(&whole, "\n%s\n", line) > 0);
    if ((strstr(text, whole) != NULL) != there) {
        print_error("%s\n%s: %s\n", text, there ? "missing" : "there", line);
        fail();
    }
    free(whole);
    free(text);
}

static void test_outcomes(void **state)
{
    struct keeper_run run = make_run(0, "t");

    (void)state;
    keeper_metrics_answered(&run);
    keeper_metrics_answered(&run);
    run.outcome = PXW_BROKEN;
    keeper_metrics_answered(&run);
    keeper_metrics_cancelled(&run);
    run.outcome = PXW_BUSY;
    run.refusal = KEEPER_REFUSED_FULL;
    keeper_metrics_answered(&run);
    run.pool = NULL;
    run.refusal = KEEPER_REFUSED_BYTES;
    keeper_metrics_answered(&run);
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"t\","
                "outcome=\"done\"} 2", true);
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"t\","
                "outcome=\"broken\"} 1", true);
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"t\","
                "outcome=\"cancelled\"} 1", true);
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"t\","
                "outcome=\"busy\"} 1", true);
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"t\","
                "outcome=\"time\"} 0", true);
    assert_line("pyexec_refused_total{pool=\"one\",reason=\"queue_full\"} 1",
                true);
    assert_line("pyexec_refused_total{pool=\"one\",reason=\"bytes\"} 0", true);
    assert_line("pyexec_refused_total{pool=\"\",reason=\"bytes\"} 1", true);
    assert_line("pyexec_runs_total{pool=\"\",tenant=\"\","
                "outcome=\"busy\"} 1", true);
    /* Nothing of it began. */
    assert_line("pyexec_run_seconds_count{pool=\"one\"} 0", true);
    assert_int_equal(pools[0].metrics.answered, 4);
}

static void test_buckets(void **state)
{
    struct keeper_run run = make_run(0, "t");

    (void)state;
    run.ran = true;
    for (size_t i = 0; i < KEEPER_METRICS_BUCKETS; i++) {
        struct keeper_histogram histogram = { .sum_us = 0 };
        uint64_t bound = keeper_metrics_bounds[i].time_us;

        /* The bound itself is inside. */
        keeper_metrics_observe(&histogram, bound - 1);
        keeper_metrics_observe(&histogram, bound);
        keeper_metrics_observe(&histogram, bound + 1);
        assert_int_equal(histogram.counts[i], 2);
        assert_int_equal(histogram.counts[i + 1], 1);
        assert_int_equal(histogram.sum_us, 3 * bound);
        assert_true(strtod(keeper_metrics_bounds[i].seconds, NULL) * 1e6
                        - (double)bound < 0.5);
        assert_true((double)bound
                        - strtod(keeper_metrics_bounds[i].seconds, NULL) * 1e6
                    < 0.5);
        assert_true(i == 0 || bound > keeper_metrics_bounds[i - 1].time_us);
    }
    run.queue_us = 2000;
    run.wall_us = 400000001;
    keeper_metrics_answered(&run);
    run.wall_us = 1000000;
    keeper_metrics_answered(&run);
    assert_line("pyexec_run_seconds_bucket{pool=\"one\",le=\"0.5\"} 0", true);
    assert_line("pyexec_run_seconds_bucket{pool=\"one\",le=\"1\"} 1", true);
    assert_line("pyexec_run_seconds_bucket{pool=\"one\",le=\"300\"} 1", true);
    assert_line("pyexec_run_seconds_bucket{pool=\"one\",le=\"+Inf\"} 2", true);
    assert_line("pyexec_run_seconds_sum{pool=\"one\"} 401.000001", true);
    assert_line("pyexec_run_seconds_count{pool=\"one\"} 2", true);
    assert_line("pyexec_queue_seconds_sum{pool=\"one\"} 0.004000", true);
}

static void test_escapes(void **state)
{
    (void)state;
    count(1, "a\"b\\c\nd");
    count(0, NULL);
    assert_line("pyexec_runs_total{pool=\"t\\\\w\\\"o\\n\",tenant="
                "\"a\\\"b\\\\c?d\",outcome=\"done\"} 1", true);
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"\","
                "outcome=\"done\"} 1", true);
}

/* One byte that is not UTF-8 would cost the whole text. */
static void test_utf8(void **state)
{
    static const struct
    {
        const char *tenant;
        const char *label;
    } cases[] = {
        { "caf\xc3\xa9", "caf\xc3\xa9" },
        { "\xe2\x82\xac\xf0\x9f\x90\x8d", "\xe2\x82\xac\xf0\x9f\x90\x8d" },
        { "x\xff", "x?" },
        { "y\xc3", "y?" },
        { "z\xe2\x82", "z??" },
        { "overlong\xc0\xaf", "overlong??" },
        { "overlong\xe0\x80\xaf", "overlong???" },
        { "surrogate\xed\xa0\x80", "surrogate???" },
        { "above\xf4\x90\x80\x80", "above????" },
        { "cut\xf0\x9f\x90Q", "cut???Q" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[200];

        count(0, cases[i].tenant);
        (void)snprintf(line, sizeof(line), "pyexec_runs_total{pool=\"one\","
                       "tenant=\"%s\",outcome=\"done\"} 1", cases[i].label);
        assert_line(line, true);
    }
    /* Names that look the same are the same: no series twice. */
    count(0, "x\xfe");
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"x?\","
                "outcome=\"done\"} 2", true);
}

static void test_bounded(void **state)
{
    char name[32];
    size_t before = 0;
    size_t after = 0;

    (void)state;
    count(0, "other"); /* no name of its own: the series would be there twice */
    assert_int_equal(keeper.metrics.tenant_count, 0);
    for (int i = 0; i < KEEPER_METRICS_TENANTS; i++) {
        (void)snprintf(name, sizeof(name), "tenant%d", i);
        count(0, name);
    }
    free(keeper_metrics_text(&keeper, &before));
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"tenant99\","
                "outcome=\"done\"} 1", true);
    for (int i = KEEPER_METRICS_TENANTS; i < 100000; i++) {
        (void)snprintf(name, sizeof(name), "tenant%d", i);
        count(0, name);
    }
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"other\","
                "outcome=\"done\"} 99901", true);
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"tenant100\","
                "outcome=\"done\"} 1", false);
    /* Those who were first keep theirs; another pool has an "other", too. */
    count(0, "tenant7");
    count(1, "tenant7");
    assert_line("pyexec_runs_total{pool=\"one\",tenant=\"tenant7\","
                "outcome=\"done\"} 2", true);
    assert_line("pyexec_runs_total{pool=\"t\\\\w\\\"o\\n\",tenant=\"other\","
                "outcome=\"done\"} 1", true);
    free(keeper_metrics_text(&keeper, &after));
    assert_true(after < before + 4096);
}

/* More pools than there may be, the longest names, and tenants that know what
 * is escaped: a frame takes it. */
static void test_largest(void **state)
{
    struct keeper_pool *many = calloc(512, sizeof(*many));
    struct pool_conf *conf = calloc(512, sizeof(*conf));
    struct pxw_writer writer = { 0 };
    char name[PXW_NAME_MAX + 1];
    size_t size = 0;
    char *text;

    (void)state;
    assert_non_null(many);
    assert_non_null(conf);
    keeper.pools = many;
    keeper.pool_count = 512;
    memset(name, '\\', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < 512; i++) {
        memset(conf[i].name, 'n', PXW_NAME_MAX);
        many[i].keeper = &keeper;
        many[i].conf = &conf[i];
        many[i].branches = &branches[0];
        many[i].plan.count = 1;
    }
    for (size_t i = 0; i < 2 * 512; i++) {
        struct keeper_run run = make_run(0, name);

        (void)snprintf(name, 5, "%04zu", i);
        name[4] = '\\';
        run.pool = &many[i % 512];
        keeper_metrics_answered(&run);
    }
    text = keeper_metrics_text(&keeper, &size);
    assert_non_null(text);
    pxw_begin(&writer, PXW_METRICS_ARE);
    pxw_put_bytes(&writer, PXW_F_METRICS, text, size);
    assert_int_equal(pxw_end(&writer), 0);
    pxw_writer_free(&writer);
    free(text);
    free(conf);
    free(many);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_outcomes, set_up),
        cmocka_unit_test_setup(test_buckets, set_up),
        cmocka_unit_test_setup(test_escapes, set_up),
        cmocka_unit_test_setup(test_utf8, set_up),
        cmocka_unit_test_setup(test_bounded, set_up),
        cmocka_unit_test_setup(test_largest, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
