/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns and places of a queue's tenants, with runs that are nothing but their
 * links. Every test ends with all tenants gone, so that a leak shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "keeper_queue.h"
#include "keeper_tenants.h"

#include <string.h>

#define RUNS 64

struct fixture
{
    struct keeper_tenants tenants;
    struct keeper_run runs[RUNS];
    size_t used;
};

static int open_fixture(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof(fixture));
    keeper_tenants_open(&fixture.tenants);
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;

    return TAILQ_EMPTY(&f->tenants.turn) && TAILQ_EMPTY(&f->tenants.others)
               ? 0 : -1;
}

static struct keeper_tenant *get(struct fixture *f, const char *name)
{
    struct keeper_tenant *tenant = keeper_tenants_get(&f->tenants, name,
                                                      strlen(name));

    assert_non_null(tenant);
    return tenant;
}

static struct keeper_run *wait_one(struct fixture *f, const char *name)
{
    struct keeper_run *run = &f->runs[f->used++];

    assert_true(f->used <= RUNS);
    run->tenant = get(f, name);
    keeper_tenants_wait(&f->tenants, run);
    return run;
}

/* The run that is next, which begins. */
static struct keeper_run *serve(struct fixture *f)
{
    struct keeper_tenant *tenant = TAILQ_FIRST(&f->tenants.turn);
    struct keeper_run *run;

    assert_non_null(tenant);
    run = TAILQ_FIRST(&tenant->waiting);
    assert_non_null(run);
    keeper_tenants_began(&f->tenants, run);
    return run;
}

static void end(struct fixture *f, struct keeper_run *run)
{
    keeper_tenants_ended(&f->tenants, run->tenant);
}

static void leave_all(struct fixture *f)
{
    struct keeper_tenant *tenant;

    while ((tenant = TAILQ_FIRST(&f->tenants.turn)) != NULL) {
        keeper_tenants_leave(&f->tenants, TAILQ_FIRST(&tenant->waiting));
    }
}

/* Whose place a run of `name` would get: the run's owner, or "" for nobody. */
static const char *yields(struct fixture *f, const char *name)
{
    struct keeper_tenant *tenant = get(f, name);
    struct keeper_run *run = keeper_tenants_yielding(&f->tenants, tenant);

    if (run != NULL) {
        assert_ptr_equal(run, TAILQ_LAST(&run->tenant->waiting,
                                         keeper_run_list));
    }
    keeper_tenants_put(&f->tenants, tenant);
    return run == NULL ? "" : run->tenant->name;
}

static void test_names(void **state)
{
    static const char long_name[PXW_NAME_MAX + 1] = "x";
    struct fixture *f = *state;
    struct keeper_tenant *a = get(f, "a");
    struct keeper_tenant *none = keeper_tenants_get(&f->tenants, NULL, 0);
    struct keeper_tenant *longest = keeper_tenants_get(&f->tenants, long_name,
                                                       PXW_NAME_MAX);

    assert_ptr_equal(get(f, "a"), a);
    assert_ptr_not_equal(get(f, "a "), a);
    assert_ptr_not_equal(get(f, "A"), a);
    assert_non_null(none);
    assert_ptr_equal(keeper_tenants_get(&f->tenants, "", 0), none);
    assert_non_null(longest);
    assert_ptr_equal(keeper_tenants_get(&f->tenants, long_name, PXW_NAME_MAX),
                     longest);
    assert_null(keeper_tenants_get(&f->tenants, long_name, PXW_NAME_MAX + 1));
    while (!TAILQ_EMPTY(&f->tenants.others)) {
        keeper_tenants_put(&f->tenants, TAILQ_FIRST(&f->tenants.others));
    }
}

static void test_first_come(void **state)
{
    struct fixture *f = *state;
    struct keeper_run *runs[5];

    for (int i = 0; i < 5; i++) {
        runs[i] = wait_one(f, "a");
    }
    keeper_tenants_leave(&f->tenants, runs[2]);
    for (int i = 0; i < 5; i++) {
        if (i != 2) {
            assert_ptr_equal(serve(f), runs[i]);
        }
    }
    assert_true(TAILQ_EMPTY(&f->tenants.turn));
    assert_int_equal(get(f, "a")->running, 4);
    for (int i = 0; i < 5; i++) {
        if (i != 2) {
            end(f, runs[i]);
        }
    }
}

static void test_turns(void **state)
{
    static const char arrivals[] = "aaaabbc";
    static const char order[] = "abcabaa";
    struct fixture *f = *state;

    for (size_t i = 0; arrivals[i] != '\0'; i++) {
        (void)wait_one(f, (char[]){ arrivals[i], '\0' });
    }
    for (size_t i = 0; order[i] != '\0'; i++) {
        struct keeper_run *run = serve(f);

        assert_int_equal(run->tenant->name[0], order[i]);
        end(f, run);
    }
}

/* Whoever sends one run after the other waits for one of everybody else. */
static void test_newcomer(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 30; i++) {
        (void)wait_one(f, "a");
    }
    end(f, serve(f));
    for (int i = 0; i < 10; i++) {
        struct keeper_run *b = wait_one(f, "b");

        end(f, serve(f));
        assert_ptr_equal(serve(f), b);
        end(f, b);
    }
    leave_all(f);
}

/* A tenant lives until its last run was reaped, although nothing waits, and
 * comes back as the same one. */
static void test_lifetime(void **state)
{
    struct fixture *f = *state;
    struct keeper_tenant *tenant;
    struct keeper_run *first = wait_one(f, "a");
    struct keeper_run *second;

    tenant = first->tenant;
    (void)serve(f);
    keeper_tenants_put(&f->tenants, tenant);
    second = wait_one(f, "a");
    assert_ptr_equal(second->tenant, tenant);
    assert_int_equal(tenant->running, 1);
    assert_int_equal(tenant->length, 1);
    keeper_tenants_leave(&f->tenants, second);
    assert_null(second->tenant);
    assert_ptr_equal(TAILQ_FIRST(&f->tenants.others), tenant);
    end(f, first);
    assert_true(TAILQ_EMPTY(&f->tenants.others));
}

static void test_yielding(void **state)
{
    struct fixture *f = *state;
    struct keeper_run *runs[3];

    assert_string_equal(yields(f, "a"), "");
    (void)wait_one(f, "a");
    assert_string_equal(yields(f, "b"), ""); /* they would change places */
    (void)wait_one(f, "a");
    assert_string_equal(yields(f, "b"), "a");
    assert_string_equal(yields(f, "a"), ""); /* not to itself */
    (void)wait_one(f, "b");
    assert_string_equal(yields(f, "b"), "");
    assert_string_equal(yields(f, "c"), "a");
    /* What runs counts, too, and cannot be taken back. */
    (void)wait_one(f, "b");
    (void)wait_one(f, "b");
    assert_string_equal(yields(f, "c"), "b");
    runs[0] = serve(f);
    runs[1] = serve(f);
    runs[2] = serve(f);
    assert_string_equal(runs[0]->tenant->name, "a");
    assert_string_equal(runs[2]->tenant->name, "a");
    assert_string_equal(yields(f, "c"), "b"); /* nothing of "a" waits */
    assert_string_equal(yields(f, "a"), "");
    leave_all(f);
    assert_string_equal(yields(f, "c"), "");
    for (int i = 0; i < 3; i++) {
        end(f, runs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_first_come, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_turns, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_newcomer, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_lifetime, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_yielding, open_fixture,
                                        close_fixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
