/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child of httpd knows of the helper: where it listens, what it wants
 * to hear first, and when this child has to stop. Set by the parent before
 * children are forked, constant later.
 */
#ifndef PYEXEC_CHILD_H
#define PYEXEC_CHILD_H

#include "pyexec.h"

typedef struct pyexec_endpoint_t
{
    const char *path;
    const unsigned char *token;  /* PXW_TOKEN_BYTES */
    const volatile int *paused;  /* shared memory, written by the parent */
} pyexec_endpoint_t;

/* Parent, post_config hook: nobody of the same user may look into httpd from
 * now on. */
int pyexec_child_hide(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                      server_rec *s);

/* Parent, post_config: what children forked from now on will know. */
void pyexec_child_know(const pyexec_endpoint_t *endpoint);

/* Hooks of a child. */
void pyexec_child_init(apr_pool_t *pchild, server_rec *s);
void pyexec_child_stopping(apr_pool_t *pchild, int graceful);

/* NULL: there is no helper now; do not wait for one. */
const char *pyexec_child_helper_path(void);
const unsigned char *pyexec_child_token(void);

/* Readable once this child has to stop at once; -1 where there is none. */
int pyexec_child_stop_fd(void);

#endif
