/* SPDX-License-Identifier: Apache-2.0
 *
 * The directories of PyExecSitePackages: which may be given to strangers'
 * scripts, and which never.
 */
#ifndef PYEXEC_SITE_H
#define PYEXEC_SITE_H

#include <apr_pools.h>
#include <sys/types.h>

/* Who is to read them. */
typedef struct pyexec_site_reader_t
{
    int known; /* 0: nobody asks whether they are readable */
    uid_t uid;
    gid_t gid;
} pyexec_site_reader_t;

/* The same directories, one a line, by names without symbolic links. NULL:
 * *ret_problem says what is wrong with the first that cannot be used. Runs in
 * the httpd parent; as root it looks with the reader's eyes. */
const char *pyexec_site_resolve(apr_pool_t *pool, const char *list,
                                const pyexec_site_reader_t *reader,
                                const char **ret_problem);

#endif
