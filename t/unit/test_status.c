/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper tells of itself is what the module may read: one field group
 * for each pool, refused when any part of it is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "keeper.h"
#include "keeper_status.h"

#include <errno.h>
#include <string.h>

/* A pool without the field `less`. */
static void put_pool(struct pxw_writer *writer, enum pxw_tag less)
{
    static const enum pxw_tag numbers[] = {
        PXW_F_READY, PXW_F_RUNNING, PXW_F_QUEUED, PXW_F_BRANCHES,
    };
    size_t open = pxw_put_open(writer, PXW_F_POOL_IS);

    if (less != PXW_F_POOL) {
        pxw_put_str(writer, PXW_F_POOL, "default");
    }
    if (less != PXW_F_LEVEL) {
        pxw_put_str(writer, PXW_F_LEVEL, "full");
    }
    if (less != PXW_F_RUNS) {
        pxw_put_u64(writer, PXW_F_RUNS, 1ull << 40);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (less != numbers[i]) {
            pxw_put_u32(writer, numbers[i], (uint32_t)(100 + i));
        }
    }
    pxw_put_close(writer, open);
}

static void parse(const struct pxw_writer *writer, uint16_t type,
                  struct pxw_message *ret_message)
{
    struct pxw_header header;

    assert_int_equal(writer->error, 0);
    assert_int_equal(pxw_get_header(writer->data, &header), 0);
    assert_int_equal(header.type, type);
    assert_int_equal(pxw_parse(type, writer->data + PXW_HEADER_BYTES,
                               header.length, ret_message), 0);
}

static void test_missing(void **state)
{
    static const enum pxw_tag needed[] = {
        PXW_F_POOL, PXW_F_READY, PXW_F_LEVEL, PXW_F_RUNNING, PXW_F_QUEUED,
        PXW_F_BRANCHES, PXW_F_RUNS,
    };
    struct pxw_writer writer = { 0 };
    struct pxw_message message;
    struct pxw_message pool;
    struct pxw_field field;
    size_t count = sizeof(needed) / sizeof(needed[0]);
    size_t at = 0;
    size_t seen = 0;

    (void)state;
    pxw_begin(&writer, PXW_STATUS_IS);
    pxw_put_u32(&writer, PXW_F_READY, 1);
    pxw_put_str(&writer, PXW_F_LEVEL, "full");
    pxw_put_str(&writer, PXW_F_VERSION, "1");
    put_pool(&writer, PXW_TAGS);
    for (size_t i = 0; i < count; i++) {
        put_pool(&writer, needed[i]);
    }
    assert_int_equal(pxw_end(&writer), 0);
    parse(&writer, PXW_STATUS_IS, &message);
    while (pxw_next(&message, &at, &field)) {
        if (field.tag == PXW_F_POOL_IS) {
            assert_int_equal(pxw_parse_pool_is(&field, &pool),
                             seen == 0 ? 0 : -EBADMSG);
            seen++;
        }
    }
    assert_int_equal(seen, count + 1);
    assert_int_equal(pxw_parse_pool_is(&message.field[PXW_F_POOL_IS], &pool),
                     0);
    assert_int_equal(pxw_u32(&pool, PXW_F_QUEUED, 0), 102);
    assert_true(pxw_u64(&pool, PXW_F_RUNS, 0) == 1ull << 40);
    assert_false(pxw_has(&pool, PXW_F_PYTHON));
    pxw_writer_free(&writer);
}

/* More pools than there may be, with the longest names. */
static void test_keeper(void **state)
{
    static struct keeper keeper;
    static struct keeper_pool pools[512];
    static struct keeper_branch branches[512];
    static struct pool_conf confs[512];
    struct pxw_writer writer = { 0 };
    struct pxw_message message;
    struct pxw_message pool;
    struct pxw_field field;
    size_t at = 0;
    size_t seen = 0;

    (void)state;
    for (size_t i = 0; i < 512; i++) {
        memset(confs[i].name, 'n', PXW_NAME_MAX);
        confs[i].name_size = PXW_NAME_MAX;
        memset(pools[i].python, '3', PXW_NAME_MAX);
        pools[i].conf = &confs[i];
        pools[i].branches = &branches[i];
        pools[i].plan.count = 1;
        pools[i].running = i;
        pools[i].queue.length = 1;
        pools[i].metrics.answered = 1000 + i;
        pools[i].isolation.reached = i == 7 ? LEVEL_RESTRICTED : LEVEL_FULL;
    }
    keeper.pools = pools;
    keeper.pool_count = 512;
    keeper_status_write(&keeper, &writer);
    parse(&writer, PXW_STATUS_IS, &message);
    assert_int_equal(pxw_u32(&message, PXW_F_READY, 1), 0);
    assert_int_equal(pxw_u32(&message, PXW_F_RUNNING, 0), 511 * 512 / 2);
    assert_int_equal(pxw_u32(&message, PXW_F_QUEUED, 0), 512);
    assert_memory_equal(message.field[PXW_F_LEVEL].data, "restricted", 10);
    while (pxw_next(&message, &at, &field)) {
        if (field.tag == PXW_F_POOL_IS) {
            assert_int_equal(pxw_parse_pool_is(&field, &pool), 0);
            assert_int_equal(pool.field[PXW_F_POOL].size, PXW_NAME_MAX);
            assert_int_equal(pxw_u32(&pool, PXW_F_RUNNING, 99), seen);
            assert_true(pxw_u64(&pool, PXW_F_RUNS, 0) == 1000 + seen);
            assert_int_equal(pxw_u32(&pool, PXW_F_READY, 1), 0);
            seen++;
        }
    }
    assert_int_equal(seen, 512);
    pxw_writer_free(&writer);

    keeper_status_write_metrics(&keeper, &writer);
    parse(&writer, PXW_METRICS_ARE, &message);
    assert_memory_equal(message.field[PXW_F_METRICS].data, "# HELP ", 7);
    pxw_writer_free(&writer);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_keeper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
