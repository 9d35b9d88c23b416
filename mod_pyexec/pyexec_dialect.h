/* SPDX-License-Identifier: Apache-2.0
 *
 * What a dialect is: one JSON contract with clients, as a few functions and a
 * row in a table. The handler knows none of them by name. Stateless; runs in
 * a worker thread.
 */
#ifndef PYEXEC_DIALECT_H
#define PYEXEC_DIALECT_H

#include "../sandbox-helper/wire.h"
#include "pyexec_buffer.h"
#include "pyexec_json.h"

struct pyexec_form_t;

typedef struct pyexec_dialect_t pyexec_dialect_t;

/* What came of decoding a request. */
typedef enum
{
    PYEXEC_DECODED,
    PYEXEC_INVALID,    /* it is no request of this contract */
    PYEXEC_FORBIDDEN,  /* it asks for something that is not given here */
} pyexec_decode_e;

/* What is asked for instead of running a script. */
typedef enum
{
    PYEXEC_INSTALLS_NOTHING = 0,
    PYEXEC_INSTALLS,
    PYEXEC_UNINSTALLS,
} pyexec_install_e;

/* What the answer has to know of the question. */
typedef struct pyexec_asked_t
{
    /* Whose contract it turned out to be: it brings the policy, and encodes
     * the outcome or the problem. */
    const pyexec_dialect_t *dialect;
    enum pxw_call call;
    const char *function;  /* NULL: not named; at most PXW_NAME_MAX bytes */
    int usage;             /* the member `usage` is wanted */
    pyexec_install_e install; /* set as soon as it is asked for, also where the
                            * request is invalid: whoever may not is told so */
    int has_word_main;     /* the source has `main` in it somewhere */
} pyexec_asked_t;

/* What a request asks for; texts live in the pool given to decode. */
typedef struct pyexec_job_t
{
    pyexec_asked_t asked;
    pyexec_text_t source;       /* UTF-8 without NUL */
    int is_link;                /* `source` is the address that it is at */
    pyexec_text_t input;        /* stdin; may hold NUL */
    const pyexec_text_t *args;  /* without NUL */
    apr_size_t arg_count;
    pyexec_text_t params;       /* JSON: an array or an object */
    apr_uint32_t wall_ms;       /* 0: as the place says */
    pyexec_text_t install;      /* as PXW_F_INSTALL; `source` is empty then */
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
    const pyexec_asked_t *asked;
} pyexec_outcome_t;

struct pyexec_dialect_t
{
    const char *name;
    const char *imports;  /* policy: names, one a line; NULL: anything */
    const char *deny;     /* policy: names, one a line; NULL: nothing */
    apr_uint32_t forbid;  /* policy: PXW_FORBID_… */

    /* A form as the JSON object that says the same: NULL, or a sentence for
     * the client. NULL in a dialect that takes no forms. */
    const char *(*read_form)(apr_pool_t *pool,
                             const struct pyexec_form_t *form,
                             const pyexec_json_t **ret_request);

    /* A complete job, or a sentence for the client. job->asked.dialect is set
     * already; a dialect that hands on to another changes it first. */
    pyexec_decode_e (*decode)(apr_pool_t *pool, const pyexec_json_t *request,
                              pyexec_job_t *job, const char **ret_problem);

    /* The whole JSON answer for such a sentence; NULL: {"error": sentence}. */
    void (*encode_problem)(pyexec_buffer_t *buffer, const char *sentence);

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
extern const pyexec_dialect_t dialect_main_json;
extern const pyexec_dialect_t dialect_main_object;
extern const pyexec_dialect_t dialect_report;
extern const pyexec_dialect_t dialect_run;

/* main-report with a stdout that is the script's alone. Not in the table: only
 * `auto` hands on to it. */
extern const pyexec_dialect_t dialect_report_plain;

#endif
