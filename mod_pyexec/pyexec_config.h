/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration: structures, defaults and merging, all expanded from
 * pyexec_directives.h. Written while httpd reads its files, constant later.
 */
#ifndef PYEXEC_CONFIG_H
#define PYEXEC_CONFIG_H

#include "pyexec.h"
#include "pyexec_directives.h"

struct pyexec_dialect_t;

#define PYEXEC_UNSET (-1)

#define PYEXEC_TYPE_FLAG apr_int64_t
#define PYEXEC_TYPE_BYTES apr_int64_t
#define PYEXEC_TYPE_MEBIBYTES apr_int64_t
#define PYEXEC_TYPE_DURATION apr_int64_t
#define PYEXEC_TYPE_PERIOD apr_int64_t
#define PYEXEC_TYPE_COUNT apr_int64_t
#define PYEXEC_TYPE_DIALECT const struct pyexec_dialect_t *
#define PYEXEC_TYPE_ORIGIN const char *
#define PYEXEC_TYPE_LEVEL const char *
#define PYEXEC_TYPE_PATH const char *
#define PYEXEC_TYPE_ACCOUNT const char *
#define PYEXEC_TYPE_NAME const char *
#define PYEXEC_TYPE_LIST const char *

#define PYEXEC_IF_PLACE_PLACE(text) text
#define PYEXEC_IF_PLACE_GLOBAL(text)
#define PYEXEC_IF_GLOBAL_PLACE(text)
#define PYEXEC_IF_GLOBAL_GLOBAL(text) text

#define PYEXEC_PLACE_FIELD(scope, kind, field, name, value, least, most, help) \
    PYEXEC_IF_PLACE_##scope(PYEXEC_TYPE_##kind field;)
#define PYEXEC_GLOBAL_FIELD(scope, kind, field, name, value, least, most, help) \
    PYEXEC_IF_GLOBAL_##scope(PYEXEC_TYPE_##kind field;)

/* What holds in one place. */
typedef struct pyexec_place_t
{
    PYEXEC_DIRECTIVES(PYEXEC_PLACE_FIELD)
    /* The Location that sets our handler and one of our directives; NULL
     * where that is not known. Longer paths are then nobody's: 404. */
    const char *location;
} pyexec_place_t;

/* What holds for the one helper. */
typedef struct pyexec_global_t
{
    PYEXEC_DIRECTIVES(PYEXEC_GLOBAL_FIELD)
} pyexec_global_t;

extern const command_rec pyexec_config_commands[];

void *pyexec_config_create_place(apr_pool_t *pool, char *path);
void *pyexec_config_merge_place(apr_pool_t *pool, void *base, void *added);
void *pyexec_config_create_global(apr_pool_t *pool, server_rec *s);

/* pre_config: forgets what an earlier reading of the files left behind. */
int pyexec_config_reset(apr_pool_t *pconf, apr_pool_t *plog,
                        apr_pool_t *ptemp);

/* Copies with every default filled in. */
pyexec_place_t pyexec_config_place(const ap_conf_vector_t *per_dir);
pyexec_global_t pyexec_config_global(const server_rec *main_server);

/* Whether the path of a request goes on after the Location that has the
 * handler: there is nothing then. */
int pyexec_config_is_below(const pyexec_place_t *place, const char *uri);

/* Whether PyExecEngine On stands anywhere, and whether it stands where this
 * virtual host is reached by it (sections of the main server included). */
int pyexec_config_any_engine(void);
int pyexec_config_engine_reaches(const server_rec *s);

#endif
