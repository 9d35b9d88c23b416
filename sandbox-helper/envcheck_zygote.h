/* SPDX-License-Identifier: Apache-2.0
 *
 * The proof of --check: a zygote that is started, and ended again.
 */
#ifndef PYEXEC_ENVCHECK_ZYGOTE_H
#define PYEXEC_ENVCHECK_ZYGOTE_H

#include "keeper_level.h"

/* What its runs may do on top. */
enum envcheck_kind
{
    ENVCHECK_PLAIN,
    ENVCHECK_PROCESSES,
    ENVCHECK_NETWORK,
};

struct helper_python;

/* Starts a zygote of this interpreter for runs of this kind, waits until it is
 * warm at `level`, prints how that went and ends it. 0: it was; or a negative
 * errno. */
int envcheck_zygote(const struct helper_python *python, enum keeper_level level,
                    enum envcheck_kind kind);

#endif
