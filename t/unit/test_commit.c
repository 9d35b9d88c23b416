/* SPDX-License-Identifier: Apache-2.0
 *
 * What is taken over of packages that a stranger may have written, and what
 * becomes of an environment when that fails: it stays as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "job_commit.h"
#include "keeper_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)

static char top[32];
static int environment = -1;

static const char *at(const char *name)
{
    static char path[8][256];
    static int last;

    last = (last + 1) % 8;
    (void)snprintf(path[last], sizeof(path[last]), "%s/%s", top, name);
    return path[last];
}

static void make_directory(const char *name)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
}

static void make_file(const char *name, size_t size)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(write(fd, "x", 1), 1);
    }
    assert_int_equal(close(fd), 0);
}

static bool is_there(const char *name)
{
    struct stat status;

    return lstat(at(name), &status) == 0;
}

static void assert_current(const char *name)
{
    char found[64];
    ssize_t size = readlink(at("env/current"), found, sizeof(found) - 1);

    assert_int_equal(size, name == NULL ? -1 : (ssize_t)strlen(name));
    if (name != NULL) {
        assert_memory_equal(found, name, strlen(name));
    }
}

static int set_up(void **state)
{
    (void)state;
    (void)strcpy(top, "/tmp/pyxXXXXXX"); /* fits */
    assert_non_null(mkdtemp(top));
    make_directory("env");
    make_directory("new");
    environment = open(at("env"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(environment >= 0);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type,
                      struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    (void)close(environment);
    return nftw(top, remove_one, 300, FTW_DEPTH | FTW_PHYS);
}

static int commit(const char *base, uint64_t most_bytes)
{
    const char *step = NULL;
    int rv = job_commit(at("new"), environment, base, most_bytes, &step);

    assert_true(rv == 0 || (step != NULL && *step != '\0'));
    return rv;
}

/* Files with modes and times, directories; never what `site` would run. */
static void test_takes_files(void **state)
{
    const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    struct stat status;

    (void)state;
    make_directory("new/package");
    make_file("new/package/__init__.py", 3);
    make_file("new/package/data.pth", 1);
    make_file("new/evil.pth", 1);
    make_file("new/.pth", 1);
    assert_int_equal(chmod(at("new/package/__init__.py"), 06777), 0);
    assert_int_equal(utimensat(AT_FDCWD, at("new/package/__init__.py"), times,
                               0), 0);
    assert_int_equal(commit("", MIB), 0);
    assert_current("000001");
    assert_int_equal(stat(at("env/current/package/__init__.py"), &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0644);
    assert_int_equal(status.st_size, 3);
    assert_int_equal(status.st_mtime, 1000);
    assert_int_equal(stat(at("env/current/package"), &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0755);
    assert_true(is_there("env/000001/package/data.pth"));
    assert_false(is_there("env/000001/evil.pth"));
    assert_false(is_there("env/000001/.pth"));
    assert_false(is_there("env/new"));
    assert_false(is_there("env/next"));
}

/* One of these anywhere, and nothing is taken. */
static void make_link(void)
{
    assert_int_equal(symlink("/etc/passwd", at("new/a/link")), 0);
}

static void make_directory_link(void)
{
    assert_int_equal(symlink("/etc", at("new/a/link")), 0);
}

static void make_fifo(void)
{
    assert_int_equal(mkfifo(at("new/a/fifo"), 0600), 0);
}

static void make_socket(void)
{
    assert_int_equal(mknod(at("new/a/socket"), S_IFSOCK | 0600, 0), 0);
}

static void make_depth(void)
{
    int fd = open(at("new/a"), O_RDONLY | O_DIRECTORY);

    for (int i = 0; i < 200; i++) {
        int next;

        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        (void)close(fd);
        fd = next;
    }
    (void)close(fd);
}

static void make_large(void)
{
    make_file("new/a/large", 4097);
}

/* Together too much, of one file with many names. */
static void make_hard_links(void)
{
    char name[32];

    make_file("new/a/one", 100);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "new/a/%d", i);
        assert_int_equal(link(at("new/a/one"), at(name)), 0);
    }
}

static void make_unreadable(void)
{
    make_file("new/a/shut", 1);
    assert_int_equal(chmod(at("new/a/shut"), 0), 0);
}

static void test_takes_nothing_else(void **state)
{
    static const struct
    {
        void (*make)(void);
        int error;
        bool as_user; /* no obstacle for root */
    } cases[] = {
        { make_link, -EMEDIUMTYPE, false },
        { make_directory_link, -EMEDIUMTYPE, false },
        { make_fifo, -EMEDIUMTYPE, false },
        { make_socket, -EMEDIUMTYPE, false },
        { make_depth, -ELOOP, false },
        { make_large, -EFBIG, false },
        { make_hard_links, -EFBIG, false },
        { make_unreadable, -EACCES, true },
    };

    make_file("new/first", 1);
    assert_int_equal(commit("", 4096), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].as_user && geteuid() == 0) {
            continue;
        }
        tear_down(state);
        set_up(state);
        make_file("new/first", 1);
        assert_int_equal(commit("", 4096), 0);
        make_directory("new/a");
        cases[i].make();
        assert_int_equal(commit("000001", 4096), cases[i].error);
        assert_current("000001");
        assert_true(is_there("env/000001/first"));
        assert_false(is_there("env/000002"));
        assert_false(is_there("env/new"));
    }
}

/* Exactly as much as is allowed, and one byte more. */
static void test_size(void **state)
{
    (void)state;
    make_file("new/large", 4096);
    assert_int_equal(commit("", 4095), -EFBIG);
    assert_current(NULL);
    assert_int_equal(commit("", 4096), 0);
    assert_current("000001");
}

static void test_other_base(void **state)
{
    (void)state;
    assert_int_equal(commit("", MIB), 0);
    assert_int_equal(commit("", MIB), -ESTALE);
    assert_int_equal(commit("000002", MIB), -ESTALE);
    assert_current("000001");
    assert_int_equal(commit("000001", MIB), 0);
    assert_current("000002");
}

/* What an interrupted commit has left does not stand in the way, and who still
 * loads from a generation keeps it. */
static void test_tidies_up(void **state)
{
    struct keeper_generation held = KEEPER_NO_GENERATION;

    (void)state;
    make_directory("env/new");
    make_file("env/new/half", 1);
    assert_int_equal(symlink("000009", at("env/next")), 0);
    make_file("env/else", 1);
    assert_int_equal(commit("", MIB), 0);
    assert_int_equal(keeper_environment_take(at("env"), &held), 0);
    assert_string_equal(held.name, "000001");
    assert_int_equal(commit("000001", MIB), 0);
    assert_int_equal(commit("000002", MIB), 0);
    assert_true(is_there("env/000001"));
    assert_true(is_there("env/000002")); /* was the current one then */
    assert_false(keeper_environment_is(at("env"), &held));
    keeper_environment_leave(&held);
    assert_int_equal(commit("000003", MIB), 0);
    assert_false(is_there("env/000001"));
    assert_false(is_there("env/000002"));
    assert_true(is_there("env/else"));
    assert_current("000004");
}

static void test_names(void **state)
{
    static const char *const bad[] = {
        "../env", "/etc", "a", "000001/..", "", "0000000000000001",
    };
    struct keeper_generation found = KEEPER_NO_GENERATION;

    (void)state;
    assert_int_equal(keeper_environment_take(at("env"), &found), 0);
    assert_string_equal(found.name, "");
    assert_true(keeper_environment_is(at("env"), &found));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (bad[i][0] == '\0') {
            continue; /* no link can have it */
        }
        assert_int_equal(symlink(bad[i], at("env/current")), 0);
        assert_true(keeper_environment_take(at("env"), &found) < 0);
        assert_int_equal(found.lock, -1);
        assert_int_equal(unlink(at("env/current")), 0);
    }
    /* Nor a link with a good name. */
    assert_int_equal(symlink("/etc", at("env/000001")), 0);
    assert_int_equal(symlink("000001", at("env/current")), 0);
    assert_true(keeper_environment_take(at("env"), &found) < 0);
}

static void test_lock(void **state)
{
    int turns[2] = { -1, -1 };
    int one = keeper_environment_lock(at("env"), &turns[0]);
    int other = keeper_environment_lock(at("env"), &turns[1]);

    (void)state;
    assert_true(one >= 0);
    assert_int_equal(turns[0], -1);
    assert_int_equal(other, -EWOULDBLOCK);
    assert_int_equal(close(one), 0);
    assert_int_equal(close(turns[1]), 0);
    turns[1] = -1;
    one = keeper_environment_lock(at("env"), &turns[0]);
    assert_true(one >= 0);
    assert_int_equal(close(one), 0);
    assert_int_equal(keeper_environment_lock(at("nowhere"), &turns[0]),
                     -ENOENT);
    assert_int_equal(turns[0], -1);
}

/* Who is next gets it before who has had it, and before who comes later. */
static void test_turn(void **state)
{
    int turns[3] = { -1, -1, -1 };
    int lock = keeper_environment_lock(at("env"), &turns[0]);

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(keeper_environment_lock(at("env"), &turns[1]),
                         -EWOULDBLOCK);
        assert_true(turns[1] >= 0);
        assert_int_equal(keeper_environment_lock(at("env"), &turns[2]),
                         -EWOULDBLOCK);
        assert_int_equal(turns[2], -1);
    }
    assert_int_equal(close(lock), 0);
    assert_int_equal(keeper_environment_lock(at("env"), &turns[0]),
                     -EWOULDBLOCK);
    assert_int_equal(turns[0], -1);
    lock = keeper_environment_lock(at("env"), &turns[1]);
    assert_true(lock >= 0);
    assert_int_equal(turns[1], -1);
    /* The turn is free again, the lock is not; who gives that up is not next. */
    assert_int_equal(keeper_environment_lock(at("env"), &turns[0]),
                     -EWOULDBLOCK);
    assert_int_equal(close(lock), 0);
    assert_int_equal(keeper_environment_lock(at("env"), &turns[2]),
                     -EWOULDBLOCK);
    assert_int_equal(close(turns[0]), 0);
    lock = keeper_environment_lock(at("env"), &turns[2]);
    assert_true(lock >= 0);
    assert_int_equal(close(lock), 0);
}

static bool write_map(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool written = fd >= 0
                   && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    (void)close(fd);
    return written;
}

/* Mounting takes root's rights, at least over a namespace of one's own. */
static bool enter_namespaces(void)
{
    char uid[64];
    char gid[64];

    (void)snprintf(uid, sizeof(uid), "0 %u 1", (unsigned)geteuid());
    (void)snprintf(gid, sizeof(gid), "0 %u 1", (unsigned)getegid());
    return geteuid() == 0
               ? unshare(CLONE_NEWNS) == 0
               : unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0
                     && write_map("/proc/self/setgroups", "deny")
                     && write_map("/proc/self/uid_map", uid)
                     && write_map("/proc/self/gid_map", gid);
}

/* 0: as it should; 1: not; 2: no namespace to be had. */
static int try_full_disk(void)
{
    const char *step;
    int fd;

    if (!enter_namespaces()
        || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0
        || mount("full", at("env"), "tmpfs", 0, "size=64k") != 0) {
        return 2;
    }
    fd = open(at("env"), O_RDONLY | O_DIRECTORY);
    if (job_commit(at("new"), fd, "", MIB, &step) != 0) {
        return 1;
    }
    make_file("new/large", 128 << 10);
    return job_commit(at("new"), fd, "000001", MIB, &step) == -ENOSPC
                   && is_there("env/current/first") && !is_there("env/new")
                   && !is_there("env/000002")
               ? 0
               : 1;
}

static void test_full_disk(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    make_file("new/first", 1);
    pid = fork();
    if (pid == 0) {
        _exit(try_full_disk());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2 && getenv("PYEXEC_MUST_SANDBOX") == NULL) {
        print_message("# no mount namespace here\n");
        return;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_takes_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_takes_nothing_else, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_base, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tidies_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
