/* SPDX-License-Identifier: Apache-2.0
 *
 * `pyexecd --check`: what this machine offers, and which isolation level that
 * is really enough for.
 */
#ifndef PYEXEC_ENVCHECK_H
#define PYEXEC_ENVCHECK_H

struct helper_pythons;

/* What envcheck_run() returns, and the process then. */
enum envcheck_result
{
    ENVCHECK_FULL = 0,
    ENVCHECK_RESTRICTED = 1,
    ENVCHECK_NOTHING = 2,
};

/* Prints a report to stdout: one line a feature, then the level that a zygote
 * of each interpreter reached, of which the least counts. Must run as the user who is to serve, whose rights were dropped. */
enum envcheck_result envcheck_run(const struct helper_pythons *pythons);

#endif
