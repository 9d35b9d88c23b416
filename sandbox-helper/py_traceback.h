/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing what a script did not catch, as python3 does for a script in a
 * file: with its source lines.
 */
#ifndef PYEXEC_PY_TRACEBACK_H
#define PYEXEC_PY_TRACEBACK_H

/* Prints the exception that is set to sys.stderr, through the script's own
 * sys.excepthook if it has one, and clears it. Like PyErr_Print(), it does not
 * return if that raises SystemExit. */
void py_traceback_print(void);

#endif
