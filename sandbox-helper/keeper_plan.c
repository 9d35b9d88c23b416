/* SPDX-License-Identifier: Apache-2.0
 *
 * Theory of operation
 *
 * A fork copies what its parent has mapped, and a job whose parent has loaded
 * numpy pays for numpy, used or not: twice the time of a bare one. A job whose
 * parent has not loaded it pays a hundred times that when it imports it. So a
 * pool has several zygotes, its branches, and each run goes to the one that
 * has what the script seems to import and as little else as possible.
 *
 *     base    nothing
 *     light   the modules of the standard library that are cheap to carry
 *     NAME    light and one module that is not: each is a group of its own
 *     threads light and those of the standard library that load threading,
 *             whose hook after a fork copies as many pages as a whole run
 *     all     everything
 *
 * Distances rank the branches for a run: those that have all it wants come
 * first, the smaller before the larger, then those that lack something.
 */
#include "keeper_plan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

enum group
{
    GROUP_LIGHT,
    GROUP_THREADS,
    GROUP_HEAVY,                        /* the first of PLAN_MOST_HEAVY - 1 */
    GROUP_REST = GROUP_HEAVY + PLAN_MOST_HEAVY - 1,
    GROUPS,
};

/* A script's imports stand at its beginning. */
#define LOOK_BYTES ((size_t)64 << 10)
/* Names looked up; whoever imports more is not in a hurry. */
#define LOOK_NAMES 64

/* Sorted: sys.stdlib_module_names of the interpreter we are built for. */
static const char *const standard[] = {
#include "stdlib_names.h"
};

static const char *const with_threads[] = {
    "asyncio", "concurrent", "logging", "multiprocessing", "queue", "sched",
    "socketserver", "subprocess", "threading", "trace", "zipfile",
};

struct name
{
    const uint8_t *text;
    size_t size;
};

static int compare_names(const void *key, const void *item)
{
    const struct name *name = key;
    const char *other = *(const char *const *)item;
    size_t other_size = strlen(other);
    size_t least = name->size < other_size ? name->size : other_size;
    int order = memcmp(name->text, other, least);

    return order != 0                ? order
           : name->size < other_size ? -1
                                     : name->size > other_size;
}

static bool is_among(const struct name *name, const char *const *list,
                     size_t count)
{
    return bsearch(name, list, count, sizeof(list[0]), compare_names) != NULL;
}

/* The part of a dotted name that decides. */
static struct name top_of(const uint8_t *text, size_t size)
{
    const uint8_t *dot = memchr(text, '.', size);

    return (struct name){ text, dot == NULL ? size : (size_t)(dot - text) };
}

static const struct plan_module *find(const struct keeper_plan *plan,
                                      const struct name *name)
{
    for (size_t i = 0; i < plan->module_count; i++) {
        const struct plan_module *module = &plan->modules[i];
        struct name top = top_of(module->name, module->size);

        if (top.size == name->size
            && memcmp(top.text, name->text, top.size) == 0) {
            return module;
        }
    }
    return NULL;
}

/* Submodules belong where their package is. */
static uint32_t group_of(const struct keeper_plan *plan,
                         const struct name *name, uint32_t *next_heavy)
{
    const struct plan_module *known = find(plan, name);

    if (known != NULL) {
        return known->group;
    }
    if (is_among(name, with_threads,
                 sizeof(with_threads) / sizeof(with_threads[0]))) {
        return GROUP_THREADS;
    }
    if (is_among(name, standard, sizeof(standard) / sizeof(standard[0]))) {
        return GROUP_LIGHT;
    }
    return *next_heavy < GROUP_REST ? (*next_heavy)++ : (uint32_t)GROUP_REST;
}

static const uint8_t *end_of_line(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *found = memchr(at, '\n', (size_t)(end - at));

    return found == NULL ? end : found;
}

static int take_names(struct keeper_plan *plan, const uint8_t *list,
                      size_t size)
{
    uint32_t next_heavy = GROUP_HEAVY;
    const uint8_t *at;
    const uint8_t *end;

    plan->names = malloc(size + 1);
    plan->modules = calloc(size / 2 + 1, sizeof(plan->modules[0]));
    if (plan->names == NULL || plan->modules == NULL) {
        return -ENOMEM;
    }
    if (size > 0) {
        memcpy(plan->names, list, size);
    }
    at = plan->names;
    end = at + size;
    while (at < end) {
        const uint8_t *line_end = end_of_line(at, end);

        if (line_end > at) {
            size_t length = (size_t)(line_end - at);
            struct name top = top_of(at, length);
            uint32_t group = group_of(plan, &top, &next_heavy);

            plan->modules[plan->module_count++] =
                (struct plan_module){ at, length, group };
        }
        at = line_end + (line_end < end);
    }
    return 0;
}

/* Adds the branch that has these groups, with what is in them loaded in the
 * order of the list. */
static int add_branch(struct keeper_plan *plan, uint32_t groups,
                      const char *label, size_t label_size)
{
    struct plan_branch *branch = &plan->branches[plan->count];
    size_t size = 0;

    for (size_t i = 0; i < plan->module_count; i++) {
        if ((groups >> plan->modules[i].group & 1) != 0) {
            size += plan->modules[i].size + 1;
        }
    }
    if (size > 0) {
        branch->preload = malloc(size);
        if (branch->preload == NULL) {
            return -ENOMEM;
        }
    }
    plan->count++;
    branch->groups = groups;
    if (label_size >= sizeof(branch->label)) {
        label_size = sizeof(branch->label) - 1;
    }
    memcpy(branch->label, label, label_size);
    for (size_t i = 0; i < plan->module_count; i++) {
        const struct plan_module *module = &plan->modules[i];

        if ((groups >> module->group & 1) == 0) {
            continue;
        }
        /* Between two, as in the list: nothing grows longer than that was. */
        if (branch->preload_size > 0) {
            branch->preload[branch->preload_size++] = '\n';
        }
        memcpy(branch->preload + branch->preload_size, module->name,
               module->size);
        branch->preload_size += module->size;
    }
    return 0;
}

static int add_named(struct keeper_plan *plan, uint32_t groups,
                     const char *label)
{
    return add_branch(plan, groups, label, strlen(label));
}

/* One for each heavy group, named after its first module. */
static int add_heavy(struct keeper_plan *plan, size_t most)
{
    uint32_t done = 0;
    int rv = 0;

    for (size_t i = 0; rv == 0 && i < plan->module_count; i++) {
        const struct plan_module *module = &plan->modules[i];
        uint32_t bit = UINT32_C(1) << module->group;
        struct name top = top_of(module->name, module->size);

        if (module->group == GROUP_LIGHT || module->group == GROUP_REST
            || (done & bit) != 0 || plan->count >= most) {
            continue;
        }
        done |= bit;
        rv = module->group == GROUP_THREADS
                 ? add_named(plan, bit | 1u << GROUP_LIGHT, "threads")
                 : add_branch(plan, bit | 1u << GROUP_LIGHT,
                              (const char *)top.text, top.size);
    }
    return rv;
}

int keeper_plan_make(struct keeper_plan *ret_plan, const uint8_t *list,
                     size_t size, size_t most)
{
    struct keeper_plan *plan = ret_plan;
    uint32_t all = 0;
    uint32_t heavy;
    int rv;

    *plan = (struct keeper_plan){ 0 };
    most = most > PLAN_MOST_BRANCHES ? PLAN_MOST_BRANCHES : most;
    rv = take_names(plan, list, size);
    for (size_t i = 0; i < plan->module_count; i++) {
        all |= UINT32_C(1) << plan->modules[i].group;
    }
    heavy = all & ~(1u << GROUP_LIGHT);
    if (rv == 0 && (most > 1 || all == 0)) {
        rv = add_named(plan, 0, "base");
    }
    if (rv == 0 && (all & 1u << GROUP_LIGHT) != 0
        && (most > 2 || (most == 2 && heavy == 0))) {
        rv = add_named(plan, 1u << GROUP_LIGHT, "light");
    }
    if (rv == 0 && (heavy != 0 || plan->count == 0)) {
        rv = add_named(plan, all, "all");
    }
    plan->eager = rv == 0 ? plan->count - 1 : 0;
    /* A single heavy group is what `all` has. */
    if (rv == 0 && (heavy & (heavy - 1)) != 0) {
        rv = add_heavy(plan, most);
    }
    return rv;
}

void keeper_plan_free(struct keeper_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->branches[i].preload);
    }
    free(plan->names);
    free(plan->modules);
    *plan = (struct keeper_plan){ 0 };
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\f';
}

static const uint8_t *skip_blanks(const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_blank(*at)) {
        at++;
    }
    return at;
}

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')
           || (byte >= '0' && byte <= '9') || byte == '_' || byte == '.';
}

/* The dotted name at *at, which is moved behind it; empty: there is none. */
static struct name take_name(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *start = skip_blanks(*at, end);
    const uint8_t *stop = start;

    while (stop < end && is_name_byte(*stop)) {
        stop++;
    }
    *at = stop;
    return top_of(start, (size_t)(stop - start));
}

/* Whether a line begins with this word and a blank; *at is moved behind. */
static bool take_word(const uint8_t **at, const uint8_t *end,
                      const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(end - *at) <= size || memcmp(*at, word, size) != 0
        || !is_blank((*at)[size])) {
        return false;
    }
    *at += size;
    return true;
}

static uint32_t look_up(const struct keeper_plan *plan,
                        const struct name *name)
{
    const struct plan_module *module = find(plan, name);

    /* What is not preloaded is mostly built on what is light. */
    return UINT32_C(1) << (module == NULL ? (uint32_t)GROUP_LIGHT
                                          : module->group);
}

/* `import a, b.c as d` or `from a import b`. */
static uint32_t look_at_line(const struct keeper_plan *plan,
                             const uint8_t *at, const uint8_t *end,
                             size_t *left)
{
    uint32_t groups = 0;
    bool several = take_word(&at, end, "import");
    bool more = several || take_word(&at, end, "from");

    while (more && *left > 0) {
        struct name name = take_name(&at, end);

        (*left)--;
        if (name.size > 0) {
            groups |= look_up(plan, &name);
        }
        at = several ? memchr(at, ',', (size_t)(end - at)) : NULL;
        more = at != NULL;
        if (more) {
            at++;
        }
    }
    return groups;
}

uint32_t keeper_plan_look(const struct keeper_plan *plan,
                          const uint8_t *source, size_t size)
{
    const uint8_t *at = source;
    const uint8_t *end = at + (size < LOOK_BYTES ? size : LOOK_BYTES);
    uint32_t groups = 0;
    size_t left = LOOK_NAMES;

    while (at < end && left > 0) {
        const uint8_t *line_end = end_of_line(at, end);

        groups |= look_at_line(plan, skip_blanks(at, line_end), line_end,
                               &left);
        at = line_end + (line_end < end);
    }
    return groups;
}

uint32_t keeper_plan_anything(const struct keeper_plan *plan)
{
    return plan->branches[plan->eager].groups; /* `all`, or what is all */
}

unsigned keeper_plan_distance(const struct keeper_plan *plan, size_t branch,
                              uint32_t groups)
{
    uint32_t has = plan->branches[branch].groups;
    unsigned missing = (unsigned)__builtin_popcount(groups & ~has);
    unsigned idle = (unsigned)__builtin_popcount(has & ~groups);

    return (missing * GROUPS + idle) * PLAN_MOST_BRANCHES + (unsigned)branch;
}
