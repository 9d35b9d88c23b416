/* SPDX-License-Identifier: Apache-2.0
 *
 * Where Python's small objects live.
 */
#ifndef PYEXEC_PY_ARENAS_H
#define PYEXEC_PY_ARENAS_H

/* Before Python is initialised. */
void py_arenas_install(void);

/* After everything that jobs shall find is there: gives away, for good, the
 * free places between what is in use. What a job allocates is side by side
 * then, in few pages that are its own, instead of one here and one there,
 * each in a page that must be copied for it. */
void py_arenas_fill_gaps(void);

#endif
