/* SPDX-License-Identifier: Apache-2.0
 *
 * Where values go; see the header. Runs in the httpd parent while it reads its
 * files (as root), and in a worker for .htaccess, which is hostile: there a
 * wish goes where it can only tighten, and anything else is refused.
 */
#include "pyexec_spot.h"

#include "pyexec_places.h"
#include "pyexec_pools.h"

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <http_core.h>
#include <string.h>

#define FIELD_PLACE(field) APR_OFFSETOF(pyexec_place_t, field)
#define FIELD_WISH(field) APR_OFFSETOF(pyexec_place_t, field)
#define FIELD_CEILING(field) APR_OFFSETOF(pyexec_place_t, ceiling.field)
#define FIELD_POOL(field) APR_OFFSETOF(pyexec_pool_t, field)
#define FIELD_GLOBAL(field) APR_OFFSETOF(pyexec_global_t, field)
#define FROM_PLACE(field) APR_OFFSETOF(pyexec_place_t, from.field)
#define FROM_WISH(field) APR_OFFSETOF(pyexec_place_t, from.field)
#define FROM_CEILING(field) APR_OFFSETOF(pyexec_place_t, ceiling_from.field)
#define FROM_POOL(field) APR_OFFSETOF(pyexec_pool_t, from.field)
#define FROM_GLOBAL(field) APR_OFFSETOF(pyexec_global_t, from.field)
#define TIGHT_PLACE(field) 0
#define TIGHT_WISH(field) APR_OFFSETOF(pyexec_place_t, tight.field)
#define TIGHT_CEILING(field) 0
#define TIGHT_POOL(field) 0
#define TIGHT_GLOBAL(field) 0

#define ROW(scope, kind, field, name, value, least, most, help)            \
    [PYEXEC_INDEX_##scope##_##field] = { name, PYEXEC_SCOPE_##scope, PYEXEC_KIND_##kind,        \
                                  FIELD_##scope(field), FROM_##scope(field), \
                                  TIGHT_##scope(field), least, most },
const pyexec_directive_t pyexec_spot_directives[] = { PYEXEC_DIRECTIVES(ROW) };

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

static int is_pool_section(const ap_directive_t *directive)
{
    return directive != NULL
           && ap_cstr_casecmp(directive->directive, PYEXEC_POOL_SECTION) == 0;
}

/* The name in `name>`; NULL when there is not exactly one. */
const char *pyexec_spot_section_name(apr_pool_t *pool, const char *args)
{
    const char *end = ap_strrchr_c(args, '>');
    const char *rest;
    const char *name;

    if (end == NULL || end[1] != '\0') {
        return NULL;
    }
    rest = apr_pstrmemdup(pool, args, (apr_size_t)(end - args));
    name = ap_getword_conf(pool, &rest);
    return name[0] == '\0' || rest[strspn(rest, " \t")] != '\0' ? NULL : name;
}

static const char *find_pool(const cmd_parms *cmd, char **ret_base)
{
    const ap_directive_t *section = cmd->directive->parent;
    pyexec_global_t *global =
        ap_get_module_config(cmd->server->module_config, &pyexec_module);

    *ret_base = is_pool_section(section)
        ? (char *)pyexec_pools_named(pyexec_spot_section_name(cmd->pool, section->args))
        : (char *)&global->defaults;
    return *ret_base == NULL ? "there is no such pool" : NULL;
}

/* The base of a place's structure, noted as one that has directives of ours. */
static char *note_place(const cmd_parms *cmd, void *place)
{
    const char *location = handler_location(cmd);

    pyexec_places_note(cmd, place);
    if (location != NULL) {
        ((pyexec_place_t *)place)->location = location;
    }
    return place;
}

/* Or why it may not stand here. AllowOverrideList hands even directives of the
 * server's own files to .htaccess: only what is asked here keeps them out. */
const char *pyexec_spot_find(cmd_parms *cmd, void *place, pyexec_spot_t *ret_spot)
{
    const pyexec_directive_t *directive = cmd->cmd->cmd_data;
    int in_htaccess = ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL;
    unsigned forbidden = NOT_IN_HTACCESS | NOT_IN_LIMIT;
    char *base = place;
    const char *problem;

    if (directive->scope == PYEXEC_SCOPE_POOL || directive->scope == PYEXEC_SCOPE_GLOBAL) {
        forbidden |= GLOBAL_ONLY;
    }
    if (directive->scope == PYEXEC_SCOPE_WISH) {
        forbidden &= ~(unsigned)NOT_IN_HTACCESS;
    }
    problem = ap_check_cmd_context(cmd, forbidden);
    if (problem != NULL) {
        return problem;
    }
    if (is_pool_section(cmd->directive->parent)
        && directive->scope != PYEXEC_SCOPE_POOL) {
        return apr_psprintf(cmd->pool, "%s is not a directive of a pool",
                            directive->name);
    }
    if (in_htaccess) {
        ret_spot->field = base + directive->tight;
        ret_spot->from = NULL;
        ret_spot->tightens = 1;
        return NULL;
    }
    switch (directive->scope) {
    case PYEXEC_SCOPE_POOL:
        problem = find_pool(cmd, &base);
        break;
    case PYEXEC_SCOPE_GLOBAL:
        base = ap_get_module_config(cmd->server->module_config,
                                    &pyexec_module);
        break;
    default:
        base = note_place(cmd, place);
        break;
    }
    if (problem == NULL) {
        ret_spot->field = base + directive->field;
        ret_spot->from = (const char **)(base + directive->from);
        *ret_spot->from = pyexec_places_where(cmd->pool, cmd->directive);
        ret_spot->tightens = 0;
    }
    return problem;
}

int pyexec_spot_is_of_pools(const char *name)
{
    for (int i = 0; i < PYEXEC_SPOT_DIRECTIVES; i++) {
        if (pyexec_spot_directives[i].scope == PYEXEC_SCOPE_POOL
            && ap_cstr_casecmp(pyexec_spot_directives[i].name, name) == 0) {
            return 1;
        }
    }
    return 0;
}
