/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel says of cgroups, read from texts as it writes them. What it
 * does with them is tested where it has them: see t/kernel/README.md.
 */
#include "cgroup_own.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_path(void **state)
{
    static const struct
    {
        const char *text;
        int error;
        const char *path;
    } cases[] = {
        { "0::/\n", 0, "/" },
        { "0::/system.slice/pyexec.service\n", 0,
          "/system.slice/pyexec.service" },
        { "9:name=systemd:/\n4:memory:/a\n0::/b\n", 0, "/b" },
        { "0::/no line end", 0, "/no line end" },
        { "", -ENOENT, NULL },
        { "4:memory:/0::/a\n", -ENOENT, NULL },
        { "10::/a\n", -ENOENT, NULL },
        { "0::", -ENOENT, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[64] = "";

        assert_int_equal(cgroup_own_path(cases[i].text, path, sizeof(path)),
                         cases[i].error);
        if (cases[i].error == 0) {
            assert_string_equal(path, cases[i].path);
        }
    }
}

static void test_path_room(void **state)
{
    char path[5];

    (void)state;
    assert_int_equal(cgroup_own_path("0::/abc\n", path, sizeof(path)), 0);
    assert_string_equal(path, "/abc");
    assert_int_equal(cgroup_own_path("0::/abcd\n", path, sizeof(path)),
                     -ENAMETOOLONG);
}

#define OTHER "22 27 0:20 / /proc rw,nosuid - proc proc rw\n"
#define UNIFIED "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"
#define HYBRID \
    "29 23 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" \
    "31 29 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" \
    "32 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define BOUND "40 23 0:26 /a/b /mnt/it\\040is rw - cgroup2 none rw\n"

static void test_directory(void **state)
{
    static const struct
    {
        const char *mounts;
        const char *path;
        int error;
        const char *directory;
    } cases[] = {
        { OTHER UNIFIED, "/", 0, "/sys/fs/cgroup" },
        { OTHER UNIFIED, "/a.slice/b", 0, "/sys/fs/cgroup/a.slice/b" },
        { HYBRID, "/a", 0, "/sys/fs/cgroup/unified/a" },
        { BOUND, "/a/b", 0, "/mnt/it is" },
        { BOUND, "/a/b/c", 0, "/mnt/it is/c" },
        { BOUND UNIFIED, "/a/bc", 0, "/sys/fs/cgroup/a/bc" },
        { BOUND, "/a/bc", -EXDEV, NULL },
        { BOUND, "/a", -EXDEV, NULL },
        { UNIFIED, "/../sibling", -EXDEV, NULL },
        { UNIFIED, "/..", -EXDEV, NULL },
        { UNIFIED, "/gone (deleted)", -EXDEV, NULL },
        { OTHER, "/a", -ENOENT, NULL },
        { "", "/a", -ENOENT, NULL },
        { "30 23 0:26 / /sys", "/a", -ENOENT, NULL },
        { "30 23 0:26 / /sys rw - cgroup2", "/a", 0, "/sys/a" },
        { "30 23 0:26 / /sys rw cgroup2 cgroup2 rw\n", "/a", -ENOENT, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char directory[64] = "";

        assert_int_equal(cgroup_own_directory(cases[i].mounts, cases[i].path,
                                              directory, sizeof(directory)),
                         cases[i].error);
        if (cases[i].error == 0) {
            assert_string_equal(directory, cases[i].directory);
        }
    }
}

static void test_directory_room(void **state)
{
    char directory[17];
    char word[2 * PATH_MAX];

    (void)state;
    assert_int_equal(cgroup_own_directory(UNIFIED, "/a", directory,
                                          sizeof(directory)), 0);
    assert_int_equal(cgroup_own_directory(UNIFIED, "/ab", directory,
                                          sizeof(directory)), -ENAMETOOLONG);
    /* A word that no path can be: the line is passed over. */
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    assert_int_equal(cgroup_own_directory(word, "/a", directory,
                                          sizeof(directory)), -ENOENT);
}

static void test_controllers(void **state)
{
    char names[CGROUP_NAMES_BYTES];

    (void)state;
    assert_int_equal(cgroup_own_controllers("cpuset cpu io memory pids\n"),
                     CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU);
    assert_int_equal(cgroup_own_controllers("cpuset mem memoryx pid\n"), 0);
    assert_int_equal(cgroup_own_controllers("\n"), 0);
    assert_int_equal(cgroup_own_controllers("pids"), CGROUP_PIDS);
    cgroup_own_names(CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU, names);
    assert_string_equal(names, "memory pids cpu");
    cgroup_own_names(CGROUP_CPU, names);
    assert_string_equal(names, "cpu");
    cgroup_own_names(0, names);
    assert_string_equal(names, "");
}

static void test_value(void **state)
{
    static const char events[] = "low 0\nhigh 0\nmax 7\noom 2\n"
                                 "oom_kill 1\noom_group_kill 3\n";
    unsigned long long value = 99;

    (void)state;
    assert_int_equal(cgroup_own_value(events, "oom", &value), 0);
    assert_int_equal(value, 2);
    assert_int_equal(cgroup_own_value(events, "oom_kill", &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(cgroup_own_value(events, "oom_k", &value), -ENOENT);
    assert_int_equal(cgroup_own_value("", "oom", &value), -ENOENT);
    assert_int_equal(value, 1);
}

static void test_is_old(void **state)
{
    static const char *const yes[] = {
        "0::/\n4:memory:/\n", "8:pids:/a\n", "3:cpu,memory:/", "3:pids,x:/",
    };
    static const char *const no[] = {
        "", "0::/\n", "0::/4:memory:/\n", "3:cpu:/memory", "1:name=memory:/",
        "3:cpu,memory2:/", "memory", "0::/a,pids:/\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        assert_true(cgroup_own_is_old(yes[i]));
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_false(cgroup_own_is_old(no[i]));
    }
}

/* Whatever this machine has: nothing is claimed that is not there. */
static void test_find(void **state)
{
    struct cgroup_own own;

    (void)state;
    cgroup_own_find(&own);
    if (own.missing == NULL) {
        assert_int_equal(own.controllers & CGROUP_NEEDED, CGROUP_NEEDED);
        assert_int_equal(own.directory[0], '/');
    }
    else {
        assert_true(strlen(own.missing) > 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_path_room),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_directory_room),
        cmocka_unit_test(test_controllers),
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_is_old),
        cmocka_unit_test(test_find),
    };

    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
