/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON check: what RFC 8259 calls a value is one, everything else is not,
 * and what is found points where it should. Texts are laid out in exactly
 * sized heap blocks, so that a sanitizer sees a read beyond their end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pyexec_jsoncheck.h"

#include <stdlib.h>
#include <string.h>

#define DEEPEST 2048

/* A text that may hold NUL. */
#define TEXT(literal) (literal), sizeof(literal) - 1

static pyexec_json_e check(const char *text, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    pyexec_jsonvalue_t value;

    assert_non_null(copy);
    memcpy(copy, text, size);
    value = pyexec_jsoncheck(copy, size);
    if (value.type != PYEXEC_JSON_INVALID) {
        assert_true(value.bytes >= copy);
        assert_true(value.bytes + value.size <= copy + size);
    }
    free(copy);
    return value.type;
}

static void test_types(void **state)
{
    static const struct
    {
        const char *text;
        pyexec_json_e type;
    } cases[] = {
        { "{}", PYEXEC_JSON_OBJECT }, { "[]", PYEXEC_JSON_ARRAY },
        { "\"\"", PYEXEC_JSON_STRING }, { "0", PYEXEC_JSON_NUMBER },
        { "-0", PYEXEC_JSON_NUMBER }, { "true", PYEXEC_JSON_BOOLEAN },
        { "false", PYEXEC_JSON_BOOLEAN }, { "null", PYEXEC_JSON_NULL },
        { " \t\r\n{ } \n", PYEXEC_JSON_OBJECT },
        { "{\"a\":1,\"b\":[2,{\"c\":null}]}", PYEXEC_JSON_OBJECT },
        { "[ 1 , 2 , [ ] , { } ]", PYEXEC_JSON_ARRAY },
        { "{\"a\":1,\"a\":2}", PYEXEC_JSON_OBJECT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(check(cases[i].text, strlen(cases[i].text)),
                         cases[i].type);
    }
}

static void test_numbers(void **state)
{
    static const char *const good[] = {
        "1", "-1", "10", "0.5", "-0.0", "1e5", "1E+5", "1e-05", "1.25E3",
        "1e999", "100000000000000000000000000000000000000000",
    };
    static const char *const bad[] = {
        "", "-", "+1", "01", "-01", "1.", ".5", "1.e5", "1e", "1e+", "0x1",
        "1_000", "1 2", "--1", "1-", "Infinity", "-Infinity", "NaN", "1f",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(check(good[i], strlen(good[i])), PYEXEC_JSON_NUMBER);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(check(bad[i], strlen(bad[i])), PYEXEC_JSON_INVALID);
    }
}

static void test_strings(void **state)
{
    static const char *const good[] = {
        "\"a\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u00e4\\uD83d\\ude00\"",
        "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u0000\"", "\"\x7f\"",
        "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\xf4\x8f\xbf\xbf\"",
        "\"// no /* comment\"",
    };
    static const char *const bad[] = {
        "\"", "\"a", "\"\\\"", "\"\\", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"",
        "\"\\U0001\"", "\"\n\"", "\"\t\"", "\"\x1f\"", "'a'", "\"a\"b",
        "\"\x80\"", "\"\xff\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xe0\x80\x80\"",
        "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf0\x9f\x98\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(check(good[i], strlen(good[i])), PYEXEC_JSON_STRING);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(check(bad[i], strlen(bad[i])), PYEXEC_JSON_INVALID);
    }
}

static void test_structure(void **state)
{
    static const char *const bad[] = {
        " ", "{", "}", "[", "]", "[}", "{]", "[1,]", "[,1]", "[1 2]", "[1,,2]",
        "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}", "{1:2}",
        "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1}}", "[[1]", "{}{}",
        "1, \"forged\": 2", "{}, \"forged\": {\"x\": 1", "tru", "True", "nul",
        "truex", "nulll", "/**/1", "1//", "\v1", "\xef\xbb\xbf" "1", "\"a\":1",
        "[[]{}]", "{\"a\":[}]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(check(bad[i], strlen(bad[i])), PYEXEC_JSON_INVALID);
    }
}

static void test_nul(void **state)
{
    (void)state;
    assert_int_equal(check(TEXT("1\0")), PYEXEC_JSON_INVALID);
    assert_int_equal(check(TEXT("\0" "1")), PYEXEC_JSON_INVALID);
    assert_int_equal(check(TEXT("\"a\0b\"")), PYEXEC_JSON_INVALID);
    assert_int_equal(check(TEXT("[1\0]")), PYEXEC_JSON_INVALID);
    assert_int_equal(check(TEXT("\"\\\0\"")), PYEXEC_JSON_INVALID);
    assert_int_equal(pyexec_jsoncheck(NULL, 0).type, PYEXEC_JSON_INVALID);
}

/* Every beginning of a container is no value. */
static void test_cut(void **state)
{
    static const char whole[] =
        "{\"a\\u00e4\": [-1.5e+3, true, null, {\"\xc3\xa4\": \"\\n\"}], \"b\": {}}";

    (void)state;
    assert_int_equal(check(TEXT(whole)), PYEXEC_JSON_OBJECT);
    for (size_t size = 0; size < sizeof(whole) - 1; size++) {
        assert_int_equal(check(whole, size), PYEXEC_JSON_INVALID);
    }
}

static pyexec_json_e check_nested(size_t depth, const char *open,
                                  const char *inside, const char *close)
{
    size_t open_size = strlen(open);
    size_t close_size = strlen(close);
    size_t size = depth * (open_size + close_size) + strlen(inside);
    char *text = malloc(size + 1);
    char *at = text;
    pyexec_json_e type;

    assert_non_null(text);
    for (size_t i = 0; i < depth; i++) {
        memcpy(at, open, open_size);
        at += open_size;
    }
    memcpy(at, inside, strlen(inside));
    at += strlen(inside);
    for (size_t i = 0; i < depth; i++) {
        memcpy(at, close, close_size);
        at += close_size;
    }
    type = check(text, size);
    free(text);
    return type;
}

static void test_depth(void **state)
{
    (void)state;
    assert_int_equal(check_nested(DEEPEST - 1, "[", "", "]"),
                     PYEXEC_JSON_ARRAY);
    assert_int_equal(check_nested(DEEPEST, "[", "", "]"), PYEXEC_JSON_ARRAY);
    assert_int_equal(check_nested(DEEPEST + 1, "[", "", "]"),
                     PYEXEC_JSON_INVALID);
    assert_int_equal(check_nested(DEEPEST, "{\"a\":", "1", "}"),
                     PYEXEC_JSON_OBJECT);
    assert_int_equal(check_nested(DEEPEST + 1, "{\"a\":", "1", "}"),
                     PYEXEC_JSON_INVALID);
    /* What is open is remembered on every level. */
    assert_int_equal(check_nested(DEEPEST / 2, "[{\"a\":", "1", "}]"),
                     PYEXEC_JSON_ARRAY);
    assert_int_equal(check_nested(DEEPEST / 2, "[{\"a\":", "1", "]}"),
                     PYEXEC_JSON_INVALID);
    assert_int_equal(check_nested(1000000, "[", "", "]"),
                     PYEXEC_JSON_INVALID);
}

static void test_bounds(void **state)
{
    static const char text[] = " \n[1, 2]\t ";
    pyexec_jsonvalue_t value = pyexec_jsoncheck(text, sizeof(text) - 1);

    (void)state;
    assert_ptr_equal(value.bytes, text + 2);
    assert_int_equal(value.size, 6);
}

static void assert_member(const char *text, size_t index, const char *name,
                          const char *value)
{
    pyexec_jsonvalue_t written = { PYEXEC_JSON_INVALID, NULL, 0 };
    pyexec_jsonvalue_t found = pyexec_jsoncheck_member(text, strlen(text),
                                                       index, &written);

    if (value == NULL) {
        assert_int_equal(found.type, PYEXEC_JSON_INVALID);
        return;
    }
    assert_int_not_equal(found.type, PYEXEC_JSON_INVALID);
    assert_int_equal(written.size, strlen(name));
    assert_memory_equal(written.bytes, name, written.size);
    assert_int_equal(found.size, strlen(value));
    assert_memory_equal(found.bytes, value, found.size);
}

static void test_members(void **state)
{
    static const char text[] =
        " { \"a\" : 1 , \"\\u0062\":[ 2,{} ],\"\":\"x\" } ";

    (void)state;
    assert_member(text, 0, "\"a\"", "1");
    assert_member(text, 1, "\"\\u0062\"", "[ 2,{} ]");
    assert_member(text, 2, "\"\"", "\"x\"");
    assert_member(text, 3, NULL, NULL);
    assert_member(text, (size_t)-1, NULL, NULL);
    assert_member("{}", 0, NULL, NULL);
    assert_member("[1]", 0, NULL, NULL);
    assert_member("", 0, NULL, NULL);
    assert_member("{\"a\"", 0, NULL, NULL);
    assert_member("{\"a\":", 0, NULL, NULL);
    assert_member("{\"a\":1 \"b\":2}", 1, NULL, NULL);
    /* What follows is not looked at. */
    assert_member("{\"a\":1,\"b\":2 nonsense", 1, "\"b\"", "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
