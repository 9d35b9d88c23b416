/* SPDX-License-Identifier: Apache-2.0
 *
 * What the access log can show of a request to the handler `pyexec`
 * (`%{pyexec-run}n` and its like); conf/pyexec.conf.in has the list.
 */
#ifndef PYEXEC_NOTES_H
#define PYEXEC_NOTES_H

#include "../sandbox-helper/wire.h"

#include <httpd.h>

/* Sets all of them, for a request of which nothing is known yet. Returns the
 * run's id, for the lines of the error log: 128 random bits as hexadecimal
 * digits, "-" if the system has none to give. */
const char *pyexec_notes_begin(request_rec *r, const char *tenant);

/* `outcome` must be static or live as long as the request. */
void pyexec_notes_outcome(request_rec *r, const char *outcome);

/* The times of an OUTCOME. */
void pyexec_notes_times(request_rec *r, const struct pxw_message *answer);

#endif
