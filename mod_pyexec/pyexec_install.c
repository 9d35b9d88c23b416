/* SPDX-License-Identifier: Apache-2.0
 *
 * Installing; see the header. That a request asks for it is known before
 * whether its place may: a dialect knows no pools.
 */
#include "pyexec_install.h"

#include "pyexec_directives.h"
#include "pyexec_optional.h"
#include "pyexec_outcome.h"
#include "pyexec_pip.h"

#include <string.h>

/* pip itself, and each byte that is installed twice: as an archive and as the
 * files in it, for the directory is in memory until all went well. */
#define MEMORY_BYTES (512 * PYEXEC_MIB)
/* Of both streams: pip is told to be quiet. */
#define OUTPUT_BYTES (64 * (apr_uint32_t)PYEXEC_KIB)
#define FILES 256
#define THREADS 64

/* Of pip's reasons. */
#define SHOWN_BYTES 2000

const char pyexec_install_off[] =
    "Installing packages is not enabled here; leave 'pip' empty.";

/* Any of them would be run before or after the installation: who could say. */
static int has_script(const pyexec_json_t *request)
{
    static const char *const names[] = { "script", "code", "file" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (pyexec_json_has(request, names[i])
            && !pyexec_json_is_empty(request, names[i])) {
            return 1;
        }
    }
    return 0;
}

/* Of the optional fields only `timeout` and `usage` mean anything here; the
 * others may be there as for a script, for that is what forms send. */
static void forget_script(pyexec_job_t *job)
{
    job->source = (pyexec_text_t){ "", 0 };
    job->input = (pyexec_text_t){ NULL, 0 };
    job->params = (pyexec_text_t){ NULL, 0 };
    job->arg_count = 0;
    job->asked.function = NULL;
    job->asked.call = PXW_CALL_NONE;
}

pyexec_decode_e pyexec_install_decode(apr_pool_t *pool,
                                      const pyexec_json_t *request,
                                      pyexec_text_t pip, pyexec_job_t *job,
                                      const char **ret_problem)
{
    pyexec_pip_t *read = apr_palloc(pool, sizeof(*read));
    const char *problem = NULL;

    job->asked.install = PYEXEC_INSTALLS;
    if (pyexec_pip_read(pip.bytes, pip.size, read) != 0) {
        problem = read->problem;
    }
    else if (has_script(request)) {
        problem = "A request either installs packages ('pip') or runs a "
                  "script: install first, then run.";
    }
    else {
        problem = pyexec_optional_read(pool, request, "params", job);
    }
    if (problem != NULL) {
        *ret_problem = problem;
        return PYEXEC_INVALID;
    }
    forget_script(job);
    job->install = (pyexec_text_t){ read->list, read->size };
    if (read->uninstall) {
        job->asked.install = PYEXEC_UNINSTALLS;
    }
    return PYEXEC_DECODED;
}

void pyexec_install_set_limits(pyexec_limits_t *limits, apr_int64_t install_ms,
                               apr_int64_t install_bytes,
                               apr_uint32_t wall_ms)
{
    apr_int64_t memory = MEMORY_BYTES + 2 * install_bytes;

    limits->wall_ms = (apr_uint32_t)install_ms;
    if (wall_ms != 0 && wall_ms < limits->wall_ms) {
        limits->wall_ms = wall_ms;
    }
    limits->cpu_ms = limits->wall_ms + 1000;
    limits->memory_bytes = (apr_uint64_t)(
        memory > PYEXEC_MEMORY_CEILING_BYTES ? PYEXEC_MEMORY_CEILING_BYTES
                                             : memory);
    limits->output_bytes = OUTPUT_BYTES;
    limits->files = FILES;
    limits->threads = THREADS;
}

/* ---- the answer ---- */

static apr_size_t line_size(const char *bytes, apr_size_t size)
{
    const char *end = memchr(bytes, '\n', size);

    return end == NULL ? size : (apr_size_t)(end - bytes) + 1;
}

static int begins_with(const char *bytes, apr_size_t size, const char *word)
{
    return size >= strlen(word) && memcmp(bytes, word, strlen(word)) == 0;
}

/* The end of a text, which is where reasons are. */
typedef struct tail_t
{
    char bytes[SHOWN_BYTES];
    apr_size_t size;
    int is_cut;
} tail_t;

static void add_to_tail(tail_t *tail, const char *bytes, apr_size_t size)
{
    apr_size_t over;

    if (size > sizeof(tail->bytes)) {
        bytes += size - sizeof(tail->bytes);
        size = sizeof(tail->bytes);
        tail->is_cut = 1;
    }
    if (tail->size + size > sizeof(tail->bytes)) {
        over = tail->size + size - sizeof(tail->bytes);
        memmove(tail->bytes, tail->bytes + over, tail->size - over);
        tail->size -= over;
        tail->is_cut = 1;
    }
    memcpy(tail->bytes + tail->size, bytes, size);
    tail->size += size;
}

/* The lines that pip marks as its reasons, each with what is indented below
 * it, as hashes that do not match are. A failure of its own it tells with a
 * traceback: of that the exception, which is the first line that is not
 * indented. */
static void select_reasons(tail_t *tail, pyexec_text_t errors)
{
    int is_reason = 0;
    int in_traceback = 0;

    while (errors.size > 0) {
        apr_size_t size = line_size(errors.bytes, errors.size);
        int is_below = errors.bytes[0] == ' ' || errors.bytes[0] == '\n';

        is_reason = begins_with(errors.bytes, size, "ERROR:")
                    || begins_with(errors.bytes, size, "error:")
                    || (is_below ? is_reason : in_traceback);
        if (is_reason) {
            add_to_tail(tail, errors.bytes, size);
        }
        if (begins_with(errors.bytes, size, "Traceback (most recent")) {
            in_traceback = 1;
            is_reason = 0;
        }
        else if (!is_below) {
            in_traceback = 0;
        }
        errors.bytes += size;
        errors.size -= size;
    }
}

/* Without line ends behind it, and without the rest of a character that was
 * cut in two. */
static void put_tail(pyexec_buffer_t *buffer, const tail_t *tail)
{
    apr_size_t start = 0;
    apr_size_t end = tail->size;

    while (tail->is_cut && start < end
           && ((unsigned char)tail->bytes[start] & 0xc0) == 0x80) {
        start++;
    }
    while (end > start && tail->bytes[end - 1] == '\n') {
        end--;
    }
    pyexec_json_text_puts(buffer, tail->is_cut ? "... " : "");
    pyexec_json_text_add(buffer, tail->bytes + start, end - start);
}

/* Ours before pip's: what it says of an end that was not its own, or of an
 * environment that could not be replaced in the end, is not the reason. */
static void add_reason(pyexec_buffer_t *buffer,
                       const pyexec_outcome_t *outcome)
{
    pyexec_text_t text = pyexec_outcome_text(outcome, PXW_F_TEXT);
    pyexec_text_t errors = pyexec_outcome_text(outcome, PXW_F_ERR);
    pyexec_end_t end = { .kind = PYEXEC_END_ITSELF };
    tail_t tail = { .size = 0 };
    char limit[160];

    pyexec_outcome_print_limit(limit, sizeof(limit), outcome);
    if (text.size > 0) {
        add_to_tail(&tail, text.bytes, text.size);
    }
    else if (limit[0] != '\0') {
        add_to_tail(&tail, limit, strlen(limit));
    }
    else {
        select_reasons(&tail, errors);
    }
    if (tail.size == 0) {
        add_to_tail(&tail, errors.bytes, errors.size);
    }
    if (tail.size == 0) {
        pyexec_outcome_add_reason(buffer, outcome, &end);
        return;
    }
    put_tail(buffer, &tail);
}

void pyexec_install_put(pyexec_buffer_t *buffer,
                        const pyexec_outcome_t *outcome)
{
    int is_done = outcome->outcome == PXW_DONE
                  && pyexec_outcome_text(outcome, PXW_F_TEXT).size == 0;

    pyexec_json_name(buffer, is_done ? "result" : "error");
    pyexec_json_text_open(buffer);
    if (!is_done) {
        add_reason(buffer, outcome);
    }
    else {
        pyexec_json_text_puts(buffer,
                              outcome->asked->install == PYEXEC_UNINSTALLS
                                  ? "Library Uninstallation Successfully"
                                  : "Library Installation Successfully");
    }
    pyexec_json_text_close(buffer);
}
