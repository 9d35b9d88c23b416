/* SPDX-License-Identifier: Apache-2.0
 *
 * What a job writes to its report pipe, in pieces of any size, and how it
 * ended: the keeper's reader against a plain reading of the same bytes, then
 * the outcome. The first bytes are the settings, the rest is the report.
 */
#include "fuzz.h"

#include "fdio.h"
#include "keeper.h"
#include "keeper_jobs.h"
#include "keeper_queue.h"

#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char fuzz_name[] = "report";

#define SETTINGS_BYTES 12
/* Less than a pipe takes at once. */
#define MOST 60000u
/* The largest frame that is no RESULT, and what a RESULT has beside its value:
 * generous, what matters is that nothing near the length field's 4 GiB comes
 * true. */
#define FRAME_MOST (256u << 10)

struct settings
{
    int wait_status;
    enum keeper_job_verdict verdict;
    bool killed;
    uint8_t pieces; /* 0: all at once; else it chooses their sizes */
    uint32_t max_json;
    uint32_t cpu_ms;
    uint64_t cpu_us;
    size_t late; /* bytes that are read only after the job's end */
};

/* What the bytes say when they are read one frame after the other. */
struct plain
{
    size_t count;
    uint16_t type[4];
    uint32_t json[4];
    uint32_t length[4];
};

static struct settings read_settings(const uint8_t *data, size_t size)
{
    struct settings settings = {
        .wait_status = data[0] | data[1] << 8,
        .verdict = (enum keeper_job_verdict)(data[2] & 7) > JOB_PAST_OUTPUT
                       ? JOB_NO_VERDICT
                       : (enum keeper_job_verdict)(data[2] & 7),
        .killed = (data[2] & 8) != 0,
        .pieces = data[3],
        .max_json = (uint32_t)(data[4] | data[5] << 8) << (data[2] >> 4),
        .cpu_ms = 1u + (uint32_t)(data[6] | data[7] << 8),
        .cpu_us = 1000ull * (uint32_t)(data[8] | data[9] << 8),
    };

    /* A verdict comes with a kill, and a kill also without one. */
    settings.killed = settings.killed || settings.verdict != JOB_NO_VERDICT;
    settings.late = size * data[10] / 255u;
    if (settings.max_json > PXW_OUTPUT_MAX) {
        settings.max_json = PXW_OUTPUT_MAX;
    }
    /* Stopped, continued and what wait4(2) never says are of interest too. */
    if (data[11] & 1) {
        settings.wait_status |= data[11] << 16;
    }
    return settings;
}

static struct plain read_plainly(const uint8_t *bytes, size_t size)
{
    struct plain plain = { 0 };
    struct pxw_header header;
    struct pxw_message message;

    while (plain.count < 4 && size >= PXW_HEADER_BYTES
           && pxw_get_header(bytes, &header) == 0
           && header.length <= size - PXW_HEADER_BYTES
           && pxw_parse(header.type, bytes + PXW_HEADER_BYTES, header.length,
                        &message) == 0) {
        plain.type[plain.count] = header.type;
        plain.length[plain.count] = header.length;
        plain.json[plain.count] = message.field[PXW_F_JSON].size;
        plain.count++;
        bytes += PXW_HEADER_BYTES + header.length;
        size -= PXW_HEADER_BYTES + header.length;
    }
    return plain;
}

static void check_bounds(const struct keeper_report *report, size_t came)
{
    const struct keeper_stream *stream = &report->stream;

    FUZZ_HOLDS(stream->size <= stream->capacity);
    FUZZ_HOLDS(stream->capacity <= 1024 || stream->capacity <= 2 * came);
    FUZZ_HOLDS(stream->capacity <= report->max_json + FRAME_MOST);
    FUZZ_HOLDS(memchr(report->text, '\0', sizeof(report->text)) != NULL);
}

static void read_all(struct keeper_report *report, size_t came)
{
    enum keeper_read got;

    do {
        got = keeper_report_read(report);
        check_bounds(report, came);
    } while (got == KEEPER_READ_FULL || got == KEEPER_READ_SHORT);
    FUZZ_HOLDS(got == KEEPER_READ_EMPTY || report->silenced);
}

static void write_piece(int pipe, const uint8_t *bytes, size_t size)
{
    FUZZ_HOLDS(write(pipe, bytes, size) == (ssize_t)size);
}

/* Leaves the last `late` bytes in the pipe, where the job's end finds them. */
static void feed(struct keeper_report *report, int pipe, const uint8_t *bytes,
                 size_t size, const struct settings *settings)
{
    uint32_t random = settings->pieces;
    size_t early = size - settings->late;
    size_t at = 0;

    while (at < early && !report->silenced) {
        size_t piece = early - at;

        if (settings->pieces != 0) {
            random = random * 1664525u + 1013904223u;
            piece = 1 + (random >> 16) % (random & 0x8000 ? 16 : 4096);
            piece = piece < early - at ? piece : early - at;
        }
        write_piece(pipe, bytes + at, piece);
        at += piece;
        read_all(report, at);
    }
    if (!report->silenced && at < size) {
        write_piece(pipe, bytes + at, size - at);
    }
}

static void check_report(const struct keeper_report *report,
                         const struct plain *plain)
{
    bool ready = plain->count > 0 && plain->type[0] == PXW_READY;
    bool started = ready && plain->count > 1 && plain->type[1] == PXW_STARTED;
    bool fits = plain->json[2] <= report->max_json
                && plain->length[2] <= (uint64_t)report->max_json + FRAME_MOST;
    bool result = started && plain->count > 2 && plain->type[2] == PXW_RESULT
                  && fits;
    bool refused = ready && plain->count > 1 && plain->type[1] == PXW_REFUSED;

    FUZZ_HOLDS(report->started == started);
    FUZZ_HOLDS(report->last.type == PXW_RESULT ? result : true);
    FUZZ_HOLDS((report->last.type == PXW_REFUSED) == refused);
    FUZZ_HOLDS((report->phase == REPORT_REFUSED) == refused);
    FUZZ_HOLDS(report->met == 0 || started);
    FUZZ_HOLDS(!started || report->phase != REPORT_BAD);
    FUZZ_HOLDS((report->kept != NULL) == (report->last.type != 0));
    FUZZ_HOLDS(report->last.field[PXW_F_JSON].size <= report->max_json);
}

/* Nothing that a job says makes its end better than it was. */
static void check_outcome(const struct keeper_job *job,
                          const struct settings *settings,
                          enum pxw_outcome outcome)
{
    const struct keeper_report *report = &job->report;
    int status = settings->wait_status;
    bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool judged = job->killed;

    FUZZ_HOLDS(strcmp(pxw_outcome_name(outcome), "broken") != 0
               || outcome == PXW_BROKEN);
    FUZZ_HOLDS(outcome != PXW_BUSY && outcome != PXW_ABSENT);
    FUZZ_HOLDS((outcome == PXW_DONE)
               == (well && report->started && !judged));
    FUZZ_HOLDS(outcome != PXW_NOT_ACCEPTABLE
               || (report->phase == REPORT_REFUSED && WIFEXITED(status)));
    FUZZ_HOLDS(report->started || judged || outcome == PXW_BROKEN
               || outcome == PXW_OUT_OF_CPU || outcome == PXW_NOT_ACCEPTABLE
               || outcome == PXW_LOST);
    /* A run that would be repeated. */
    FUZZ_HOLDS(outcome != PXW_LOST
               || (!report->started && !judged && WIFSIGNALED(status)
                   && WTERMSIG(status) == SIGKILL
                   && report->phase == REPORT_READY));
    /* A limit that it only claims to have met goes with an end that the kernel
     * or it itself brought about, and the keeper's own words cannot be had. */
    FUZZ_HOLDS(judged || outcome == PXW_OUT_OF_CPU
               || (outcome != PXW_OUT_OF_WALL && outcome != PXW_OUT_OF_OUTPUT));
    FUZZ_HOLDS(WIFSIGNALED(status)
               || (outcome != PXW_SIGNALLED && outcome != PXW_OUT_OF_STACK));
    FUZZ_HOLDS(judged || outcome <= PXW_EXITED_NONZERO
               || outcome == PXW_OUT_OF_CPU || outcome == PXW_SIGNALLED
               || outcome == PXW_BROKEN || outcome == PXW_LOST
               || report->met == outcome);
}

static void check_answer(const struct keeper_job *job,
                         const struct pxw_writer *answer,
                         const struct settings *settings)
{
    struct pxw_header header;
    struct pxw_message message;
    enum pxw_outcome outcome;

    FUZZ_HOLDS(answer->error == 0);
    FUZZ_HOLDS(pxw_get_header(answer->data, &header) == 0);
    FUZZ_HOLDS(header.type == PXW_OUTCOME
               && header.length == answer->size - PXW_HEADER_BYTES);
    FUZZ_HOLDS(pxw_parse(header.type, answer->data + PXW_HEADER_BYTES,
                         header.length, &message) == 0);
    outcome = (enum pxw_outcome)pxw_u32(&message, PXW_F_OUTCOME, 0);
    check_outcome(job, settings, outcome);
    FUZZ_HOLDS(!pxw_has(&message, PXW_F_KIND)
               || (job->report.started && !pxw_outcome_is_ours(outcome)));
    FUZZ_HOLDS(!pxw_has(&message, PXW_F_REASON)
               || outcome == PXW_NOT_ACCEPTABLE);
    FUZZ_HOLDS(message.field[PXW_F_JSON].size <= job->report.max_json);
    FUZZ_HOLDS(message.field[PXW_F_OUT].size <= job->out.keep);
    FUZZ_HOLDS(pxw_u32(&message, PXW_F_EXIT, 1000) < 256 + 128);
    FUZZ_HOLDS(message.field[PXW_F_PYTHON].size == strlen("3.11.2"));
}

static struct keeper_job *open_job(const struct settings *settings,
                                   int ret_ends[2])
{
    static const struct pool_conf conf = { .name = "fuzz" };
    static struct keeper_pool pool = { .conf = &conf, .python = "3.11.2" };
    static struct keeper_branch branch = { .pool = &pool };
    static struct event_base *base;
    struct keeper_job *job = calloc(1, sizeof(*job));
    int report[2];
    int out[2];

    if (base == NULL) {
        base = event_base_new();
    }
    FUZZ_HOLDS(base != NULL && job != NULL);
    FUZZ_HOLDS(pipe2(report, O_NONBLOCK | O_CLOEXEC) == 0);
    FUZZ_HOLDS(pipe2(out, O_NONBLOCK | O_CLOEXEC) == 0);
    job->pidfd = job->input = job->err.fd = -1;
    keeper_relay_init(&job->relay);
    job->report.stream.fd = report[0];
    job->out.fd = out[0];
    ret_ends[0] = report[1];
    ret_ends[1] = out[1];
    job->state = JOB_RUNNING;
    job->branch = &branch;
    job->report.max_json = settings->max_json;
    job->out.keep = settings->max_json;
    job->verdict = settings->verdict;
    job->killed = settings->killed;
    job->cpu_ms = settings->cpu_ms;
    FUZZ_HOLDS(keeper_job_assign(job, base) == 0);
    return job;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct pxw_writer answer = { 0 };
    struct keeper_job *job;
    struct keeper_run run = { 0 };
    struct keeper_job_end end = { 0 };
    struct plain plain;
    int ends[2];

    if (size < SETTINGS_BYTES || size > SETTINGS_BYTES + MOST) {
        return 0;
    }
    settings = read_settings(data, size - SETTINGS_BYTES);
    data += SETTINGS_BYTES;
    size -= SETTINGS_BYTES;
    plain = read_plainly(data, size);
    job = open_job(&settings, ends);
    job->run = &run;
    run.job = job;
    job->dispatched_us = run.admitted_us = fdio_now_us();
    end.wait_status = settings.wait_status;
    end.cpu_us = settings.cpu_us;
    /* The same bytes as output: counted, cut, and too much at some point. */
    write_piece(ends[1], data, size);
    feed(&job->report, ends[0], data, size, &settings);
    /* A left-over process may hold the pipes open. */
    if (settings.pieces & 1) {
        (void)close(ends[0]);
        ends[0] = -1;
    }
    keeper_job_end(job, &end, &answer);
    check_report(&job->report, &plain);
    check_answer(job, &answer, &settings);
    pxw_writer_free(&answer);
    if (ends[0] >= 0) {
        (void)close(ends[0]);
    }
    (void)close(ends[1]);
    keeper_job_free(job);
    return 0;
}
