/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads directives into the structures. Runs in the httpd parent while it
 * reads its files (as root), and in a worker for .htaccess, which is hostile:
 * all setters find their field by pyexec_spot_find(), which is where it is decided
 * what may stand there.
 */
#include "pyexec_commands.h"

#include "pyexec_dialect.h"
#include "pyexec_egress.h"
#include "pyexec_env.h"
#include "pyexec_places.h"
#include "pyexec_policy.h"
#include "pyexec_pools.h"
#include "pyexec_service.h"
#include "pyexec_spot.h"
#include "pyexec_value.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>

APLOG_USE_MODULE(pyexec);

#define EXPRESSION "expr="

static const char *tell(cmd_parms *cmd, const char *problem)
{
    return apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, problem);
}

static const char *set_flag(cmd_parms *cmd, void *place, int on)
{
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem != NULL) {
        return problem;
    }
    *(apr_int64_t *)spot.field =
        spot.tightens ? pyexec_config_either(*(apr_int64_t *)spot.field, on)
                      : on;
    if (cmd->cmd->cmd_data == &pyexec_spot_directives[PYEXEC_INDEX_PLACE_engine] && on) {
        pyexec_places_note_engine(cmd->server);
    }
    return NULL;
}

static apr_int64_t parse_number(const pyexec_directive_t *directive, const char *text)
{
    apr_interval_time_t duration = 0;
    const char *end = text;

    switch (directive->kind) {
    case PYEXEC_KIND_BYTES:
        return pyexec_value_size(text, 1);
    case PYEXEC_KIND_MEBIBYTES:
        return pyexec_value_size(text, PYEXEC_MIB);
    case PYEXEC_KIND_DURATION:
    case PYEXEC_KIND_PERIOD:
        if (!apr_isdigit(text[0])
            || ap_timeout_parameter_parse(text, &duration, "s")
            || duration < 0) {
            return -1;
        }
        /* A fraction of a millisecond is not the 0 that is special. */
        return duration > 0 && duration < 1000 ? 1 : duration / 1000;
    case PYEXEC_KIND_MODE:
        return pyexec_value_mode(text);
    default:
        while (apr_isdigit(*end)) {
            end++;
        }
        return *end != '\0' || end - text > 9 ? -1 : pyexec_value_size(text, 1);
    }
}

/* The range as one writes it, and in which unit a number without one is: '600'
 * (seconds) is above 300000 ms, and nobody would see why. */
static const char *tell_range(cmd_parms *cmd, const char *text)
{
    const pyexec_directive_t *directive = cmd->cmd->cmd_data;
    const char *(*show)(apr_pool_t *, apr_int64_t) = pyexec_value_show_number;
    const char *units = "";
    int or_0 = directive->kind == PYEXEC_KIND_PERIOD; /* never, or none */

    if (directive->kind == PYEXEC_KIND_DURATION || or_0) {
        show = pyexec_value_show_duration;
        units = " (a whole number of seconds, or with ms, s, min or h)";
    }
    else if (directive->kind != PYEXEC_KIND_COUNT) {
        show = pyexec_value_show_bytes;
        units = directive->kind == PYEXEC_KIND_MEBIBYTES
                    ? " (a number of MiB, or with K, M or G)"
                    : " (a number of bytes, or with K, M or G)";
    }
    return apr_psprintf(cmd->pool, "%s: '%s' is not within %s%s to %s%s",
                        directive->name, text, or_0 ? "0, or " : "",
                        show(cmd->pool, directive->least),
                        show(cmd->pool, directive->most), units);
}

static const char *set_number(cmd_parms *cmd, void *place, const char *text)
{
    const pyexec_directive_t *directive = cmd->cmd->cmd_data;
    int or_0 = directive->kind == PYEXEC_KIND_PERIOD; /* never, or none */
    apr_int64_t number = parse_number(directive, text);
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem != NULL) {
        return problem;
    }
    if (directive->kind == PYEXEC_KIND_MODE && number < 0) {
        return apr_psprintf(cmd->pool, "%s: '%s' is not an octal mode from "
                            "%04o to %04o that lets none execute",
                            directive->name, text, (unsigned)directive->least,
                            (unsigned)directive->most);
    }
    if ((number < directive->least || number > directive->most)
        && !(or_0 && number == 0)) {
        return tell_range(cmd, text);
    }
    if (!spot.tightens) {
        *(apr_int64_t *)spot.field = number;
    }
    else if (number > 0) {
        /* 0 is no bound of its own. */
        *(apr_int64_t *)spot.field =
            pyexec_config_least(*(apr_int64_t *)spot.field, number);
    }
    return NULL;
}

/* The value of one word, in *text where it is kept as text. */
static const char *check_text(cmd_parms *cmd, pyexec_kind_e kind, const char **text)
{
    switch (kind) {
    case PYEXEC_KIND_ORIGIN:
        return strcmp(*text, "*") != 0 && ap_cstr_casecmp(*text, "none") != 0
               && !pyexec_value_is_origin(*text)
            ? apr_psprintf(cmd->pool, "'%s' is neither none, nor *, nor "
                           "scheme://host[:port]", *text) : NULL;
    case PYEXEC_KIND_LEVEL:
        return strcmp(*text, "full") != 0 && strcmp(*text, "restricted") != 0
            ? apr_psprintf(cmd->pool, "'%s' is neither full nor restricted",
                           *text) : NULL;
    case PYEXEC_KIND_POOLNAME:
        return !pyexec_value_is_pool(*text)
            ? apr_psprintf(cmd->pool, "'%s' is not the name of a pool: "
                           PYEXEC_VALUE_POOL_RULE, *text) : NULL;
    case PYEXEC_KIND_PYTHON:
        return !pyexec_value_is_pool(*text)
            ? apr_psprintf(cmd->pool, "'%s' is not the name of an interpreter, "
                           "such as python3.12", *text) : NULL;
    case PYEXEC_KIND_HELPER:
        return pyexec_service_problem(cmd->pool, *text);
    case PYEXEC_KIND_NETWORK:
        *text = pyexec_value_network(*text);
        return *text == NULL
            ? "neither none, nor proxy=ADDRESS:PORT with an address in "
              "numbers, [..] around IPv6, such as proxy=127.0.0.1:3128" : NULL;
    case PYEXEC_KIND_DIR:
        if (ap_cstr_casecmp(*text, "none") == 0) {
            *text = "";
            return NULL;
        }
        return !pyexec_value_is_directory(*text)
            ? apr_psprintf(cmd->pool, "'%s' is neither none nor the absolute "
                           "path of a directory", *text) : NULL;
    case PYEXEC_KIND_URL:
        return !pyexec_value_is_url(*text)
            ? apr_psprintf(cmd->pool, "'%s' is not http(s)://host[:port]/path, "
                           "without a user and without a query", *text) : NULL;
    case PYEXEC_KIND_PATH:
        *text = ap_server_root_relative(cmd->pool, *text);
        break;
    default:
        break;
    }
    return *text == NULL || (*text)[0] == '\0' ? "an empty or invalid value"
                                               : NULL;
}

static const char *set_text(cmd_parms *cmd, void *place, const char *text)
{
    const pyexec_directive_t *directive = cmd->cmd->cmd_data;
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem != NULL) {
        return problem;
    }
    problem = check_text(cmd, directive->kind, &text);
    if (problem != NULL) {
        return tell(cmd, problem);
    }
    *(const char **)spot.field = text;
    return NULL;
}

static const char *set_dialect(cmd_parms *cmd, void *place, const char *text)
{
    const pyexec_dialect_t *dialect = pyexec_dialect_find(text);
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem == NULL && dialect == NULL) {
        return apr_psprintf(cmd->pool, "%s: '%s' is none of: %s",
                            cmd->cmd->name, text,
                            pyexec_dialect_names(cmd->pool));
    }
    if (problem == NULL) {
        *(const pyexec_dialect_t **)spot.field = dialect;
    }
    return problem;
}

static const char *set_tenant(cmd_parms *cmd, void *place, const char *text)
{
    pyexec_tenant_t *tenant = apr_pcalloc(cmd->pool, sizeof(*tenant));
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem != NULL) {
        return problem;
    }
    tenant->text = text;
    if (strncmp(text, EXPRESSION, strlen(EXPRESSION)) == 0) {
        tenant->expression =
            ap_expr_parse_cmd(cmd, text + strlen(EXPRESSION),
                              AP_EXPR_FLAG_STRING_RESULT, &problem, NULL);
        if (problem != NULL) {
            return apr_psprintf(cmd->pool, "%s: cannot parse '%s': %s",
                                cmd->cmd->name, text, problem);
        }
    }
    else if (!pyexec_value_is_name(text)) {
        return apr_psprintf(cmd->pool, "%s: not a name of 1 to %d bytes "
                            "without control characters", cmd->cmd->name,
                            PXW_NAME_MAX);
    }
    *(const pyexec_tenant_t **)spot.field = tenant;
    return NULL;
}

/* What the elements of a list have to be, and how long all may be together. */
typedef struct list_rule_t
{
    int (*is_good)(const char *text);
    const char *missing;
    const char *wanted;
    size_t most_bytes;
} list_rule_t;

static const char *set_some(cmd_parms *cmd, void *place, int argc,
                            char *const argv[], const list_rule_t *rule)
{
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);
    const char *list = "";

    if (problem != NULL) {
        return problem;
    }
    if (argc == 0) {
        return tell(cmd, rule->missing);
    }
    if (argc > 1 || ap_cstr_casecmp(argv[0], "none") != 0) {
        for (int i = 0; i < argc; i++) {
            if (!rule->is_good(argv[i])) {
                return apr_psprintf(cmd->pool, "%s: '%s' is not the %s",
                                    cmd->cmd->name, argv[i], rule->wanted);
            }
            list = apr_pstrcat(cmd->pool, list, i > 0 ? "\n" : "", argv[i],
                               NULL);
        }
    }
    if (strlen(list) > rule->most_bytes) {
        return apr_psprintf(cmd->pool, "%s: more than %" APR_SIZE_T_FMT
                            " bytes of names", cmd->cmd->name,
                            rule->most_bytes);
    }
    *(const char **)spot.field = list;
    return NULL;
}

static const char *set_list(cmd_parms *cmd, void *place, int argc,
                            char *const argv[])
{
    static const list_rule_t rule = {
        pyexec_value_is_module, "names are missing", "name of a module",
        PXW_LIST_MAX,
    };

    return set_some(cmd, place, argc, argv, &rule);
}

/* Whether they are there, and may be, and how long their real names are is
 * checked with all the rest. */
static const char *set_dirs(cmd_parms *cmd, void *place, int argc,
                            char *const argv[])
{
    static const list_rule_t rule = {
        pyexec_value_is_directory, "directories are missing", "absolute path of a directory",
        SIZE_MAX,
    };

    return set_some(cmd, place, argc, argv, &rule);
}

static const char *set_imports(cmd_parms *cmd, void *place, int argc,
                               char *const argv[])
{
    const pyexec_imports_t *imports = NULL;
    const pyexec_imports_t **field;
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem != NULL) {
        return problem;
    }
    problem = pyexec_policy_read_imports(cmd->pool, argc, argv, &imports);
    if (problem != NULL) {
        return tell(cmd, problem);
    }
    field = spot.field;
    *field = spot.tightens ? pyexec_policy_both(cmd->pool, *field, imports)
                           : imports;
    return NULL;
}

static const char *set_forbid(cmd_parms *cmd, void *place, int argc,
                              char *const argv[])
{
    apr_int64_t forbid = 0;
    apr_int64_t *field;
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem != NULL) {
        return problem;
    }
    problem = pyexec_policy_read_forbid(cmd->pool, argc, argv, &forbid);
    if (problem != NULL) {
        return tell(cmd, problem);
    }
    field = spot.field;
    *field = spot.tightens ? pyexec_config_either(*field, forbid) : forbid;
    return NULL;
}

static const char *set_env(cmd_parms *cmd, void *place, const char *name,
                           const char *value)
{
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);
    const char *list;

    if (problem != NULL) {
        return problem;
    }
    list = pyexec_env_add(cmd->pool, *(const char **)spot.field, name, value,
                          &problem);
    if (list == NULL) {
        return tell(cmd, problem);
    }
    *(const char **)spot.field = list;
    return NULL;
}

static const char *set_egress(cmd_parms *cmd, void *place, int argc,
                              char *const argv[])
{
    const pyexec_egress_t *egress = NULL;
    pyexec_spot_t spot;
    const char *problem = pyexec_spot_find(cmd, place, &spot);

    if (problem != NULL) {
        return problem;
    }
    if (cmd->path != NULL) {
        return tell(cmd, "connections belong to a server or virtual host, "
                         "not to a place in it");
    }
    problem = pyexec_egress_read(cmd->pool, argc, argv, &egress);
    if (problem != NULL) {
        return tell(cmd, problem);
    }
    *(const pyexec_egress_t **)spot.field = egress;
    return NULL;
}

/* <PyExecPool name> … </PyExecPool> */
static const char *define_pool(cmd_parms *cmd, void *place, const char *args)
{
    ap_directive_t *section = cmd->directive;
    const char *problem =
        ap_check_cmd_context(cmd, GLOBAL_ONLY | NOT_IN_HTACCESS);
    const char *name = pyexec_spot_section_name(cmd->pool, args);

    (void)place; /* it has none: directives of places are refused below */
    if (problem != NULL) {
        return problem;
    }
    if (name == NULL) {
        return PYEXEC_POOL_SECTION ">: one name is wanted, and a closing '>'";
    }
    problem = pyexec_pools_define(cmd->pool, name,
                                  pyexec_places_where(cmd->pool, section));
    if (problem != NULL) {
        return apr_psprintf(cmd->pool, PYEXEC_POOL_SECTION ">: %s", problem);
    }
    for (ap_directive_t *child = section->first_child; child != NULL;
         child = child->next) {
        if (!pyexec_spot_is_of_pools(child->directive)) {
            cmd->err_directive = child;
            return apr_psprintf(cmd->pool, "%s%s is not a directive of a pool",
                                child->directive,
                                child->directive[0] == '<' ? ">" : "");
        }
    }
    problem = ap_walk_config(section->first_child, cmd,
                             ap_create_per_dir_config(cmd->pool));
    cmd->directive = section;
    return problem;
}

#define WHERE_PLACE (RSRC_CONF | ACCESS_CONF)
#define WHERE_WISH (RSRC_CONF | ACCESS_CONF | OR_FILEINFO)
#define WHERE_CEILING (RSRC_CONF | ACCESS_CONF)
#define WHERE_POOL RSRC_CONF
#define WHERE_GLOBAL RSRC_CONF
#define COMMAND_FLAG(...) AP_INIT_FLAG(__VA_ARGS__)
#define SET_FLAG set_flag
#define COMMAND_BYTES(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_BYTES set_number
#define COMMAND_MEBIBYTES(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_MEBIBYTES set_number
#define COMMAND_DURATION(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_DURATION set_number
#define COMMAND_PERIOD(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_PERIOD set_number
#define COMMAND_COUNT(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_COUNT set_number
#define COMMAND_DIALECT(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_DIALECT set_dialect
#define COMMAND_ORIGIN(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_ORIGIN set_text
#define COMMAND_LEVEL(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_LEVEL set_text
#define COMMAND_PATH(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_PATH set_text
#define COMMAND_ACCOUNT(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_ACCOUNT set_text
#define COMMAND_HELPER(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_HELPER set_text
#define COMMAND_OWNER(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_OWNER set_text
#define COMMAND_MODE(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_MODE set_number
#define COMMAND_POOLNAME(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_POOLNAME set_text
#define COMMAND_TENANT(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_TENANT set_tenant
#define COMMAND_LIST(...) AP_INIT_TAKE_ARGV(__VA_ARGS__)
#define SET_LIST set_list
#define COMMAND_IMPORTS(...) AP_INIT_TAKE_ARGV(__VA_ARGS__)
#define SET_IMPORTS set_imports
#define COMMAND_FORBID(...) AP_INIT_TAKE_ARGV(__VA_ARGS__)
#define SET_FORBID set_forbid
#define COMMAND_PYTHON(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_PYTHON set_text
#define COMMAND_DIRS(...) AP_INIT_TAKE_ARGV(__VA_ARGS__)
#define SET_DIRS set_dirs
#define COMMAND_EGRESS(...) AP_INIT_TAKE_ARGV(__VA_ARGS__)
#define SET_EGRESS set_egress
#define COMMAND_NETWORK(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_NETWORK set_text
#define COMMAND_DIR(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_DIR set_text
#define COMMAND_URL(...) AP_INIT_TAKE1(__VA_ARGS__)
#define SET_URL set_text
#define COMMAND_ENV(...) AP_INIT_TAKE2(__VA_ARGS__)
#define SET_ENV set_env
#define COMMAND(scope, kind, field, name, value, least, most, help) \
    COMMAND_##kind(name, SET_##kind,                                \
                   (void *)&pyexec_spot_directives[PYEXEC_INDEX_##scope##_##field],    \
                   WHERE_##scope, help),

const command_rec pyexec_commands[] = {
    PYEXEC_DIRECTIVES(COMMAND)
    AP_INIT_RAW_ARGS(PYEXEC_POOL_SECTION, define_pool, NULL, RSRC_CONF,
                     "a pool of warm interpreters, by its name"),
    { NULL }
};
