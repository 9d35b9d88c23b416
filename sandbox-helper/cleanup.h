/* SPDX-License-Identifier: Apache-2.0
 *
 * Owners that release what they hold at the end of their block. A variable
 * with one of these attributes is initialised where it is declared; handing
 * its content over goes through steal_fd() or steal_ptr(), and nothing else.
 */
#ifndef PYEXEC_CLEANUP_H
#define PYEXEC_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* For any function that takes a pointer to the variable. */
#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FD CLEANUP(cleanup_fd)
#define CLEANUP_FREE CLEANUP(cleanup_free)

/* Closes *fd unless it is -1 and makes it -1. errno stays what it was. */
static inline void cleanup_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;

        /* Linux frees the number whatever close() returns. */
        (void)close(*fd);
        errno = saved;
    }
    *fd = -1;
}

static inline void cleanup_free(void *pointer)
{
    void **owner = pointer;

    free(*owner);
    *owner = NULL;
}

static inline int steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

/* `pointer` is the address of a pointer variable. */
static inline void *steal_ptr(void *pointer)
{
    void **owner = pointer;
    void *stolen = *owner;

    *owner = NULL;
    return stolen;
}

#endif
