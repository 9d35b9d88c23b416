/* SPDX-License-Identifier: Apache-2.0
 *
 * A script that is behind a link: link_fetch.py, from the zygote that compiles
 * it to the job that runs it.
 */
#ifndef PYEXEC_PY_LINK_H
#define PYEXEC_PY_LINK_H

#include <Python.h>

#include "py_examine.h"
#include "wire.h"

/* In the zygote, before the garbage collector is frozen, where WARM allows
 * links: makes jobs able to fetch. 0, or -1 after a line on stderr. */
int py_link_prepare(const struct pxw_message *warm);

/* In the job, confined and under the run's limits: the text of the script that
 * is at PXW_F_SOURCE of the run; the caller's to free. NULL: *ret_refusal says
 * why. Where it takes too long this tells `report` so itself and ends the
 * process. What it leaves behind in the interpreter are imported modules of the
 * standard library. 0; or a negative errno, -EPERM where links are not
 * allowed: a fault of ours. */
int py_link_fetch(const struct pxw_message *run, int report, char **ret_source,
                  struct py_refusal *ret_refusal);

#endif
