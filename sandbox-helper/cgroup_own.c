/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads what the kernel says of our cgroup. Runs in the keeper and in --check,
 * with the rights of the helper's user; changes nothing. The texts are the
 * kernel's, but names in them can be anybody's: they are only compared.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "cgroup_own.h"

#include "cleanup.h"
#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A machine with some thousand mounts has this much of mountinfo. */
#define MOUNTS_BYTES (1u << 20)

static const struct
{
    unsigned bit;
    const char *name;
} controllers[] = {
    { CGROUP_MEMORY, "memory" },
    { CGROUP_PIDS, "pids" },
    { CGROUP_CPU, "cpu" },
};
#define CONTROLLERS (sizeof(controllers) / sizeof(controllers[0]))

int cgroup_own_read(int directory, const char *name, char *ret_text,
                    size_t capacity)
{
    CLEANUP_FD int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    size_t size = 0;

    if (fd < 0) {
        return -errno;
    }
    while (size < capacity) {
        ssize_t count = fdio_read(fd, ret_text + size, capacity - size);

        if (count < 0) {
            return (int)count;
        }
        if (count == 0) {
            ret_text[size] = '\0';
            return (int)size;
        }
        size += (size_t)count;
    }
    return -EFBIG;
}

int cgroup_own_path(const char *text, char *ret_path, size_t capacity)
{
    const char *line = text;
    size_t size;

    while (strncmp(line, "0::/", 4) != 0) {
        line = strchr(line, '\n');
        if (line == NULL) {
            return -ENOENT;
        }
        line++;
    }
    line += 3;
    size = strcspn(line, "\n");
    if (size >= capacity) {
        return -ENAMETOOLONG;
    }
    memcpy(ret_path, line, size);
    ret_path[size] = '\0';
    return 0;
}

/* "4:memory:/path", or several: "3:cpu,cpuacct:/path" */
bool cgroup_own_is_old(const char *text)
{
    while (*text != '\0') {
        const char *at = text + strcspn(text, ":\n");

        while (*at == ':' || *at == ',') {
            size_t size = strcspn(++at, ",:\n");

            if ((size == 6 && memcmp(at, "memory", 6) == 0)
                || (size == 4 && memcmp(at, "pids", 4) == 0)) {
                return true;
            }
            at += size;
            if (*at != ',') {
                break; /* the path follows */
            }
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return false;
}

/* Copies the next word of a line of mountinfo, in which blanks and backslashes
 * are written as \ooo. Returns what follows it, NULL: no such word or no room
 * for it. */
static const char *take_word(const char *at, char *ret_word, size_t capacity)
{
    size_t size = 0;

    at += strspn(at, " ");
    while (*at != '\0' && *at != ' ' && *at != '\n') {
        int byte = (unsigned char)*at++;

        if (byte == '\\' && strspn(at, "01234567") >= 3) {
            byte = (at[0] - '0') * 64 + (at[1] - '0') * 8 + (at[2] - '0');
            at += 3;
        }
        if (size + 1 >= capacity) {
            return NULL;
        }
        ret_word[size++] = (char)byte;
    }
    if (size == 0) {
        return NULL;
    }
    ret_word[size] = '\0';
    return at;
}

/* "36 35 98:0 /root /mount/point rw,noatime shared:1 - cgroup2 source rw" */
static bool parse_mount(const char *line, char ret_root[PATH_MAX],
                        char ret_point[PATH_MAX])
{
    char word[PATH_MAX];
    const char *at = line;

    for (int i = 0; i < 3 && at != NULL; i++) {
        at = take_word(at, word, sizeof(word));
    }
    at = at == NULL ? NULL : take_word(at, ret_root, PATH_MAX);
    at = at == NULL ? NULL : take_word(at, ret_point, PATH_MAX);
    do {
        at = at == NULL ? NULL : take_word(at, word, sizeof(word));
    } while (at != NULL && strcmp(word, "-") != 0);
    return at != NULL && take_word(at, word, sizeof(word)) != NULL
           && strcmp(word, "cgroup2") == 0;
}

/* What of `path` lies below `root`; NULL: it does not. */
static const char *below(const char *path, const char *root)
{
    size_t size = strcmp(root, "/") == 0 ? 0 : strlen(root);

    return strncmp(path, root, size) == 0
                   && (path[size] == '/' || path[size] == '\0')
               ? path + size
               : NULL;
}

/* A group outside of our cgroup namespace is shown as "/..", one that was
 * removed as "… (deleted)": neither is to be found by its name. */
static bool is_hidden(const char *path)
{
    static const char deleted[] = " (deleted)";
    size_t size = strlen(path);
    size_t tail = sizeof(deleted) - 1;

    return strncmp(path, "/..", 3) == 0
           || (size >= tail && strcmp(path + size - tail, deleted) == 0);
}

int cgroup_own_directory(const char *mounts, const char *path,
                         char *ret_directory, size_t capacity)
{
    int error = -ENOENT;

    while (*mounts != '\0') {
        char root[PATH_MAX];
        char point[PATH_MAX];

        if (parse_mount(mounts, root, point)) {
            const char *rest = is_hidden(path) ? NULL : below(path, root);

            if (rest != NULL) {
                int size = snprintf(ret_directory, capacity, "%s%s", point,
                                    strcmp(rest, "/") == 0 ? "" : rest);

                return size >= 0 && (size_t)size < capacity ? 0
                                                            : -ENAMETOOLONG;
            }
            error = -EXDEV;
        }
        mounts += strcspn(mounts, "\n");
        mounts += *mounts == '\n';
    }
    return error;
}

unsigned cgroup_own_controllers(const char *text)
{
    unsigned found = 0;

    while (*text != '\0') {
        size_t size = strcspn(text, " \n");

        for (size_t i = 0; i < CONTROLLERS; i++) {
            if (strlen(controllers[i].name) == size
                && memcmp(controllers[i].name, text, size) == 0) {
                found |= controllers[i].bit;
            }
        }
        text += size;
        text += *text != '\0';
    }
    return found;
}

void cgroup_own_names(unsigned set, char ret_text[CGROUP_NAMES_BYTES])
{
    size_t size = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < CONTROLLERS; i++) {
        if ((set & controllers[i].bit) != 0) {
            size += (size_t)snprintf(ret_text + size,
                                     CGROUP_NAMES_BYTES - size, "%s%s",
                                     size == 0 ? "" : " ",
                                     controllers[i].name);
        }
    }
}

int cgroup_own_value(const char *text, const char *name,
                     unsigned long long *ret_value)
{
    size_t size = strlen(name);

    while (*text != '\0') {
        if (strncmp(text, name, size) == 0 && text[size] == ' ') {
            *ret_value = strtoull(text + size + 1, NULL, 10);
            return 0;
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return -ENOENT;
}

/* Others in it would have to be moved before it can be divided, and they are
 * not ours to move. */
static bool is_shared(int directory)
{
    char text[4096];
    char *at = text;
    int error = cgroup_own_read(directory, "cgroup.procs", text, sizeof(text));

    if (error == -EFBIG) {
        return true;
    }
    while (error > 0 && *at != '\0') {
        if (strtol(at, &at, 10) != getpid()) {
            return true;
        }
        at += *at == '\n';
    }
    return false;
}

/* Which things systemd gives to the user of a service with Delegate=yes. */
static bool is_ours(int directory)
{
    static const char *const files[] = {
        ".", "cgroup.procs", "cgroup.subtree_control",
    };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (faccessat(directory, files[i], W_OK, AT_EACCESS) != 0) {
            return false;
        }
    }
    return true;
}

static int locate(struct cgroup_own *own)
{
    char path[PATH_MAX];
    char text[PATH_MAX + 1024]; /* version 1 has a line for each controller */
    CLEANUP_FREE char *mounts = malloc(MOUNTS_BYTES);
    int rv = mounts == NULL
                 ? -ENOMEM
                 : cgroup_own_read(AT_FDCWD, "/proc/self/cgroup", text,
                                   sizeof(text));

    if (rv >= 0) {
        own->is_old = cgroup_own_is_old(text);
        rv = cgroup_own_path(text, path, sizeof(path));
    }
    if (rv >= 0) {
        rv = cgroup_own_read(AT_FDCWD, "/proc/self/mountinfo", mounts,
                             MOUNTS_BYTES);
    }
    if (rv >= 0) {
        rv = cgroup_own_directory(mounts, path, own->directory,
                                  sizeof(own->directory));
    }
    return rv;
}

void cgroup_own_find(struct cgroup_own *own)
{
    char text[1024];
    int error;
    CLEANUP_FD int directory = -1;

    own->directory[0] = '\0';
    own->controllers = 0;
    own->is_old = false;
    own->missing = NULL;
    error = locate(own);
    if (error == 0) {
        directory = open(own->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        error = directory < 0 ? -errno : 0;
    }
    if (error == -ENOENT) {
        own->missing = "no cgroup v2 is mounted";
    }
    else if (error != 0) {
        own->missing = "our group is not to be seen in what is mounted of"
                       " cgroup v2";
    }
    else if (cgroup_own_read(directory, "cgroup.controllers", text,
                             sizeof(text)) >= 0) {
        own->controllers = cgroup_own_controllers(text);
    }
    if (own->missing != NULL) {
        return;
    }
    if (own->is_old) {
        own->missing = "cgroup v1 has the controllers (boot with"
                       " systemd.unified_cgroup_hierarchy=1)";
    }
    else if (!is_ours(directory)) {
        own->missing = "our group is not delegated to this user (Delegate=yes"
                       " of a systemd service does it)";
    }
    else if ((own->controllers & CGROUP_NEEDED) != CGROUP_NEEDED) {
        own->missing = "our group has not the controllers memory and pids"
                       " (they are not delegated with it)";
    }
    else if (is_shared(directory)) {
        own->missing = "other processes are in our group";
    }
}
