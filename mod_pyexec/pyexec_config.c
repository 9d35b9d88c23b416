/* SPDX-License-Identifier: Apache-2.0
 *
 * The structures' life: made empty, merged, filled with defaults, bounded.
 * Runs in the httpd parent while it reads its files, and for each request in
 * a worker, which merges what its directories and .htaccess files say.
 */
#include "pyexec_config.h"

#include "pyexec_dialect.h"
#include "pyexec_env.h"
#include "pyexec_policy.h"

#include <apr_strings.h>
#include <string.h>

#ifndef PYEXEC_HELPER_PROGRAM
#define PYEXEC_HELPER_PROGRAM "/usr/local/libexec/pyexecd"
#endif

#define VALUE_FLAG(value) value
#define VALUE_BYTES(value) value
#define VALUE_MEBIBYTES(value) value
#define VALUE_DURATION(value) value
#define VALUE_PERIOD(value) value
#define VALUE_COUNT(value) value
#define VALUE_FORBID(value) value
#define VALUE_DIALECT(value) pyexec_dialect_find(value)
#define VALUE_IMPORTS(value) value
#define VALUE_TENANT(value) value
#define VALUE_ORIGIN(value) value
#define VALUE_LEVEL(value) value
#define VALUE_PATH(value) value
#define VALUE_ACCOUNT(value) value
#define VALUE_HELPER(value) value
#define VALUE_OWNER(value) value
#define VALUE_MODE(value) value
#define VALUE_LIST(value) value
#define VALUE_POOLNAME(value) value
#define VALUE_ENV(value) value
#define VALUE_PYTHON(value) value
#define VALUE_DIRS(value) value
#define VALUE_EGRESS(value) value
#define VALUE_NETWORK(value) value
#define VALUE_DIR(value) value
#define VALUE_URL(value) value

/* How two values of .htaccess files become one. */
#define TIGHTER_FLAG(pool, a, b) pyexec_config_either(a, b)
#define TIGHTER_BYTES(pool, a, b) pyexec_config_least(a, b)
#define TIGHTER_MEBIBYTES(pool, a, b) pyexec_config_least(a, b)
#define TIGHTER_DURATION(pool, a, b) pyexec_config_least(a, b)
#define TIGHTER_PERIOD(pool, a, b) pyexec_config_least(a, b)
#define TIGHTER_COUNT(pool, a, b) pyexec_config_least(a, b)
#define TIGHTER_FORBID(pool, a, b) pyexec_config_either(a, b)
#define TIGHTER_IMPORTS(pool, a, b) pyexec_policy_both(pool, a, b)

/* How a pool's own value and the default of all pools become one. */
#define INHERIT(kind, pool, own, general) \
    ((own) != PYEXEC_EMPTY_##kind ? (own) : (general))
#define INHERIT_FLAG(pool, a, b) INHERIT(FLAG, pool, a, b)
#define INHERIT_BYTES(pool, a, b) INHERIT(BYTES, pool, a, b)
#define INHERIT_MEBIBYTES(pool, a, b) INHERIT(MEBIBYTES, pool, a, b)
#define INHERIT_DURATION(pool, a, b) INHERIT(DURATION, pool, a, b)
#define INHERIT_PERIOD(pool, a, b) INHERIT(PERIOD, pool, a, b)
#define INHERIT_COUNT(pool, a, b) INHERIT(COUNT, pool, a, b)
#define INHERIT_LEVEL(pool, a, b) INHERIT(LEVEL, pool, a, b)
#define INHERIT_LIST(pool, a, b) INHERIT(LIST, pool, a, b)
#define INHERIT_PYTHON(pool, a, b) INHERIT(PYTHON, pool, a, b)
#define INHERIT_DIRS(pool, a, b) INHERIT(DIRS, pool, a, b)
#define INHERIT_NETWORK(pool, a, b) INHERIT(NETWORK, pool, a, b)
#define INHERIT_DIR(pool, a, b) INHERIT(DIR, pool, a, b)
#define INHERIT_URL(pool, a, b) INHERIT(URL, pool, a, b)
#define INHERIT_ENV(pool, a, b) pyexec_env_merge(pool, b, a)

apr_int64_t pyexec_config_least(apr_int64_t a, apr_int64_t b)
{
    return a == PYEXEC_UNSET || (b != PYEXEC_UNSET && b < a) ? b : a;
}

/* Of flags: On before Off. Of masks: what stands in any. */
apr_int64_t pyexec_config_either(apr_int64_t a, apr_int64_t b)
{
    return a == PYEXEC_UNSET ? b : b == PYEXEC_UNSET ? a : a | b;
}

void *pyexec_config_create_place(apr_pool_t *pool, char *path)
{
    pyexec_place_t *place = apr_pcalloc(pool, sizeof(*place));

    (void)path; /* also given for Directory: the setters take Location only */
#define CLEAR(scope, kind, field, name, value, least, most, help) \
    place->field = PYEXEC_EMPTY_##kind;
    PYEXEC_PLACE_DIRECTIVES(CLEAR)
    PYEXEC_WISH_DIRECTIVES(CLEAR)
#undef CLEAR
#define CLEAR(scope, kind, field, name, value, least, most, help) \
    place->tight.field = PYEXEC_EMPTY_##kind;
    PYEXEC_WISH_DIRECTIVES(CLEAR)
#undef CLEAR
#define CLEAR(scope, kind, field, name, value, least, most, help) \
    place->ceiling.field = PYEXEC_EMPTY_##kind;
    PYEXEC_CEILING_DIRECTIVES(CLEAR)
#undef CLEAR
    return place;
}

void *pyexec_config_merge_place(apr_pool_t *pool, void *base, void *added)
{
    const pyexec_place_t *outer = base;
    const pyexec_place_t *inner = added;
    pyexec_place_t *place = apr_pmemdup(pool, outer, sizeof(*place));

#define MERGE(scope, kind, field, name, value, least, most, help)          \
    if (inner->field != PYEXEC_EMPTY_##kind) {                             \
        place->field = inner->field;                                       \
        place->from.field = inner->from.field;                             \
    }
    PYEXEC_PLACE_DIRECTIVES(MERGE)
    PYEXEC_WISH_DIRECTIVES(MERGE)
#undef MERGE
#define MERGE(scope, kind, field, name, value, least, most, help)          \
    place->tight.field =                                                   \
        TIGHTER_##kind(pool, outer->tight.field, inner->tight.field);
    PYEXEC_WISH_DIRECTIVES(MERGE)
#undef MERGE
#define MERGE(scope, kind, field, name, value, least, most, help)          \
    place->ceiling.field =                                                 \
        TIGHTER_##kind(pool, outer->ceiling.field, inner->ceiling.field);  \
    if (place->ceiling.field != outer->ceiling.field) {                    \
        place->ceiling_from.field = inner->ceiling_from.field;             \
    }
    PYEXEC_CEILING_DIRECTIVES(MERGE)
#undef MERGE
    if (inner->location != NULL) {
        place->location = inner->location;
    }
    return place;
}

void pyexec_config_clear_pool(pyexec_pool_t *ret_pool)
{
    memset(ret_pool, 0, sizeof(*ret_pool));
#define CLEAR(scope, kind, field, name, value, least, most, help) \
    ret_pool->field = PYEXEC_EMPTY_##kind;
    PYEXEC_POOL_DIRECTIVES(CLEAR)
#undef CLEAR
}

/* Virtual hosts have none of these, so there is nothing to merge. */
void *pyexec_config_create_global(apr_pool_t *pool, server_rec *s)
{
    pyexec_global_t *global = apr_pcalloc(pool, sizeof(*global));

    (void)s; /* all servers start alike */
#define CLEAR(scope, kind, field, name, value, least, most, help) \
    global->field = PYEXEC_EMPTY_##kind;
    PYEXEC_GLOBAL_DIRECTIVES(CLEAR)
#undef CLEAR
    pyexec_config_clear_pool(&global->defaults);
    return global;
}

pyexec_place_t pyexec_config_place(const ap_conf_vector_t *per_dir)
{
    return pyexec_config_place_of(ap_get_module_config(per_dir,
                                                       &pyexec_module));
}

pyexec_place_t pyexec_config_place_of(const pyexec_place_t *merged)
{
    pyexec_place_t place = *merged;

#define FILL(scope, kind, field, name, value, least, most, help)           \
    if (place.field == PYEXEC_EMPTY_##kind) {                              \
        place.field = VALUE_##kind(value);                                 \
    }
    PYEXEC_PLACE_DIRECTIVES(FILL)
    PYEXEC_WISH_DIRECTIVES(FILL)
#undef FILL
    if (place.tight.policy == 1) {
        place.policy = 1;
    }
    /* A wish of 0 follows another one and is bounded where that is known. */
#define BOUND(scope, kind, field, name, value, least, most, help)          \
    if (place.ceiling.field == PYEXEC_EMPTY_##kind) {                      \
        place.ceiling.field = VALUE_##kind(value);                         \
    }                                                                      \
    place.ceiling.field =                                                  \
        pyexec_config_least(place.ceiling.field, place.tight.field);       \
    place.field = pyexec_config_least(place.field, place.ceiling.field);
    PYEXEC_CEILING_DIRECTIVES(BOUND)
#undef BOUND
    return place;
}

pyexec_global_t pyexec_config_global(const server_rec *main_server)
{
    pyexec_global_t global = *(const pyexec_global_t *)ap_get_module_config(
        main_server->module_config, &pyexec_module);

#define FILL(scope, kind, field, name, value, least, most, help)           \
    if (global.field == PYEXEC_EMPTY_##kind) {                             \
        global.field = VALUE_##kind(value);                                \
    }
    PYEXEC_GLOBAL_DIRECTIVES(FILL)
#undef FILL
    return global;
}

pyexec_pool_t pyexec_config_pool(apr_pool_t *pool, const pyexec_pool_t *own,
                                 const pyexec_pool_t *defaults)
{
    pyexec_pool_t made = *own;

    (void)pool; /* of kinds that are joined, if there are any */
#define FILL(scope, kind, field, name, value, least, most, help)           \
    if (made.field == PYEXEC_EMPTY_##kind) {                               \
        made.from.field = defaults->from.field;                            \
    }                                                                      \
    made.field = INHERIT_##kind(pool, made.field, defaults->field);        \
    if (made.field == PYEXEC_EMPTY_##kind) {                               \
        made.field = VALUE_##kind(value);                                  \
    }
    PYEXEC_POOL_DIRECTIVES(FILL)
#undef FILL
    return made;
}

int pyexec_config_is_below(const pyexec_place_t *place, const char *uri)
{
    apr_size_t size = place->location == NULL ? 0 : strlen(place->location);

    if (size == 0 || strncmp(uri, place->location, size) != 0) {
        return 0;
    }
    uri += size;
    return uri[strspn(uri, "/")] != '\0';
}
