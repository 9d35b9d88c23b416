/* SPDX-License-Identifier: Apache-2.0
 *
 * Which limit an exception that nobody caught has met, told in an EXHAUSTED
 * frame. The script's own word: it could have raised that itself.
 */
#ifndef PYEXEC_PY_EXHAUSTED_H
#define PYEXEC_PY_EXHAUSTED_H

struct py_call;

/* In the job, at the script's end: reports the limit, if the exception that is
 * set is about one, and leaves it set. Works when memory is short. */
void py_exhausted_report(const struct py_call *call);

#endif
