/* SPDX-License-Identifier: Apache-2.0
 *
 * Environments of packages; see the header. Runs in the httpd parent as root;
 * looks, and changes nothing.
 */
#include "pyexec_environment.h"

#include "../sandbox-helper/wire.h"
#include "pyexec_pools.h"

#include <apr_hash.h>
#include <apr_strings.h>
#include <errno.h>
#include <http_log.h>
#include <string.h>
#include <sys/stat.h>

APLOG_USE_MODULE(pyexec);

#define SUFFIX "+install"

/* One after the other, for each replaces what the one before has left; who
 * installs is a person or a deployment, not a crowd. */
#define QUEUE 16
/* Whoever installs one package often installs another one. */
#define IDLE_MS 10000
/* An index has a page for each package, and pip opens some more. */
#define CONNECTIONS 1024
/* What builds a package starts compilers. */
#define BUILD_PROCESSES 16

pyexec_pool_t *pyexec_environment_installer(apr_pool_t *pconf,
                                            const pyexec_pool_t *pool)
{
    pyexec_pool_t *made = apr_pmemdup(pconf, pool, sizeof(*made));

    made->name = apr_pstrcat(pconf, pool->name, SUFFIX, NULL);
    made->installs_for = pool;
    made->installer = NULL;
    made->lazy = 1;
    made->concurrency = 1;
    made->queue = QUEUE;
    made->queue_ms = pool->install_ms;
    made->tenant_concurrency = 0;
    made->tenant_queue = 0;
    made->idle_ms = IDLE_MS;
    made->preload = "";
    made->processes = pool->install_source ? BUILD_PROCESSES : 1;
    made->connections = CONNECTIONS;
    made->network_bytes = pool->install_bytes;
    return made;
}

void pyexec_environment_put(struct pxw_writer *frame,
                            const pyexec_pool_t *pool)
{
    if (pool->real_environment == NULL) {
        return;
    }
    pxw_put_str(frame, PXW_F_ENVIRONMENT, pool->real_environment);
    if (pool->installs_for != NULL) {
        pxw_put_u64(frame, PXW_F_INSTALL_BYTES, (uint64_t)pool->install_bytes);
        pxw_put_str(frame, PXW_F_INDEX, pool->install_index);
        pxw_put_u32(frame, PXW_F_SOURCES, (uint32_t)pool->install_source);
    }
}

/* ---- checks ---- */

typedef struct looks_t
{
    server_rec *main_server;
    apr_pool_t *pool;
    const pyexec_site_reader_t *reader;
    apr_hash_t *told; /* what reaches many pools is told once */
    int bad;
} looks_t;

static int is_news(looks_t *looks, const char *where)
{
    int news = apr_hash_get(looks->told, where, APR_HASH_KEY_STRING) == NULL;

    apr_hash_set(looks->told, where, APR_HASH_KEY_STRING, "");
    looks->bad = 1;
    return news;
}

/* Whoever owns it can write there, and nobody else: what lies in it is
 * imported by the scripts of all clients. */
static const char *judge_owner(apr_pool_t *pool, const char *path,
                               const pyexec_site_reader_t *reader)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return strerror(errno);
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return "others than its owner may write there (chmod go-w)";
    }
    if (reader->known && status.st_uid != reader->uid) {
        return apr_psprintf(pool, "packages are installed by the helper's user "
                            "(uid %lu), whose it must be (chown)",
                            (unsigned long)reader->uid);
    }
    return (status.st_mode & S_IRWXU) != S_IRWXU
               ? "its owner may not do everything there (chmod u=rwx)" : NULL;
}

/* Real name, or NULL: there is none, or it cannot be used. */
static const char *find_directory(const pyexec_pool_t *pool, looks_t *looks)
{
    const char *problem = NULL;
    const char *real = pool->environment[0] == '\0'
                           ? NULL
                           : pyexec_site_resolve(looks->pool,
                                                 pool->environment,
                                                 looks->reader, &problem);

    if (real != NULL && pool->install) {
        problem = judge_owner(looks->pool, real, looks->reader);
        problem = problem == NULL
                      ? NULL : apr_psprintf(looks->pool, "'%s' cannot be "
                                            "used: %s", pool->environment,
                                            problem);
    }
    if (problem != NULL && is_news(looks, pool->from.environment)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0240) "%s: PyExecEnvironment: "
                     "%s", pool->from.environment, problem);
    }
    return problem == NULL ? real : NULL;
}

/* What a pool needs to install. */
static void check_needs(const pyexec_pool_t *pool, looks_t *looks)
{
    const char *missing =
        pool->environment[0] == '\0'
            ? "a directory for the packages: PyExecEnvironment"
        : pool->network[0] == '\0'
            ? "a proxy to the index: PyExecNetwork"
        : strcmp(pool->isolation, "full") != 0
            ? "PyExecIsolation full" : NULL;

    if (missing != NULL && is_news(looks, pool->from.install)) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0241) "%s: PyExecInstall: the "
                     "pool '%s' needs %s", pool->from.install, pool->name,
                     missing);
    }
}

static int has_same_python(const pyexec_pool_t *a, const pyexec_pool_t *b)
{
    return a->python == b->python
           || (a->python != NULL && b->python != NULL
               && strcmp(a->python, b->python) == 0);
}

/* Two of one directory. That each installs would bring two that write at the
 * same time; and what is installed for one interpreter another one may not
 * even load. */
static void check_both(const pyexec_pool_t *a, const pyexec_pool_t *b,
                       looks_t *looks)
{
    const char *problem = NULL;
    const char *where = b->from.environment;

    if (a->install && b->install) {
        problem = "both install: let one of them do it (PyExecInstall)";
        where = b->from.install;
    }
    else if (!has_same_python(a, b)) {
        problem = "their PyExecPython differs";
    }
    if (problem != NULL && is_news(looks, apr_pstrcat(looks->pool, "both ",
                                                      where, NULL))) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0,
                     looks->main_server, PYXNO(0242) "%s: the pools '%s' and "
                     "'%s' cannot share the PyExecEnvironment '%s': %s", where,
                     a->name, b->name, a->real_environment, problem);
    }
}

int pyexec_environment_check(server_rec *s, apr_pool_t *pconf,
                             const pyexec_site_reader_t *reader)
{
    looks_t looks = { .main_server = s, .pool = pconf, .reader = reader,
                      .told = apr_hash_make(pconf) };
    int count = 0;
    const pyexec_pool_t *const *pools = pyexec_pools_all(&count);

    for (int i = 0; i < count; i++) {
        const char *real = find_directory(pools[i], &looks);

        pyexec_pools_set_environment(i, real);
        /* The pool that installs for another one has what that has. */
        if (pools[i]->installs_for != NULL) {
            continue;
        }
        if (pools[i]->install) {
            check_needs(pools[i], &looks);
        }
        for (int k = 0; real != NULL && k < i; k++) {
            if (pools[k]->installs_for == NULL
                && pools[k]->real_environment != NULL
                && strcmp(pools[k]->real_environment, real) == 0) {
                check_both(pools[k], pools[i], &looks);
            }
        }
    }
    return looks.bad;
}
