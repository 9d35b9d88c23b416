/* SPDX-License-Identifier: Apache-2.0
 *
 * The confinement tried from the inside, once before a zygote serves.
 */
#ifndef PYEXEC_JOB_SELFTEST_H
#define PYEXEC_JOB_SELFTEST_H

#include "jail_trees.h"

/* In a confined job that runs nothing else: NULL when every layer holds that
 * this jail should have, otherwise a static text naming the first that does
 * not. */
const char *job_selftest(const struct jail *jail);

#endif
