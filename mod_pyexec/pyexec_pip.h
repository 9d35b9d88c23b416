/* SPDX-License-Identifier: Apache-2.0
 *
 * The field `pip` of a request: "-i numpy pandas>=2,<3" installs, "-u numpy"
 * uninstalls. Names and versions and nothing else get through: what is left
 * can be no option, path, address or marker for pip. Pure, allocates nothing;
 * the bytes are a client's.
 */
#ifndef PYEXEC_PIP_H
#define PYEXEC_PIP_H

#include <stddef.h>

/* More at a time is a requirements file, and each is looked up. */
#define PYEXEC_PIP_NAMES_MOST 20
/* The longest name and a handful of versions. */
#define PYEXEC_PIP_NAME_BYTES 200

typedef struct pyexec_pip_t
{
    int uninstall;
    unsigned count;   /* of names; at least one */
    size_t size;      /* of `list`, without its NUL */
    /* As PXW_F_INSTALL: what to do, then a requirement a line, without blanks:
     * "install\nnumpy\npandas[performance]>=2,<3". */
    char list[16 + PYEXEC_PIP_NAMES_MOST * (PYEXEC_PIP_NAME_BYTES + 1)];
    char problem[200]; /* a sentence for the client */
} pyexec_pip_t;

/* 0; or -1, and `problem` says what is wrong, with the word that is, cut and
 * of printable ASCII. */
int pyexec_pip_read(const char *bytes, size_t size, pyexec_pip_t *ret_pip);

#endif
