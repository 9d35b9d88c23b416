/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads directives into the structures. Runs in the httpd parent while it
 * reads its files (as root), and in a worker for .htaccess, where every
 * directive of ours is refused. Only parses: no file, no user is looked up.
 */
#include "pyexec_config.h"

#include "pyexec_dialect.h"
#include "pyexec_value.h"

#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <http_core.h>

/* After httpd.h: both define PACKAGE_NAME. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef PYEXEC_HELPER_PROGRAM
#define PYEXEC_HELPER_PROGRAM "/usr/local/libexec/pyexecd"
#endif

typedef enum { SCOPE_PLACE, SCOPE_GLOBAL } scope_e;

typedef enum
{
    KIND_FLAG,
    KIND_BYTES,
    KIND_MEBIBYTES,
    KIND_DURATION,
    KIND_PERIOD,
    KIND_COUNT,
    KIND_DIALECT,
    KIND_ORIGIN,
    KIND_LEVEL,
    KIND_PATH,
    KIND_ACCOUNT,
    KIND_NAME,
    KIND_LIST,
} kind_e;

typedef struct directive_t
{
    scope_e scope;
    kind_e kind;
    apr_size_t offset;
    apr_int64_t least;
    apr_int64_t most;
} directive_t;

#define STRUCT_PLACE pyexec_place_t
#define STRUCT_GLOBAL pyexec_global_t

#define INDEX(scope, kind, field, name, value, least, most, help) \
    INDEX_##field,
enum { PYEXEC_DIRECTIVES(INDEX) };

#define ROW(scope, kind, field, name, value, least, most, help)            \
    [INDEX_##field] = { SCOPE_##scope, KIND_##kind,                        \
                        APR_OFFSETOF(STRUCT_##scope, field), least, most },
static const directive_t directives[] = { PYEXEC_DIRECTIVES(ROW) };

/* Servers in which PyExecEngine On was read; made anew by every reading. */
static apr_array_header_t *engine_servers;

#define EMPTY_FLAG PYEXEC_UNSET
#define EMPTY_BYTES PYEXEC_UNSET
#define EMPTY_MEBIBYTES PYEXEC_UNSET
#define EMPTY_DURATION PYEXEC_UNSET
#define EMPTY_PERIOD PYEXEC_UNSET
#define EMPTY_COUNT PYEXEC_UNSET
#define EMPTY_DIALECT NULL
#define EMPTY_ORIGIN NULL
#define EMPTY_LEVEL NULL
#define EMPTY_PATH NULL
#define EMPTY_ACCOUNT NULL
#define EMPTY_NAME NULL
#define EMPTY_LIST NULL

#define VALUE_FLAG(value) value
#define VALUE_BYTES(value) value
#define VALUE_MEBIBYTES(value) value
#define VALUE_DURATION(value) value
#define VALUE_PERIOD(value) value
#define VALUE_COUNT(value) value
#define VALUE_DIALECT(value) pyexec_dialect_find(value)
#define VALUE_ORIGIN(value) value
#define VALUE_LEVEL(value) value
#define VALUE_PATH(value) value
#define VALUE_ACCOUNT(value) value
#define VALUE_NAME(value) value
#define VALUE_LIST(value) value

void *pyexec_config_create_place(apr_pool_t *pool, char *path)
{
    pyexec_place_t *place = apr_pcalloc(pool, sizeof(*place));

    (void)path; /* also given for Directory: set_scope() takes Location only */
#define CLEAR(scope, kind, field, name, value, least, most, help) \
    PYEXEC_IF_PLACE_##scope(place->field = EMPTY_##kind;)
    PYEXEC_DIRECTIVES(CLEAR)
#undef CLEAR
    return place;
}

void *pyexec_config_merge_place(apr_pool_t *pool, void *base, void *added)
{
    const pyexec_place_t *outer = base;
    const pyexec_place_t *inner = added;
    pyexec_place_t *place = apr_palloc(pool, sizeof(*place));

#define MERGE(scope, kind, field, name, value, least, most, help)          \
    PYEXEC_IF_PLACE_##scope(place->field = inner->field != EMPTY_##kind    \
                                               ? inner->field              \
                                               : outer->field;)
    PYEXEC_DIRECTIVES(MERGE)
#undef MERGE
    place->location = inner->location != NULL ? inner->location
                                              : outer->location;
    return place;
}

/* Virtual hosts have none of these, so there is nothing to merge. */
void *pyexec_config_create_global(apr_pool_t *pool, server_rec *s)
{
    pyexec_global_t *global = apr_pcalloc(pool, sizeof(*global));

    (void)s; /* all servers start alike */
#define CLEAR(scope, kind, field, name, value, least, most, help) \
    PYEXEC_IF_GLOBAL_##scope(global->field = EMPTY_##kind;)
    PYEXEC_DIRECTIVES(CLEAR)
#undef CLEAR
    return global;
}

int pyexec_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;  /* the hook's signature */
    (void)ptemp;
    engine_servers = apr_array_make(pconf, 2, sizeof(const server_rec *));
    return OK;
}

pyexec_place_t pyexec_config_place(const ap_conf_vector_t *per_dir)
{
    pyexec_place_t place =
        *(const pyexec_place_t *)ap_get_module_config(per_dir, &pyexec_module);

#define FILL(scope, kind, field, name, value, least, most, help)           \
    PYEXEC_IF_PLACE_##scope(if (place.field == EMPTY_##kind) {             \
        place.field = VALUE_##kind(value);                               \
    })
    PYEXEC_DIRECTIVES(FILL)
#undef FILL
    return place;
}

pyexec_global_t pyexec_config_global(const server_rec *main_server)
{
    pyexec_global_t global = *(const pyexec_global_t *)ap_get_module_config(
        main_server->module_config, &pyexec_module);

#define FILL(scope, kind, field, name, value, least, most, help)           \
    PYEXEC_IF_GLOBAL_##scope(if (global.field == EMPTY_##kind) {           \
        global.field = VALUE_##kind(value);                              \
    })
    PYEXEC_DIRECTIVES(FILL)
#undef FILL
    return global;
}

int pyexec_config_is_below(const pyexec_place_t *place, const char *uri)
{
    apr_size_t size = place->location == NULL ? 0 : strlen(place->location);

    if (size == 0 || strncmp(uri, place->location, size) != 0) {
        return 0;
    }
    uri += size;
    return uri[strspn(uri, "/")] != '\0';
}

int pyexec_config_any_engine(void)
{
    return engine_servers != NULL && engine_servers->nelts > 0;
}

int pyexec_config_engine_reaches(const server_rec *s)
{
    for (int i = 0; engine_servers != NULL && i < engine_servers->nelts; i++) {
        const server_rec *on = APR_ARRAY_IDX(engine_servers, i,
                                             const server_rec *);

        if (on == s || !on->is_virtual) {
            return 1;
        }
    }
    return 0;
}

/* The path of the Location around this directive if the same section sets a
 * handler and names one path only (no pattern); else NULL. */
static const char *handler_location(const cmd_parms *cmd)
{
    const ap_directive_t *section = cmd->directive->parent;

    if (section == NULL || ap_cstr_casecmp(section->directive, "<Location")
        || cmd->path == NULL || cmd->path[0] != '/'
        || strchr(section->args, '~') != NULL
        || apr_fnmatch_test(cmd->path)) {
        return NULL;
    }
    for (const ap_directive_t *d = section->first_child; d; d = d->next) {
        if (ap_cstr_casecmp(d->directive, "SetHandler") == 0) {
            return cmd->path;
        }
    }
    return NULL;
}

/* Where a directive's value goes, or why it may not stand here. */
static const char *find_target(cmd_parms *cmd, void *place, void **ret_field)
{
    const directive_t *directive = cmd->cmd->cmd_data;
    char *base = place;
    const char *problem;

    if (directive->scope == SCOPE_GLOBAL) {
        problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);
        base = ap_get_module_config(cmd->server->module_config,
                                    &pyexec_module);
    }
    else {
        const char *location = handler_location(cmd);

        /* AllowOverrideList hands even ACCESS_CONF directives to .htaccess. */
        problem = ap_check_cmd_context(cmd, NOT_IN_HTACCESS);
        if (location != NULL) {
            ((pyexec_place_t *)place)->location = location;
        }
    }
    if (problem == NULL) {
        *ret_field = base + directive->offset;
    }
    return problem;
}

static const char *set_flag(cmd_parms *cmd, void *place, int on)
{
    void *field = NULL;
    const char *problem = find_target(cmd, place, &field);

    if (problem != NULL) {
        return problem;
    }
    *(apr_int64_t *)field = on;
    if (cmd->cmd->cmd_data == &directives[INDEX_engine] && on) {
        APR_ARRAY_PUSH(engine_servers, const server_rec *) = cmd->server;
    }
    return NULL;
}

static apr_int64_t parse_number(const directive_t *directive, const char *text)
{
    apr_interval_time_t duration = 0;
    const char *end = text;

    switch (directive->kind) {
    case KIND_BYTES:
        return pyexec_value_size(text, 1);
    case KIND_MEBIBYTES:
        return pyexec_value_size(text, PYEXEC_MIB);
    case KIND_DURATION:
    case KIND_PERIOD:
        if (!apr_isdigit(text[0])
            || ap_timeout_parameter_parse(text, &duration, "s")
            || duration < 0) {
            return -1;
        }
        return duration / 1000;
    default:
        while (apr_isdigit(*end)) {
            end++;
        }
        return *end != '\0' || end - text > 9 ? -1 : pyexec_value_size(text, 1);
    }
}

static const char *set_number(cmd_parms *cmd, void *place, const char *text)
{
    const directive_t *directive = cmd->cmd->cmd_data;
    int never = directive->kind == KIND_PERIOD; /* which is 0 */
    const char *unit = directive->kind == KIND_DURATION || never ? " ms"
                       : directive->kind == KIND_COUNT ? "" : " bytes";
    apr_int64_t number = parse_number(directive, text);
    void *field = NULL;
    const char *problem = find_target(cmd, place, &field);

    if (problem != NULL) {
        return problem;
    }
    if ((number < directive->least || number > directive->most)
        && !(never && number == 0)) {
        return apr_psprintf(cmd->pool,
                            "%s: '%s' is not within %" APR_INT64_T_FMT
                            "%s to %" APR_INT64_T_FMT "%s%s",
                            cmd->cmd->name, text, directive->least, unit,
                            directive->most, unit, never ? ", or 0" : "");
    }
    *(apr_int64_t *)field = number;
    return NULL;
}

static const char *set_text(cmd_parms *cmd, void *place, const char *text)
{
    const directive_t *directive = cmd->cmd->cmd_data;
    void *field = NULL;
    const char *problem = find_target(cmd, place, &field);
    const pyexec_dialect_t *dialect;

    if (problem != NULL) {
        return problem;
    }
    switch (directive->kind) {
    case KIND_DIALECT:
        dialect = pyexec_dialect_find(text);
        if (dialect == NULL) {
            return apr_psprintf(cmd->pool, "%s: '%s' is none of: %s",
                                cmd->cmd->name, text,
                                pyexec_dialect_names(cmd->pool));
        }
        *(const pyexec_dialect_t **)field = dialect;
        return NULL;
    case KIND_ORIGIN:
        if (strcmp(text, "*") != 0 && ap_cstr_casecmp(text, "none") != 0
            && !pyexec_value_is_origin(text)) {
            return apr_psprintf(cmd->pool, "%s: '%s' is neither none, nor *, "
                                "nor scheme://host[:port]",
                                cmd->cmd->name, text);
        }
        break;
    case KIND_LEVEL:
        if (strcmp(text, "full") != 0 && strcmp(text, "restricted") != 0) {
            return apr_psprintf(cmd->pool, "%s: '%s' is neither full nor "
                                "restricted", cmd->cmd->name, text);
        }
        break;
    case KIND_NAME:
        if (!pyexec_value_is_name(text)) {
            return apr_psprintf(cmd->pool, "%s: not a name of 1 to %d bytes "
                                "without control characters", cmd->cmd->name,
                                PXW_NAME_MAX);
        }
        break;
    case KIND_PATH:
        text = ap_server_root_relative(cmd->pool, text);
        break;
    default:
        break;
    }
    if (text == NULL || text[0] == '\0') {
        return apr_psprintf(cmd->pool, "%s: an empty or invalid value",
                            cmd->cmd->name);
    }
    *(const char **)field = text;
    return NULL;
}

static const char *set_list(cmd_parms *cmd, void *place, int argc,
                            char *const argv[])
{
    void *field = NULL;
    const char *problem = find_target(cmd, place, &field);
    const char *list = "";

    if (problem != NULL) {
        return problem;
    }
    if (argc == 0) {
        return apr_psprintf(cmd->pool, "%s: names are missing",
                            cmd->cmd->name);
    }
    if (argc > 1 || ap_cstr_casecmp(argv[0], "none") != 0) {
        for (int i = 0; i < argc; i++) {
            if (!pyexec_value_is_module(argv[i])) {
                return apr_psprintf(cmd->pool, "%s: '%s' is not the name of a "
                                    "module", cmd->cmd->name, argv[i]);
            }
            list = apr_pstrcat(cmd->pool, list, i > 0 ? "\n" : "", argv[i],
                               NULL);
        }
    }
    if (strlen(list) > PXW_LIST_MAX) {
        return apr_psprintf(cmd->pool, "%s: more than %u bytes of names",
                            cmd->cmd->name, PXW_LIST_MAX);
    }
    *(const char **)field = list;
    return NULL;
}

#define WHERE_PLACE (RSRC_CONF | ACCESS_CONF)
#define WHERE_GLOBAL RSRC_CONF
#define COMMAND_FLAG(name, data, where, help) \
    AP_INIT_FLAG(name, set_flag, data, where, help)
#define COMMAND_BYTES(name, data, where, help) \
    AP_INIT_TAKE1(name, set_number, data, where, help)
#define COMMAND_MEBIBYTES COMMAND_BYTES
#define COMMAND_DURATION COMMAND_BYTES
#define COMMAND_PERIOD COMMAND_BYTES
#define COMMAND_COUNT COMMAND_BYTES
#define COMMAND_DIALECT(name, data, where, help) \
    AP_INIT_TAKE1(name, set_text, data, where, help)
#define COMMAND_ORIGIN COMMAND_DIALECT
#define COMMAND_LEVEL COMMAND_DIALECT
#define COMMAND_PATH COMMAND_DIALECT
#define COMMAND_ACCOUNT COMMAND_DIALECT
#define COMMAND_NAME COMMAND_DIALECT
#define COMMAND_LIST(name, data, where, help) \
    AP_INIT_TAKE_ARGV(name, set_list, data, where, help)
#define COMMAND(scope, kind, field, name, value, least, most, help) \
    COMMAND_##kind(name, (void *)&directives[INDEX_##field],        \
                   WHERE_##scope, help),

const command_rec pyexec_config_commands[] = {
    PYEXEC_DIRECTIVES(COMMAND)
    { NULL }
};
