/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints what was read; see the header. Runs in httpd with -t only, after the
 * checks.
 */
#include "pyexec_dump.h"

#include "pyexec_dialect.h"
#include "pyexec_egress.h"
#include "pyexec_places.h"
#include "pyexec_policy.h"
#include "pyexec_pools.h"
#include "pyexec_setup.h"
#include "pyexec_value.h"
#include "pyexec_workers.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <string.h>

#define DEFINE "DUMP_PYEXEC"

static const char *show_text(const char *text, const char *absent)
{
    return text == NULL ? absent : text;
}

/* A list of lines as words. */
static const char *show_list(apr_pool_t *pool, const char *list,
                             const char *absent)
{
    char *words = apr_pstrdup(pool, show_text(list, absent));

    for (char *c = words; *c != '\0'; c++) {
        if (*c == '\n') {
            *c = c[1] == '\0' ? '\0' : ' ';
        }
    }
    return words[0] == '\0' ? "none" : words;
}

static const char *show_network(apr_pool_t *pool, const char *proxy)
{
    return proxy[0] == '\0' ? "none" : apr_pstrcat(pool, "proxy=", proxy, NULL);
}

#define SHOW_FLAG(pool, value) ((value) ? "On" : "Off")
#define SHOW_BYTES(pool, value) pyexec_value_show_bytes(pool, value)
#define SHOW_MEBIBYTES(pool, value) pyexec_value_show_bytes(pool, value)
#define SHOW_DURATION(pool, value) pyexec_value_show_duration(pool, value)
#define SHOW_PERIOD(pool, value) pyexec_value_show_duration(pool, value)
#define SHOW_COUNT(pool, value) pyexec_value_show_number(pool, value)
#define SHOW_FORBID(pool, value) pyexec_policy_show_forbid(pool, value)
#define SHOW_DIALECT(pool, value) (value)->name
#define SHOW_IMPORTS(pool, value) \
    show_list(pool, (value) == NULL ? NULL : (value)->words, "of the dialect")
#define SHOW_TENANT(pool, value) \
    show_text((value) == NULL ? NULL : (value)->text, "ServerName")
#define SHOW_ORIGIN(pool, value) (value)
#define SHOW_LEVEL(pool, value) (value)
#define SHOW_PATH(pool, value) (value)
#define SHOW_ACCOUNT(pool, value) show_text(value, "pyexec, or User")
#define SHOW_HELPER(pool, value) (value)
#define SHOW_OWNER(pool, value) show_text(value, "User:Group")
#define SHOW_MODE(pool, value) apr_psprintf(pool, "%04o", (unsigned)(value))
#define SHOW_POOLNAME(pool, value) show_text(value, "the tenant's own")
#define SHOW_LIST(pool, value) show_list(pool, value, "none")
#define SHOW_ENV(pool, value) show_list(pool, value, "none")
#define SHOW_PYTHON(pool, value) show_text(value, "the default one")
#define SHOW_DIRS(pool, value) show_list(pool, value, "none")
#define SHOW_EGRESS(pool, value) \
    ((value) == NULL ? "any" : pyexec_egress_words(value))
#define SHOW_NETWORK(pool, value) show_network(pool, value)
#define SHOW_DIR(pool, value) ((value)[0] == '\0' ? "none" : (value))
#define SHOW_URL(pool, value) (value)

typedef struct output_t
{
    apr_pool_t *pool;
    apr_file_t *file;
} output_t;

static void print(output_t *out, const char *name, const char *value,
                  const char *from)
{
    apr_file_printf(out->file, "    %-20s %-24s %s\n", name, value,
                    from == NULL ? "(default)" : from);
}

/* A wish that a ceiling holds down is told as what it comes to. */
static void print_wishes(output_t *out, const pyexec_place_t *merged,
                         const pyexec_place_t *place)
{
    const char *held = NULL;

#define SHOW(scope, kind, field, name, value, least, most, help)           \
    print(out, name, SHOW_##kind(out->pool, place->field),                 \
          place->from.field);
    PYEXEC_WISH_DIRECTIVES(SHOW)
#undef SHOW
#define SHOW(scope, kind, field, name, value, least, most, help)           \
    held = merged->field != place->field                                   \
                   && merged->field != PYEXEC_UNSET                        \
               ? apr_psprintf(out->pool, "%s, holds down %s to it",        \
                              show_text(place->ceiling_from.field,         \
                                        "(default)"),                      \
                              SHOW_##kind(out->pool, merged->field))       \
               : place->ceiling_from.field;                                \
    print(out, name, SHOW_##kind(out->pool, place->ceiling.field), held);
    PYEXEC_CEILING_DIRECTIVES(SHOW)
#undef SHOW
}

/* What holds where nothing runs: a proxy's fence, who may see the metrics. */
static void print_idle(output_t *out, const pyexec_place_t *place)
{
    print(out, "PyExecEngine", "Off", place->from.engine);
    if (place->from.metrics != NULL) {
        print(out, "PyExecMetrics", SHOW_FLAG(out->pool, place->metrics),
              place->from.metrics);
    }
    if (place->from.egress != NULL) {
        print(out, "PyExecEgress", SHOW_EGRESS(out->pool, place->egress),
              place->from.egress);
    }
}

static void print_view(const pyexec_view_t *view, void *data)
{
    output_t *out = data;
    pyexec_place_t place = pyexec_config_place_of(&view->merged);
    const char *tenant;

    if (view->section == NULL) {
        apr_file_printf(out->file, "\n%s %s (%s)\n",
                        view->server->is_virtual ? "virtual host"
                                                 : "main server",
                        show_text(view->server->server_hostname,
                                  "without a name"), view->where);
    }
    else {
        apr_file_printf(out->file, "  %s (%s)\n", view->section, view->where);
    }
    if (!place.engine) {
        print_idle(out, &place);
        return;
    }
#define SHOW(scope, kind, field, name, value, least, most, help) \
    print(out, name, SHOW_##kind(out->pool, place.field), place.from.field);
    PYEXEC_PLACE_DIRECTIVES(SHOW)
#undef SHOW
    if (place.tenant == NULL || place.tenant->expression == NULL) {
        tenant = pyexec_pools_tenant(NULL, &place, view->server);
        apr_file_printf(out->file, "    tenant \"%s\", pool \"%s\"\n", tenant,
                        pyexec_pools_name(out->pool, &place, tenant));
    }
    print_wishes(out, &view->merged, &place);
}

static void print_pool(output_t *out, const pyexec_pool_t *pool)
{
    pyexec_pool_t shown = *pool;

    shown.concurrency = (apr_int64_t)pyexec_setup_concurrency(pool);
    /* All of it follows from the other one. */
    if (pool->installs_for != NULL) {
        apr_file_printf(out->file, "\npool \"%s\" (%s), started by the first "
                        "installation for \"%s\"\n", pool->name,
                        show_text(pool->from.install, "(default)"),
                        pool->installs_for->name);
        return;
    }
    apr_file_printf(out->file, "\npool \"%s\" (%s)%s\n", pool->name,
                    show_text(pool->where, "a tenant's own"),
                    pool->lazy ? ", started by its first run" : "");
#define SHOW(scope, kind, field, name, value, least, most, help) \
    print(out, name, SHOW_##kind(out->pool, shown.field), shown.from.field);
    PYEXEC_POOL_DIRECTIVES(SHOW)
#undef SHOW
}

void pyexec_dump(apr_pool_t *pconf, server_rec *s)
{
    pyexec_global_t global = pyexec_config_global(s);
    apr_int64_t most = pyexec_workers_most(&global);
    int count = 0;
    const pyexec_pool_t *const *pools = pyexec_pools_all(&count);
    output_t out = { .pool = pconf };

    if (!ap_exists_config_define(DEFINE)
        || apr_file_open_stdout(&out.file, pconf) != APR_SUCCESS) {
        return;
    }
    apr_file_printf(out.file, "mod_pyexec:\n");
    /* 0: no bound, and no value that could be written. */
    global.workers = most > 0 ? most : global.workers;
#define SHOW(scope, kind, field, name, value, least, most, help) \
    print(&out, name, SHOW_##kind(out.pool, global.field), global.from.field);
    PYEXEC_GLOBAL_DIRECTIVES(SHOW)
#undef SHOW
    for (int i = 0; i < count; i++) {
        print_pool(&out, pools[i]);
    }
    pyexec_places_each(pconf, s, print_view, &out);
}
