/* SPDX-License-Identifier: Apache-2.0
 *
 * The field `pip`: names and versions come out as a list, everything else is
 * refused with the word that is wrong. Texts are laid out in exactly sized
 * heap blocks, so that a sanitizer sees a read beyond their end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pyexec_pip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_field(const char *text, size_t size, pyexec_pip_t *pip)
{
    char *copy = malloc(size > 0 ? size : 1);
    int rv;

    assert_non_null(copy);
    memcpy(copy, text, size);
    rv = pyexec_pip_read(copy, size, pip);
    free(copy);
    return rv;
}

static void test_good(void **state)
{
    static const struct
    {
        const char *text;
        const char *list;
    } cases[] = {
        { "-i numpy", "install\nnumpy" },
        { "-u numpy", "uninstall\nnumpy" },
        { " \t-i\r\n numpy \n", "install\nnumpy" },
        { "-i numpy pandas a", "install\nnumpy\npandas\na" },
        { "-u numpy pandas", "uninstall\nnumpy\npandas" },
        { "-i numpy==1.26.4", "install\nnumpy==1.26.4" },
        { "-i numpy == 1.26.4 pandas", "install\nnumpy==1.26.4\npandas" },
        { "-i numpy>=1,<2", "install\nnumpy>=1,<2" },
        { "-i numpy >= 1 , != 1.5.*,< 2 b", "install\nnumpy>=1,!=1.5.*,<2\nb" },
        { "-i a~=1.0 b===1.0+local c<=1!2 d>1a1.post1-dev2",
          "install\na~=1.0\nb===1.0+local\nc<=1!2\nd>1a1.post1-dev2" },
        { "-i a==v1", "install\na==v1" },
        { "-i requests[socks]", "install\nrequests[socks]" },
        { "-i requests [ socks , use_chardet ] >= 2 b",
          "install\nrequests[socks,use_chardet]>=2\nb" },
        { "-i a[b] c[d]", "install\na[b]\nc[d]" },
        { "-i Foo.Bar-baz_1 1a", "install\nFoo.Bar-baz_1\n1a" },
        { "-i a--index-url", "install\na--index-url" }, /* one name */
        { "-i install", "install\ninstall" },
        { "-u a-b.c_d", "uninstall\na-b.c_d" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pyexec_pip_t pip;

        assert_int_equal(read_field(cases[i].text, strlen(cases[i].text),
                                    &pip), 0);
        assert_string_equal(pip.list, cases[i].list);
        assert_int_equal(pip.size, strlen(cases[i].list));
        assert_int_equal(pip.uninstall, cases[i].list[0] == 'u');
    }
}

/* What stands between the quotes of the sentence. */
static void test_bad(void **state)
{
    static const struct
    {
        const char *text;
        const char *word;
    } cases[] = {
        { "", NULL }, { " ", NULL }, { "numpy", "numpy" }, { "-x a", "-x" },
        { "-i", NULL }, { "-u ", NULL }, { "-inumpy", "-inumpy" },
        { "install numpy", "install" }, { "--install a", "--install" },
        /* options */
        { "-i -r", "-r" }, { "-i a -r", "-r" }, { "-i a --pre", "--pre" },
        { "-i --index-url=http://a/", "--index-url=http://a/" },
        { "-i a==1 --index-url http://a/", "--index-url" },
        { "-i a -i b", "-i" }, { "-i a>=1 -e .", "-e" },
        { "-i a --target=/x", "--target=/x" }, { "-i a==1 -t/x", "-t/x" },
        /* paths and addresses */
        { "-i .", "." }, { "-i ./a", "./a" }, { "-i /etc/passwd", "/etc/passwd" },
        { "-i a/b", "a/b" }, { "-i ~/a", "~/a" }, { "-i a\\b", "a\\b" },
        { "-i http://a/b.whl", "http://a/b.whl" }, { "-i file:x", "file:x" },
        { "-i git+https://a/b", "git+https://a/b" },
        { "-i a @ http://b/", "@" }, { "-i a@http://b/", "a@http://b/" },
        { "-i a.whl/", "a.whl/" }, { "-i ../a", "../a" },
        /* markers, comments, quotes, a shell's words */
        { "-i a; python_version>'3'", "a;" }, { "-i a;b", "a;b" },
        { "-i a #b", "#b" }, { "-i a#egg=b", "a#egg=b" },
        { "-i 'a'", "'a'" }, { "-i \"a\"", "\"a\"" }, { "-i a`b`", "a`b`" },
        { "-i $(a)", "$(a)" }, { "-i a&&b", "a&&b" }, { "-i a|b", "a|b" },
        { "-i a, b", "a," }, { "-i ,", "," }, { "-i a=1", "a=1" },
        { "-i a (>=1)", "(>=1)" }, { "-i a{b}", "a{b}" }, { "-i *", "*" },
        /* names */
        { "-i -a", "-a" }, { "-i a-", "a-" }, { "-i a.", "a." },
        { "-i _a", "_a" }, { "-i .a", ".a" }, { "-i a-\n", "a-" },
        { "-i \xc3\xa4", "??" }, { "-i a\xc3\xa4", "a??" },
        { "-i a\x01", "a?" }, { "-i a\x7f", "a?" },
        /* versions and extras */
        { "-i a==", "a==" }, { "-i a>= ", "a>=" }, { "-i a >=", ">=" },
        { "-i a==b", "a==b" }, { "-i a== -1", "-1" }, { "-i a==1,", "a==1," },
        { "-i a==1, b", "b" }, { "-i a==1/2", "a==1/2" },
        { "-i a==1;b", "a==1;b" }, { "-i a==1[b]", "a==1[b]" },
        { "-i a====1", "a====1" }, { "-i a=>1", "a=>1" },
        { "-i a[", "a[" }, { "-i a[]", "a[]" }, { "-i a[b", "a[b" },
        { "-i a[b,]", "a[b,]" }, { "-i a[b c]", "c]" }, { "-i a[b]c", "a[b]c" },
        { "-i a[../b]", "a[../b]" }, { "-i a[b][c]", "a[b][c]" },
        /* what is removed has no version */
        { "-u a==1", "a==1" }, { "-u a >=1", ">=1" }, { "-u a[b]", "a[b]" },
        { "-u a -y", "-y" }, { "-u /", "/" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pyexec_pip_t pip;
        char quoted[64];

        assert_int_equal(read_field(cases[i].text, strlen(cases[i].text),
                                    &pip), -1);
        assert_ptr_equal(strstr(pip.problem, "The field 'pip' "), pip.problem);
        (void)snprintf(quoted, sizeof(quoted), " '%s'",
                       cases[i].word == NULL ? "" : cases[i].word);
        if (cases[i].word == NULL) {
            assert_string_equal(pip.problem,
                                "The field 'pip' names no package.");
        }
        else if (strstr(pip.problem, quoted) == NULL) {
            fail_msg("%s: %s", cases[i].text, pip.problem);
        }
    }
}

static void test_nul(void **state)
{
    static const char text[] = "-i a\0 b";
    pyexec_pip_t pip;

    (void)state;
    assert_int_equal(read_field(text, sizeof(text) - 1, &pip), -1);
    assert_int_equal(read_field(text, sizeof(text), &pip), -1);
    assert_int_equal(read_field(text, 4, &pip), 0);
}

/* A field with one name of so many bytes. */
static int read_long(const char *before, size_t size, pyexec_pip_t *pip)
{
    char text[400];
    size_t begun = strlen(before);

    assert_true(begun + size < sizeof(text));
    memcpy(text, before, begun);
    memset(text + begun, 'a', size);
    return read_field(text, begun + size, pip);
}

static void test_limits(void **state)
{
    pyexec_pip_t pip;
    char text[200] = "-i";

    (void)state;
    assert_int_equal(read_long("-i ", PYEXEC_PIP_NAME_BYTES, &pip), 0);
    assert_int_equal(read_long("-i ", PYEXEC_PIP_NAME_BYTES + 1, &pip), -1);
    assert_non_null(strstr(pip.problem, "aaa...', which is longer"));
    assert_int_equal(read_long("-i a>=1", PYEXEC_PIP_NAME_BYTES - 4, &pip), 0);
    assert_int_equal(read_long("-i a>=1", PYEXEC_PIP_NAME_BYTES - 3, &pip), -1);
    /* Blanks are no part of it. */
    assert_int_equal(read_long("-i a  >=   1", PYEXEC_PIP_NAME_BYTES - 4,
                               &pip), 0);
    for (int i = 0; i < PYEXEC_PIP_NAMES_MOST; i++) {
        memcpy(text + 2 + i * 2, " a", 3);
    }
    assert_int_equal(read_field(text, strlen(text), &pip), 0);
    assert_int_equal(pip.count, PYEXEC_PIP_NAMES_MOST);
    memcpy(text + strlen(text), " a", 3);
    assert_int_equal(read_field(text, strlen(text), &pip), -1);
    assert_non_null(strstr(pip.problem, "more packages"));
}

/* All of the longest names fit. */
static void test_longest(void **state)
{
    size_t size = 2 + PYEXEC_PIP_NAMES_MOST * (PYEXEC_PIP_NAME_BYTES + 1);
    char *text = malloc(size);
    pyexec_pip_t pip;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', size);
    memcpy(text, "-u", 2);
    for (size_t at = 2; at < size; at += PYEXEC_PIP_NAME_BYTES + 1) {
        text[at] = ' ';
    }
    assert_int_equal(read_field(text, size, &pip), 0);
    assert_int_equal(pip.size, strlen("uninstall") + size - 2);
    assert_int_equal(strlen(pip.list), pip.size);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_longest),
    };

    return cmocka_run_group_tests_name("pip", tests, NULL, NULL);
}
