/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks after the configuration is read, also for `-t`. Runs in the httpd
 * parent as root; looks, and changes nothing. All problems are told, not only
 * the first.
 */
#include "pyexec_check.h"

#include "pyexec_config.h"
#include "pyexec_environment.h"
#include "pyexec_helper.h"
#include "pyexec_links.h"
#include "pyexec_places.h"
#include "pyexec_policy.h"
#include "pyexec_pools.h"
#include "pyexec_pythons.h"
#include "pyexec_service.h"
#include "pyexec_site.h"
#include "pyexec_socket.h"
#include "pyexec_spawn.h"
#include "pyexec_workers.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <errno.h>
#include <http_log.h>
#include <mpm_common.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unixd.h>

APLOG_USE_MODULE(pyexec);

/* The longest that a process number can be: the real one is not known yet. */
#define LONGEST_PID 2147483647

static int is_program_bad(server_rec *s, const pyexec_global_t *global)
{
    const char *path = global->helper_program;
    const char *why = NULL;
    struct stat status;

    if (stat(path, &status) != 0) {
        why = strerror(errno);
    }
    else if (!S_ISREG(status.st_mode)
             || (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
        why = "it is not an executable file";
    }
    else if ((status.st_mode & S_IWOTH) != 0) {
        why = "everyone may write it, and httpd may start it as root";
    }
    if (why == NULL) {
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s,
                 PYXNO(0001) "the helper '%s' cannot be used: %s; see "
                 "PyExecHelperProgram", path, why);
    return 1;
}

static int is_user_bad(server_rec *s, const pyexec_global_t *global,
                       apr_pool_t *pool)
{
    uid_t uid = 0;
    gid_t gid = 0;
    const char *problem = pyexec_spawn_identity(pool, global, &uid, &gid);

    if (problem == NULL) {
        /* CGI and PHP of every site usually have that user, too: they could
         * stop the helper and put a socket of their own in its place. */
        if (geteuid() == 0 && uid == ap_unixd_config.user_id) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s,
                         PYXNO(0005) "the helper will run as httpd's own User "
                         "(uid %lu); a user of its own is safer: create "
                         "'pyexec' or set PyExecHelperUser",
                         (unsigned long)uid);
        }
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s,
                 PYXNO(0002) "%s", problem);
    return 1;
}

static int is_socket_bad(server_rec *s, const pyexec_global_t *global,
                         apr_pool_t *pool)
{
    const char *path = pyexec_socket_path(pool, LONGEST_PID);
    pyexec_socket_access_t access;
    const char *problem = pyexec_socket_access(pool, global, &access);

    if (problem != NULL) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s,
                     PYXNO(0017) "%s", problem);
        return 1;
    }
    if (path != NULL && strlen(path) < PYEXEC_SOCKET_PATH_BYTES) {
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s,
                 PYXNO(0003) "the helper's socket '%s' has a path of more "
                 "than %u bytes; choose a shorter DefaultRuntimeDir",
                 path == NULL ? "" : path,
                 (unsigned)PYEXEC_SOCKET_PATH_BYTES - 1);
    return 1;
}

/* What is for a helper that httpd starts says nothing of the service's: who
 * wrote PyExecHelperUser counts on it. */
static int is_service_contradicted(server_rec *s,
                                   const pyexec_global_t *global)
{
    const struct
    {
        const char *name;
        const char *from;
    } others[] = {
        { "PyExecHelperProgram", global->from.helper_program },
        { "PyExecHelperUser", global->from.helper_user },
        { "PyExecSocketOwner", global->from.socket_owner },
        { "PyExecSocketMode", global->from.socket_mode },
    };
    int bad = 0;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i].from != NULL) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s,
                         PYXNO(0018) "%s: %s is for a helper that httpd starts "
                         "and means nothing to a service (PyExecHelper %s); "
                         "see pyexecd --help for its options",
                         others[i].from, others[i].name, global->helper);
            bad = 1;
        }
    }
    return bad;
}

/* Who can write there can put a socket of his own in the place: he would be
 * sent the token and every script. */
static int is_service_exposed(server_rec *s, const char *path,
                              apr_pool_t *pool)
{
    const char *directory = apr_pstrmemdup(pool, path, (apr_size_t)(
        strrchr(path, '/') - path));
    struct stat status;

    if (directory[0] == '\0' || stat(directory, &status) != 0) {
        return 0; /* it may come with the service */
    }
    if ((status.st_mode & S_IWOTH) == 0
        && (geteuid() != 0 || status.st_uid != ap_unixd_config.user_id)) {
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s,
                 PYXNO(0019) "the service's socket must not be in '%s', which "
                 "%s can write to: he could listen there himself", directory,
                 (status.st_mode & S_IWOTH) != 0 ? "everyone" : "httpd's User");
    return 1;
}

static int is_helper_bad(server_rec *s, const pyexec_global_t *global,
                         apr_pool_t *pool)
{
    const char *path = pyexec_service_path(global);
    int bad;

    if (path != NULL) {
        bad = is_service_contradicted(s, global);
        return is_service_exposed(s, path, pool) || bad;
    }
    bad = is_program_bad(s, global);
    bad |= is_user_bad(s, global, pool);
    return is_socket_bad(s, global, pool) || bad;
}

/* Where nothing else is said, the tenant of a run is its host's ServerName. */
static void warn_nameless(server_rec *main_server)
{
    for (server_rec *s = main_server->next; s != NULL; s = s->next) {
        if (pyexec_places_engine_reaches(s)
            && pyexec_config_place(s->lookup_defaults).tenant == NULL
            && (s->server_hostname == NULL
                || s->server_hostname == main_server->server_hostname)) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s,
                         PYXNO(0004) "the virtual host at %s:%u may run code "
                         "and has no ServerName: it counts as the same tenant "
                         "as the main server",
                         s->defn_name == NULL ? "?" : s->defn_name,
                         s->defn_line_number);
        }
    }
}

typedef struct looks_t
{
    apr_pool_t *pool;
    server_rec *main_server;
    apr_hash_t *told;    /* a value that reaches many hosts is told once */
    apr_hash_t *first;   /* of a name and section: the first such view */
    int bad;
} looks_t;

static int is_news(looks_t *looks, const char *what)
{
    int news = apr_hash_get(looks->told, what, APR_HASH_KEY_STRING) == NULL;

    apr_hash_set(looks->told, what, APR_HASH_KEY_STRING, "");
    return news;
}

static void check_pool(const pyexec_view_t *view, looks_t *looks)
{
    const pyexec_place_t *place = &view->merged;

    if (place->pool != NULL && pyexec_pools_named(place->pool) == NULL
        && is_news(looks, place->from.pool)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0011) "%s: PyExecPool: there is "
                     "no <PyExecPool %s>", place->from.pool, place->pool);
        looks->bad = 1;
    }
    if (place->engine == 1 && place->pool == NULL && place->tenant != NULL
        && place->tenant->expression != NULL
        && is_news(looks, place->from.tenant)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0012) "%s: PyExecTenant: the "
                     "tenants of an expression are not known before they ask, "
                     "and %s names no pool for them: see PyExecPool",
                     place->from.tenant,
                     view->section == NULL ? view->where : view->section);
        looks->bad = 1;
    }
}

static void warn_above(looks_t *looks, const char *wish, const char *wish_from,
                       const char *ceiling, const char *ceiling_from)
{
    const char *line = apr_psprintf(looks->pool, "%s: %s is more than %s (%s) "
                                    "and held down to it", wish_from, wish,
                                    ceiling, ceiling_from);

    if (is_news(looks, line)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0,
                     looks->main_server, PYXNO(0013) "%s", line);
    }
}

static void check_ceilings(const pyexec_view_t *view, looks_t *looks)
{
    const pyexec_place_t *place = &view->merged;
    const char *wish = NULL;

#define NAME(scope, kind, field, name, value, least, most, help)           \
    static const char wish_##field[] = name;
    PYEXEC_WISH_DIRECTIVES(NAME)
#undef NAME
#define ABOVE(scope, kind, field, name, value, least, most, help)          \
    wish = wish_##field;                                                   \
    if (place->ceiling.field != PYEXEC_UNSET                               \
        && place->field > place->ceiling.field) {                          \
        warn_above(looks, wish, place->from.field, name,                   \
                   place->ceiling_from.field);                             \
    }
    PYEXEC_CEILING_DIRECTIVES(ABOVE)
#undef ABOVE
    /* Not all wishes have one. */
    (void)wish_policy;
    (void)wish_imports;
    (void)wish_forbid;
}

static int is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const char *words_of(const pyexec_imports_t *imports)
{
    return imports == NULL ? NULL : imports->words;
}

/* The directive in which they differ, or NULL. */
static const char *find_difference(const pyexec_place_t *a,
                                   const pyexec_place_t *b)
{
    if (!is_same_text(a->pool, b->pool)) {
        return "PyExecPool";
    }
    if (!is_same_text(words_of(a->imports), words_of(b->imports))) {
        return "PyExecImports";
    }
#define COMPARE(scope, kind, field, name, value, least, most, help)        \
    if (PYEXEC_EMPTY_##kind != NULL_OF_##kind && a->field != b->field) {   \
        return name;                                                       \
    }
#define NULL_OF_FLAG 0
#define NULL_OF_BYTES 0
#define NULL_OF_MEBIBYTES 0
#define NULL_OF_DURATION 0
#define NULL_OF_PERIOD 0
#define NULL_OF_FORBID 0
#define NULL_OF_IMPORTS NULL
    PYEXEC_WISH_DIRECTIVES(COMPARE)
#undef COMPARE
    return NULL;
}

/* Which of several of one name. */
static const char *show_host(apr_pool_t *pool, const server_rec *s)
{
    return s->is_virtual && s->defn_name != NULL
               ? apr_psprintf(pool, "%s:%u", s->defn_name, s->defn_line_number)
               : "the main server";
}

/* http and https of one site share a name, and should share all the rest. */
static void check_name(const pyexec_view_t *view, looks_t *looks)
{
    const char *key = apr_psprintf(looks->pool, "%s %s",
                                   view->server->server_hostname == NULL
                                       ? "" : view->server->server_hostname,
                                   view->section == NULL ? ""
                                                         : view->section);
    const pyexec_view_t *first = apr_hash_get(looks->first, key,
                                              APR_HASH_KEY_STRING);
    pyexec_place_t mine;
    pyexec_place_t its;
    const char *difference;

    if (view->merged.engine != 1 || view->merged.tenant != NULL) {
        return;
    }
    if (first == NULL) {
        apr_hash_set(looks->first, key, APR_HASH_KEY_STRING,
                     apr_pmemdup(looks->pool, view, sizeof(*view)));
        return;
    }
    mine = pyexec_config_place_of(&view->merged);
    its = pyexec_config_place_of(&first->merged);
    difference = first->server == view->server ? NULL
                                               : find_difference(&mine, &its);
    if (difference != NULL) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0,
                     looks->main_server, PYXNO(0014) "two virtual hosts are "
                     "named %s and are one tenant, but differ in %s%s%s: %s "
                     "and %s", view->server->server_hostname, difference,
                     view->section == NULL ? "" : " at ",
                     view->section == NULL ? "" : view->section,
                     show_host(looks->pool, first->server),
                     show_host(looks->pool, view->server));
    }
}

static void look(const pyexec_view_t *view, void *data)
{
    check_pool(view, data);
    check_ceilings(view, data);
    check_name(view, data);
}

static int are_places_bad(server_rec *s, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    looks_t looks = { .pool = ptemp, .main_server = s,
                      .told = apr_hash_make(ptemp),
                      .first = apr_hash_make(ptemp) };
    const char *problem = pyexec_pools_list(pconf, ptemp, s);

    if (problem != NULL) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, s,
                     PYXNO(0015) "%s", problem);
        looks.bad = 1;
    }
    pyexec_places_each(ptemp, s, look, &looks);
    return looks.bad;
}

static void check_python(const pyexec_pool_t *pool, const char *program,
                         looks_t *looks)
{
    const char *names = pool->python == NULL
                            ? NULL
                            : pyexec_pythons_instead(looks->pool, program,
                                                     pool->python);

    if (names != NULL && is_news(looks, pool->from.python)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0031) "%s: PyExecPython: the "
                     "helper was not built for '%s'; it was for: %s",
                     pool->from.python, pool->python, names);
        looks->bad = 1;
    }
}

static void check_site(apr_pool_t *pconf, const pyexec_pool_t *pool, int index,
                       const pyexec_site_reader_t *reader, looks_t *looks)
{
    const char *problem = NULL;
    const char *real = pool->site == NULL
                           ? NULL
                           : pyexec_site_resolve(pconf, pool->site, reader,
                                                 &problem);

    if (problem != NULL && is_news(looks, pool->from.site)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0032) "%s: PyExecSitePackages: "
                     "%s", pool->from.site, problem);
        looks->bad = 1;
    }
    pyexec_pools_set_site(index, real);
}

static void check_links(const pyexec_pool_t *pool, looks_t *looks)
{
    const char *problem = pyexec_links_mistake(pool);

    if (problem != NULL && is_news(looks, pool->from.links)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0230) "%s: PyExecLinks: in pool "
                     "\"%s\" %s", pool->from.links, pool->name, problem);
        looks->bad = 1;
    }
}

static int are_pools_bad(server_rec *s, const pyexec_global_t *global,
                         apr_pool_t *pconf, apr_pool_t *ptemp)
{
    looks_t looks = { .pool = ptemp, .main_server = s,
                      .told = apr_hash_make(ptemp) };
    pyexec_site_reader_t reader = { .uid = 0 };
    int serves = pyexec_service_path(global) != NULL;
    int count = 0;
    const pyexec_pool_t *const *pools = pyexec_pools_all(&count);

    /* Where there is no such user, is_user_bad() says so. A service has its
     * own user and programs, and refuses by itself what it has not. */
    reader.known = !serves
                   && pyexec_spawn_identity(ptemp, global, &reader.uid,
                                            &reader.gid) == NULL;
    for (int i = 0; i < count; i++) {
        if (!serves) {
            check_python(pools[i], global->helper_program, &looks);
        }
        check_site(pconf, pools[i], i, &reader, &looks);
        check_links(pools[i], &looks);
    }
    return pyexec_environment_check(s, pconf, &reader) || looks.bad;
}

int pyexec_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                 server_rec *s)
{
    pyexec_global_t global = pyexec_config_global(s);
    int bad = are_places_bad(s, pconf, ptemp);

    (void)plog; /* the hook's signature */
    bad |= are_pools_bad(s, &global, pconf, ptemp);
    if (pyexec_places_any_engine()) {
        bad |= is_helper_bad(s, &global, ptemp);
        warn_nameless(s);
        if (ap_coredumpdir_configured) {
            ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s,
                         PYXNO(0007) "CoreDumpDirectory lets other processes "
                         "of httpd's User (CGI, PHP) read its memory, and in "
                         "it the token that lets them run code");
        }
        pyexec_workers_check(s);
    }
    if (!bad) {
        return OK;
    }
    if (!pyexec_helper_refuse()) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_CRIT, 0, s,
                 PYXNO(0016) "httpd serves everything else with this "
                 "configuration, but runs no code before it is corrected");
    return OK;
}
