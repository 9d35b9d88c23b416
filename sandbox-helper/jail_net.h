/* SPDX-License-Identifier: Apache-2.0
 *
 * A network namespace with nothing in it but a loopback interface and one
 * listener on it: all that a job with a network can reach. Each job has one of
 * its own, so that nobody can use, see or exhaust another's.
 */
#ifndef PYEXEC_JAIL_NET_H
#define PYEXEC_JAIL_NET_H

/* In the slot maker, with CAP_SYS_ADMIN and CAP_NET_ADMIN in its user
 * namespace: moves the caller into such a namespace, which lives as long as
 * anybody is in it or holds a socket of it. `settings` is /proc/sys, as a
 * directory, or -1. Returns the listener, at 127.0.0.1:PXW_PROXY_PORT
 * (close-on-exec, does not block, the caller's), or a negative errno. */
int jail_net_make(int settings);

#endif
