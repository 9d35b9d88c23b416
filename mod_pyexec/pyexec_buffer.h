/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing byte buffers whose memory goes back to the system when their pool
 * ends (pool memory itself would be kept by httpd's allocator, and bodies and
 * answers are megabytes). One request's thread uses a buffer.
 */
#ifndef PYEXEC_BUFFER_H
#define PYEXEC_BUFFER_H

#include <apr_buckets.h>
#include <apr_pools.h>

typedef struct pyexec_buffer_t
{
    char *data;
    apr_size_t size;
    apr_size_t capacity;
    int failed;  /* out of memory: what follows is not added */
} pyexec_buffer_t;

/* Empty; owned by the pool. */
pyexec_buffer_t *pyexec_buffer_make(apr_pool_t *pool);

/* Room for `more` bytes at the end, already counted in size; NULL when there
 * is no memory. Valid until the next call. */
char *pyexec_buffer_extend(pyexec_buffer_t *buffer, apr_size_t more);

void pyexec_buffer_add(pyexec_buffer_t *buffer, const void *bytes,
                       apr_size_t size);
void pyexec_buffer_puts(pyexec_buffer_t *buffer, const char *text);

/* Hands the bytes over to a new bucket; the buffer is empty afterwards. */
apr_bucket *pyexec_buffer_to_bucket(pyexec_buffer_t *buffer,
                                    apr_bucket_alloc_t *allocator);

#endif
