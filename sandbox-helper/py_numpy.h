/* SPDX-License-Identifier: Apache-2.0
 *
 * Fresh randomness for numpy's global generator, the one that no fork hook
 * reseeds.
 */
#ifndef PYEXEC_PY_NUMPY_H
#define PYEXEC_PY_NUMPY_H

/* In the zygote, after the preloads: finds the generator's state, if numpy is
 * loaded. Draws nothing. Leaves no exception set. */
void py_numpy_prepare(void);

/* In the job: gives the generator a new state. 0, or -1: it has none, and the
 * job must not run. */
int py_numpy_reseed(void);

#endif
