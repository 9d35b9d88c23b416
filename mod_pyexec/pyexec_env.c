/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of variables; see the header. Runs in the httpd parent while it
 * reads its files.
 */
#include "pyexec_env.h"

#include "../sandbox-helper/wire.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <string.h>

/* What the interpreter, the loader or numeric libraries read at their start:
 * at best without effect there, at worst another thread, without which forking
 * would not be safe, or a warm interpreter that is not what was tested. */
static const char *const reserved[] = {
    "LD_", "PYTHON", "MALLOC_", "GLIBC_", "OMP_", "OPENBLAS_", "GOTO_",
    "MKL_", "BLIS_", "NUMEXPR_", "VECLIB_",
};

#define RESERVED (sizeof(reserved) / sizeof(reserved[0]))

static const char *check_name(apr_pool_t *pool, const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        if (!apr_isalnum(*c) && *c != '_') {
            return apr_psprintf(pool, "'%s' is not the name of a variable "
                                "(letters, digits, underscores)", name);
        }
    }
    if (name[0] == '\0' || apr_isdigit(name[0]) || strlen(name) > 255) {
        return apr_psprintf(pool, "'%s' is not the name of a variable", name);
    }
    for (size_t i = 0; i < RESERVED; i++) {
        if (strncmp(name, reserved[i], strlen(reserved[i])) == 0) {
            return apr_psprintf(pool, "'%s': names that begin with %s are the "
                                "interpreter's own", name, reserved[i]);
        }
    }
    return NULL;
}

static const char *check_value(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (apr_iscntrl(*c)) {
            return "the value has a control character in it";
        }
    }
    return NULL;
}

/* The next line's size, its end included. */
static apr_size_t line_size(const char *line)
{
    apr_size_t size = strcspn(line, "\n");

    return size + (line[size] == '\n');
}

static int has_name(const char *list, const char *entry)
{
    apr_size_t size = strcspn(entry, "=") + 1;

    while (list != NULL && *list != '\0') {
        if (strncmp(list, entry, size) == 0) {
            return 1;
        }
        list += line_size(list);
    }
    return 0;
}

const char *pyexec_env_merge(apr_pool_t *pool, const char *outer,
                             const char *inner)
{
    const char *list = inner;

    while (inner != NULL && outer != NULL && *outer != '\0') {
        apr_size_t size = line_size(outer);

        if (!has_name(inner, outer)) {
            list = apr_pstrcat(pool, list, apr_pstrmemdup(pool, outer, size),
                               NULL);
        }
        outer += size;
    }
    return inner == NULL ? outer : list;
}

const char *pyexec_env_add(apr_pool_t *pool, const char *list,
                           const char *name, const char *value,
                           const char **ret_problem)
{
    const char *problem = check_name(pool, name);
    const char *made;

    if (problem == NULL) {
        problem = check_value(value);
    }
    made = pyexec_env_merge(pool, list, apr_pstrcat(pool, name, "=", value,
                                                    "\n", NULL));
    if (problem == NULL && strlen(made) > PXW_ENV_MAX) {
        problem = apr_psprintf(pool, "all variables together have more than "
                               "%u bytes", PXW_ENV_MAX);
    }
    if (problem != NULL) {
        *ret_problem = problem;
        return NULL;
    }
    return made;
}
