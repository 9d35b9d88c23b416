/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading WARM. Runs in the zygote, still with all of the keeper's rights; what
 * it reads comes from the keeper alone.
 */
#include "zygote_warm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static const char *const level_names[] = {
    [JAIL_RESTRICTED] = "restricted",
    [JAIL_FULL] = "full",
};

const char *zygote_warm_level(enum jail_level level)
{
    return level_names[level];
}

/* What the keeper asks for; it decides when less will do, never we. */
static int read_level(const struct pxw_message *warm, enum jail_level *ret_level)
{
    const struct pxw_field *wanted = &warm->field[PXW_F_LEVEL];

    *ret_level = JAIL_FULL;
    if (wanted->data == NULL) {
        return 0;
    }
    for (int level = JAIL_RESTRICTED; level <= JAIL_FULL; level++) {
        if (strlen(level_names[level]) == wanted->size
            && memcmp(level_names[level], wanted->data, wanted->size) == 0) {
            *ret_level = (enum jail_level)level;
            return 0;
        }
    }
    return -EINVAL;
}

/* A copy, for the next packet overwrites the frame. */
static int copy_text(const struct pxw_message *warm, enum pxw_tag tag,
                     const char **ret_text)
{
    const struct pxw_field *field = &warm->field[tag];

    *ret_text = field->data == NULL
                    ? NULL
                    : strndup((const char *)field->data, field->size);
    return field->data != NULL && *ret_text == NULL ? -ENOMEM : 0;
}

/* Two lines: the directory, and which generation in it, if there is one. */
static int read_environment(const struct pxw_message *warm, struct jail *jail)
{
    char *line;
    char *path;
    int rv = copy_text(warm, PXW_F_ENVIRONMENT, &jail->directory);

    if (rv != 0 || jail->directory == NULL) {
        return rv;
    }
    path = strdup(jail->directory);
    if (path == NULL) {
        return -ENOMEM;
    }
    line = strchr(path, '\n');
    if (line == NULL) {
        free(path);
        return 0;
    }
    *line = '/';
    jail->environment = path;
    *strchr((char *)jail->directory, '\n') = '\0';
    return 0;
}

static int read_install(const struct pxw_message *warm, struct jail *jail)
{
    int rv = read_environment(warm, jail);

    jail->install_bytes = pxw_u64(warm, PXW_F_INSTALL_BYTES, 0);
    jail->sources = pxw_u32(warm, PXW_F_SOURCES, 0) != 0;
    if (rv == 0 && jail->install_bytes > 0) {
        rv = copy_text(warm, PXW_F_INDEX, &jail->index);
    }
    if (rv == 0 && jail->install_bytes == 0) {
        jail->directory = NULL; /* nobody's business but who installs */
    }
    return rv;
}

int zygote_warm_read(const struct pxw_message *warm, struct jail *ret_jail,
                     const char **ret_step)
{
    struct jail *jail = ret_jail;
    int rv;

    *jail = (struct jail){
        .processes = pxw_u32(warm, PXW_F_PROCESSES, 1) > 1,
        .network = pxw_u32(warm, PXW_F_NETWORK, 0) != 0,
    };
    *ret_step = "set up the isolation level that was asked for";
    rv = read_level(warm, &jail->level);
    if (rv != 0) {
        return rv;
    }
    *ret_step = "keep what the keeper said";
    rv = copy_text(warm, PXW_F_SITE, &jail->site);
    if (rv == 0) {
        rv = read_install(warm, jail);
    }
    if (rv != 0) {
        return rv;
    }
    if (jail->processes && jail->level < JAIL_FULL) {
        *ret_step = "let runs start processes (PyExecProcesses) below isolation"
                    " full";
        return -EINVAL;
    }
    if (jail->network && jail->level < JAIL_FULL) {
        *ret_step = "give runs a network (PyExecNetwork) below isolation full";
        return -EINVAL;
    }
    if (jail->install_bytes > 0
        && (!jail->network || jail->directory == NULL || jail->index == NULL)) {
        *ret_step = "install packages (PyExecInstall) without a network, a"
                    " directory and an index";
        return -EINVAL;
    }
    return 0;
}

int zygote_warm_set_variables(const struct pxw_field *list)
{
    const char *at = (const char *)list->data;
    const char *end = at + list->size;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        CLEANUP_FREE char *line = strndup(
            at, (size_t)((stop == NULL ? end : stop) - at));
        char *value = line == NULL ? NULL : strchr(line, '=');

        if (value == NULL || value == line) {
            return line == NULL ? -ENOMEM : -EINVAL;
        }
        *value = '\0';
        if (setenv(line, value + 1, 1) != 0) {
            return -errno;
        }
        at = stop == NULL ? end : stop + 1;
    }
    return 0;
}
