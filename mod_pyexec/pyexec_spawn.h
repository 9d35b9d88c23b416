/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts one helper process: its identity, its set-up frame, fork and exec.
 * Runs in the httpd parent; knows nothing of restarts and crashes.
 */
#ifndef PYEXEC_SPAWN_H
#define PYEXEC_SPAWN_H

#include "pyexec_config.h"

/* Who the helper runs as. NULL, or what is wrong with PyExecHelperUser. */
const char *pyexec_spawn_identity(apr_pool_t *pool,
                                  const pyexec_global_t *global,
                                  uid_t *ret_uid, gid_t *ret_gid);

typedef struct pyexec_spawn_t
{
    const pyexec_global_t *global;
    const unsigned char *token;  /* PXW_TOKEN_BYTES */
    const char *socket_path;
    int listener;
    uid_t uid;
    gid_t gid;
} pyexec_spawn_t;

/* NULL, or what went wrong. *ret_lifeline is the end to keep open; closing it
 * ends the helper. That exec failed shows as its exit status 127. */
const char *pyexec_spawn(apr_pool_t *pool, const pyexec_spawn_t *spawn,
                         pid_t *ret_pid, int *ret_lifeline);

#endif
