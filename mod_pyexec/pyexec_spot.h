/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of directives, and for each where its value goes from where it
 * stands. Used while the configuration is read, and for .htaccess.
 */
#ifndef PYEXEC_SPOT_H
#define PYEXEC_SPOT_H

#include "pyexec_config.h"

#define PYEXEC_POOL_SECTION "<PyExecPool"

typedef enum
{
    PYEXEC_SCOPE_PLACE,
    PYEXEC_SCOPE_WISH,
    PYEXEC_SCOPE_CEILING,
    PYEXEC_SCOPE_POOL,
    PYEXEC_SCOPE_GLOBAL,
} pyexec_scope_e;

typedef enum
{
    PYEXEC_KIND_FLAG,
    PYEXEC_KIND_BYTES,
    PYEXEC_KIND_MEBIBYTES,
    PYEXEC_KIND_DURATION,
    PYEXEC_KIND_PERIOD,
    PYEXEC_KIND_COUNT,
    PYEXEC_KIND_DIALECT,
    PYEXEC_KIND_ORIGIN,
    PYEXEC_KIND_LEVEL,
    PYEXEC_KIND_PATH,
    PYEXEC_KIND_ACCOUNT,
    PYEXEC_KIND_HELPER,
    PYEXEC_KIND_OWNER,
    PYEXEC_KIND_MODE,
    PYEXEC_KIND_LIST,
    PYEXEC_KIND_POOLNAME,
    PYEXEC_KIND_TENANT,
    PYEXEC_KIND_IMPORTS,
    PYEXEC_KIND_FORBID,
    PYEXEC_KIND_ENV,
    PYEXEC_KIND_PYTHON,
    PYEXEC_KIND_DIRS,
    PYEXEC_KIND_NETWORK,
    PYEXEC_KIND_DIR,
    PYEXEC_KIND_URL,
    PYEXEC_KIND_EGRESS,
} pyexec_kind_e;

/* Offsets are into the structure of the scope. */
typedef struct pyexec_directive_t
{
    const char *name;
    pyexec_scope_e scope;
    pyexec_kind_e kind;
    apr_size_t field;
    apr_size_t from;
    apr_size_t tight; /* of a wish */
    apr_int64_t least;
    apr_int64_t most;
} pyexec_directive_t;

#define PYEXEC_INDEX(scope, kind, field, name, value, least, most, help) \
    PYEXEC_INDEX_##scope##_##field,
enum { PYEXEC_DIRECTIVES(PYEXEC_INDEX) PYEXEC_SPOT_DIRECTIVES };

extern const pyexec_directive_t pyexec_spot_directives[];

/* Where a directive's value goes. */
typedef struct pyexec_spot_t
{
    void *field;
    const char **from;
    int tightens; /* of an .htaccess: nothing there may be loosened */
} pyexec_spot_t;

/* Where the value of a directive goes, or why it may not stand here. */
const char *pyexec_spot_find(cmd_parms *cmd, void *place, pyexec_spot_t *ret_spot);

/* The name in `name>`; NULL when there is not exactly one. */
const char *pyexec_spot_section_name(apr_pool_t *pool, const char *args);

/* Whether it is the name of a directive of pools. */
int pyexec_spot_is_of_pools(const char *name);

#endif
