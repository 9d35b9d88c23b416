/* SPDX-License-Identifier: Apache-2.0
 *
 * The address of the HTTP proxy that runs of a pool may reach.
 */
#ifndef PYEXEC_WIRE_PROXY_H
#define PYEXEC_WIRE_PROXY_H

#include <stddef.h>
#include <sys/socket.h>

/* "[…]:65535" around the longest IPv6 address in numbers. */
#define PXW_PROXY_TEXT 64

struct pxw_proxy
{
    char text[PXW_PROXY_TEXT]; /* as it was written, for the log */
    struct sockaddr_storage address;
    socklen_t size; /* 0: there is none, the pool has no network */
};

/* Reads "192.0.2.1:3128" or "[2001:db8::1]:3128": numbers only, for the keeper
 * asks nobody for names. 0, or -EINVAL and *ret_proxy is untouched. */
int pxw_read_proxy(const void *text, size_t size,
                      struct pxw_proxy *ret_proxy);

#endif
