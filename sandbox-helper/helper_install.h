/* SPDX-License-Identifier: Apache-2.0
 *
 * What a pool of the SETUP frame says of packages that clients install. Read
 * by the keeper, before it serves.
 */
#ifndef PYEXEC_HELPER_INSTALL_H
#define PYEXEC_HELPER_INSTALL_H

struct pool_conf;
struct pxw_message;

/* Fills environment, install_bytes, index and sources; whatever is returned,
 * the pool owns what was copied. 0; -ENOTDIR, the environment is no absolute
 * path; -ERANGE, as other numbers; -EDESTADDRREQ, it is to install and lacks
 * the environment, the proxy or the index; -ENOMEM. Needs `proxy`. */
int helper_install_read(const struct pxw_message *message,
                        struct pool_conf *pool);

#endif
