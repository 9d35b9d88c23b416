/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialect `code`: {"code": source} is answered by output, error,
 * returncode and execution_time, in this order. Runs in a worker thread; the
 * bytes of both streams are the script's and hostile.
 */
#include "pyexec_dialect.h"
#include "pyexec_directives.h"

#include <apr_strings.h>

#define KILLED (-9)  /* as subprocess tells it: minus SIGKILL */

static const char *decode(apr_pool_t *pool, const pyexec_json_t *request,
                          pyexec_job_t *ret_job)
{
    pyexec_job_t job = { .dialect = &dialect_code };
    const char *problem = pyexec_json_get_text(pool, request, "code",
                                               &job.source,
                                               &job.source_bytes);

    if (problem == NULL) {
        *ret_job = job;
    }
    return problem;
}

static int ended_by_us(enum pxw_outcome outcome)
{
    return outcome == PXW_OUT_OF_WALL || outcome == PXW_OUT_OF_CPU
           || outcome == PXW_OUT_OF_OUTPUT;
}

static apr_int64_t return_code(const pyexec_outcome_t *outcome)
{
    apr_uint32_t status = pxw_u32(outcome->message, PXW_F_EXIT, 256 - KILLED);

    if (ended_by_us(outcome->outcome)) {
        return KILLED;
    }
    if (status < 256) {
        return status;
    }
    /* A memory limit ends in whatever signal the kernel took; to the client
     * it is a run that the service killed. */
    return outcome->outcome == PXW_OUT_OF_MEMORY || status > 256 + 64
               ? KILLED : -(apr_int64_t)(status - 256);
}

/* "5", "1.5": a number of seconds without needless zeros. */
static void print_seconds(char *text, apr_size_t size, apr_uint32_t time_ms)
{
    apr_size_t length = (apr_size_t)apr_snprintf(text, size, "%u.%03u",
                                                 time_ms / 1000,
                                                 time_ms % 1000);

    while (text[length - 1] == '0') {
        text[--length] = '\0';
    }
    if (text[length - 1] == '.') {
        text[--length] = '\0';
    }
}

/* Which limit ended the run, as a sentence; "" when none did. */
static void print_cause(char *text, apr_size_t size,
                        const pyexec_outcome_t *outcome)
{
    const pyexec_limits_t *limits = outcome->limits;
    char seconds[32];

    text[0] = '\0';
    switch (outcome->outcome) {
    case PXW_OUT_OF_WALL:
        print_seconds(seconds, sizeof(seconds), limits->wall_ms);
        (void)apr_snprintf(text, size, "Execution timed out after %s second%s",
                           seconds, limits->wall_ms == 1000 ? "" : "s");
        break;
    case PXW_OUT_OF_CPU:
        print_seconds(seconds, sizeof(seconds), limits->cpu_ms);
        (void)apr_snprintf(text, size, "Execution stopped: the limit of %s "
                           "seconds of CPU time was exceeded", seconds);
        break;
    case PXW_OUT_OF_MEMORY:
        (void)apr_snprintf(text, size, "Execution stopped: the memory limit "
                           "of %" APR_UINT64_T_FMT " MiB was exceeded",
                           (apr_uint64_t)(limits->memory_bytes / PYEXEC_MIB));
        break;
    case PXW_OUT_OF_OUTPUT:
        (void)apr_snprintf(text, size, "Execution stopped: far more output "
                           "than the limit of %u bytes per stream",
                           limits->output_bytes);
        break;
    case PXW_OUT_OF_PROCESSES:
        (void)apr_snprintf(text, size, "Execution stopped: the limit of %u "
                           "threads was exceeded", limits->threads);
        break;
    default:
        break;
    }
}

/* One stream with a mark where it was cut and a sentence after it. Between
 * the script's last line and ours stands a line end. */
static void put_stream(pyexec_buffer_t *buffer,
                       const pyexec_outcome_t *outcome, enum pxw_tag tag,
                       enum pxw_cut cut, const char *cause)
{
    const struct pxw_field *stream = &outcome->message->field[tag];
    apr_size_t size = stream->data == NULL ? 0 : stream->size;
    int is_cut = (pxw_u32(outcome->message, PXW_F_CUT, 0) & cut) != 0;
    int on_new_line;

    if (is_cut && size > 0) {
        size = pyexec_json_whole_characters(stream->data, size);
    }
    on_new_line = size == 0 || stream->data[size - 1] == '\n';
    pyexec_json_text_open(buffer);
    if (size > 0) {
        pyexec_json_text_add(buffer, stream->data, size);
    }
    if (is_cut) {
        char mark[64];

        (void)apr_snprintf(mark, sizeof(mark),
                           "\n[output truncated after %u bytes]\n",
                           outcome->limits->output_bytes);
        pyexec_json_text_add(buffer, mark, strlen(mark));
        on_new_line = 1;
    }
    if (cause[0] != '\0') {
        if (!on_new_line) {
            pyexec_json_text_add(buffer, "\n", 1);
        }
        pyexec_json_text_add(buffer, cause, strlen(cause));
    }
    pyexec_json_text_close(buffer);
}

static void encode_refusal(pyexec_buffer_t *buffer,
                           const pyexec_outcome_t *outcome)
{
    static const char prefix[] = "Code is not safe: ";
    const struct pxw_field *text = &outcome->message->field[PXW_F_TEXT];

    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "error");
    pyexec_json_text_open(buffer);
    if (pxw_u32(outcome->message, PXW_F_REASON, 0) == PXW_REASON_POLICY) {
        pyexec_json_text_add(buffer, prefix, sizeof(prefix) - 1);
    }
    if (text->data != NULL && text->size > 0) {
        pyexec_json_text_add(buffer, text->data, text->size);
    }
    else {
        static const char none[] = "The code is not acceptable.";

        pyexec_json_text_add(buffer, none, sizeof(none) - 1);
    }
    pyexec_json_text_close(buffer);
    pyexec_json_close(buffer);
}

static void encode(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome)
{
    /* Rounded to the four digits that the contract shows. */
    apr_uint64_t wall = pxw_u64(outcome->message, PXW_F_WALL_US, 0) / 100
        + (pxw_u64(outcome->message, PXW_F_WALL_US, 0) % 100 >= 50);
    char text[160];

    if (outcome->outcome == PXW_NOT_ACCEPTABLE) {
        encode_refusal(buffer, outcome);
        return;
    }
    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "output");
    put_stream(buffer, outcome, PXW_F_OUT, PXW_CUT_OUT, "");
    pyexec_json_name(buffer, "error");
    print_cause(text, sizeof(text), outcome);
    put_stream(buffer, outcome, PXW_F_ERR, PXW_CUT_ERR, text);
    pyexec_json_name(buffer, "returncode");
    pyexec_json_put_number(buffer, return_code(outcome));
    pyexec_json_name(buffer, "execution_time");
    (void)apr_snprintf(text, sizeof(text),
                       "%" APR_UINT64_T_FMT ".%04u seconds", wall / 10000,
                       (unsigned)(wall % 10000));
    pyexec_json_put_text(buffer, text);
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
