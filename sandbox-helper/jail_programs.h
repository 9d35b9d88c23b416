/* SPDX-License-Identifier: Apache-2.0
 *
 * What programs need to be executed, beside themselves.
 */
#ifndef PYEXEC_JAIL_PROGRAMS_H
#define PYEXEC_JAIL_PROGRAMS_H

/* The dynamic loader as programs of this machine name it (this one does), or
 * NULL where they need none. Static. */
const char *jail_loader(void);

#endif
