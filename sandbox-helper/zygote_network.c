/* SPDX-License-Identifier: Apache-2.0
 *
 * The environment of scripts with a network. Runs in the zygote. Nothing here
 * protects anything: a script may change all of it, and reaches no more.
 */
#include "zygote_network.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "jail_trees.h"
#include "wire.h"

/* urllib and requests read either case, other clients one of the two. */
static const char *const names[] = {
    "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY",
};

static const char *const certificates[] = {
#define TREE(where, needs) where,
    JAIL_NETWORK_TREES(TREE)
#undef TREE
};

/* OpenSSL's own default is a directory that is not there. */
static int tell_certificates(void)
{
    for (size_t i = 0; i < sizeof(certificates) / sizeof(certificates[0]);
         i++) {
        if (access(certificates[i], R_OK) == 0) {
            return setenv("SSL_CERT_FILE", certificates[i], 1);
        }
    }
    return 0; /* then a script has to bring its own */
}

int zygote_network_tell(void)
{
    char proxy[64];

    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d",
                   PXW_PROXY_PORT);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (setenv(names[i], proxy, 1) != 0) {
            return -errno;
        }
    }
    return tell_certificates() == 0 ? 0 : -errno;
}
