/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks as lists; see the header. Pure functions.
 */
#include "pyexec_address.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <string.h>

/* The special-purpose addresses of IANA's two registries, as far as packets
 * could go there. Those of IPv4 count for ::ffff:a.b.c.d as well. Of IPv6 all
 * is special that is not 2000::/3; 64:ff9b::/96, 2001::/23 and 2002::/16 carry
 * IPv4 addresses of any kind. */
static const struct
{
    const char *address;
    const char *bits;
} special[] = {
    { "0.0.0.0", "8" },       { "10.0.0.0", "8" },
    { "100.64.0.0", "10" },   { "127.0.0.0", "8" },
    { "169.254.0.0", "16" },  { "172.16.0.0", "12" },
    { "192.0.0.0", "24" },    { "192.0.2.0", "24" },
    { "192.88.99.0", "24" },  { "192.168.0.0", "16" },
    { "198.18.0.0", "15" },   { "198.51.100.0", "24" },
    { "203.0.113.0", "24" },  { "224.0.0.0", "3" },
    { "::", "3" },            { "4000::", "2" },
    { "8000::", "1" },        { "2001::", "23" },
    { "2001:db8::", "32" },   { "2002::", "16" },
    { "3fff::", "20" },
};

apr_array_header_t *pyexec_address_list(apr_pool_t *pool)
{
    return apr_array_make(pool, 4, sizeof(apr_ipsubnet_t *));
}

static int add_subnet(apr_pool_t *pool, apr_array_header_t *list,
                      const char *address, const char *bits)
{
    apr_ipsubnet_t *subnet = NULL;

    if (apr_ipsubnet_create(&subnet, address, bits, pool) != APR_SUCCESS) {
        return 0;
    }
    APR_ARRAY_PUSH(list, apr_ipsubnet_t *) = subnet;
    return 1;
}

apr_array_header_t *pyexec_address_special(apr_pool_t *pool)
{
    apr_array_header_t *list = pyexec_address_list(pool);

    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (!add_subnet(pool, list, special[i].address, special[i].bits)) {
            return NULL;
        }
    }
    return list;
}

/* apr_ipsubnet_create() takes "10." for a network, and "10.1" for another one;
 * here is no place for guesses. */
int pyexec_address_add(apr_pool_t *pool, apr_array_header_t *list,
                       const char *word)
{
    const char *slash = strchr(word, '/');
    const char *address = slash == NULL ? word
                                        : apr_pstrmemdup(pool, word,
                                                         (apr_size_t)(slash
                                                                      - word));
    unsigned char bytes[16];

    if (inet_pton(AF_INET, address, bytes) != 1
        && inet_pton(AF_INET6, address, bytes) != 1) {
        return 0;
    }
    return add_subnet(pool, list, address,
                      slash == NULL ? NULL : slash + 1);
}

int pyexec_address_is_in(const apr_array_header_t *list,
                         apr_sockaddr_t *address)
{
    for (int i = 0; i < list->nelts; i++) {
        if (apr_ipsubnet_test(APR_ARRAY_IDX(list, i, apr_ipsubnet_t *),
                              address)) {
            return 1;
        }
    }
    return 0;
}
