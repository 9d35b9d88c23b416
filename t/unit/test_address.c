/* SPDX-License-Identifier: Apache-2.0
 *
 * Which addresses are public, at the first and last of each network that is
 * not, and what a list of one's own takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pyexec_address.h"

#include <apr_general.h>

static apr_pool_t *pool;

static apr_sockaddr_t *address(const char *text)
{
    apr_sockaddr_t *found = NULL;

    assert_int_equal(apr_sockaddr_info_get(&found, text, APR_UNSPEC, 80, 0,
                                           pool), APR_SUCCESS);
    return found;
}

static void check(const apr_array_header_t *list, const char *text, int in)
{
    if ((pyexec_address_is_in(list, address(text)) != 0) != in) {
        fail_msg("%s is %sin the list", text, in ? "not " : "");
    }
}

static void test_public(void **state)
{
    static const char *const public[] = {
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "93.184.216.34",
        "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
        "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255",
        "2000::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1",
        "2003::1", "2606:2800:220:1::1", "3ffe:ffff::1",
    };
    const apr_array_header_t *special = pyexec_address_special(pool);

    (void)state;
    assert_non_null(special);
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        check(special, public[i], 0);
    }
}

static void test_special(void **state)
{
    static const char *const special[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255",
        "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
        "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255",
        "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.0",
        "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "100::1", "1fff::1", "2001::1", "2001:db8::1",
        "2002:7f00:1::1", "3fff::1", "4000::1", "5f00::1", "8000::1",
        "fc00::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1",
    };
    const apr_array_header_t *list = pyexec_address_special(pool);

    (void)state;
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        check(list, special[i], 1);
    }
}

static void test_own(void **state)
{
    static const char *const wrong[] = {
        "", "/", "10", "10.", "10.1", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/x",
        "10.0.0.1:80", "[::1]", "::1/129", "localhost", "0x7f.0.0.1",
        "10.0.0.0/-1",
    };
    apr_array_header_t *list = pyexec_address_list(pool);

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (pyexec_address_add(pool, list, wrong[i])) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
    }
    assert_int_equal(list->nelts, 0);
    assert_true(pyexec_address_add(pool, list, "10.1.2.3"));
    assert_true(pyexec_address_add(pool, list, "10.9.0.0/16"));
    assert_true(pyexec_address_add(pool, list, "fd00::/8"));
    check(list, "10.1.2.3", 1);
    check(list, "10.1.2.4", 0);
    check(list, "10.9.255.255", 1);
    check(list, "10.10.0.0", 0);
    check(list, "fdff::1", 1);
    check(list, "fe00::1", 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_own),
    };
    int failed;

    if (apr_initialize() != APR_SUCCESS
        || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 99;
    }
    failed = cmocka_run_group_tests_name("address", tests, NULL, NULL);
    apr_terminate();
    return failed;
}
