/* SPDX-License-Identifier: Apache-2.0
 *
 * Which branches a list of modules makes, and which of them a script is sent
 * to. Sources lie in exactly sized heap blocks, so that a sanitizer sees a
 * read beyond their end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "keeper_plan.h"

#include <stdlib.h>
#include <string.h>

#define EVERYTHING "math\nnumpy\nrequests\njson\nsubprocess\nos.path"

static void make(struct keeper_plan *plan, const char *list, size_t most)
{
    assert_int_equal(keeper_plan_make(plan, (const uint8_t *)list,
                                      strlen(list), most),
                     0);
}

static const char *nearest(const struct keeper_plan *plan, uint32_t groups)
{
    size_t best = 0;

    for (size_t i = 1; i < plan->count; i++) {
        unsigned distance = keeper_plan_distance(plan, i, groups);

        assert_int_not_equal(distance, keeper_plan_distance(plan, 0, groups));
        if (distance < keeper_plan_distance(plan, best, groups)) {
            best = i;
        }
    }
    return plan->branches[best].label;
}

/* The branch that suits a source best, by its label. */
static const char *pick(const struct keeper_plan *plan, const char *source)
{
    size_t size = strlen(source);
    uint8_t *copy = malloc(size > 0 ? size : 1);
    uint32_t groups;

    assert_non_null(copy);
    memcpy(copy, source, size);
    groups = keeper_plan_look(plan, copy, size);
    free(copy);
    return nearest(plan, groups);
}

static void test_branches(void **state)
{
    static const struct
    {
        const char *list;
        size_t most;
        const char *labels; /* in order */
        size_t eager;
    } cases[] = {
        { "", 9, "base ", 0 },
        { "\n\n", 9, "base ", 0 },
        { "math", 9, "base light ", 1 },
        { "numpy", 9, "base all ", 1 },
        { "math\nnumpy", 9, "base light all ", 2 },
        { "math\nsubprocess\nlogging.handlers", 9, "base light all ", 2 },
        { EVERYTHING, 9, "base light all numpy requests threads ", 2 },
        { EVERYTHING, 4, "base light all numpy ", 2 },
        { EVERYTHING, 2, "base all ", 1 },
        { EVERYTHING, 1, "all ", 0 },
        { "", 1, "base ", 0 },
        { "math", 1, "all ", 0 },
        { "numpy.linalg\nnumpy.random", 9, "base all ", 1 },
        { "a\nb\nc\nd\ne\nf\ng\nh", 9, "base all a b c d e ", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct keeper_plan plan;
        char labels[256] = "";

        make(&plan, cases[i].list, cases[i].most);
        for (size_t j = 0; j < plan.count; j++) {
            strcat(labels, plan.branches[j].label);
            strcat(labels, " ");
        }
        assert_string_equal(labels, cases[i].labels);
        assert_int_equal(plan.eager, cases[i].eager);
        keeper_plan_free(&plan);
    }
}

static void test_preloaded(void **state)
{
    static const char *const lists[] = {
        "", "math\njson\nos.path",
        "math\nnumpy\nrequests\njson\nsubprocess\nos.path",
        "math\nnumpy\njson\nos.path", "math\nrequests\njson\nos.path",
        "math\njson\nsubprocess\nos.path",
    };
    struct keeper_plan plan;

    (void)state;
    make(&plan, EVERYTHING, PLAN_MOST_BRANCHES);
    assert_int_equal(plan.count, sizeof(lists) / sizeof(lists[0]));
    for (size_t i = 0; i < plan.count; i++) {
        assert_int_equal(plan.branches[i].preload_size, strlen(lists[i]));
        assert_memory_equal(lists[i][0] == '\0'
                                ? lists[i]
                                : (const char *)plan.branches[i].preload,
                            lists[i], strlen(lists[i]));
    }
    keeper_plan_free(&plan);
}

static void test_picks(void **state)
{
    static const struct
    {
        const char *source;
        const char *label;
    } cases[] = {
        { "", "base" },
        { "print(1)", "base" },
        { "import math", "light" },
        { "import", "base" },
        { "import ", "base" },
        { "from", "base" },
        { "importmath", "base" },
        { "import\tmath", "light" },
        { "x = 1\n    import math\n", "light" },
        { "from typing import List", "light" },
        { "import numpy", "numpy" },
        { "import numpy as np", "numpy" },
        { "import numpy.linalg", "numpy" },
        { "from numpy import array", "numpy" },
        { "import numpyx", "light" },
        { "import math, numpy", "numpy" },
        { "import math,numpy as np,  json", "numpy" },
        { "import numpy\nimport requests", "all" },
        { "import requests, subprocess", "all" },
        { "import subprocess", "threads" },
        { "import numpy;import requests", "numpy" },
        { "print('import numpy')", "base" },
        { "import math\r\nimport numpy\r\n", "numpy" },
        { "import nosuchmodule", "light" },
        { "import ,,,numpy", "numpy" },
        { "import \xef\xbc\xae", "base" },
    };
    struct keeper_plan plan;

    (void)state;
    make(&plan, EVERYTHING, PLAN_MOST_BRANCHES);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(pick(&plan, cases[i].source), cases[i].label);
    }
    keeper_plan_free(&plan);
}

/* Only so much is looked at. */
static void test_long_sources(void **state)
{
    size_t size = 1u << 20;
    char *source = malloc(size + 64);
    struct keeper_plan plan;

    (void)state;
    assert_non_null(source);
    make(&plan, EVERYTHING, PLAN_MOST_BRANCHES);
    memset(source, '\n', size);
    strcpy(source + size, "import numpy");
    assert_string_equal(pick(&plan, source), "base");
    for (size_t i = 0; i < size; i += 8) {
        memcpy(source + i, "import ;", 8);
    }
    assert_string_equal(pick(&plan, source), "base");
    free(source);
    keeper_plan_free(&plan);
}

/* What is not known yet goes where everything is. */
static void test_anything(void **state)
{
    static const struct
    {
        const char *list;
        const char *label;
    } cases[] = {
        { "", "base" },
        { "math", "light" },
        { "numpy", "all" },
        { EVERYTHING, "all" },
        { "a\nb\nc\nd\ne\nf\ng\nh", "all" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct keeper_plan plan;

        make(&plan, cases[i].list, PLAN_MOST_BRANCHES);
        assert_string_equal(nearest(&plan, keeper_plan_anything(&plan)),
                            cases[i].label);
        keeper_plan_free(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_preloaded),
        cmocka_unit_test(test_picks),
        cmocka_unit_test(test_long_sources),
        cmocka_unit_test(test_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
