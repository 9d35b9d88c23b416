/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks after the configuration is read, also for `-t`. Runs in the httpd
 * parent as root; looks, and changes nothing. All problems are told, not only
 * the first.
 */
#include "pyexec_check.h"

#include "pyexec_config.h"
#include "pyexec_socket.h"
#include "pyexec_spawn.h"
#include "pyexec_workers.h"

#include <errno.h>
#include <http_log.h>
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

static int is_socket_bad(server_rec *s, apr_pool_t *pool)
{
    const char *path = pyexec_socket_path(pool, LONGEST_PID);

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

/* Where nothing else is said, the tenant of a run is its host's ServerName. */
static void warn_nameless(server_rec *main_server)
{
    for (server_rec *s = main_server->next; s != NULL; s = s->next) {
        if (pyexec_config_engine_reaches(s)
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

int pyexec_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                 server_rec *s)
{
    pyexec_global_t global = pyexec_config_global(s);
    int bad = 0;

    (void)pconf; /* the hook's signature */
    (void)plog;
    if (!pyexec_config_any_engine()) {
        return OK; /* nothing of ours will run */
    }
    bad |= is_program_bad(s, &global);
    bad |= is_user_bad(s, &global, ptemp);
    bad |= is_socket_bad(s, ptemp);
    warn_nameless(s);
    pyexec_workers_check(s);
    return bad ? HTTP_INTERNAL_SERVER_ERROR : OK;
}
