/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper tells of itself: the frames STATUS_IS and METRICS_ARE.
 */
#ifndef PYEXEC_KEEPER_STATUS_H
#define PYEXEC_KEEPER_STATUS_H

struct keeper;
struct pxw_writer;

/* Both write a whole frame; a failure is kept in answer->error. */
void keeper_status_write(const struct keeper *keeper,
                         struct pxw_writer *answer);
void keeper_status_write_metrics(const struct keeper *keeper,
                                 struct pxw_writer *answer);

/* Sends UNSERVED to who speaks another version, and of it understands at least
 * that. A failure is the same to him as no answer. */
void keeper_status_tell_version(int fd);

#endif
