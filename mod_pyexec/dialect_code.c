/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialect `code`: {"code": source} is answered by output, error,
 * returncode and execution_time, in this order, and by result behind them
 * when the request calls a function and it returned. Runs in a worker thread;
 * the bytes of both streams are the script's and hostile.
 */
#include "pyexec_directives.h"
#include "pyexec_optional.h"
#include "pyexec_outcome.h"

#include <apr_strings.h>

static pyexec_decode_e decode(apr_pool_t *pool, const pyexec_json_t *request,
                              pyexec_job_t *job, const char **ret_problem)
{
    const char *problem = pyexec_json_get_text(pool, request, "code",
                                               &job->source);

    if (problem == NULL) {
        problem = pyexec_optional_read(pool, request, "params", job);
    }
    if (problem != NULL) {
        *ret_problem = problem;
        return PYEXEC_INVALID;
    }
    job->asked.call = pyexec_optional_calls(job) ? PXW_CALL_JSON
                                                 : PXW_CALL_NONE;
    return PYEXEC_DECODED;
}

static void encode_refusal(pyexec_buffer_t *buffer,
                           const pyexec_outcome_t *outcome)
{
    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "error");
    pyexec_json_text_open(buffer);
    if (pxw_u32(outcome->message, PXW_F_REASON, 0) == PXW_REASON_POLICY) {
        pyexec_json_text_puts(buffer, "Code is not safe: ");
    }
    pyexec_outcome_add_refusal(buffer, outcome,
                               "The code does not define a function named "
                               "@");
    pyexec_json_text_close(buffer);
    pyexec_json_close(buffer);
}

/* stderr, which has the traceback, and below it what only we can tell. */
static void put_error(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome,
                      const pyexec_end_t *end)
{
    char limit[160];
    int ours = end->kind == PYEXEC_END_NOT_JSON
               || end->kind == PYEXEC_END_MISSING;
    int on_new_line;

    pyexec_outcome_print_limit(limit, sizeof(limit), outcome);
    pyexec_json_text_open(buffer);
    on_new_line = pyexec_outcome_add_stream(buffer, outcome, PXW_F_ERR, 0);
    if (!on_new_line && (ours || limit[0] != '\0')) {
        pyexec_json_text_puts(buffer, "\n");
    }
    if (ours) {
        pyexec_outcome_add_reason(buffer, outcome, end);
    }
    else {
        pyexec_json_text_puts(buffer, limit);
    }
    pyexec_json_text_close(buffer);
}

static void encode(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome)
{
    /* Rounded to the four digits that the contract shows. */
    apr_uint64_t wall = pxw_u64(outcome->message, PXW_F_WALL_US, 0) / 100
        + (pxw_u64(outcome->message, PXW_F_WALL_US, 0) % 100 >= 50);
    pyexec_end_t end;
    char text[64];

    if (outcome->outcome == PXW_NOT_ACCEPTABLE) {
        encode_refusal(buffer, outcome);
        return;
    }
    end = pyexec_outcome_end(outcome);
    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "output");
    pyexec_json_text_open(buffer);
    (void)pyexec_outcome_add_stream(buffer, outcome, PXW_F_OUT, 0);
    pyexec_json_text_close(buffer);
    pyexec_json_name(buffer, "error");
    put_error(buffer, outcome, &end);
    pyexec_json_name(buffer, "returncode");
    pyexec_json_put_number(buffer, pyexec_outcome_return_code(outcome));
    pyexec_json_name(buffer, "execution_time");
    (void)apr_snprintf(text, sizeof(text),
                       "%" APR_UINT64_T_FMT ".%04u seconds", wall / 10000,
                       (unsigned)(wall % 10000));
    pyexec_json_put_text(buffer, text);
    if (end.kind == PYEXEC_END_VALUE) {
        pyexec_json_name(buffer, "result");
        pyexec_json_put_value(buffer, &end.value);
    }
    pyexec_outcome_put_usage(buffer, outcome);
    pyexec_json_close(buffer);
}

const pyexec_dialect_t dialect_code = {
    .name = "code",
    .imports = PYEXEC_DEFAULT_MODULES,
    .forbid = PXW_FORBID_OS_SYSTEM | PXW_FORBID_SHELL | PXW_FORBID_OPEN_WRITE
              | PXW_FORBID_AT_RUN_TIME,
    .decode = decode,
    .encode = encode,
};
