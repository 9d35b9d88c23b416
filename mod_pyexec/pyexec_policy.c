/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and applying; see the header. Runs in the parent while it reads its
 * files, and in a worker for .htaccess and for each request.
 */
#include "pyexec_policy.h"

#include "pyexec_dialect.h"
#include "pyexec_value.h"

#include <apr_strings.h>
#include <string.h>

/* A PyExecForbid as one number: what is added, what is taken away, and
 * whether that is all. */
#define REMOVED(checks) ((apr_int64_t)(checks) << 16)
#define REPLACES ((apr_int64_t)1 << 32)

static const struct
{
    const char *name;
    apr_int64_t check;
} checks[] = {
    { "os.system", PXW_FORBID_OS_SYSTEM },
    { "shell", PXW_FORBID_SHELL },
    { "write", PXW_FORBID_OPEN_WRITE },
    { "eval", PXW_FORBID_EVAL },
};

/* With either sign. */
#define ENVIRONMENT "+environment"

#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static int is_relative(const char *word)
{
    return word[0] == '+' || word[0] == '-';
}

/* Words with a sign and words without mean different things. */
static const char *check_signs(int argc, char *const argv[])
{
    for (int i = 1; i < argc; i++) {
        if (is_relative(argv[i]) != is_relative(argv[0])
            || strcmp(argv[i], "*") == 0 || strcmp(argv[0], "*") == 0
            || ap_cstr_casecmp(argv[0], "none") == 0) {
            return "either all names have + or -, or none has; * and none "
                   "stand alone";
        }
    }
    return argc == 0 ? "names are missing" : NULL;
}

const char *pyexec_policy_read_imports(apr_pool_t *pool, int argc,
                                       char *const argv[],
                                       const pyexec_imports_t **ret_imports)
{
    const char *problem = check_signs(argc, argv);
    pyexec_imports_t *imports = apr_pcalloc(pool, sizeof(*imports));

    if (problem != NULL) {
        return problem;
    }
    imports->words = "";
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i] + is_relative(argv[i]);

        if (strcmp(name, "*") != 0 && !pyexec_value_is_module(name)) {
            return apr_psprintf(pool, "'%s' is not the name of a module",
                                argv[i]);
        }
        if (argc > 1 || ap_cstr_casecmp(argv[0], "none") != 0) {
            imports->words = apr_pstrcat(pool, imports->words, i > 0 ? "\n"
                                         : "", argv[i], NULL);
        }
    }
    if (strlen(imports->words) > PXW_LIST_MAX / 4) {
        return "too many names";
    }
    *ret_imports = imports;
    return NULL;
}

const char *pyexec_policy_read_forbid(apr_pool_t *pool, int argc,
                                      char *const argv[],
                                      apr_int64_t *ret_forbid)
{
    const char *problem = check_signs(argc, argv);
    apr_int64_t forbid = argc > 0 && is_relative(argv[0]) ? 0 : REPLACES;

    if (problem != NULL) {
        return problem;
    }
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i] + is_relative(argv[i]);
        apr_int64_t check = 0;

        for (size_t k = 0; k < CHECKS; k++) {
            if (ap_cstr_casecmp(checks[k].name, name) == 0) {
                check = checks[k].check;
            }
        }
        if (check == 0 && ap_cstr_casecmp(argv[i], "none") != 0) {
            return apr_psprintf(pool, "'%s' is none of: os.system, shell, "
                                "write, eval", argv[i]);
        }
        /* The last word about a name holds. */
        forbid &= ~(check | REMOVED(check));
        forbid |= argv[i][0] == '-' ? REMOVED(check) : check;
    }
    *ret_forbid = forbid;
    return NULL;
}

const pyexec_imports_t *pyexec_policy_both(apr_pool_t *pool,
                                           const pyexec_imports_t *outer,
                                           const pyexec_imports_t *inner)
{
    if (outer == NULL || inner == NULL) {
        return outer == NULL ? inner : outer;
    }
    /* All of them take away, so that their order does not matter. */
    for (; inner != NULL; inner = inner->outer) {
        pyexec_imports_t *link = apr_palloc(pool, sizeof(*link));

        link->outer = outer;
        link->words = inner->words;
        outer = link;
    }
    return outer;
}

/* The words of a list, one after the other: start with *at = list. */
static int next_word(const char **at, const char **ret_word,
                     apr_size_t *ret_size)
{
    if (*at == NULL || **at == '\0') {
        return 0;
    }
    *ret_word = *at;
    *ret_size = strcspn(*at, "\n");
    *at += *ret_size + ((*at)[*ret_size] == '\n');
    return 1;
}

static int has(const char *list, const char *name, apr_size_t size)
{
    const char *word;
    apr_size_t word_size;

    while (next_word(&list, &word, &word_size)) {
        if (word_size == size && memcmp(word, name, size) == 0) {
            return 1;
        }
    }
    return 0;
}

static const char *add(apr_pool_t *pool, const char *list, const char *name,
                       apr_size_t size)
{
    if (has(list, name, size)) {
        return list;
    }
    return apr_psprintf(pool, "%s%s%.*s", list == NULL ? "" : list,
                        list == NULL || list[0] == '\0' ? "" : "\n",
                        (int)size, name);
}

/* Those names of a list that are in another one, or that are not. */
static const char *select_names(apr_pool_t *pool, const char *list,
                                const char *other, int wanted)
{
    const char *selected = "";
    const char *word;
    apr_size_t size;

    while (next_word(&list, &word, &size)) {
        if (has(other, word, size) == wanted) {
            selected = add(pool, selected, word, size);
        }
    }
    return selected;
}

/* A `-name` takes it out of the list and forbids it besides, for where there
 * is no list. `only_less`: of an .htaccess. */
static void apply_word(apr_pool_t *pool, pyexec_policy_t *policy,
                       const char *word, apr_size_t size, int only_less)
{
    const char *name = apr_pstrmemdup(pool, word + 1, size - 1);

    if (word[0] == '-') {
        policy->deny = add(pool, policy->deny, name, size - 1);
        if (policy->imports != NULL) {
            policy->imports = select_names(pool, policy->imports, name, 0);
        }
    }
    else if (!only_less) {
        if (policy->imports != NULL) {
            policy->imports = add(pool, policy->imports, name, size - 1);
        }
        if (policy->deny != NULL) {
            policy->deny = select_names(pool, policy->deny, name, 0);
        }
    }
}

/* `+environment` is no module, but all that are installed. */
static int is_environment(const char *word, apr_size_t size)
{
    return size == sizeof(ENVIRONMENT) - 1
           && memcmp(word + 1, &ENVIRONMENT[1], size - 1) == 0;
}

static void apply(apr_pool_t *pool, pyexec_policy_t *policy,
                  const char *words, int only_less)
{
    const char *word;
    apr_size_t size;

    if (strcmp(words, "*") == 0) {
        if (!only_less) {
            policy->imports = NULL;
            policy->deny = NULL;
        }
        return;
    }
    if (is_relative(words)) {
        while (next_word(&words, &word, &size)) {
            if (!is_environment(word, size)) {
                apply_word(pool, policy, word, size, only_less);
            }
            else if (word[0] == '-' || !only_less) {
                policy->open = word[0] == '+';
            }
        }
        return;
    }
    policy->open = 0;
    if (!only_less) {
        policy->imports = words;
        policy->deny = NULL;
    }
    else {
        policy->imports = policy->imports == NULL
                              ? words
                              : select_names(pool, policy->imports, words, 1);
    }
}

pyexec_policy_t pyexec_policy_of(apr_pool_t *pool, const pyexec_place_t *place,
                                 const pyexec_dialect_t *dialect)
{
    pyexec_policy_t policy = { 0 };

    if (place->policy != 0) {
        policy.imports = dialect->imports;
        policy.deny = dialect->deny;
        policy.forbid = dialect->forbid;
        if (place->imports != NULL) {
            apply(pool, &policy, place->imports->words, 0);
        }
        if (place->forbid != PYEXEC_UNSET) {
            if ((place->forbid & REPLACES) != 0) {
                policy.forbid = 0;
            }
            policy.forbid &= ~(apr_uint32_t)(place->forbid >> 16 & 0xffff);
            policy.forbid |= (apr_uint32_t)(place->forbid & 0xffff);
        }
    }
    for (const pyexec_imports_t *tight = place->tight.imports; tight != NULL;
         tight = tight->outer) {
        apply(pool, &policy, tight->words, 1);
    }
    if (place->tight.forbid != PYEXEC_UNSET) {
        policy.forbid |= (apr_uint32_t)(place->tight.forbid & 0xffff);
    }
    /* What is refused in the source is refused during the run as well. */
    if (policy.forbid != 0 || policy.imports != NULL || policy.deny != NULL) {
        policy.forbid |= PXW_FORBID_AT_RUN_TIME;
    }
    return policy;
}

const char *pyexec_policy_show_forbid(apr_pool_t *pool, apr_int64_t forbid)
{
    const char *text = "";

    if (forbid == PYEXEC_UNSET) {
        return "of the dialect";
    }
    for (size_t i = 0; i < CHECKS; i++) {
        const char *sign = (forbid & REPLACES) != 0 ? " "
                           : (forbid & checks[i].check) != 0 ? " +" : " -";

        if ((forbid & (checks[i].check | REMOVED(checks[i].check))) != 0) {
            text = apr_pstrcat(pool, text, sign, checks[i].name, NULL);
        }
    }
    return text[0] == '\0' ? "none" : text + 1;
}
