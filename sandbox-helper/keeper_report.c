/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing what a job reports. Runs in the keeper. Until STARTED the writer is
 * our own code, though already next to hostile source; from then on it is
 * the enemy, who gains nothing here but a RESULT of his choice.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_report.h"

#include "fdio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text, a list and their headers, beside the value. */
#define RESULT_ROOM (PXW_TEXT_MAX + PXW_LIST_MAX + 64u)

/* Half a pipe: its writer is waiting, or soon will be. */
#define MUCH (32 << 10)

/* The frames that are acceptable, and where they lead. */
static const struct step
{
    enum keeper_report_phase phase;
    uint16_t type;
    enum keeper_report_phase next;
} steps[] = {
    { .phase = REPORT_SETTING_UP, .type = PXW_READY, .next = REPORT_READY },
    { .phase = REPORT_SETTING_UP, .type = PXW_FAILED, .next = REPORT_FAILED },
    { .phase = REPORT_READY, .type = PXW_STARTED, .next = REPORT_STARTED },
    { .phase = REPORT_READY, .type = PXW_REFUSED, .next = REPORT_REFUSED },
    { .phase = REPORT_READY, .type = PXW_FAILED, .next = REPORT_FAILED },
    { .phase = REPORT_STARTED, .type = PXW_RESULT, .next = REPORT_RETURNED },
    { .phase = REPORT_STARTED, .type = PXW_EXHAUSTED,
      .next = REPORT_EXHAUSTED },
    { .phase = REPORT_RETURNED, .type = PXW_EXHAUSTED,
      .next = REPORT_EXHAUSTED },
};

static const struct step *find_step(const struct keeper_report *report,
                                    uint16_t type)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i].phase == report->phase && steps[i].type == type) {
            return &steps[i];
        }
    }
    return NULL;
}

static void violate(struct keeper_report *report)
{
    if (!report->started) {
        report->phase = REPORT_BAD;
    }
    report->silenced = true;
}

/* How many bytes the frame has in all, as far as is known yet; 0: it may not
 * come now. */
static size_t bytes_of_frame(const struct keeper_report *report)
{
    struct pxw_header header;

    if (report->stream.size < PXW_HEADER_BYTES) {
        return PXW_HEADER_BYTES;
    }
    if (pxw_get_header(report->stream.data, &header) != 0
        || find_step(report, header.type) == NULL
        || (header.type == PXW_RESULT
            && header.length > (uint64_t)report->max_json + RESULT_ROOM)) {
        return 0;
    }
    return PXW_HEADER_BYTES + (size_t)header.length;
}

static void describe_failure(struct keeper_report *report,
                             const struct pxw_message *message)
{
    (void)snprintf(report->text, sizeof(report->text),
                   "the job's step \"%.*s\" failed: %s",
                   (int)message->field[PXW_F_STEP].size,
                   (const char *)message->field[PXW_F_STEP].data,
                   strerror((int)pxw_u32(message, PXW_F_ERROR, 0)));
}

/* The buffer is the frame's from now on; what follows gets another. */
static void keep_frame(struct keeper_report *report,
                       const struct pxw_message *message)
{
    report->last = *message;
    report->kept = report->stream.data;
    report->stream.data = NULL;
    report->stream.capacity = 0;
}

static void take_frame(struct keeper_report *report)
{
    struct keeper_stream *stream = &report->stream;
    struct pxw_message message;
    struct pxw_header header;
    const struct step *step;

    if (pxw_get_header(stream->data, &header) != 0
        || (step = find_step(report, header.type)) == NULL
        || pxw_parse(header.type, stream->data + PXW_HEADER_BYTES,
                     header.length, &message) != 0
        || message.field[PXW_F_JSON].size > report->max_json) {
        violate(report);
        return;
    }
    report->phase = step->next;
    report->started = report->started || step->next == REPORT_STARTED;
    if (header.type == PXW_EXHAUSTED) {
        report->met = pxw_u32(&message, PXW_F_OUTCOME, 0);
    }
    /* Every phase is entered once, so that what a job can make us read is
     * bounded by the table; after these nothing may come. */
    report->silenced = header.type != PXW_READY && header.type != PXW_STARTED
                       && header.type != PXW_RESULT;
    if (header.type == PXW_RESULT || header.type == PXW_REFUSED) {
        keep_frame(report, &message);
    }
    if (header.type == PXW_FAILED) {
        describe_failure(report, &message);
    }
    stream->size = 0;
}

enum keeper_read keeper_report_read(struct keeper_report *report)
{
    struct keeper_stream *stream = &report->stream;
    size_t frame = bytes_of_frame(report);
    size_t wanted;
    ssize_t count;

    if (report->silenced || frame == 0
        || keeper_stream_grow(stream, frame) != 0) {
        if (!report->silenced) {
            violate(report);
        }
        return KEEPER_READ_END;
    }
    wanted = (frame < stream->capacity ? frame : stream->capacity)
             - stream->size;
    count = fdio_read(stream->fd, stream->data + stream->size, wanted);
    if (count == -EAGAIN) {
        return KEEPER_READ_EMPTY;
    }
    if (count <= 0) {
        report->silenced = true;
        return KEEPER_READ_END;
    }
    stream->size += (size_t)count;
    /* Complete, unless this was the header of one with a body. */
    if (stream->size == bytes_of_frame(report)) {
        take_frame(report);
    }
    /* The buffer grows ahead of the pipe: much is as good as all. */
    return (size_t)count == wanted || count >= MUCH ? KEEPER_READ_FULL
                                                    : KEEPER_READ_SHORT;
}

void keeper_report_free(struct keeper_report *report)
{
    keeper_stream_free(&report->stream);
    free(report->kept);
    report->kept = NULL;
    report->last = (struct pxw_message){ 0 };
}
