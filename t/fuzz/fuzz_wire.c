/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame, header and body: what is accepted lies within the bytes, can be
 * walked, and is accepted again when its fields are written anew.
 */
#include "fuzz.h"

#include "wire.h"

#include <string.h>

const char fuzz_name[] = "wire";

static void check_field(const struct pxw_field *field, const uint8_t *body,
                        size_t size)
{
    FUZZ_HOLDS(field->data >= body);
    FUZZ_HOLDS((size_t)(field->data - body) <= size);
    FUZZ_HOLDS(field->size <= size - (size_t)(field->data - body));
}

static void write_anew(const struct pxw_message *message)
{
    struct pxw_writer writer = { 0 };
    struct pxw_message again;
    struct pxw_field field;
    size_t at = 0;

    pxw_begin(&writer, message->type);
    while (pxw_next(message, &at, &field)) {
        check_field(&field, message->body, message->size);
        pxw_put_bytes(&writer, (enum pxw_tag)field.tag, field.data,
                      field.size);
    }
    FUZZ_HOLDS(pxw_end(&writer) == 0);
    FUZZ_HOLDS(pxw_parse(message->type, writer.data + PXW_HEADER_BYTES,
                         writer.size - PXW_HEADER_BYTES, &again) == 0);
    pxw_writer_free(&writer);
}

static void look_at(const struct pxw_message *message)
{
    static const enum pxw_tag small[] = {
        PXW_F_FORBID, PXW_F_WALL_MS, PXW_F_CPU_MS, PXW_F_OUTPUT, PXW_F_CALL,
        PXW_F_OUTCOME, PXW_F_EXIT, PXW_F_CUT, PXW_F_REASON, PXW_F_KIND,
    };
    struct pxw_message pool;

    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
        (void)pxw_u32(message, small[i], 1);
    }
    (void)pxw_u64(message, PXW_F_MEMORY, 1);
    FUZZ_HOLDS(pxw_outcome_name((enum pxw_outcome)pxw_u32(message,
                                                          PXW_F_OUTCOME, 0))
               != NULL);
    if (pxw_has(message, PXW_F_TEXT)) {
        size_t size = message->field[PXW_F_TEXT].size;

        FUZZ_HOLDS(pxw_text_size((const char *)message->field[PXW_F_TEXT].data,
                                 size) <= size);
    }
    if (pxw_has(message, PXW_F_POOL_DEF)) {
        (void)pxw_parse_pool(&message->field[PXW_F_POOL_DEF], &pool);
    }
    if (pxw_has(message, PXW_F_POOL_IS)
        && pxw_parse_pool_is(&message->field[PXW_F_POOL_IS], &pool) == 0) {
        check_field(&pool.field[PXW_F_POOL], message->body, message->size);
        (void)pxw_u64(&pool, PXW_F_RUNS, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pxw_header header;
    struct pxw_message message;

    if (size < PXW_HEADER_BYTES || pxw_get_header(data, &header) != 0) {
        return 0;
    }
    FUZZ_HOLDS(header.length <= pxw_max_body(header.type));
    /* Whatever length was announced: a reader has what it has. */
    if (pxw_parse(header.type, data + PXW_HEADER_BYTES,
                  size - PXW_HEADER_BYTES, &message) != 0) {
        return 0;
    }
    look_at(&message);
    /* A tag that may be skipped is not one that we write. */
    for (size_t i = 0; i < PXW_TAGS; i++) {
        if (message.field[i].data != NULL) {
            check_field(&message.field[i], data + PXW_HEADER_BYTES,
                        size - PXW_HEADER_BYTES);
        }
    }
    if (size - PXW_HEADER_BYTES <= pxw_max_body(header.type)) {
        write_anew(&message);
    }
    return 0;
}
