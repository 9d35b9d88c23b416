/* SPDX-License-Identifier: Apache-2.0
 *
 * The confinement tried from the inside, once before a zygote serves.
 */
#ifndef PYEXEC_JOB_SELFTEST_H
#define PYEXEC_JOB_SELFTEST_H

/* In a confined job that runs nothing else: NULL when every layer holds,
 * otherwise a static text naming the first that does not. */
const char *job_selftest(void);

#endif
