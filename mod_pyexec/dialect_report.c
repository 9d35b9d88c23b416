/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialect `main-report`: {"script": source} is run and its main() called;
 * the answer is {"success": true, "result", "stdout"}, or {"success": false}
 * with one of five errors, a message, and what its author might do about it.
 * Runs in a worker thread; result and streams are the script's and hostile.
 *
 * stdout is what the service of this contract printed itself: a first line,
 * what the script prints, and the result. The plain variant has the second
 * alone. stderr is told below the message of a runtime error.
 */
#include "dialect_main.h"
#include "pyexec_outcome.h"

#include <string.h>

typedef enum
{
    REPORT_INVALID_INPUT,
    REPORT_SYNTAX_ERROR,
    REPORT_MISSING_MAIN,
    REPORT_RUNTIME_ERROR,
    REPORT_TIMEOUT,
} report_e;

#define SUGGESTIONS_MOST 3

static const struct
{
    const char *name;
    const char *suggestions[SUGGESTIONS_MOST];
} reports[] = {
    [REPORT_INVALID_INPUT] = { "invalid_input", {
        "Send a JSON object that has the Python source in its field 'script'",
        "Example: {\"script\": \"def main():\\n    return 'success'\"}" } },
    [REPORT_SYNTAX_ERROR] = { "syntax_error", {
        "Correct the line that the message shows; what is missing (a bracket, "
        "a quote, a colon) is often in the line before it",
        "Indent with spaces only, by the same number in every block",
        "Check that line ends reach the service as line ends: in JSON they "
        "are written \\n" } },
    [REPORT_MISSING_MAIN] = { "missing_main", {
        "Add a main() function to your script",
        "Example: def main():\n    # Your code here\n    return 'success'" } },
    [REPORT_RUNTIME_ERROR] = { "runtime_error", {
        "Read the message from its end: the last lines of the traceback tell "
        "where it happened",
        "Catch what may fail with try and except, and return a value that "
        "says so" } },
    [REPORT_TIMEOUT] = { "timeout", {
        "Look for a loop that does not end, and for waiting (sleep, input, "
        "a lock)",
        "Do less in one request, or use a faster method: vectors instead of "
        "loops, a set instead of a list" } },
};

/* Beside what the helper suggests: the first that fits the exception. */
static const struct
{
    const char *start;  /* of the exception's text */
    const char *suggestion;
} exceptions[] = {
    { "ModuleNotFoundError", "Only the modules of this server's Python can be "
      "imported (its standard library and what is installed beside it); a "
      "script cannot install packages" },
    { "ImportError", "Check the name after import: the module is there, but "
      "not what was asked of it" },
    { "NameError", "Define the name before it is used, and check its spelling "
      "and case" },
    { "UnboundLocalError", "Say global or nonlocal in the function, or give "
      "the name a value first" },
    { "TypeError", "Check the number and the types of the arguments; main() is "
      "called without any unless 'params' is sent" },
    { "EOFError", "Send what input() shall read as the field 'stdin'" },
    { "IndexError", "Check the length before taking an element" },
    { "KeyError", "Use .get() or check with 'in' before taking a key" },
    { "AttributeError", "Check with type() and dir() what the object is and "
      "has" },
    { "ZeroDivisionError", "Check the divisor before dividing" },
    { "RecursionError", "Give the recursion an end, or write it as a loop" },
    { "MemoryError", "Process the data in smaller parts" },
    { "FileNotFoundError", "A script has only the files that it makes itself; "
      "send data in 'stdin', 'params' or the script" },
    { "PermissionError", "Scripts run in a sandbox: what it refuses cannot be "
      "had here" },
};

/* For a value that is no JSON, for a script that ended itself, and for the
 * limits that are no timeout. */
static const char not_json[] =
    "Return dict, list, str, int, float, bool or None only; use .tolist() or "
    ".item() for numpy, str() or .isoformat() for dates, list() for sets";
static const char ended[] =
    "Return a value from main() instead of ending the process: after "
    "sys.exit() or os._exit() there is no result";

static const struct
{
    enum pxw_outcome outcome;
    const char *suggestion;
} limits[] = {
    { PXW_OUT_OF_CPU, "Do less in one request" },
    { PXW_OUT_OF_MEMORY, "Process the data in smaller parts; use generators "
      "instead of lists" },
    { PXW_OUT_OF_OUTPUT, "Print less, and return the result instead" },
    { PXW_OUT_OF_STACK, "Give the recursion an end, or write it as a loop; a "
      "higher sys.setrecursionlimit() does not make the stack larger" },
    { PXW_SIGNALLED, "Look for os.kill() and os.abort(), and for calls that "
      "make a C extension crash" },
};

static void put_text(pyexec_buffer_t *buffer, const char *text)
{
    pyexec_json_list_text(buffer, text, strlen(text));
}

/* Each line of a list that the helper sent. */
static void put_lines(pyexec_buffer_t *buffer, pyexec_text_t list)
{
    const char *at = list.bytes;
    const char *end = list.bytes + list.size;

    while (at < end) {
        const char *stop = memchr(at, '\n', (apr_size_t)(end - at));

        stop = stop == NULL ? end : stop;
        if (stop > at) {
            pyexec_json_list_text(buffer, at, (apr_size_t)(stop - at));
        }
        at = stop + 1;
    }
}

static void put_exception(pyexec_buffer_t *buffer, pyexec_text_t text)
{
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
        apr_size_t size = strlen(exceptions[i].start);

        if (text.size >= size
            && memcmp(text.bytes, exceptions[i].start, size) == 0
            && (text.size == size || text.bytes[size] == ':')) {
            put_text(buffer, exceptions[i].suggestion);
            return;
        }
    }
}

static void put_limit(pyexec_buffer_t *buffer, enum pxw_outcome outcome)
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i].outcome == outcome) {
            put_text(buffer, limits[i].suggestion);
        }
    }
}

/* What fits every error of the kind. */
static void put_general(pyexec_buffer_t *buffer, report_e report,
                        const pyexec_end_t *end)
{
    if (end != NULL && end->kind == PYEXEC_END_RAISED) {
        put_exception(buffer, end->text);
    }
    for (int i = 0; i < SUGGESTIONS_MOST; i++) {
        if (reports[report].suggestions[i] != NULL) {
            put_text(buffer, reports[report].suggestions[i]);
        }
    }
}

/* What fits a run without value that raised nothing. */
static void put_special(pyexec_buffer_t *buffer,
                        const pyexec_outcome_t *outcome,
                        const pyexec_end_t *end)
{
    switch (end->kind) {
    case PYEXEC_END_NOT_JSON:
        put_text(buffer, not_json);
        break;
    case PYEXEC_END_ITSELF:
        put_text(buffer, ended);
        break;
    default:
        put_limit(buffer, outcome->outcome);
        break;
    }
}

/* `outcome` NULL: nothing was asked of the helper; `end` NULL: nothing ran. */
static void put_suggestions(pyexec_buffer_t *buffer, report_e report,
                            const pyexec_outcome_t *outcome,
                            const pyexec_end_t *end)
{
    pyexec_json_name(buffer, "suggestions");
    pyexec_json_list_open(buffer);
    if (outcome != NULL && report != REPORT_MISSING_MAIN) {
        put_lines(buffer, pyexec_outcome_text(outcome, PXW_F_HINTS));
    }
    if (end == NULL || end->kind == PYEXEC_END_RAISED
        || report != REPORT_RUNTIME_ERROR) {
        put_general(buffer, report, end);
    }
    else {
        put_special(buffer, outcome, end);
    }
    pyexec_json_list_close(buffer);
}

/* Up to the message, whose text is left open. */
static void open_failure(pyexec_buffer_t *buffer, report_e report)
{
    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "success");
    pyexec_json_put_flag(buffer, 0);
    pyexec_json_name(buffer, "error");
    pyexec_json_put_text(buffer, reports[report].name);
    pyexec_json_name(buffer, "message");
    pyexec_json_text_open(buffer);
}

static void put_return_code(pyexec_buffer_t *buffer, apr_int64_t code)
{
    pyexec_json_name(buffer, "return_code");
    pyexec_json_put_number(buffer, code);
}

static void encode_problem(pyexec_buffer_t *buffer, const char *sentence)
{
    open_failure(buffer, REPORT_INVALID_INPUT);
    pyexec_json_text_puts(buffer, sentence);
    pyexec_json_text_close(buffer);
    pyexec_json_name(buffer, "stdout");
    pyexec_json_put_text(buffer, "");
    put_suggestions(buffer, REPORT_INVALID_INPUT, NULL, NULL);
    put_return_code(buffer, 1);
    pyexec_json_close(buffer);
}

/* The part of stdout that is not the script's. */
static void add_banner(pyexec_buffer_t *buffer,
                       const pyexec_outcome_t *outcome)
{
    pyexec_json_text_puts(buffer, "Executing ");
    pyexec_outcome_add_function(buffer, outcome);
    pyexec_json_text_puts(buffer, " function...\n");
}

static void put_names(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome)
{
    pyexec_json_name(buffer, "available_functions");
    pyexec_json_list_open(buffer);
    put_lines(buffer, pyexec_outcome_text(outcome, PXW_F_NAMES));
    pyexec_json_list_close(buffer);
}

static void encode_refusal(pyexec_buffer_t *buffer,
                           const pyexec_outcome_t *outcome)
{
    apr_uint32_t reason = pxw_u32(outcome->message, PXW_F_REASON, 0);
    report_e report = reason == PXW_REASON_SYNTAX ? REPORT_SYNTAX_ERROR
                      : reason == PXW_REASON_MISSING ? REPORT_MISSING_MAIN
                      : REPORT_INVALID_INPUT;

    open_failure(buffer, report);
    pyexec_outcome_add_refusal(buffer, outcome,
                               "Script must contain a @ function as the "
                               "entry point.");
    pyexec_json_text_close(buffer);
    pyexec_json_name(buffer, "stdout");
    pyexec_json_put_text(buffer, "");
    put_suggestions(buffer, report, outcome, NULL);
    if (report == REPORT_MISSING_MAIN) {
        put_names(buffer, outcome);
    }
    put_return_code(buffer, 1);
    pyexec_json_close(buffer);
}

static void encode_failure(pyexec_buffer_t *buffer,
                           const pyexec_outcome_t *outcome,
                           const pyexec_end_t *end, int plain)
{
    report_e report = outcome->outcome == PXW_OUT_OF_WALL ? REPORT_TIMEOUT
                      : end->kind == PYEXEC_END_MISSING ? REPORT_MISSING_MAIN
                      : REPORT_RUNTIME_ERROR;

    open_failure(buffer, report);
    pyexec_outcome_add_failure(buffer, outcome, end);
    pyexec_json_text_close(buffer);
    pyexec_json_name(buffer, "stdout");
    pyexec_json_text_open(buffer);
    if (!plain) {
        add_banner(buffer, outcome);
    }
    (void)pyexec_outcome_add_stream(buffer, outcome, PXW_F_OUT, !plain);
    pyexec_json_text_close(buffer);
    put_suggestions(buffer, report, outcome, end);
    if (report == REPORT_MISSING_MAIN) {
        put_names(buffer, outcome);
    }
    put_return_code(buffer, pyexec_outcome_return_code(outcome));
}

/* As print() would write the value, without its line end: a string as it is,
 * anything else as JSON. What is larger than a stream may be is cut to
 * nothing, so that an answer has it once only. */
static void add_result(pyexec_buffer_t *buffer,
                       const pyexec_outcome_t *outcome,
                       const pyexec_jsonvalue_t *value)
{
    if (value->size > outcome->limits->output_bytes) {
        pyexec_json_text_puts(buffer, "[result too long to be printed]");
    }
    else if (value->type == PYEXEC_JSON_STRING) {
        pyexec_json_text_add_string(buffer, value);
    }
    else {
        pyexec_json_text_add(buffer, value->bytes, value->size);
    }
}

static void encode_success(pyexec_buffer_t *buffer,
                           const pyexec_outcome_t *outcome,
                           const pyexec_jsonvalue_t *value, int plain)
{
    pyexec_json_open(buffer);
    pyexec_json_name(buffer, "success");
    pyexec_json_put_flag(buffer, 1);
    pyexec_json_name(buffer, "result");
    pyexec_json_put_value(buffer, value);
    pyexec_json_name(buffer, "stdout");
    pyexec_json_text_open(buffer);
    if (!plain) {
        add_banner(buffer, outcome);
    }
    (void)pyexec_outcome_add_stream(buffer, outcome, PXW_F_OUT, 0);
    if (!plain) {
        add_result(buffer, outcome, value);
    }
    pyexec_json_text_close(buffer);
}

static void encode_any(pyexec_buffer_t *buffer,
                       const pyexec_outcome_t *outcome, int plain)
{
    pyexec_end_t end;

    if (outcome->outcome == PXW_NOT_ACCEPTABLE) {
        encode_refusal(buffer, outcome);
        return;
    }
    end = pyexec_outcome_end(outcome);
    if (end.kind == PYEXEC_END_VALUE) {
        encode_success(buffer, outcome, &end.value, plain);
    }
    else {
        encode_failure(buffer, outcome, &end, plain);
    }
    pyexec_outcome_put_usage(buffer, outcome);
    pyexec_json_close(buffer);
}

static void encode(pyexec_buffer_t *buffer, const pyexec_outcome_t *outcome)
{
    encode_any(buffer, outcome, 0);
}

static void encode_plain(pyexec_buffer_t *buffer,
                         const pyexec_outcome_t *outcome)
{
    encode_any(buffer, outcome, 1);
}

const pyexec_dialect_t dialect_report = {
    .name = "main-report",
    .decode = dialect_main_decode,
    .encode_problem = encode_problem,
    .encode = encode,
};

const pyexec_dialect_t dialect_report_plain = {
    .name = "main-report",
    .decode = dialect_main_decode,
    .encode_problem = encode_problem,
    .encode = encode_plain,
};
