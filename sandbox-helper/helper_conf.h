/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper was told: options, the descriptors it was started with and
 * the SETUP frame, in one struct that is constant once the loop runs. Read
 * by the keeper, before it serves.
 */
#ifndef PYEXEC_HELPER_CONF_H
#define PYEXEC_HELPER_CONF_H

#include "helper_pythons.h"
#include "keeper_level.h"
#include "wire.h"
#include "wire_proxy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The first passed descriptor, as systemd and httpd's module number it. */
#define HELPER_LISTENER 3

/* One pool: ceilings that no request exceeds. Checked against the ranges in
 * helper_conf.c. */
struct pool_conf
{
    char name[PXW_NAME_MAX + 1];
    size_t name_size;
    uint32_t concurrency;
    uint32_t queue;
    uint32_t queue_ms;
    uint32_t tenant_concurrency;   /* of each; 0: no cap of its own */
    uint32_t tenant_queue;         /* the same */
    uint32_t wall_ms;
    uint32_t cpu_ms;
    uint64_t memory_bytes;
    uint32_t output_bytes;
    uint32_t files;
    uint32_t threads;
    uint32_t processes;            /* with their threads; 1: none is started */
    struct pxw_proxy proxy;     /* the one address that runs may reach */
    uint32_t connections;          /* to it, of each run */
    uint64_t network_bytes;        /* of both directions; the same */
    uint32_t link_ms;              /* to fetch a script; 0: none is */
    uint32_t link_bytes;           /* of such a script, at most */
    uint32_t recycle_runs;         /* 0: never for this reason */
    uint32_t recycle_ms;           /* the same */
    uint32_t idle_ms;              /* the same */
    enum keeper_level least_level; /* below it nothing runs */
    bool lazy;        /* no zygote before the first run */
    uint8_t *preload; /* NULL: nothing to preload */
    size_t preload_size;
    uint8_t *env;     /* NAME=value, one a line; NULL: none of its own */
    size_t env_size;
    uint8_t *site;    /* directories, one a line; NULL: none */
    size_t site_size;
    int program;      /* of its zygotes; one of helper_conf's */
    char *environment;      /* has generations of packages; NULL: none */
    uint64_t install_bytes; /* runs install, at most so much; 0: they run
                             * scripts */
    char *index;            /* address that packages come from; NULL: none */
    bool sources;           /* what has no wheel is built */
};

struct helper_conf
{
    /* options */
    char *socket_path; /* removed when httpd is gone; NULL: not ours to */
    bool has_user;
    uid_t uid;
    gid_t gid;
    bool debug;
    bool check; /* only tell what this machine offers */

    /* descriptors; main.c opens and closes them */
    int listener;
    int lifeline;
    struct helper_pythons pythons;

    /* which file the path named at the start: what is unlinked at the end
     * must still be that one. socket_inode is 0 when there was none. */
    dev_t socket_device;
    ino_t socket_inode;

    /* SETUP */
    uint8_t token[PXW_TOKEN_BYTES];
    struct pool_conf *pools;
    size_t pool_count;
};

/* Reads the command line and LISTEN_PID/LISTEN_FDS, and removes the latter
 * from the environment, unless --check was given. 0 or -EINVAL, with
 * *ret_mistake saying why. */
int helper_conf_options(int argc, char **argv, struct helper_conf *conf,
                        const char **ret_mistake);

/* Reads and checks the SETUP frame from the lifeline; blocks for at most five
 * seconds. 0, or -EINVAL with *ret_mistake, or what reading or wire.h's
 * checks returned. Needs `pythons`: a pool that wants another interpreter is a
 * mistake. */
int helper_conf_setup(struct helper_conf *conf, const char **ret_mistake);

/* The same of a body that was read already. */
int helper_conf_read(struct helper_conf *conf, const uint8_t *body,
                     size_t size, const char **ret_mistake);

/* Frees what the struct owns; descriptors are left alone. */
void helper_conf_free(struct helper_conf *conf);

#endif
