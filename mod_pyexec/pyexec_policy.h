/* SPDX-License-Identifier: Apache-2.0
 *
 * What PyExecImports and PyExecForbid say, and what that makes of a dialect's
 * own policy. A courtesy to honest authors, like the policy itself.
 *
 *   PyExecImports  math json   these and no other, whatever the dialect says
 *                  none        nothing at all
 *                  *           anything
 *                  +numpy -os  the dialect's list with one more and one less
 *                  +environment  and what is installed in PyExecEnvironment
 *   PyExecForbid   shell eval  these checks and no other; none: no check
 *                  +eval       the dialect's, and one more
 *
 * In .htaccess the same words only ever take away: +name and * of imports,
 * -name and none of checks do nothing there; what is installed may be imported
 * unless a list without a sign, none or -environment stands there.
 */
#ifndef PYEXEC_POLICY_H
#define PYEXEC_POLICY_H

#include "pyexec_config.h"

/* One directive's words, one a line, and those of outer .htaccess files. */
typedef struct pyexec_imports_t
{
    const struct pyexec_imports_t *outer;
    const char *words;
} pyexec_imports_t;

/* NULL, or what is wrong with the words. */
const char *pyexec_policy_read_imports(apr_pool_t *pool, int argc,
                                       char *const argv[],
                                       const pyexec_imports_t **ret_imports);
const char *pyexec_policy_read_forbid(apr_pool_t *pool, int argc,
                                      char *const argv[],
                                      apr_int64_t *ret_forbid);

/* Two of .htaccess files of which both hold. */
const pyexec_imports_t *pyexec_policy_both(apr_pool_t *pool,
                                           const pyexec_imports_t *outer,
                                           const pyexec_imports_t *inner);

/* The policy of a run: as in a dialect, and after all that was configured. */
typedef struct pyexec_policy_t
{
    const char *imports; /* one a line; NULL: anything */
    const char *deny;    /* one a line; NULL: nothing */
    apr_uint32_t forbid; /* PXW_FORBID_… */
    int open;            /* what is installed may be imported as well */
} pyexec_policy_t;

pyexec_policy_t pyexec_policy_of(apr_pool_t *pool, const pyexec_place_t *place,
                                 const struct pyexec_dialect_t *dialect);

/* As in the configuration. */
const char *pyexec_policy_show_forbid(apr_pool_t *pool, apr_int64_t forbid);

#endif
