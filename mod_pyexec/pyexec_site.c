/* SPDX-License-Identifier: Apache-2.0
 *
 * Judges directories by their real names; see the header. Everything in such a
 * directory becomes readable for scripts of strangers, and what is preloaded
 * from it runs in the interpreter that all of a pool's runs are forked from:
 * so neither may it be more than modules, nor anybody's to write. That the name
 * still means the same when it is used the helper sees to.
 */
#include "pyexec_site.h"

#include "pyexec_directives.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <httpd.h>
#include <http_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

/* What holds no modules, but much that is nobody else's business. */
static const char *const closed[] = {
    "/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys",
    "/var/backups", "/var/log", "/var/mail", "/var/spool",
};

/* How many names a path needs at least: what is above belongs to many, or is
 * all that somebody has. Elsewhere two. */
static const struct
{
    const char *root;
    unsigned least;
} depths[] = {
    { "/home", 3 },
    { "/usr", 3 },
    { "/var", 3 },
};

/* Both without a slash at the end; "/" would be above all. */
static int is_at_or_below(const char *path, const char *top)
{
    apr_size_t size = strlen(top);

    return strncmp(path, top, size) == 0
           && (path[size] == '\0' || path[size] == '/');
}

static unsigned count_names(const char *path)
{
    unsigned count = 0;

    for (; *path != '\0'; path++) {
        count += *path == '/' && path[1] != '\0';
    }
    return count;
}

static unsigned least_names(const char *path)
{
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        if (is_at_or_below(path, depths[i].root)) {
            return depths[i].least;
        }
    }
    return 2;
}

/* Logs, sockets and the configuration are there, or may be. */
static int holds_ours(apr_pool_t *pool, const char *path)
{
    const char *const ours[] = { ap_server_root_relative(pool, ""),
                                 ap_runtime_dir_relative(pool, "") };

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        char *real = ours[i] == NULL ? NULL : realpath(ours[i], NULL);
        int is_inside = real != NULL && is_at_or_below(real, path);

        free(real);
        if (is_inside) {
            return 1;
        }
    }
    return 0;
}

static const char *judge_name(apr_pool_t *pool, const char *path)
{
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        if (is_at_or_below(path, closed[i])) {
            return apr_psprintf(pool, "nothing in %s is for scripts",
                                closed[i]);
        }
    }
    if (count_names(path) < least_names(path)) {
        return "scripts could read far more there than modules";
    }
    return holds_ours(pool, path) ? "the server's own files are in it" : NULL;
}

/* Whoever can write above can put another directory in its place, but for his
 * own files where the sticky bit is set. */
static const char *judge_writers(apr_pool_t *pool, const char *path)
{
    const char *end = path;

    do {
        const char *part;
        struct stat status;
        mode_t bits;

        end = strchr(end + 1, '/');
        part = end == NULL ? path
                           : apr_pstrmemdup(pool, path,
                                            (apr_size_t)(end - path));
        if (stat(part, &status) != 0) {
            return strerror(errno);
        }
        bits = status.st_mode & (S_IWOTH | S_ISVTX);
        if (bits == S_IWOTH || (end == NULL && (bits & S_IWOTH) != 0)) {
            return apr_psprintf(pool, "everyone may write in %s", part);
        }
    } while (end != NULL);
    return NULL;
}

/* The kernel asks for the user of the file system alone, of this thread, and
 * another one of that takes root's power over files along. */
static const char *judge_reader(apr_pool_t *pool, const char *path,
                                const pyexec_site_reader_t *reader)
{
    int as_root = geteuid() == 0;
    const char *problem = NULL;
    int fd;

    if (as_root) {
        (void)setfsgid(reader->gid); /* neither tells whether it could */
        (void)setfsuid(reader->uid);
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        problem = errno == EACCES
                      ? apr_psprintf(pool, "the helper's user (uid %lu) may "
                                     "not read it", (unsigned long)reader->uid)
                      : strerror(errno);
    }
    if (as_root) {
        (void)setfsuid(geteuid());
        (void)setfsgid(getegid());
    }
    if (fd >= 0) {
        (void)close(fd); /* it was only looked at */
    }
    return problem;
}

static const char *judge(apr_pool_t *pool, const char *path,
                         const pyexec_site_reader_t *reader)
{
    struct stat status;
    const char *problem = NULL;

    if (stat(path, &status) != 0) {
        return strerror(errno);
    }
    if (!S_ISDIR(status.st_mode)) {
        return "it is not a directory";
    }
    for (const char *c = path; *c != '\0'; c++) {
        if (apr_iscntrl(*c)) {
            return "its name has a control character in it";
        }
    }
    problem = judge_name(pool, path);
    if (problem == NULL) {
        problem = judge_writers(pool, path);
    }
    return problem != NULL || !reader->known ? problem
                                             : judge_reader(pool, path, reader);
}

/* NULL: *ret_problem. */
static const char *resolve(apr_pool_t *pool, const char *name,
                           const pyexec_site_reader_t *reader,
                           const char **ret_problem)
{
    char *real = realpath(name, NULL);
    const char *path = real == NULL ? NULL : apr_pstrdup(pool, real);
    const char *problem = path == NULL ? strerror(errno)
                                       : judge(pool, path, reader);

    free(real);
    if (problem == NULL) {
        return path;
    }
    *ret_problem =
        path == NULL || strcmp(path, name) == 0
            ? apr_psprintf(pool, "'%s' cannot be used: %s", name, problem)
            : apr_psprintf(pool, "'%s', which is %s, cannot be used: %s", name,
                           ap_escape_logitem(pool, path), problem);
    return NULL;
}

const char *pyexec_site_resolve(apr_pool_t *pool, const char *list,
                                const pyexec_site_reader_t *reader,
                                const char **ret_problem)
{
    char *state = NULL;
    const char *all = NULL;

    for (char *name = apr_strtok(apr_pstrdup(pool, list), "\n", &state);
         name != NULL; name = apr_strtok(NULL, "\n", &state)) {
        const char *path = resolve(pool, name, reader, ret_problem);

        if (path == NULL) {
            return NULL;
        }
        all = all == NULL ? path : apr_pstrcat(pool, all, "\n", path, NULL);
    }
    if (all != NULL && strlen(all) > PXW_DIRS_MAX) {
        *ret_problem = apr_psprintf(pool, "the names are longer than %u bytes "
                                    "together", PXW_DIRS_MAX);
        return NULL;
    }
    return all;
}
