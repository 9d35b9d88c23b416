/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving up capabilities, in the zygote and in its jobs.
 */
#ifndef PYEXEC_JOB_CAPS_H
#define PYEXEC_JOB_CAPS_H

#include <stdint.h>

/* Empties bounding and ambient set and reduces the permitted and effective
 * set to `keep` (a mask of 1 << CAP_…, 0 for none); inheritable is emptied.
 * Verifies. Returns 0 or a negative errno. */
int job_caps_reduce(uint64_t keep);

#endif
