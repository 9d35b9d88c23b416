/* SPDX-License-Identifier: Apache-2.0
 *
 * The interpreter's code in huge pages, so that jobs get it with the fork
 * instead of by page faults.
 */
#ifndef PYEXEC_ZYGOTE_TEXT_H
#define PYEXEC_ZYGOTE_TEXT_H

#include <stddef.h>

/* Moves what a loaded library has read-only (code, constants, relocated
 * tables) into private huge pages at the same addresses. `inside` is any
 * address in the library; `file` is what zygote_shared.h wants for the part
 * that can be shared, or -1. Call it while there is one thread and before jobs
 * are forked. Returns the number of bytes moved; 0 where the library is too
 * small, or the kernel has no huge pages to give: then all stays as it was. */
size_t zygote_text_move(const void *inside, int file);

#endif
