/* SPDX-License-Identifier: Apache-2.0
 *
 * CPython in the zygote: started once, warmed, and copied by fork.
 */
#ifndef PYEXEC_PY_RUNTIME_H
#define PYEXEC_PY_RUNTIME_H

#include <stddef.h>
#include <sys/types.h>

/* In the zygote, inside the private root, single-threaded: starts the
 * interpreter, its code in `text_file` (see zygote_text.h). Returns 0, or -1
 * with *ret_reason (static or the interpreter's) saying why. */
int py_runtime_start(int text_file, const char **ret_reason);

/* In the zygote: puts the directories of `site` (one a line; NULL: none) into
 * sys.path, imports each of the modules in `list` (one a line), lets jobs find
 * what is in `environment` (a directory; NULL: none), then
 * freezes what is there out of the garbage collector. A module that is not
 * installed is logged and left out. 0, or -1 after a line on stderr. */
int py_runtime_preload(const char *list, size_t size, const char *site,
                       const char *environment);

/* The interpreter's version, "3.11.2". Static. */
const char *py_runtime_version(void);

/* In the zygote: fork(2) of libc between CPython's fork hooks (a bare clone
 * would skip pthread_atfork handlers and hang BLAS libraries). 0 in the
 * child, its pid in the zygote, or a negative errno. */
pid_t py_runtime_fork(void);

/* In the job, before it is given a run: fresh randomness where CPython's own
 * hooks do not see to it, and the memory touched that every run will touch. */
void py_runtime_refresh(void);

#endif
