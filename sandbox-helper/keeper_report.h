/* SPDX-License-Identifier: Apache-2.0
 *
 * The report pipe of a job, read frame by frame by the keeper. Which frame may
 * follow which is a table in keeper_report.c; the first one that may not ends
 * the reading, and what was accepted until then stands.
 */
#ifndef PYEXEC_KEEPER_REPORT_H
#define PYEXEC_KEEPER_REPORT_H

#include "keeper_stream.h"
#include "wire.h"

#include <stdbool.h>

/* How far the job is, by what it wrote. */
enum keeper_report_phase
{
    REPORT_SETTING_UP, /* nothing yet */
    REPORT_READY,
    REPORT_STARTED,  /* user code runs: nothing after it is believed */
    REPORT_RETURNED, /* with a RESULT */
    REPORT_EXHAUSTED, /* with or without a RESULT before */
    REPORT_REFUSED,
    REPORT_FAILED,
    REPORT_BAD,      /* a violation before STARTED */
};

struct keeper_report
{
    struct keeper_stream stream; /* the frame that is being read */
    enum keeper_report_phase phase;
    uint32_t max_json; /* bytes that a RESULT's value may have */
    bool started;  /* STARTED was seen at any time */
    uint32_t met;  /* the limit that EXHAUSTED told; 0: none was seen */
    bool silenced; /* nothing more is read */

    /* Of FAILED: what to tell a person. */
    char text[PXW_NAME_MAX + 128];
    /* REFUSED or RESULT; points into `kept`. Its type is 0 when there was
     * none. */
    struct pxw_message last;
    uint8_t *kept;
};

/* Reads what is there, at most one frame's part. Once silenced it returns
 * KEEPER_READ_END. */
enum keeper_read keeper_report_read(struct keeper_report *report);

void keeper_report_free(struct keeper_report *report);

#endif
