/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing of frames, explicitly byte by byte: no struct is ever copied to the
 * wire. Runs in every process of ours. What may be in which frame is checked
 * by the receiver (wire.c); here only sizes are.
 */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)value);
    put16(at + 2, (uint16_t)(value >> 16));
}

static void put64(uint8_t *at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

/* Room for `more` bytes, or NULL with the writer's error set. */
static uint8_t *grow(struct pxw_writer *writer, size_t more)
{
    size_t need;
    uint8_t *data;

    if (writer->error != 0) {
        return NULL;
    }
    if (more > UINT32_MAX || writer->size > UINT32_MAX - more) {
        writer->error = -EMSGSIZE;
        return NULL;
    }
    need = writer->size + more;
    if (need > writer->capacity) {
        size_t capacity = need < 512 ? 512 : need + need / 2;

        data = realloc(writer->data, capacity);
        if (data == NULL) {
            writer->error = -ENOMEM;
            return NULL;
        }
        writer->data = data;
        writer->capacity = capacity;
    }
    data = writer->data + writer->size;
    writer->size = need;
    return data;
}

void pxw_put_header(uint8_t ret_bytes[PXW_HEADER_BYTES], enum pxw_type type,
                    uint32_t length)
{
    memcpy(ret_bytes, PXW_MAGIC, 4);
    put16(ret_bytes + 4, PXW_VERSION);
    put16(ret_bytes + 6, (uint16_t)type);
    put32(ret_bytes + 8, length);
}

void pxw_begin(struct pxw_writer *writer, enum pxw_type type)
{
    uint8_t *head;

    writer->size = 0;
    writer->error = 0;
    head = grow(writer, PXW_HEADER_BYTES);
    if (head != NULL) {
        pxw_put_header(head, type, 0);
    }
}

/* Returns where the value goes. */
static uint8_t *put_field_header(uint8_t *at, enum pxw_tag tag, uint32_t size)
{
    put16(at, (uint16_t)tag);
    put16(at + 2, 0);
    put32(at + 4, size);
    return at + PXW_FIELD_HEADER_BYTES;
}

void pxw_put_exhausted(uint8_t ret_bytes[PXW_EXHAUSTED_BYTES],
                       enum pxw_outcome limit)
{
    pxw_put_header(ret_bytes, PXW_EXHAUSTED,
                   PXW_EXHAUSTED_BYTES - PXW_HEADER_BYTES);
    put32(put_field_header(ret_bytes + PXW_HEADER_BYTES, PXW_F_OUTCOME, 4),
          (uint32_t)limit);
}

static uint8_t *put_field(struct pxw_writer *writer, enum pxw_tag tag,
                          size_t size)
{
    uint8_t *head;

    if (size > UINT32_MAX - PXW_FIELD_HEADER_BYTES) {
        writer->error = -EMSGSIZE;
        return NULL;
    }
    head = grow(writer, PXW_FIELD_HEADER_BYTES + size);
    return head == NULL ? NULL
                        : put_field_header(head, tag, (uint32_t)size);
}

void pxw_put_bytes(struct pxw_writer *writer, enum pxw_tag tag,
                   const void *data, size_t size)
{
    uint8_t *value = put_field(writer, tag, size);

    if (value != NULL && size > 0) {
        memcpy(value, data, size);
    }
}

void pxw_put_str(struct pxw_writer *writer, enum pxw_tag tag, const char *text)
{
    pxw_put_bytes(writer, tag, text, strlen(text));
}

void pxw_put_u32(struct pxw_writer *writer, enum pxw_tag tag, uint32_t value)
{
    uint8_t *at = put_field(writer, tag, 4);

    if (at != NULL) {
        put32(at, value);
    }
}

void pxw_put_u64(struct pxw_writer *writer, enum pxw_tag tag, uint64_t value)
{
    uint8_t *at = put_field(writer, tag, 8);

    if (at != NULL) {
        put64(at, value);
    }
}

size_t pxw_put_open(struct pxw_writer *writer, enum pxw_tag tag)
{
    (void)put_field(writer, tag, 0); /* a failure shows in pxw_end() */
    return writer->size;
}

void pxw_put_close(struct pxw_writer *writer, size_t open)
{
    if (writer->error == 0) {
        put32(writer->data + open - 4, (uint32_t)(writer->size - open));
    }
}

int pxw_end(struct pxw_writer *writer)
{
    uint32_t length;
    uint16_t type;

    if (writer->error != 0) {
        return writer->error;
    }
    length = (uint32_t)(writer->size - PXW_HEADER_BYTES);
    type = (uint16_t)(writer->data[6] | writer->data[7] << 8);
    if (length > pxw_max_body(type)) {
        writer->error = -EMSGSIZE;
        return writer->error;
    }
    put32(writer->data + 8, length);
    return 0;
}

void pxw_writer_free(struct pxw_writer *writer)
{
    free(writer->data);
    *writer = (struct pxw_writer){ 0 };
}

void pxw_patch_u32(const struct pxw_message *message, enum pxw_tag tag,
                   uint32_t value)
{
    put32((uint8_t *)message->field[tag].data, value);
}

void pxw_patch_u64(const struct pxw_message *message, enum pxw_tag tag,
                   uint64_t value)
{
    put64((uint8_t *)message->field[tag].data, value);
}

size_t pxw_text_size(const char *text, size_t size)
{
    size_t whole = size < PXW_TEXT_MAX ? size : PXW_TEXT_MAX;
    size_t lead = whole;
    uint8_t first;
    size_t need;

    while (lead > 0 && whole - lead < 4
           && ((uint8_t)text[lead - 1] & 0xc0) == 0x80) {
        lead--;
    }
    if (lead == 0) {
        return whole;
    }
    first = (uint8_t)text[lead - 1];
    need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    return whole - lead + 1 < need ? lead - 1 : whole;
}
