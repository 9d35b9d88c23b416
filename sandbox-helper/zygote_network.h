/* SPDX-License-Identifier: Apache-2.0
 *
 * How scripts with a network learn where the proxy is, and whom TLS believes.
 */
#ifndef PYEXEC_ZYGOTE_NETWORK_H
#define PYEXEC_ZYGOTE_NETWORK_H

/* In the zygote, inside the private root, before CPython reads the environment:
 * sets the variables that HTTP clients look at. What the pool's own variables
 * say comes later and wins. Returns 0 or a negative errno. */
int zygote_network_tell(void);

#endif
