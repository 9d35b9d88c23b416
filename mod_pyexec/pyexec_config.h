/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration: structures, defaults and merging, all expanded from
 * pyexec_directives.h. Written while httpd reads its files, constant later.
 */
#ifndef PYEXEC_CONFIG_H
#define PYEXEC_CONFIG_H

#include "pyexec.h"
#include "pyexec_directives.h"

#include <ap_expr.h>

struct pyexec_dialect_t;
struct pyexec_egress_t;
struct pyexec_imports_t;

/* Whom runs are counted for: a name, or what makes one of a request. */
typedef struct pyexec_tenant_t
{
    const char *text; /* as it is written */
    const ap_expr_info_t *expression; /* NULL: `text` is the name */
} pyexec_tenant_t;

#define PYEXEC_TYPE_FLAG apr_int64_t
#define PYEXEC_TYPE_BYTES apr_int64_t
#define PYEXEC_TYPE_MEBIBYTES apr_int64_t
#define PYEXEC_TYPE_DURATION apr_int64_t
#define PYEXEC_TYPE_PERIOD apr_int64_t
#define PYEXEC_TYPE_COUNT apr_int64_t
#define PYEXEC_TYPE_FORBID apr_int64_t
#define PYEXEC_TYPE_DIALECT const struct pyexec_dialect_t *
#define PYEXEC_TYPE_IMPORTS const struct pyexec_imports_t *
#define PYEXEC_TYPE_TENANT const pyexec_tenant_t *
#define PYEXEC_TYPE_ORIGIN const char *
#define PYEXEC_TYPE_LEVEL const char *
#define PYEXEC_TYPE_PATH const char *
#define PYEXEC_TYPE_ACCOUNT const char *
#define PYEXEC_TYPE_HELPER const char *
#define PYEXEC_TYPE_OWNER const char *
#define PYEXEC_TYPE_MODE apr_int64_t
#define PYEXEC_TYPE_LIST const char *
#define PYEXEC_TYPE_POOLNAME const char *
#define PYEXEC_TYPE_ENV const char *
#define PYEXEC_TYPE_PYTHON const char *
#define PYEXEC_TYPE_DIRS const char *
#define PYEXEC_TYPE_EGRESS const struct pyexec_egress_t *
#define PYEXEC_TYPE_NETWORK const char *
#define PYEXEC_TYPE_DIR const char *
#define PYEXEC_TYPE_URL const char *

/* Kinds that are numbers are unset as PYEXEC_UNSET, the others as NULL. */
#define PYEXEC_EMPTY_FLAG PYEXEC_UNSET
#define PYEXEC_EMPTY_BYTES PYEXEC_UNSET
#define PYEXEC_EMPTY_MEBIBYTES PYEXEC_UNSET
#define PYEXEC_EMPTY_DURATION PYEXEC_UNSET
#define PYEXEC_EMPTY_PERIOD PYEXEC_UNSET
#define PYEXEC_EMPTY_COUNT PYEXEC_UNSET
#define PYEXEC_EMPTY_FORBID PYEXEC_UNSET
#define PYEXEC_EMPTY_DIALECT NULL
#define PYEXEC_EMPTY_IMPORTS NULL
#define PYEXEC_EMPTY_TENANT NULL
#define PYEXEC_EMPTY_ORIGIN NULL
#define PYEXEC_EMPTY_LEVEL NULL
#define PYEXEC_EMPTY_PATH NULL
#define PYEXEC_EMPTY_ACCOUNT NULL
#define PYEXEC_EMPTY_HELPER NULL
#define PYEXEC_EMPTY_OWNER NULL
#define PYEXEC_EMPTY_MODE PYEXEC_UNSET
#define PYEXEC_EMPTY_LIST NULL
#define PYEXEC_EMPTY_POOLNAME NULL
#define PYEXEC_EMPTY_ENV NULL
#define PYEXEC_EMPTY_PYTHON NULL
#define PYEXEC_EMPTY_DIRS NULL
#define PYEXEC_EMPTY_EGRESS NULL
#define PYEXEC_EMPTY_NETWORK NULL
#define PYEXEC_EMPTY_DIR NULL
#define PYEXEC_EMPTY_URL NULL

#define PYEXEC_FIELD(scope, kind, field, name, value, least, most, help) \
    PYEXEC_TYPE_##kind field;
#define PYEXEC_FROM(scope, kind, field, name, value, least, most, help) \
    const char *field;

/* What .htaccess files may say. */
typedef struct pyexec_wishes_t
{
    PYEXEC_WISH_DIRECTIVES(PYEXEC_FIELD)
} pyexec_wishes_t;

typedef struct pyexec_ceilings_t
{
    PYEXEC_CEILING_DIRECTIVES(PYEXEC_FIELD)
} pyexec_ceilings_t;

/* Where values were set, "file:line"; NULL: nowhere. For people only. */
typedef struct pyexec_place_from_t
{
    PYEXEC_PLACE_DIRECTIVES(PYEXEC_FROM)
    PYEXEC_WISH_DIRECTIVES(PYEXEC_FROM)
} pyexec_place_from_t;

typedef struct pyexec_ceiling_from_t
{
    PYEXEC_CEILING_DIRECTIVES(PYEXEC_FROM)
} pyexec_ceiling_from_t;

typedef struct pyexec_pool_from_t
{
    PYEXEC_POOL_DIRECTIVES(PYEXEC_FROM)
} pyexec_pool_from_t;

typedef struct pyexec_global_from_t
{
    PYEXEC_GLOBAL_DIRECTIVES(PYEXEC_FROM)
} pyexec_global_from_t;

/* What holds in one place. */
typedef struct pyexec_place_t
{
    PYEXEC_PLACE_DIRECTIVES(PYEXEC_FIELD)
    PYEXEC_WISH_DIRECTIVES(PYEXEC_FIELD)
    pyexec_wishes_t tight;      /* of all .htaccess files together */
    pyexec_ceilings_t ceiling;
    pyexec_place_from_t from;
    pyexec_ceiling_from_t ceiling_from;
    /* The Location that sets our handler and one of our directives; NULL
     * where that is not known. Longer paths are then nobody's: 404. */
    const char *location;
} pyexec_place_t;

/* One pool, or the defaults of all. */
typedef struct pyexec_pool_t
{
    PYEXEC_POOL_DIRECTIVES(PYEXEC_FIELD)
    pyexec_pool_from_t from;
    const char *name;  /* as the helper knows it */
    const char *where; /* "file:line" of its section; NULL: it has none */
    int lazy;          /* its interpreters are started by the first run */
    const char *real_site; /* once checked: `site` without symbolic links */
    const char *real_environment; /* the same of `environment`; NULL: none */
    /* The pool that installs this one's packages (pyexec_environment.h), and
     * of that whose they are. NULL: none. */
    const struct pyexec_pool_t *installer;
    const struct pyexec_pool_t *installs_for;
} pyexec_pool_t;

/* What holds for the one helper. */
typedef struct pyexec_global_t
{
    PYEXEC_GLOBAL_DIRECTIVES(PYEXEC_FIELD)
    pyexec_global_from_t from;
    pyexec_pool_t defaults; /* of all pools */
} pyexec_global_t;

void *pyexec_config_create_place(apr_pool_t *pool, char *path);
void *pyexec_config_merge_place(apr_pool_t *pool, void *base, void *added);
void *pyexec_config_create_global(apr_pool_t *pool, server_rec *s);
void pyexec_config_clear_pool(pyexec_pool_t *ret_pool);

/* Copies with every default filled in. Of a place also what ceilings and
 * .htaccess files leave of its wishes; `ceiling` is then the most that each
 * could have been. `tight.imports` and `tight.forbid` still are to be applied
 * to what the dialect says (pyexec_policy.h). */
pyexec_place_t pyexec_config_place(const ap_conf_vector_t *per_dir);
pyexec_place_t pyexec_config_place_of(const pyexec_place_t *merged);
pyexec_global_t pyexec_config_global(const server_rec *main_server);
pyexec_pool_t pyexec_config_pool(apr_pool_t *pool, const pyexec_pool_t *own,
                                 const pyexec_pool_t *defaults);

/* What holds of two values of which each may only tighten; NULL or
 * PYEXEC_UNSET is no value. */
apr_int64_t pyexec_config_least(apr_int64_t a, apr_int64_t b);
apr_int64_t pyexec_config_either(apr_int64_t a, apr_int64_t b);

/* Whether the path of a request goes on after the Location that has the
 * handler: there is nothing then. */
int pyexec_config_is_below(const pyexec_place_t *place, const char *uri);

#endif
