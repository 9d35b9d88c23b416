/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of isolation levels. Runs in the keeper.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_level.h"

#include "wire.h"

#include <string.h>

static const char *const names[] = {
    [LEVEL_NONE] = "unknown",
    [LEVEL_RESTRICTED] = "restricted",
    [LEVEL_FULL] = "full",
};

const char *keeper_level_name(enum keeper_level level)
{
    return names[level];
}

enum keeper_level keeper_level_of(const struct pxw_field *field,
                                  enum keeper_level absent)
{
    if (field->data == NULL) {
        return absent;
    }
    for (int level = LEVEL_FULL; level > LEVEL_NONE; level--) {
        if (field->size == strlen(names[level])
            && memcmp(field->data, names[level], field->size) == 0) {
            return (enum keeper_level)level;
        }
    }
    return LEVEL_NONE;
}
