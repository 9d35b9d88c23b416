/* SPDX-License-Identifier: Apache-2.0
 *
 * fork and exec of a keeper, as httpd's module does it (pyexec_spawn.c there):
 * the same descriptors, options, environment and lifeline.
 */
#ifndef PYEXEC_SERVICE_SPAWN_H
#define PYEXEC_SERVICE_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct service_conf;

struct service_spawn
{
    const struct service_conf *conf;
    const char *program; /* our own */
    const uint8_t *setup;
    size_t setup_size;
    int listener;
    int entrance;        /* of its cgroup; -1: it stays in ours */
};

/* 0, or a negative errno. *ret_lifeline is the end to keep open; closing it
 * ends the keeper. That exec failed shows as its exit status 127. */
int service_spawn(const struct service_spawn *spawn, pid_t *ret_pid,
                  int *ret_lifeline);

#endif
