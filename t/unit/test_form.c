/* SPDX-License-Identifier: Apache-2.0
 *
 * The multipart parser: what the usual clients write is read, everything that
 * two readers could see differently is refused. Bodies are laid out in exactly
 * sized heap blocks, so that a sanitizer sees a read beyond their end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pyexec_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=b"
#define PART(name) "--b\r\nContent-Disposition: form-data; name=\"" name \
    "\"\r\n\r\n"
#define END "\r\n--b--\r\n"

static char *kept;

static int drop_body(void **state)
{
    (void)state;
    free(kept);
    kept = NULL;
    return 0;
}

/* The parts point into a copy that lives until the next call. */
static const char *parse_bytes(const char *type, const char *body, size_t size,
                               pyexec_form_t *form)
{
    free(kept);
    kept = malloc(size > 0 ? size : 1);
    assert_non_null(kept);
    memcpy(kept, body, size);
    return pyexec_form_parse(type, kept, size, form);
}

static const char *parse(const char *type, const char *body,
                         pyexec_form_t *form)
{
    return parse_bytes(type, body, strlen(body), form);
}

static void assert_part(const pyexec_form_part_t *part, const char *name,
                        const char *content, int is_file, int has_file_name)
{
    assert_true(pyexec_form_is(part, name));
    assert_int_equal(part->content_size, strlen(content));
    assert_memory_equal(part->content, content, part->content_size);
    assert_int_equal(part->is_file != 0, is_file);
    assert_int_equal(part->has_file_name != 0, has_file_name);
}

/* One part with this header is read as `script` with the content x. */
static void assert_header(const char *header, int is_file, int has_file_name)
{
    pyexec_form_t form;
    char body[512];

    (void)snprintf(body, sizeof(body), "--b\r\n%s\r\n\r\nx" END, header);
    assert_null(parse(TYPE, body, &form));
    assert_int_equal(form.count, 1);
    assert_part(&form.parts[0], "script", "x", is_file, has_file_name);
}

static void test_parts(void **state)
{
    pyexec_form_t form;

    (void)state;
    assert_null(parse(TYPE, PART("a") "1\r\n2" "\r\n" PART("b") "3" END,
                      &form));
    assert_int_equal(form.count, 2);
    assert_part(&form.parts[0], "a", "1\r\n2", 0, 0);
    assert_part(&form.parts[1], "b", "3", 0, 0);
    assert_null(parse(TYPE, PART("a") END, &form));
    assert_part(&form.parts[0], "a", "", 0, 0);
    /* The last line end may be missing. */
    assert_null(parse(TYPE, PART("a") "1\r\n--b--", &form));
    assert_part(&form.parts[0], "a", "1", 0, 0);
}

static void test_names(void **state)
{
    pyexec_form_part_t part = { .name = "scripts", .name_size = 6 };

    (void)state;
    assert_true(pyexec_form_is(&part, "script"));
    assert_false(pyexec_form_is(&part, "scripts"));
    assert_false(pyexec_form_is(&part, "scrip"));
    assert_false(pyexec_form_is(&part, "Script"));
    assert_false(pyexec_form_is(&part, ""));
}

static void test_any_bytes(void **state)
{
    pyexec_form_t form;
    char body[1024];
    size_t size = sizeof(PART("f")) - 1;

    (void)state;
    memcpy(body, PART("f"), size);
    for (int i = 0; i < 256; i++) {
        body[size++] = (char)i;
    }
    memcpy(body + size, END, sizeof(END) - 1);
    size += sizeof(END) - 1;
    assert_null(parse_bytes(TYPE, body, size, &form));
    assert_int_equal(form.parts[0].content_size, 256);
    for (int i = 0; i < 256; i++) {
        assert_int_equal((unsigned char)form.parts[0].content[i], i);
    }
}

static void test_nearly_boundaries(void **state)
{
    static const char content[] =
        "x--b\n--b--\r\r--b\n\r--b\r\n-b\r\n-- b\r\n --b\r\n--\r\n--B";
    pyexec_form_t form;

    (void)state;
    assert_null(parse(TYPE, PART("a")
                "x--b\n--b--\r\r--b\n\r--b\r\n-b\r\n-- b\r\n --b\r\n--\r\n--B"
                END, &form));
    assert_int_equal(form.count, 1);
    assert_part(&form.parts[0], "a", content, 0, 0);
}

static void test_dispositions(void **state)
{
    (void)state;
    assert_header("Content-Disposition: form-data; name=\"script\"", 0, 0);
    assert_header("content-DISPOSITION:form-data;NAME=script", 0, 0);
    assert_header("Content-Disposition: \tForm-Data ; name=\"script\" ", 0, 0);
    assert_header("Content-Disposition: form-data; x=y; name=\"script\"", 0, 0);
    assert_header("Content-Disposition: form-data; name=\"script\"; "
                  "filename=\"\"", 1, 0);
    assert_header("Content-Disposition: form-data; filename=a.py; "
                  "name=\"script\"", 1, 1);
    assert_header("Content-Disposition: form-data; name=\"script\"; "
                  "filename=\"a\\\";name=x\"", 1, 1);
    assert_header("Content-Disposition: form-data; name=\"script\"; "
                  "filename*=UTF-8''%e2", 1, 1);
    assert_header("Content-Type: text/plain\r\nX-Y: z\r\n"
                  "Content-Disposition: form-data; name=\"script\"", 0, 0);
    assert_header("Content-Disposition: form-data; name=\"script\"\r\n"
                  "Content-Transfer-Encoding: 8BIT", 0, 0);
}

static void test_bad_headers(void **state)
{
    static const char *const headers[] = {
        "", "X: y", "Content-Disposition", "Content-Disposition:",
        "Content-Disposition: form-data", "Content-Disposition: form-datax; name=a",
        "Content-Disposition: attachment; name=\"a\"",
        "Content-Disposition: form-data; name", "Content-Disposition: form-data; name=",
        "Content-Disposition: form-data; name=\"\"",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition: form-data; name=\"a\\\"",
        "Content-Disposition: form-data; name=\"a\" x",
        "Content-Disposition: form-data name=\"a\"",
        "Content-Disposition: form-data; name=a; name=b",
        "Content-Disposition: form-data; name=a\r\n"
            "Content-Disposition: form-data; name=b",
        "Content-Disposition : form-data; name=a",
        "Content-Disposition: form-data;\r\n name=a",
        " Content-Disposition: form-data; name=a",
        "Content-Disposition: form-data; name=a\r\nX",
        "Content-Disposition: form-data; name=a\r\n: x",
        "Content-Disposition: form-data; name=a\nX: y",
        "Content-Disposition: form-data; name=a\r\nX: \x01",
        "Content-Disposition: form-data; name=a\r\n"
            "Content-Transfer-Encoding: base64",
        "Content-Disposition: form-data; name=a\r\n"
            "content-transfer-encoding: quoted-printable",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        pyexec_form_t form;
        char body[512];

        (void)snprintf(body, sizeof(body), "--b\r\n%s\r\n\r\nx" END,
                       headers[i]);
        assert_non_null(parse(TYPE, body, &form));
    }
}

static void test_boundaries(void **state)
{
    static const char *const bad[] = {
        "multipart/form-data", "multipart/form-data;",
        "multipart/form-data; boundary", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=\"b",
        "multipart/form-data; boundary=\"b \"", "multipart/form-data; boundary=c",
        "multipart/form-data; boundary=B", "multipart/form-data; boundary=bb",
        "multipart/form-data; boundary=b; boundary=b",
        "multipart/form-data; boundary=b x", "multipart/form-data; boundary=b\"",
        "multipart/form-data; xboundary=b", "multipart/form-data; boundary=\"b\x01\"",
        "",
    };
    static const char *const good[] = {
        TYPE, "multipart/form-data;boundary=b", "x; BOUNDARY=\"b\"",
        "multipart/form-data ; a=\"x;boundary=c\"; boundary=b",
        "multipart/form-data; boundary=b; charset=utf-8",
    };
    pyexec_form_t form;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(parse(bad[i], PART("a") END, &form));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(parse(good[i], PART("a") END, &form));
    }
}

/* A boundary of `size` bytes, in both places. */
static const char *parse_with_boundary(size_t size)
{
    char boundary[128];
    char type[256];
    char body[512];
    pyexec_form_t form;

    memset(boundary, 'x', size);
    boundary[size] = '\0';
    (void)snprintf(type, sizeof(type), "multipart/form-data; boundary=%s",
                   boundary);
    (void)snprintf(body, sizeof(body), "--%s\r\nContent-Disposition: form-data;"
                   " name=a\r\n\r\n1\r\n--%s--\r\n", boundary, boundary);
    return parse(type, body, &form);
}

static void test_boundary_size(void **state)
{
    (void)state;
    assert_null(parse_with_boundary(1));
    assert_null(parse_with_boundary(PYEXEC_FORM_BOUNDARY_MOST - 1));
    assert_null(parse_with_boundary(PYEXEC_FORM_BOUNDARY_MOST));
    assert_non_null(parse_with_boundary(PYEXEC_FORM_BOUNDARY_MOST + 1));
}

static const char *parse_parts(size_t count)
{
    size_t each = sizeof(PART("a") "\r\n") - 1;
    size_t size = count * each + sizeof("--b--\r\n") - 1;
    char *body = malloc(size + 1);
    pyexec_form_t form;
    const char *problem;

    assert_non_null(body);
    for (size_t i = 0; i < count; i++) {
        memcpy(body + i * each, PART("a") "\r\n", each);
    }
    memcpy(body + count * each, "--b--\r\n", sizeof("--b--\r\n"));
    problem = parse(TYPE, body, &form);
    free(body);
    assert_true(problem != NULL || form.count == count);
    return problem;
}

static void test_part_count(void **state)
{
    (void)state;
    assert_non_null(parse_parts(0));
    assert_null(parse_parts(1));
    assert_null(parse_parts(PYEXEC_FORM_PARTS_MOST - 1));
    assert_null(parse_parts(PYEXEC_FORM_PARTS_MOST));
    assert_non_null(parse_parts(PYEXEC_FORM_PARTS_MOST + 1));
    assert_non_null(parse_parts(10000));
}

/* All headers of a part, its empty line included, have `size` bytes. */
static const char *parse_with_headers(size_t size)
{
    static const char first[] = "Content-Disposition: form-data; name=a\r\nX: ";
    char *body = calloc(1, size + 64);
    pyexec_form_t form;
    const char *problem;

    assert_non_null(body);
    memcpy(body, "--b\r\n", 5);
    memset(body + 5, 'y', size);
    memcpy(body + 5, first, sizeof(first) - 1);
    memcpy(body + 5 + size - 4, "\r\n\r\n", 4);
    memcpy(body + 5 + size, "1" END, sizeof("1" END));
    problem = parse(TYPE, body, &form);
    free(body);
    return problem;
}

static void test_header_size(void **state)
{
    (void)state;
    assert_null(parse_with_headers(PYEXEC_FORM_HEADER_MOST - 1));
    assert_null(parse_with_headers(PYEXEC_FORM_HEADER_MOST));
    assert_non_null(parse_with_headers(PYEXEC_FORM_HEADER_MOST + 1));
    assert_non_null(parse_with_headers(PYEXEC_FORM_HEADER_MOST * 100));
}

static void test_ends(void **state)
{
    static const char *const bad[] = {
        "", "\r\n", "--", "--b", "--b\r", "--b\r\n", "--b--", "--b--\r\n",
        "x" PART("a") "1" END, "\r\n" PART("a") "1" END,
        PART("a") "1" END "x", PART("a") "1" END "\r\n",
        PART("a") "1\r\n--b--x", PART("a") "1\r\n--b--\n",
        PART("a") "1\r\n--b-", PART("a") "1\r\n--b -- ",
        PART("a") "1\r\n--bc\r\n", PART("a") "1\r\n--b \r\n" END,
        PART("a") "1\n--b--\n", PART("a") "1", "--b\r\nX: y\r\n",
        "--b\nContent-Disposition: form-data; name=a\n\n1\n--b--\n",
        "--b\r\nContent-Disposition: form-data; name=a\r\n--b--\r\n",
        "--c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--c--\r\n",
    };
    pyexec_form_t form;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(parse(TYPE, bad[i], &form));
    }
}

/* Cut anywhere before its last boundary is whole, a form is no form. */
static void test_cut(void **state)
{
    static const char whole[] =
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\\\"b\""
        "\r\nContent-Type: text/plain\r\n\r\none\r\n" PART("p") "[1]" END;
    pyexec_form_t form;

    (void)state;
    assert_null(parse_bytes(TYPE, whole, sizeof(whole) - 1, &form));
    for (size_t size = 0; size < sizeof(whole) - 1 - 2; size++) {
        assert_non_null(parse_bytes(TYPE, whole, size, &form));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_parts, drop_body),
        cmocka_unit_test_teardown(test_names, drop_body),
        cmocka_unit_test_teardown(test_any_bytes, drop_body),
        cmocka_unit_test_teardown(test_nearly_boundaries, drop_body),
        cmocka_unit_test_teardown(test_dispositions, drop_body),
        cmocka_unit_test_teardown(test_bad_headers, drop_body),
        cmocka_unit_test_teardown(test_boundaries, drop_body),
        cmocka_unit_test_teardown(test_boundary_size, drop_body),
        cmocka_unit_test_teardown(test_part_count, drop_body),
        cmocka_unit_test_teardown(test_header_size, drop_body),
        cmocka_unit_test_teardown(test_ends, drop_body),
        cmocka_unit_test_teardown(test_cut, drop_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
