/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening socket; see the header. As root it works in a directory that
 * an unprivileged user owns: nothing there may be changed by its name, or a
 * link put in its place would be changed instead.
 */
#include "pyexec_socket.h"

#include <apr_strings.h>
#include <apr_user.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unixd.h>

/* As many connections as a kernel's default lets wait (net.core.somaxconn is
 * 4096, older ones 128): they survive in it while the helper is replaced. */
#define BACKLOG 511

static const char *directory_of(apr_pool_t *pool, const char *path)
{
    return apr_pstrmemdup(pool, path, (apr_size_t)(strrchr(path, '/') - path));
}

static const char *describe(apr_pool_t *pool, const char *what,
                            const char *object)
{
    return apr_psprintf(pool, "cannot %s '%s': %s", what, object,
                        strerror(errno));
}

const char *pyexec_socket_path(apr_pool_t *pool, pid_t pid)
{
    const char *name = apr_psprintf(pool, "pyexec/%" APR_PID_T_FMT ".sock",
                                    pid);

    return ap_runtime_dir_relative(pool, name);
}

/* Makes the directory if it is missing and gives it to the helper. Opened
 * without following links, and changed through the descriptor only. */
static const char *prepare_directory(apr_pool_t *pool, const char *directory,
                                     uid_t uid, gid_t gid)
{
    const char *problem = NULL;
    struct stat status;
    int made;
    int fd;

    /* What an earlier helper with another user left: gone if it is empty. */
    if (lstat(directory, &status) == 0 && status.st_uid != 0
        && status.st_uid != uid && geteuid() == 0) {
        (void)rmdir(directory); /* what stays is judged below */
    }
    made = mkdir(directory, 0700) == 0;
    if (!made && errno != EEXIST) {
        return describe(pool, "make the directory", directory);
    }
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return describe(pool, "open the directory", directory);
    }
    if (made && ((geteuid() == 0 && fchown(fd, uid, gid) != 0)
                 || fchmod(fd, 0711) != 0)) {
        problem = describe(pool, "set owner and mode of", directory);
    }
    else if (fstat(fd, &status) != 0) {
        problem = describe(pool, "look at", directory);
    }
    else if ((status.st_uid != 0 && status.st_uid != uid)
             || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        problem = apr_psprintf(pool, "'%s' belongs to uid %lu with mode %03o; "
                               "it must belong to root or to uid %lu (the "
                               "helper's) and be writable by its owner only: "
                               "remove it, httpd makes it anew", directory,
                               (unsigned long)status.st_uid,
                               (unsigned)(status.st_mode & 0777),
                               (unsigned long)uid);
    }
    (void)close(fd); /* only looked through */
    return problem;
}

/* "name" or "#number". */
static int find_id(const char *name, int group, apr_pool_t *pool,
                   unsigned long *ret_id)
{
    char *end = NULL;
    uid_t uid = 0;
    gid_t gid = 0;

    if (name[0] == '#') {
        *ret_id = strtoul(name + 1, &end, 10);
        return name[1] >= '0' && name[1] <= '9' && *end == '\0'
               && *ret_id <= 0x7fffffffUL;
    }
    if (group ? apr_gid_get(&gid, name, pool) != APR_SUCCESS
              : apr_uid_get(&uid, &gid, name, pool) != APR_SUCCESS) {
        return 0;
    }
    *ret_id = group ? gid : uid;
    return 1;
}

const char *pyexec_socket_access(apr_pool_t *pool,
                                 const pyexec_global_t *global,
                                 pyexec_socket_access_t *ret_access)
{
    int root = geteuid() == 0;
    unsigned long uid = root ? ap_unixd_config.user_id : geteuid();
    unsigned long gid = root ? ap_unixd_config.group_id : getegid();

    if (global->socket_owner != NULL) {
        const char *group = strchr(global->socket_owner, ':');
        const char *user = group == NULL
            ? global->socket_owner
            : apr_pstrmemdup(pool, global->socket_owner,
                             (apr_size_t)(group - global->socket_owner));

        if (!find_id(user, 0, pool, &uid)
            || (group != NULL && !find_id(group + 1, 1, pool, &gid))) {
            return apr_psprintf(pool, "PyExecSocketOwner: there is no such "
                                "user or group: '%s'", global->socket_owner);
        }
        if (!root && uid != geteuid()) {
            return "PyExecSocketOwner: only root gives its sockets away";
        }
    }
    *ret_access = (pyexec_socket_access_t){
        .uid = (uid_t)uid, .gid = (gid_t)gid,
        .mode = (mode_t)global->socket_mode,
    };
    return NULL;
}

static const char *bind_at(apr_pool_t *pool, int fd, const char *path,
                           const pyexec_socket_access_t *access)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    mode_t before;
    int failed;

    if (strlen(path) >= sizeof(address.sun_path)) {
        return apr_psprintf(pool, "the path '%s' is longer than %u bytes",
                            path, (unsigned)sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path, strlen(path));
    before = umask(0777 & ~access->mode);
    failed = bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
    (void)umask(before); /* cannot fail */
    if (failed || listen(fd, BACKLOG) != 0) {
        return describe(pool, "listen on", path);
    }
    if (lchown(path, access->uid, access->gid) != 0) {
        return describe(pool, "set the owner of", path);
    }
    return NULL;
}

const char *pyexec_socket_open(apr_pool_t *pool, const char *path,
                               uid_t helper_uid, gid_t helper_gid,
                               const pyexec_socket_access_t *access,
                               int *ret_fd)
{
    const char *directory = directory_of(pool, path);
    const char *problem = prepare_directory(pool, directory, helper_uid,
                                            helper_gid);
    char *aside;
    const char *first;
    int fd;

    if (problem != NULL) {
        return problem;
    }
    /* Born and given away where only we can write, then moved: in its final
     * directory the helper's user could swap it for a link before chown. */
    aside = apr_pstrcat(pool, directory, ".XXXXXX", NULL);
    if (mkdtemp(aside) == NULL) {
        return describe(pool, "make the directory", aside);
    }
    first = apr_pstrcat(pool, aside, "/s", NULL);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        problem = describe(pool, "make a socket for", path);
    }
    else {
        problem = bind_at(pool, fd, first, access);
    }
    if (problem == NULL && rename(first, path) != 0) {
        problem = describe(pool, "move the socket to", path);
    }
    if (problem == NULL) {
        *ret_fd = fd;
    }
    else {
        (void)unlink(first); /* may not have come into being */
        if (fd >= 0) {
            (void)close(fd); /* nothing was written */
        }
    }
    (void)rmdir(aside); /* a left-over empty directory harms nobody */
    return problem;
}

void pyexec_socket_turn_away(int listener)
{
    /* Bounded, for they may come as fast as they go. */
    for (int i = 0; i < 4 * BACKLOG; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0) {
            return; /* EAGAIN: all are gone; another one: nothing to be done */
        }
        (void)close(fd); /* with what it brought unread */
    }
}

void pyexec_socket_remove(const char *path)
{
    char directory[PYEXEC_SOCKET_PATH_BYTES];

    (void)unlink(path); /* the helper may have been quicker */
    apr_cpystrn(directory, path, sizeof(directory));
    *strrchr(directory, '/') = '\0';
    (void)rmdir(directory); /* fails while other servers have sockets there */
}

const char *pyexec_socket_denied_at(apr_pool_t *pool, const char *path)
{
    for (const char *slash = strchr(path + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        const char *part = apr_pstrmemdup(pool, path,
                                          (apr_size_t)(slash - path));

        if (access(part, X_OK) != 0 && errno == EACCES) {
            return part;
        }
    }
    return NULL;
}
