/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and telling outcomes; see the header.
 */
#include "pyexec_outcome.h"

#include "pyexec_directives.h"

#include <apr_strings.h>
#include <string.h>

#define KILLED (-9)  /* as subprocess tells it: minus SIGKILL */

pyexec_text_t pyexec_outcome_text(const pyexec_outcome_t *outcome,
                                  enum pxw_tag tag)
{
    const struct pxw_field *field = &outcome->message->field[tag];

    return field->data == NULL
        ? (pyexec_text_t){ "", 0 }
        : (pyexec_text_t){ (const char *)field->data, field->size };
}

/* The script came to an end of its own, whatever exception that was. */
static int ended_itself(enum pxw_outcome outcome)
{
    static const enum pxw_outcome ends[] = {
        PXW_DONE, PXW_EXITED_NONZERO, PXW_OUT_OF_PROCESSES,
        PXW_OUT_OF_DESCRIPTORS, PXW_OUT_OF_THREADS, PXW_OUT_OF_RECURSION,
    };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i] == outcome) {
            return 1;
        }
    }
    return 0;
}

/* A limit or a signal is the keeper's word and goes before the script's, which
 * is not asked where nothing was to be called. */
pyexec_end_t pyexec_outcome_end(const pyexec_outcome_t *outcome)
{
    static const char bad_json[] = "it is not well-formed JSON";
    pyexec_end_t end = { .kind = PYEXEC_END_ITSELF,
                         .text = pyexec_outcome_text(outcome, PXW_F_TEXT) };
    pyexec_text_t json = pyexec_outcome_text(outcome, PXW_F_JSON);

    if (!ended_itself(outcome->outcome)) {
        end.kind = PYEXEC_END_STOPPED;
        return end;
    }
    if (outcome->asked->call == PXW_CALL_NONE) {
        return end;
    }
    switch (pxw_u32(outcome->message, PXW_F_KIND, 0)) {
    case PXW_RESULT_VALUE:
        end.value = pyexec_jsoncheck(json.bytes, json.size);
        end.kind = PYEXEC_END_VALUE;
        if (end.value.type == PYEXEC_JSON_INVALID) {
            end.kind = PYEXEC_END_NOT_JSON;
            end.text = (pyexec_text_t){ bad_json, sizeof(bad_json) - 1 };
        }
        break;
    case PXW_RESULT_RAISED:
        end.kind = PYEXEC_END_RAISED;
        break;
    case PXW_RESULT_NOT_JSON:
        end.kind = PYEXEC_END_NOT_JSON;
        break;
    case PXW_RESULT_MISSING:
        end.kind = PYEXEC_END_MISSING;
        break;
    default:
        break;
    }
    return end;
}

apr_int64_t pyexec_outcome_return_code(const pyexec_outcome_t *outcome)
{
    apr_uint32_t status = pxw_u32(outcome->message, PXW_F_EXIT, 256 - KILLED);

    if (outcome->outcome == PXW_OUT_OF_WALL
        || outcome->outcome == PXW_OUT_OF_CPU
        || outcome->outcome == PXW_OUT_OF_OUTPUT) {
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

void pyexec_outcome_print_limit(char *text, apr_size_t size,
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
    default:
        break;
    }
}

int pyexec_outcome_add_stream(pyexec_buffer_t *buffer,
                              const pyexec_outcome_t *outcome,
                              enum pxw_tag tag, int trim)
{
    enum pxw_cut cut = tag == PXW_F_OUT ? PXW_CUT_OUT : PXW_CUT_ERR;
    pyexec_text_t stream = pyexec_outcome_text(outcome, tag);

    if ((pxw_u32(outcome->message, PXW_F_CUT, 0) & cut) != 0) {
        char mark[64];

        pyexec_json_text_add(buffer, stream.bytes,
                             pyexec_json_whole_characters(stream.bytes,
                                                          stream.size));
        (void)apr_snprintf(mark, sizeof(mark),
                           "\n[output truncated after %u bytes]%s",
                           outcome->limits->output_bytes, trim ? "" : "\n");
        pyexec_json_text_puts(buffer, mark);
        return !trim;
    }
    if (trim && stream.size > 0 && stream.bytes[stream.size - 1] == '\n') {
        stream.size--;
    }
    pyexec_json_text_add(buffer, stream.bytes, stream.size);
    return stream.size == 0 || stream.bytes[stream.size - 1] == '\n';
}

void pyexec_outcome_add_function(pyexec_buffer_t *buffer,
                                 const pyexec_outcome_t *outcome)
{
    const char *name = outcome->asked->function;

    if (name == NULL && outcome->asked->call == PXW_CALL_TEXT) {
        pyexec_json_text_puts(buffer, "the function"); /* the helper chose */
        return;
    }
    pyexec_json_text_puts(buffer, name == NULL ? "main" : name);
    pyexec_json_text_puts(buffer, "()");
}

/* What Python raises is its own word; which limit it met is ours. */
static void add_exception(pyexec_buffer_t *buffer,
                          const pyexec_outcome_t *outcome, pyexec_text_t text)
{
    static const char memory[] = "MemoryError";
    char limit[64];

    pyexec_json_text_add(buffer, text.bytes, text.size);
    if (text.size == sizeof(memory) - 1
        && memcmp(text.bytes, memory, text.size) == 0) {
        (void)apr_snprintf(limit, sizeof(limit),
                           " (the memory limit is %" APR_UINT64_T_FMT " MiB)",
                           (apr_uint64_t)(outcome->limits->memory_bytes
                                          / PYEXEC_MIB));
        pyexec_json_text_puts(buffer, limit);
    }
}

static void add_stop(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome)
{
    apr_int64_t code = pyexec_outcome_return_code(outcome);
    char text[160];

    pyexec_outcome_print_limit(text, sizeof(text), outcome);
    if (text[0] == '\0') {
        (void)apr_snprintf(text, sizeof(text),
                           code < 0 ? "The script was ended by signal %d"
                                    : "The script ended with exit status %d",
                           (int)(code < 0 ? -code : code));
    }
    pyexec_json_text_puts(buffer, text);
}

void pyexec_outcome_add_reason(pyexec_buffer_t *buffer,
                               const pyexec_outcome_t *outcome,
                               const pyexec_end_t *end)
{
    switch (end->kind) {
    case PYEXEC_END_RAISED:
        add_exception(buffer, outcome, end->text);
        break;
    case PYEXEC_END_NOT_JSON:
        pyexec_json_text_puts(buffer, "The value that ");
        pyexec_outcome_add_function(buffer, outcome);
        pyexec_json_text_puts(buffer, " returned could not be written "
                                      "as JSON: ");
        pyexec_json_text_add(buffer, end->text.bytes, end->text.size);
        break;
    case PYEXEC_END_MISSING:
        pyexec_json_text_puts(buffer, "When the script had run there was no "
                                      "function ");
        pyexec_outcome_add_function(buffer, outcome);
        break;
    default:
        add_stop(buffer, outcome);
        if (end->kind == PYEXEC_END_ITSELF
            && outcome->asked->call != PXW_CALL_NONE) {
            pyexec_json_text_puts(buffer, " before ");
            pyexec_outcome_add_function(buffer, outcome);
            pyexec_json_text_puts(buffer, " had returned");
        }
        break;
    }
}

void pyexec_outcome_add_failure(pyexec_buffer_t *buffer,
                                const pyexec_outcome_t *outcome,
                                const pyexec_end_t *end)
{
    pyexec_text_t errors = pyexec_outcome_text(outcome, PXW_F_ERR);

    pyexec_outcome_add_reason(buffer, outcome, end);
    /* An exception before the first line of the function has no traceback:
     * stderr is then the same line again. */
    if (errors.size > 0
        && (errors.size != end->text.size + 1
            || memcmp(errors.bytes, end->text.bytes, end->text.size) != 0)) {
        pyexec_json_text_puts(buffer, "\n\n");
        (void)pyexec_outcome_add_stream(buffer, outcome, PXW_F_ERR, 1);
    }
}

void pyexec_outcome_add_refusal(pyexec_buffer_t *buffer,
                                const pyexec_outcome_t *outcome,
                                const char *missing)
{
    pyexec_text_t text = pyexec_outcome_text(outcome, PXW_F_TEXT);

    if (pxw_u32(outcome->message, PXW_F_REASON, 0) == PXW_REASON_MISSING) {
        const char *mark = strchr(missing, '@');

        if (mark == NULL) {
            pyexec_json_text_puts(buffer, missing);
            return;
        }
        pyexec_json_text_add(buffer, missing, (apr_size_t)(mark - missing));
        pyexec_outcome_add_function(buffer, outcome);
        pyexec_json_text_puts(buffer, mark + 1);
    }
    else if (text.size > 0) {
        pyexec_json_text_add(buffer, text.bytes, text.size);
    }
    else {
        pyexec_json_text_puts(buffer, "The code is not acceptable.");
    }
}

static void put_seconds(pyexec_buffer_t *buffer, const char *name,
                        apr_uint64_t time_us)
{
    char text[40];

    pyexec_json_name(buffer, name);
    (void)apr_snprintf(text, sizeof(text), "%" APR_UINT64_T_FMT ".%06u",
                       time_us / 1000000, (unsigned)(time_us % 1000000));
    pyexec_buffer_puts(buffer, text);
}

void pyexec_outcome_put_usage(pyexec_buffer_t *buffer,
                              const pyexec_outcome_t *outcome)
{
    const struct pxw_message *message = outcome->message;
    pyexec_text_t python = pyexec_outcome_text(outcome, PXW_F_PYTHON);

    if (!outcome->asked->usage) {
        return;
    }
    pyexec_json_name(buffer, "usage");
    pyexec_json_object_open(buffer);
    put_seconds(buffer, "wall_seconds", pxw_u64(message, PXW_F_WALL_US, 0));
    put_seconds(buffer, "cpu_seconds", pxw_u64(message, PXW_F_CPU_US, 0));
    put_seconds(buffer, "queue_seconds", pxw_u64(message, PXW_F_QUEUE_US, 0));
    pyexec_json_name(buffer, "peak_memory_bytes");
    pyexec_json_put_number(buffer,
                           (apr_int64_t)pxw_u64(message, PXW_F_PEAK, 0));
    if (pxw_has(message, PXW_F_CONNECTIONS)) {
        pyexec_json_name(buffer, "network_connections");
        pyexec_json_put_number(buffer, pxw_u32(message, PXW_F_CONNECTIONS, 0));
        pyexec_json_name(buffer, "network_bytes");
        pyexec_json_put_number(buffer, (apr_int64_t)pxw_u64(
                                           message, PXW_F_NETWORK_BYTES, 0));
    }
    pyexec_json_name(buffer, "ended_by");
    pyexec_json_put_text(buffer, pxw_outcome_name(outcome->outcome));
    if (python.size > 0) {
        pyexec_json_name(buffer, "python");
        pyexec_json_text_open(buffer);
        pyexec_json_text_add(buffer, python.bytes, python.size);
        pyexec_json_text_close(buffer);
    }
    pyexec_json_object_close(buffer);
}
