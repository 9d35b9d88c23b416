/* SPDX-License-Identifier: Apache-2.0
 *
 * Which warm interpreters a pool has, and which one suits a script: pure
 * functions over lists of names, without a process or an event.
 */
#ifndef PYEXEC_KEEPER_PLAN_H
#define PYEXEC_KEEPER_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* base, light, all, and one for each of at most so many heavy modules. */
#define PLAN_MOST_HEAVY 6
#define PLAN_MOST_BRANCHES (3 + PLAN_MOST_HEAVY)

/* One warm interpreter: what it has loaded. */
struct plan_branch
{
    char label[64];       /* for the log */
    uint8_t *preload;     /* names, one a line; NULL: none */
    size_t preload_size;
    uint32_t groups;      /* bit i: it has group i; see keeper_plan.c */
};

struct plan_module
{
    const uint8_t *name;  /* into the plan's own copy of the list */
    size_t size;
    uint32_t group;
};

struct keeper_plan
{
    struct plan_branch branches[PLAN_MOST_BRANCHES];
    size_t count;         /* at least one: the first has nothing loaded */
    size_t eager;         /* up to this index they are started unasked */
    uint8_t *names;
    struct plan_module *modules;
    size_t module_count;
};

/* Sorts a list of modules, one a line (PXW_F_PRELOAD), into at most `most`
 * branches; `most` is at least 1. 0 or -ENOMEM; keeper_plan_free() is for both
 * cases. */
int keeper_plan_make(struct keeper_plan *ret_plan, const uint8_t *list,
                     size_t size, size_t most);
void keeper_plan_free(struct keeper_plan *plan);

/* What a source text seems to import, as a mask of groups. A cheap look at the
 * beginnings of its lines, wrong as often as somebody likes: a branch without
 * a module costs the run time to load it, and nothing else. */
uint32_t keeper_plan_look(const struct keeper_plan *plan,
                          const uint8_t *source, size_t size);

/* The same of a source that is not there yet: all that there is. Forking a
 * zygote with more than the run needs costs it a millisecond, loading a module
 * that is not there a hundred. */
uint32_t keeper_plan_anything(const struct keeper_plan *plan);

/* How well a branch suits a run that seems to want `groups`: the lower the
 * better, different for each branch. */
unsigned keeper_plan_distance(const struct keeper_plan *plan, size_t branch,
                              uint32_t groups);

#endif
