/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a virtual host's mod_proxy may connect, by the address that a name has
 * come to. mod_proxy itself decides by what is asked for (<Proxy>, Require),
 * and a name that is allowed may lead anywhere its owner likes: to loopback, to
 * the network behind, to this machine.
 */
#ifndef PYEXEC_EGRESS_H
#define PYEXEC_EGRESS_H

#include "pyexec.h"

typedef struct pyexec_egress_t pyexec_egress_t;

/* Words: `any` alone; `public`, which is no address of a private, local or
 * special network, nor one of this machine's own; addresses, or networks with
 * their bits. NULL with *ret_egress (NULL: any), or a problem. */
const char *pyexec_egress_read(apr_pool_t *pool, int argc, char *const argv[],
                               const pyexec_egress_t **ret_egress);

/* As it was written. */
const char *pyexec_egress_words(const pyexec_egress_t *egress);

/* The hook: refuses a connection of mod_proxy's that was just made, before
 * anything is sent. */
int pyexec_egress_pre_connection(conn_rec *c, void *socket);

/* The hook, before mod_proxy's: refuses what a client asks of a forward proxy
 * by a scheme whose connections the other hook would not see. */
int pyexec_egress_handler(request_rec *r);

#endif
