/* SPDX-License-Identifier: Apache-2.0
 *
 * Where Python's small objects live.
 */
#ifndef PYEXEC_PY_ARENAS_H
#define PYEXEC_PY_ARENAS_H

/* Before Python is initialised. */
void py_arenas_install(void);

#endif
