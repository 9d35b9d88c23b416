/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the address of a proxy; see the header. Runs in httpd's parent and in
 * the keeper before it serves, so that both mean the same by it.
 */
#include "wire_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int read_port(const char *text, in_port_t *ret_port)
{
    unsigned long port;
    char *end;

    if (text[0] < '1' || text[0] > '9' || strlen(text) > 5) {
        return -EINVAL;
    }
    port = strtoul(text, &end, 10);
    if (*end != '\0' || port > UINT16_MAX) {
        return -EINVAL;
    }
    *ret_port = htons((uint16_t)port);
    return 0;
}

static int read_ipv6(char *text, struct pxw_proxy *proxy)
{
    struct sockaddr_in6 *address = (struct sockaddr_in6 *)&proxy->address;
    char *end = strchr(text, ']');

    if (end == NULL || end[1] != ':') {
        return -EINVAL;
    }
    *end = '\0';
    address->sin6_family = AF_INET6;
    proxy->size = sizeof(*address);
    return inet_pton(AF_INET6, text + 1, &address->sin6_addr) == 1
                   && !IN6_IS_ADDR_UNSPECIFIED(&address->sin6_addr)
               ? read_port(end + 2, &address->sin6_port)
               : -EINVAL;
}

static int read_ipv4(char *text, struct pxw_proxy *proxy)
{
    struct sockaddr_in *address = (struct sockaddr_in *)&proxy->address;
    char *end = strchr(text, ':');

    if (end == NULL) {
        return -EINVAL;
    }
    *end = '\0';
    address->sin_family = AF_INET;
    proxy->size = sizeof(*address);
    return inet_pton(AF_INET, text, &address->sin_addr) == 1
                   && address->sin_addr.s_addr != htonl(INADDR_ANY)
               ? read_port(end + 1, &address->sin_port)
               : -EINVAL;
}

int pxw_read_proxy(const void *text, size_t size,
                      struct pxw_proxy *ret_proxy)
{
    struct pxw_proxy proxy = { .size = 0 };
    char copy[PXW_PROXY_TEXT];
    int error;

    if (size >= sizeof(copy) || memchr(text, '\0', size) != NULL) {
        return -EINVAL;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    memcpy(proxy.text, copy, size + 1);
    error = copy[0] == '[' ? read_ipv6(copy, &proxy) : read_ipv4(copy, &proxy);
    if (error == 0) {
        *ret_proxy = proxy;
    }
    return error;
}
