/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of a script, as CPython's own main does it.
 */
#ifndef PYEXEC_PY_RUN_H
#define PYEXEC_PY_RUN_H

/* In the job, confined, policy armed: compiles `source` (UTF-8 ending with
 * NUL), runs it as __main__, prints what it does not catch, waits for its
 * threads, calls its exit handlers and finalizers. Returns the exit status
 * 0..255; does not return when the script ends the process by itself. */
int py_run_script(const char *source);

#endif
