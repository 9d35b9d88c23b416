/* SPDX-License-Identifier: Apache-2.0
 *
 * What `pyexecd --service` was told, on its command line and by whoever hands
 * it sockets. Read once, before it serves.
 */
#ifndef PYEXEC_SERVICE_CONF_H
#define PYEXEC_SERVICE_CONF_H

#include <stdbool.h>
#include <sys/types.h>

/* The control socket has the name of the other one and this. The module says
 * the same in pyexec_service.h. */
#define SERVICE_CONTROL_SUFFIX ".control"

struct service_conf
{
    char *socket_path; /* made by us; NULL: sockets were handed over */
    mode_t mode;       /* of that one; the control socket has 0600 */
    char *state_path;  /* where the set-up is kept; NULL: nowhere */
    bool has_user;     /* whom keepers become; only root can say so */
    uid_t uid;
    gid_t gid;
    uid_t owner;       /* who beside root may send a set-up */
    bool debug;

    /* Listening sockets that were handed over, -1: none. */
    int runs;
    int control;
};

extern const char service_conf_help[];

bool service_conf_is_wanted(int argc, char **argv);
bool service_conf_is_help(int argc, char **argv);

/* Reads options and LISTEN_…, and removes the latter from the environment. 0
 * or -EINVAL or -ENOMEM, with *ret_mistake saying why. */
int service_conf_options(int argc, char **argv, struct service_conf *conf,
                         const char **ret_mistake);

/* A user who is neither root nor ours sends set-ups: the control socket's mode
 * cannot keep others out. */
bool service_conf_serves_other(const struct service_conf *conf);

void service_conf_free(struct service_conf *conf);

#endif
