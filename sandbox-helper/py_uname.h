/* SPDX-License-Identifier: Apache-2.0
 *
 * os.uname() without the host's name.
 */
#ifndef PYEXEC_PY_UNAME_H
#define PYEXEC_PY_UNAME_H

/* In the zygote, before anything is imported that asks: os.uname() gives the
 * same answer in every job. 0, or -1 with a Python exception set. */
int py_uname_prepare(void);

#endif
