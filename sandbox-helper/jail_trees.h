/* SPDX-License-Identifier: Apache-2.0
 *
 * The directories and files of the host that scripts may read: the one list
 * from which the private root is made (level full) and the Landlock rules.
 * Everything in it is readable for everyone anyway and
 * the same on every machine with these packages; what the administrator adds
 * for a pool is in jail_site.h.
 */
#ifndef PYEXEC_JAIL_TREES_H
#define PYEXEC_JAIL_TREES_H

#include "python_paths.h"

#include <stdbool.h>
#include <stdint.h>

/* How far a zygote and its jobs are confined. */
enum jail_level
{
    JAIL_RESTRICTED, /* no user namespaces to be had: Landlock, seccomp and
                      * limits in the host's own root and namespaces */
    JAIL_FULL,       /* namespaces and a private root as well */
};

/* The same with what is allowed on top. */
struct jail
{
    enum jail_level level;
    bool processes; /* jobs may start processes, and the programs in the trees
                     * below; at level full only */
    const char *site; /* directories of the administrator's modules, one a
                       * line; NULL: none. Alive as long as the process */
    bool network;   /* jobs may connect to one listener each, in a network
                     * namespace of their own; at level full only */
    const char *environment; /* the directory of the packages that clients
                              * installed, as `site`; NULL: none */
    uint64_t install_bytes; /* jobs install packages, up to so many bytes of
                             * them, and nothing else; 0: they run scripts. With
                             * `network` only */
    const char *directory; /* the environment's own, with install_bytes: what
                            * is installed becomes a generation in it */
    const char *index;     /* where packages come from; the same */
    bool sources;          /* of what has no wheel, too */
};

/* TREE(path, 1 if nothing works without it). */
#define JAIL_TREES(TREE) \
    TREE(PYEXEC_PYTHON_LIBS, 0) \
    TREE(PYEXEC_PYTHON_STDLIB, 1) \
    TREE(PYEXEC_PYTHON_PLATSTDLIB, 1) \
    TREE(PYEXEC_MULTIARCH_LIBDIR, 1) \
    /* such as Debian's python3-* packages */ \
    TREE(PYEXEC_PYTHON_PACKAGED, 0) \
    /* the administrator's own modules */ \
    TREE(PYEXEC_PYTHON_SITE, 0) \
    TREE("/usr/share/zoneinfo", 0) \
    TREE("/usr/lib/locale/C.utf8", 0) \
    /* without a cache the loader searches its default directories */ \
    TREE("/etc/ld.so.cache", 0)

/* What jobs that may start processes see on top, and may execute. */
#define JAIL_PROGRAM_TREES(TREE) \
    TREE("/usr/bin", 1) \
    /* wherever it is */ \
    TREE(PYEXEC_PYTHON, 1)

/* What jobs that may reach a network see on top: whom TLS believes (Debian's
 * name, Red Hat's, openSUSE's). The first that is there is named to OpenSSL. */
#define JAIL_NETWORK_TREES(TREE) \
    TREE("/etc/ssl/certs/ca-certificates.crt", 0) \
    TREE("/etc/pki/tls/certs/ca-bundle.crt", 0) \
    TREE("/etc/ssl/ca-bundle.pem", 0)

#endif
