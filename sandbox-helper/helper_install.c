/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the fields about packages; see the header. They come from httpd or the
 * administrator, and are checked all the same: one becomes a path that is
 * mounted for jobs to write to, the other an argument of pip.
 */
#include "helper_install.h"

#include "helper_conf.h"
#include "job_commit.h"
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Printable ASCII without blanks, that begins as an address does: what is an
 * option or two words for nobody. */
static bool is_address(const char *text)
{
    if (strncasecmp(text, "http://", 7) != 0
        && strncasecmp(text, "https://", 8) != 0) {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return false;
        }
    }
    return true;
}

/* wire.h lets no NUL through; a line end would make two paths of it. */
static bool is_path(const char *text)
{
    if (text[0] != '/') {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* NULL where the field is absent or empty. */
static int copy_text(const struct pxw_field *field, char **ret_text)
{
    if (field->data != NULL && field->size > 0) {
        *ret_text = strndup((const char *)field->data, field->size);
        if (*ret_text == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

int helper_install_read(const struct pxw_message *message,
                        struct pool_conf *pool)
{
    int error = copy_text(&message->field[PXW_F_ENVIRONMENT],
                          &pool->environment);

    if (error == 0) {
        error = copy_text(&message->field[PXW_F_INDEX], &pool->index);
    }
    if (error != 0) {
        return error;
    }
    pool->install_bytes = pxw_u64(message, PXW_F_INSTALL_BYTES, 0);
    pool->sources = pxw_u32(message, PXW_F_SOURCES, 0) != 0;
    /* The name of a generation goes to the zygote beside it. */
    if (pool->environment != NULL
        && (!is_path(pool->environment)
            || strlen(pool->environment) + JOB_COMMIT_NAME_BYTES
                   >= PXW_DIRS_MAX)) {
        return -ENOTDIR;
    }
    if (pool->install_bytes > INT64_MAX
        || (pool->index != NULL && !is_address(pool->index))) {
        return -ERANGE;
    }
    return pool->install_bytes > 0
                   && (pool->environment == NULL || pool->index == NULL
                       || pool->proxy.size == 0)
               ? -EDESTADDRREQ : 0;
}
