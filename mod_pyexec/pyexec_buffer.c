/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing byte buffers; see the header. Never aborts: a failed allocation is
 * remembered and found by whoever reads `failed`.
 */
#include "pyexec_buffer.h"

#include <stdlib.h>
#include <string.h>

static apr_status_t release(void *data)
{
    pyexec_buffer_t *buffer = data;

    free(buffer->data);
    buffer->data = NULL;
    return APR_SUCCESS;
}

pyexec_buffer_t *pyexec_buffer_make(apr_pool_t *pool)
{
    pyexec_buffer_t *buffer = apr_pcalloc(pool, sizeof(*buffer));

    apr_pool_cleanup_register(pool, buffer, release, apr_pool_cleanup_null);
    return buffer;
}

char *pyexec_buffer_extend(pyexec_buffer_t *buffer, apr_size_t more)
{
    apr_size_t need;

    /* Sizes stay far below half of the address space, so that neither the
     * sum nor the growth by one half can overflow. */
    if (buffer->failed || more > APR_SIZE_MAX / 4
        || buffer->size > APR_SIZE_MAX / 4) {
        buffer->failed = 1;
        return NULL;
    }
    need = buffer->size + more;
    if (need > buffer->capacity) {
        apr_size_t capacity = need < 1024 ? 1024 : need + need / 2;
        char *data = realloc(buffer->data, capacity);

        if (data == NULL) {
            buffer->failed = 1;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    buffer->size = need;
    return buffer->data + need - more;
}

void pyexec_buffer_add(pyexec_buffer_t *buffer, const void *bytes,
                       apr_size_t size)
{
    char *at = size == 0 ? NULL : pyexec_buffer_extend(buffer, size);

    if (at != NULL) {
        memcpy(at, bytes, size);
    }
}

void pyexec_buffer_puts(pyexec_buffer_t *buffer, const char *text)
{
    pyexec_buffer_add(buffer, text, strlen(text));
}

apr_bucket *pyexec_buffer_to_bucket(pyexec_buffer_t *buffer,
                                    apr_bucket_alloc_t *allocator)
{
    apr_bucket *bucket;

    if (buffer->data == NULL) {
        return apr_bucket_immortal_create("", 0, allocator);
    }
    bucket = apr_bucket_heap_create(buffer->data, buffer->size, free,
                                    allocator);
    *buffer = (pyexec_buffer_t){ 0 };
    return bucket;
}
