/* SPDX-License-Identifier: Apache-2.0
 *
 * The rehearsal of a run, in a job that has none yet.
 */
#ifndef PYEXEC_PY_SAMPLE_H
#define PYEXEC_PY_SAMPLE_H

#include <stdbool.h>

/* In the job, while nobody waits for it: touches the memory that every run
 * will touch, with imports where scripts are expected to have some. Leaves
 * nothing that a script can see; failure is no matter. */
void py_sample_run(bool imports);

#endif
