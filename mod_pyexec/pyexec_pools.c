/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of pools; see the header. Runs in the httpd parent; workers only
 * look something up.
 */
#include "pyexec_pools.h"

#include "pyexec_environment.h"
#include "pyexec_places.h"
#include "pyexec_value.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <string.h>

/* No name of a <PyExecPool> has a colon in it. */
#define TENANT_POOL "tenant:"

/* What a pool costs in the set-up beside its texts. */
#define POOL_BYTES 1024
#define SETUP_BYTES (1u << 20)

/* Made anew by every reading. */
static apr_array_header_t *named;  /* pyexec_pool_t *, as they are read */
static apr_array_header_t *listed; /* pyexec_pool_t * */
static apr_hash_t *by_name;        /* the same, by name */

int pyexec_pools_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;  /* the hook's signature */
    (void)ptemp;
    named = apr_array_make(pconf, 4, sizeof(pyexec_pool_t *));
    listed = apr_array_make(pconf, 4, sizeof(pyexec_pool_t *));
    by_name = apr_hash_make(pconf);
    return OK;
}

pyexec_pool_t *pyexec_pools_named(const char *name)
{
    for (int i = 0; i < named->nelts; i++) {
        pyexec_pool_t *pool = APR_ARRAY_IDX(named, i, pyexec_pool_t *);

        if (strcmp(pool->name, name) == 0) {
            return pool;
        }
    }
    return NULL;
}

const char *pyexec_pools_define(apr_pool_t *pconf, const char *name,
                                const char *where)
{
    pyexec_pool_t *pool = pyexec_pools_named(name);

    if (!pyexec_value_is_pool(name)) {
        return apr_psprintf(pconf, "'%s' is not the name of a pool: "
                            PYEXEC_VALUE_POOL_RULE,
                            name);
    }
    if (pool != NULL) {
        return apr_psprintf(pconf, "the pool '%s' is defined already, at %s",
                            name, pool->where);
    }
    pool = apr_palloc(pconf, sizeof(*pool));
    pyexec_config_clear_pool(pool);
    pool->name = apr_pstrdup(pconf, name);
    pool->where = where;
    APR_ARRAY_PUSH(named, pyexec_pool_t *) = pool;
    return NULL;
}

static void list_pool(apr_pool_t *pconf, const pyexec_pool_t *own,
                      const pyexec_global_t *global)
{
    if (pyexec_pools_find(own->name) == NULL) {
        pyexec_pool_t made = pyexec_config_pool(pconf, own, &global->defaults);
        pyexec_pool_t *kept = apr_pmemdup(pconf, &made, sizeof(made));

        if (kept->idle_ms == PYEXEC_IDLE_AUTO) {
            kept->idle_ms = kept->lazy ? PYEXEC_IDLE_LAZY_MS : 0;
        }
        APR_ARRAY_PUSH(listed, pyexec_pool_t *) = kept;
        apr_hash_set(by_name, kept->name, APR_HASH_KEY_STRING, kept);
        /* Not by its name: no place runs scripts in it. */
        if (kept->install) {
            pyexec_pool_t *installer = pyexec_environment_installer(pconf,
                                                                    kept);

            kept->installer = installer;
            APR_ARRAY_PUSH(listed, pyexec_pool_t *) = installer;
        }
    }
}

typedef struct listing_t
{
    apr_pool_t *pconf;
    const pyexec_global_t *global;
} listing_t;

/* A tenant's own pool, wherever code can run or where the tenant is named for
 * what may run in a section around it. A pool too many is a few bytes: its
 * interpreters are not started before somebody asks. */
static void list_tenant(const pyexec_view_t *view, void *data)
{
    const listing_t *listing = data;
    const pyexec_place_t *place = &view->merged;
    int names_one = place->tenant != NULL
                    && pyexec_places_engine_reaches(view->server);
    pyexec_pool_t own;

    if ((place->engine != 1 && !names_one) || place->pool != NULL
        || (place->tenant != NULL && place->tenant->expression != NULL)) {
        return;
    }
    pyexec_config_clear_pool(&own);
    own.name = pyexec_pools_name(listing->pconf, place,
                                 pyexec_pools_tenant(NULL, place,
                                                     view->server));
    /* The first is warm from the start, to show that runs can be served. */
    own.lazy = listed->nelts > 0;
    list_pool(listing->pconf, &own, listing->global);
}

static const char *check_list(apr_pool_t *ptemp)
{
    apr_size_t size = 0;

    if (listed->nelts > PYEXEC_POOLS_MOST) {
        return apr_psprintf(ptemp, "%d pools are needed and %d are possible: "
                            "put several virtual hosts into one <PyExecPool>",
                            listed->nelts, PYEXEC_POOLS_MOST);
    }
    for (int i = 0; i < listed->nelts; i++) {
        const pyexec_pool_t *pool = APR_ARRAY_IDX(listed, i, pyexec_pool_t *);

        size += POOL_BYTES + strlen(pool->name) + strlen(pool->preload)
                + (pool->env == NULL ? 0 : strlen(pool->env))
                + (pool->site == NULL ? 0 : PXW_DIRS_MAX)
                + (pool->environment[0] == '\0' ? 0 : PXW_DIRS_MAX);
        /* Of tenants any name is possible, this one, too. */
        if (pool->installs_for != NULL
            && pyexec_pools_find(pool->name) != NULL) {
            return apr_psprintf(ptemp, "no tenant can be named '%s' where "
                                "packages are installed for '%s'",
                                pool->name + strlen(TENANT_POOL),
                                pool->installs_for->name);
        }
        if (strlen(pool->name) > PXW_NAME_MAX) {
            return apr_psprintf(ptemp, "the tenant '%s' has a name of more "
                                "than %d bytes", pool->name,
                                (int)(PXW_NAME_MAX - strlen(TENANT_POOL)));
        }
    }
    return size > SETUP_BYTES
               ? "the lists of modules of all pools are too large together"
               : NULL;
}

const char *pyexec_pools_list(apr_pool_t *pconf, apr_pool_t *ptemp,
                              server_rec *main_server)
{
    pyexec_global_t global = pyexec_config_global(main_server);
    listing_t listing = { .pconf = pconf, .global = &global };

    apr_array_clear(listed);
    apr_hash_clear(by_name);
    for (int i = 0; i < named->nelts; i++) {
        list_pool(pconf, APR_ARRAY_IDX(named, i, pyexec_pool_t *), &global);
    }
    pyexec_places_each(ptemp, main_server, list_tenant, &listing);
    return check_list(ptemp);
}

const pyexec_pool_t *const *pyexec_pools_all(int *ret_count)
{
    *ret_count = listed->nelts;
    return (const pyexec_pool_t *const *)listed->elts;
}

void pyexec_pools_set_site(int index, const char *real_site)
{
    APR_ARRAY_IDX(listed, index, pyexec_pool_t *)->real_site = real_site;
}

void pyexec_pools_set_environment(int index, const char *real_environment)
{
    APR_ARRAY_IDX(listed, index, pyexec_pool_t *)->real_environment =
        real_environment;
}

const pyexec_pool_t *pyexec_pools_find(const char *name)
{
    return apr_hash_get(by_name, name, APR_HASH_KEY_STRING);
}

const char *pyexec_pools_tenant(request_rec *r, const pyexec_place_t *place,
                                const server_rec *s)
{
    const pyexec_tenant_t *tenant = place->tenant;
    const char *problem = NULL;
    const char *name;

    if (tenant == NULL) {
        /* ServerName, which the client cannot choose; the Host header it can. */
        return s->server_hostname == NULL ? "" : s->server_hostname;
    }
    if (tenant->expression == NULL) {
        return tenant->text;
    }
    name = ap_expr_str_exec(r, tenant->expression, &problem);
    return problem == NULL && name != NULL && pyexec_value_is_name(name)
               ? name : NULL;
}

const char *pyexec_pools_name(apr_pool_t *pool, const pyexec_place_t *place,
                              const char *tenant)
{
    return place->pool != NULL ? place->pool
                               : apr_pstrcat(pool, TENANT_POOL, tenant, NULL);
}
