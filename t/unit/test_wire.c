/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: what is written is read back, and every way of being malformed is
 * refused. Bodies are laid out in exactly sized heap blocks, so that a
 * sanitizer sees a read beyond their end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(tag, size) \
    (tag) & 0xff, (tag) >> 8, 0, 0, (size), 0, 0, 0
#define BYTES(...) ((const uint8_t[]){ __VA_ARGS__ }), \
    sizeof((const uint8_t[]){ __VA_ARGS__ })

/* pxw_parse() of a copy that ends where its memory ends. */
static int parse_copy(uint16_t type, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct pxw_message message = { .type = 0xfeed };
    int error;

    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    error = pxw_parse(type, copy, size, &message);
    if (error != 0) {
        /* The promise: on failure the result is untouched. */
        assert_int_equal(message.type, 0xfeed);
    }
    free(copy);
    return error;
}

static void begin_run(struct pxw_writer *writer)
{
    pxw_begin(writer, PXW_RUN);
    pxw_put_str(writer, PXW_F_POOL, "default");
    pxw_put_str(writer, PXW_F_SOURCE, "print(1)");
    pxw_put_u32(writer, PXW_F_FORBID, 0);
    pxw_put_u32(writer, PXW_F_WALL_MS, 5000);
    pxw_put_u32(writer, PXW_F_CPU_MS, 6000);
    pxw_put_u64(writer, PXW_F_MEMORY, 1ull << 33);
    pxw_put_u32(writer, PXW_F_OUTPUT, 1u << 20);
    pxw_put_u32(writer, PXW_F_FILES, 64);
    pxw_put_u32(writer, PXW_F_THREADS, 64);
}

/* Header and body of a finished frame. */
static int parse_frame(const struct pxw_writer *writer,
                       struct pxw_message *ret_message)
{
    struct pxw_header header;

    assert_int_equal(pxw_get_header(writer->data, &header), 0);
    assert_int_equal(header.length, writer->size - PXW_HEADER_BYTES);
    return pxw_parse(header.type, writer->data + PXW_HEADER_BYTES,
                     header.length, ret_message);
}

static void test_round_trip(void **state)
{
    struct pxw_writer writer = { 0 };
    struct pxw_message message;
    struct pxw_field field;
    size_t at = 0;
    int args = 0;

    (void)state;
    begin_run(&writer);
    pxw_put_bytes(&writer, PXW_F_STDIN, "a\0b", 3);
    pxw_put_str(&writer, PXW_F_ARG, "one");
    pxw_put_str(&writer, PXW_F_ARG, "");
    pxw_put_str(&writer, PXW_F_ARG, "three");
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), 0);
    assert_int_equal(pxw_u32(&message, PXW_F_WALL_MS, 1), 5000);
    assert_true(pxw_u64(&message, PXW_F_MEMORY, 1) == 1ull << 33);
    assert_int_equal(message.field[PXW_F_STDIN].size, 3);
    assert_memory_equal(message.field[PXW_F_STDIN].data, "a\0b", 3);
    assert_false(pxw_has(&message, PXW_F_IMPORTS));
    assert_int_equal(pxw_u32(&message, PXW_F_EXIT, 77), 77);
    assert_true(pxw_u64(&message, PXW_F_PEAK, 78) == 78);
    while (pxw_next(&message, &at, &field)) {
        args += field.tag == PXW_F_ARG;
    }
    assert_int_equal(args, 3);
    pxw_writer_free(&writer);
    assert_null(writer.data);
}

static void test_header_errors(void **state)
{
    static const struct
    {
        size_t at;
        uint8_t value;
        int error;
    } cases[] = {
        { 0, 'p', -EPROTO },
        { 3, 0, -EPROTO },
        { 4, PXW_VERSION + 1, -EPROTONOSUPPORT },
        { 5, 1, -EPROTONOSUPPORT },
        { 6, 3, -EBADMSG },
        { 7, 1, -EBADMSG },
        { 11, 0xff, -EMSGSIZE },
    };
    struct pxw_writer writer = { 0 };
    struct pxw_header header;

    (void)state;
    pxw_begin(&writer, PXW_STATUS);
    assert_int_equal(pxw_end(&writer), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[PXW_HEADER_BYTES];

        memcpy(bytes, writer.data, sizeof(bytes));
        assert_int_equal(pxw_get_header(bytes, &header), 0);
        bytes[cases[i].at] = cases[i].value;
        header = (struct pxw_header){ .type = 0xfeed };
        assert_int_equal(pxw_get_header(bytes, &header), cases[i].error);
        assert_int_equal(header.type, 0xfeed);
    }
    pxw_writer_free(&writer);
}

static void test_length_limits(void **state)
{
    uint8_t bytes[PXW_HEADER_BYTES] = { 'P', 'Y', 'X', 'W', PXW_VERSION };
    struct pxw_header header;

    (void)state;
    assert_int_equal(pxw_max_body(PXW_STATUS), 64);
    assert_int_equal(pxw_max_body(3), 0);
    bytes[6] = PXW_STATUS;
    for (uint8_t length = 63; length <= 65; length++) {
        bytes[8] = length;
        assert_int_equal(pxw_get_header(bytes, &header),
                         length <= 64 ? 0 : -EMSGSIZE);
    }
}

static void test_malformed_bodies(void **state)
{
    static const uint8_t token[PXW_FIELD_HEADER_BYTES + PXW_TOKEN_BYTES + 1] = {
        FIELD(PXW_F_TOKEN, PXW_TOKEN_BYTES),
    };

    (void)state;
    /* The accepted one, then one byte more and one less. */
    assert_int_equal(parse_copy(PXW_HELLO, token, sizeof(token) - 1), 0);
    assert_int_equal(parse_copy(PXW_HELLO, token, sizeof(token)), -EBADMSG);
    assert_int_equal(parse_copy(PXW_HELLO, token, sizeof(token) - 2), -EBADMSG);
    /* Every shorter piece of it, the empty one included. */
    for (size_t size = 0; size < sizeof(token) - 1; size++) {
        assert_int_equal(parse_copy(PXW_HELLO, token, size), -EBADMSG);
    }
    /* Unknown type. */
    assert_int_equal(parse_copy(3, token, sizeof(token) - 1), -EBADMSG);
    /* A field of another frame; tag 0; a tag beyond the last. */
    assert_int_equal(parse_copy(PXW_STATUS, BYTES(FIELD(PXW_F_EXIT, 4),
                                1, 0, 0, 0)), -EBADMSG);
    assert_int_equal(parse_copy(PXW_STATUS, BYTES(FIELD(0, 0))), -EBADMSG);
    assert_int_equal(parse_copy(PXW_STATUS, BYTES(FIELD(PXW_TAGS, 0))),
                     -EBADMSG);
    assert_int_equal(parse_copy(PXW_STATUS, BYTES(0xff, 0x7f, 0, 0, 0, 0, 0, 0)),
                     -EBADMSG);
    /* The reserved half of a field's header is not zero. */
    assert_int_equal(parse_copy(PXW_FORK, BYTES(PXW_F_JOB, 0, 1, 0, 8, 0, 0, 0,
                                1, 2, 3, 4, 5, 6, 7, 8)), -EBADMSG);
    /* A size that would wrap. */
    assert_int_equal(parse_copy(PXW_FORK, BYTES(PXW_F_JOB, 0, 0, 0, 0xff, 0xff,
                                0xff, 0xff, 1, 2, 3, 4)), -EBADMSG);
    assert_int_equal(parse_copy(PXW_FORK, BYTES(PXW_F_JOB, 0, 0, 0, 0xf8, 0xff,
                                0xff, 0xff, 1, 2, 3, 4)), -EBADMSG);
    /* Numbers of the wrong width. */
    assert_int_equal(parse_copy(PXW_FORK, BYTES(FIELD(PXW_F_JOB, 4),
                                1, 2, 3, 4)), -EBADMSG);
    assert_int_equal(parse_copy(PXW_OUTCOME, BYTES(FIELD(PXW_F_OUTCOME, 3),
                                1, 2, 3)), -EBADMSG);
}

static void test_optional_fields(void **state)
{
    (void)state;
    /* Unknown but optional: skipped. Its size still has to fit. */
    assert_int_equal(parse_copy(PXW_STATUS, BYTES(0xff, 0x80, 0, 0, 2, 0, 0, 0,
                                'h', 'i')), 0);
    assert_int_equal(parse_copy(PXW_STATUS, BYTES(0xff, 0x80, 0, 0, 3, 0, 0, 0,
                                'h', 'i')), -EBADMSG);
    assert_int_equal(parse_copy(PXW_STATUS, BYTES(0xff, 0x00, 0, 0, 2, 0, 0, 0,
                                'h', 'i')), -EBADMSG);
}

static void test_duplicates(void **state)
{
    struct pxw_writer writer = { 0 };
    struct pxw_message message;

    (void)state;
    begin_run(&writer);
    pxw_put_u32(&writer, PXW_F_WALL_MS, 1);
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), -EBADMSG);

    /* An empty field counts as given, too. */
    begin_run(&writer);
    pxw_put_str(&writer, PXW_F_STDIN, "");
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), 0);
    pxw_put_str(&writer, PXW_F_STDIN, "");
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), -EBADMSG);
    pxw_writer_free(&writer);
}

/* Without any one of its fields a frame is refused. */
static void test_missing_fields(void **state)
{
    struct pxw_writer writer = { 0 };
    uint8_t *shorter;

    (void)state;
    begin_run(&writer);
    assert_int_equal(pxw_end(&writer), 0);
    shorter = malloc(writer.size);
    assert_non_null(shorter);
    for (size_t at = PXW_HEADER_BYTES; at < writer.size;) {
        const uint8_t *field = writer.data + at;
        size_t size = PXW_FIELD_HEADER_BYTES + field[4];
        size_t before = at - PXW_HEADER_BYTES;
        size_t after = writer.size - at - size;

        memcpy(shorter, writer.data + PXW_HEADER_BYTES, before);
        memcpy(shorter + before, field + size, after);
        assert_int_equal(parse_copy(PXW_RUN, shorter, before + after),
                         -EBADMSG);
        at += size;
    }
    free(shorter);
    pxw_writer_free(&writer);
}

/* One field of each kind around its bounds, in frames that need no other. */
static void test_kinds(void **state)
{
    static const struct
    {
        enum pxw_tag tag;
        size_t size;
        uint8_t fill;
        int error;
    } cases[] = {
        { PXW_F_LEVEL, 0, 'x', -EBADMSG },
        { PXW_F_LEVEL, 1, 'x', 0 },
        { PXW_F_LEVEL, PXW_NAME_MAX, 'x', 0 },
        { PXW_F_LEVEL, PXW_NAME_MAX + 1, 'x', -EBADMSG },
        { PXW_F_LEVEL, 3, 0, -EBADMSG },
        { PXW_F_LEVEL, 3, '\n', -EBADMSG },
        { PXW_F_LEVEL, 3, 0x1f, -EBADMSG },
        { PXW_F_LEVEL, 3, 0x7f, -EBADMSG },
        { PXW_F_LEVEL, 3, ' ', 0 },
        { PXW_F_LEVEL, 3, 0xc3, 0 },
        { PXW_F_TEXT, 0, 'x', 0 },
        { PXW_F_TEXT, PXW_TEXT_MAX, '\n', 0 },
        { PXW_F_TEXT, PXW_TEXT_MAX + 1, 'x', -EBADMSG },
        { PXW_F_TEXT, 3, 0, -EBADMSG },
    };
    struct pxw_writer writer = { 0 };
    struct pxw_message message;
    uint8_t value[PXW_TEXT_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(value, cases[i].fill, sizeof(value));
        pxw_begin(&writer, PXW_STATUS_IS);
        pxw_put_u32(&writer, PXW_F_READY, 1);
        pxw_put_str(&writer, PXW_F_VERSION, "1");
        if (cases[i].tag != PXW_F_LEVEL) {
            pxw_put_str(&writer, PXW_F_LEVEL, "full");
        }
        pxw_put_bytes(&writer, cases[i].tag, value, cases[i].size);
        assert_int_equal(pxw_end(&writer), 0);
        assert_int_equal(parse_frame(&writer, &message), cases[i].error);
    }
    pxw_writer_free(&writer);
}

static void test_text_without_nul(void **state)
{
    static const enum pxw_tag tags[] = { PXW_F_SOURCE, PXW_F_IMPORTS,
                                         PXW_F_ARG };
    struct pxw_writer writer = { 0 };
    struct pxw_message message;

    (void)state;
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        begin_run(&writer);
        if (tags[i] == PXW_F_SOURCE) {
            /* Changed in place: the frame has its source already. */
            char *source = memchr(writer.data, '(', writer.size);

            assert_non_null(source);
            *source = '\0';
        }
        else {
            pxw_put_bytes(&writer, tags[i], "a\0b", 3);
        }
        assert_int_equal(pxw_end(&writer), 0);
        assert_int_equal(parse_frame(&writer, &message), -EBADMSG);
    }
    pxw_writer_free(&writer);
}

static void test_writer_limits(void **state)
{
    struct pxw_writer writer = { 0 };
    uint8_t block[65] = { 0 };

    (void)state;
    /* 64 bytes of body at most: 8 of them are the field's header. */
    pxw_begin(&writer, PXW_HELLO);
    pxw_put_bytes(&writer, PXW_F_TOKEN, block, 56);
    assert_int_equal(pxw_end(&writer), 0);
    pxw_begin(&writer, PXW_HELLO);
    pxw_put_bytes(&writer, PXW_F_TOKEN, block, 57);
    assert_int_equal(pxw_end(&writer), -EMSGSIZE);
    /* The first failure stays, whatever follows; a new beginning clears it. */
    pxw_begin(&writer, PXW_HELLO);
    pxw_put_bytes(&writer, PXW_F_TOKEN, block, SIZE_MAX);
    assert_int_equal(writer.error, -EMSGSIZE);
    pxw_put_bytes(&writer, PXW_F_TOKEN, block, PXW_TOKEN_BYTES);
    pxw_put_u32(&writer, PXW_F_EXIT, 1);
    assert_int_equal(pxw_end(&writer), -EMSGSIZE);
    pxw_begin(&writer, PXW_HELLO);
    pxw_put_bytes(&writer, PXW_F_TOKEN, block, UINT32_MAX);
    assert_int_equal(pxw_end(&writer), -EMSGSIZE);
    pxw_begin(&writer, PXW_HELLO);
    assert_int_equal(pxw_end(&writer), 0);
    pxw_writer_free(&writer);
}

static void put_pool(struct pxw_writer *writer, bool whole)
{
    static const enum pxw_tag numbers[] = {
        PXW_F_CONCURRENCY, PXW_F_QUEUE, PXW_F_QUEUE_MS, PXW_F_WALL_MS,
        PXW_F_CPU_MS, PXW_F_OUTPUT, PXW_F_FILES, PXW_F_THREADS,
    };
    size_t open = pxw_put_open(writer, PXW_F_POOL_DEF);

    pxw_put_str(writer, PXW_F_POOL, "default");
    pxw_put_u64(writer, PXW_F_MEMORY, 5);
    for (size_t i = whole ? 0 : 1; i < sizeof(numbers) / sizeof(numbers[0]);
         i++) {
        pxw_put_u32(writer, numbers[i], (uint32_t)(100 + i));
    }
    pxw_put_close(writer, open);
}

static void test_pools(void **state)
{
    static const uint8_t token[PXW_TOKEN_BYTES] = { 1 };
    struct pxw_writer writer = { 0 };
    struct pxw_message message;
    struct pxw_message pool;

    (void)state;
    pxw_begin(&writer, PXW_SETUP);
    pxw_put_bytes(&writer, PXW_F_TOKEN, token, sizeof(token));
    put_pool(&writer, true);
    put_pool(&writer, true);
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), 0);
    assert_int_equal(pxw_parse_pool(&message.field[PXW_F_POOL_DEF], &pool), 0);
    assert_int_equal(pxw_u32(&pool, PXW_F_CONCURRENCY, 0), 100);
    assert_int_equal(pxw_u32(&pool, PXW_F_THREADS, 0), 107);
    assert_true(pxw_u64(&pool, PXW_F_MEMORY, 0) == 5);

    pxw_begin(&writer, PXW_SETUP);
    pxw_put_bytes(&writer, PXW_F_TOKEN, token, sizeof(token));
    put_pool(&writer, false);
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), 0);
    assert_int_equal(pxw_parse_pool(&message.field[PXW_F_POOL_DEF], &pool),
                     -EBADMSG);
    pxw_writer_free(&writer);
}

/* A list of WARM that has a limit of its own. */
static void check_list(enum pxw_tag tag, size_t most)
{
    static const uint8_t with_nul[] = "A=b\0";
    char large[PXW_ENV_MAX + 2];
    struct pxw_writer writer = { 0 };
    struct pxw_message message;

    memset(large, 'x', most + 1);
    large[most + 1] = '\0';
    for (int above = 0; above < 2; above++) {
        pxw_begin(&writer, PXW_WARM);
        pxw_put_u32(&writer, PXW_F_SLOTS, 2);
        pxw_put_u64(&writer, PXW_F_MEMORY, 5);
        pxw_put_str(&writer, tag, large + 1 - above);
        assert_int_equal(pxw_end(&writer), 0);
        assert_int_equal(parse_frame(&writer, &message), above ? -EBADMSG : 0);
    }
    pxw_begin(&writer, PXW_WARM);
    pxw_put_u32(&writer, PXW_F_SLOTS, 2);
    pxw_put_u64(&writer, PXW_F_MEMORY, 5);
    pxw_put_bytes(&writer, tag, with_nul, sizeof(with_nul));
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), -EBADMSG);
    pxw_writer_free(&writer);
}

static void test_environment(void **state)
{
    (void)state;
    check_list(PXW_F_ENV, PXW_ENV_MAX);
}

static void test_directories(void **state)
{
    (void)state;
    check_list(PXW_F_SITE, PXW_DIRS_MAX);
}

static void test_patch(void **state)
{
    struct pxw_writer writer = { 0 };
    struct pxw_message message;

    (void)state;
    begin_run(&writer);
    assert_int_equal(pxw_end(&writer), 0);
    assert_int_equal(parse_frame(&writer, &message), 0);
    pxw_patch_u32(&message, PXW_F_WALL_MS, 0x01020304);
    pxw_patch_u64(&message, PXW_F_MEMORY, 0x0102030405060708ull);
    assert_int_equal(parse_frame(&writer, &message), 0);
    assert_int_equal(pxw_u32(&message, PXW_F_WALL_MS, 0), 0x01020304);
    assert_true(pxw_u64(&message, PXW_F_MEMORY, 0) == 0x0102030405060708ull);
    assert_int_equal(pxw_u32(&message, PXW_F_CPU_MS, 0), 6000);
    assert_int_equal(message.field[PXW_F_WALL_MS].data[0], 4);
    pxw_writer_free(&writer);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_header_errors),
        cmocka_unit_test(test_length_limits),
        cmocka_unit_test(test_malformed_bodies),
        cmocka_unit_test(test_optional_fields),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_missing_fields),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_text_without_nul),
        cmocka_unit_test(test_writer_limits),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_patch),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
