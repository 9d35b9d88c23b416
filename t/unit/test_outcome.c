/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes: their names, and the frame in which a job tells a limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "wire.h"

static const enum pxw_outcome theirs[] = {
    PXW_NOT_ACCEPTABLE, PXW_DONE, PXW_EXITED_NONZERO, PXW_OUT_OF_WALL,
    PXW_OUT_OF_CPU, PXW_OUT_OF_MEMORY, PXW_OUT_OF_OUTPUT,
    PXW_OUT_OF_PROCESSES, PXW_SIGNALLED, PXW_OUT_OF_DESCRIPTORS,
    PXW_OUT_OF_THREADS, PXW_OUT_OF_RECURSION, PXW_OUT_OF_STACK,
};

static void test_names(void **state)
{
    static const enum pxw_outcome ours[] = { PXW_BUSY, PXW_ABSENT, PXW_LOST,
                                             PXW_BROKEN, PXW_NO_SANDBOX,
                                             PXW_TENANT_BUSY };

    (void)state;
    for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
        assert_false(pxw_outcome_is_ours(theirs[i]));
        assert_string_not_equal(pxw_outcome_name(theirs[i]), "broken");
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(pxw_outcome_name(theirs[i]),
                                    pxw_outcome_name(theirs[j]));
        }
    }
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        assert_true(pxw_outcome_is_ours(ours[i]));
    }
    /* Unexplained is broken, never done. */
    assert_string_equal(pxw_outcome_name((enum pxw_outcome)0), "broken");
    assert_string_equal(pxw_outcome_name((enum pxw_outcome)14), "broken");
    assert_string_equal(pxw_outcome_name((enum pxw_outcome)999), "broken");
}

/* What is written without a writer is what a writer writes. */
static void test_exhausted(void **state)
{
    struct pxw_writer writer = { 0 };
    uint8_t frame[PXW_EXHAUSTED_BYTES + 1];
    struct pxw_header header;
    struct pxw_message message;

    (void)state;
    for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
        memset(frame, 0xa5, sizeof(frame));
        pxw_put_exhausted(frame, theirs[i]);
        assert_int_equal(frame[PXW_EXHAUSTED_BYTES], 0xa5);
        pxw_begin(&writer, PXW_EXHAUSTED);
        pxw_put_u32(&writer, PXW_F_OUTCOME, theirs[i]);
        assert_int_equal(pxw_end(&writer), 0);
        assert_int_equal(writer.size, PXW_EXHAUSTED_BYTES);
        assert_memory_equal(frame, writer.data, writer.size);

        assert_int_equal(pxw_get_header(frame, &header), 0);
        assert_int_equal(header.type, PXW_EXHAUSTED);
        assert_int_equal(pxw_parse(PXW_EXHAUSTED, frame + PXW_HEADER_BYTES,
                                   header.length, &message), 0);
        assert_int_equal(pxw_u32(&message, PXW_F_OUTCOME, 0), theirs[i]);
    }
    pxw_writer_free(&writer);
}

/* The enemy may write one: with no limit, two, one of another size, more. */
static void test_exhausted_malformed(void **state)
{
    uint8_t frame[2 * PXW_EXHAUSTED_BYTES];
    uint8_t *body = frame + PXW_HEADER_BYTES;
    size_t size = PXW_EXHAUSTED_BYTES - PXW_HEADER_BYTES;
    struct pxw_message message;

    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        pxw_put_exhausted(frame, PXW_OUT_OF_STACK);
        assert_int_equal(pxw_parse(PXW_EXHAUSTED, body, cut, &message),
                         -EBADMSG);
    }
    memcpy(body + size, body, size);
    assert_int_equal(pxw_parse(PXW_EXHAUSTED, body, 2 * size, &message),
                     -EBADMSG);
    for (int bytes = 0; bytes < 9; bytes++) {
        struct pxw_writer writer = { 0 };

        pxw_begin(&writer, PXW_EXHAUSTED);
        pxw_put_bytes(&writer, PXW_F_OUTCOME, "\6\0\0\0\0\0\0\0\0",
                      (size_t)bytes);
        assert_int_equal(pxw_end(&writer), 0);
        assert_int_equal(pxw_parse(PXW_EXHAUSTED,
                                   writer.data + PXW_HEADER_BYTES,
                                   writer.size - PXW_HEADER_BYTES, &message),
                         bytes == 4 ? 0 : -EBADMSG);
        pxw_writer_free(&writer);
    }
    pxw_put_exhausted(frame, PXW_OUT_OF_STACK);
    body[0] = PXW_F_EXIT; /* a field of another frame */
    assert_int_equal(pxw_parse(PXW_EXHAUSTED, body, size, &message),
                     -EBADMSG);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_exhausted),
        cmocka_unit_test(test_exhausted_malformed),
    };

    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
