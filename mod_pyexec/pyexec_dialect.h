/* SPDX-License-Identifier: Apache-2.0
 *
 * What a dialect is: one JSON contract with clients, as two functions and a
 * row in a table. The handler knows none of them by name. Stateless; runs in
 * a worker thread.
 */
#ifndef PYEXEC_DIALECT_H
#define PYEXEC_DIALECT_H

#include "../sandbox-helper/wire.h"
#include "pyexec_buffer.h"
#include "pyexec_json.h"

typedef struct pyexec_dialect_t pyexec_dialect_t;

/* What a request asks for; texts live in the pool given to decode. */
typedef struct pyexec_job_t
{
    /* Whose contract it turned out to be: it encodes the outcome and brings
     * the policy. */
    const pyexec_dialect_t *dialect;
    const char *source;  /* UTF-8 without NUL */
    apr_size_t source_bytes;
} pyexec_job_t;

/* What the run was allowed. */
typedef struct pyexec_limits_t
{
    apr_uint32_t wall_ms;
    apr_uint32_t cpu_ms;
    apr_uint64_t memory_bytes;
    apr_uint32_t output_bytes;  /* kept of each stream */
    apr_uint32_t files;
    apr_uint32_t threads;
} pyexec_limits_t;

/* What became of it: theirs, never one of ours. */
typedef struct pyexec_outcome_t
{
    enum pxw_outcome outcome;
    const struct pxw_message *message;  /* of type PXW_OUTCOME, parsed */
    const pyexec_limits_t *limits;
} pyexec_outcome_t;

struct pyexec_dialect_t
{
    const char *name;
    const char *imports;  /* policy: names, one a line; NULL: anything */
    apr_uint32_t forbid;  /* policy: PXW_FORBID_… */

    /* NULL and a complete job, or a sentence for the client. */
    const char *(*decode)(apr_pool_t *pool, const pyexec_json_t *request,
                          pyexec_job_t *ret_job);

    /* The whole JSON answer. Only ever called on the dialect that a job
     * names; NULL in one that always names another. */
    void (*encode)(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome);
};

/* NULL when there is no such dialect. */
const pyexec_dialect_t *pyexec_dialect_find(const char *name);

/* All names, for a message. */
const char *pyexec_dialect_names(apr_pool_t *pool);

extern const pyexec_dialect_t dialect_auto;
extern const pyexec_dialect_t dialect_code;

#endif
