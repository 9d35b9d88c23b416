/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of networks, and whether an address is in one. Nothing is looked up.
 */
#ifndef PYEXEC_ADDRESS_H
#define PYEXEC_ADDRESS_H

#include <apr_network_io.h>
#include <apr_tables.h>

/* Lists hold apr_ipsubnet_t * and live in the pool. An empty one. */
apr_array_header_t *pyexec_address_list(apr_pool_t *pool);

/* All that is not public: loopback, private, link-local, multicast, … NULL:
 * this system's APR does not understand it. */
apr_array_header_t *pyexec_address_special(apr_pool_t *pool);

/* "192.0.2.1", "192.0.2.0/24", "fd00::/8": 0 when it is none of these, and the
 * list is as it was. */
int pyexec_address_add(apr_pool_t *pool, apr_array_header_t *list,
                       const char *word);

int pyexec_address_is_in(const apr_array_header_t *list,
                         apr_sockaddr_t *address);

#endif
