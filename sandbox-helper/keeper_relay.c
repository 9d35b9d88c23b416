/* SPDX-License-Identifier: Apache-2.0
 *
 * A run's listener and its limits. Runs in the keeper. What is accepted is
 * relayed (keeper_link.c) to the one address that the pool's configuration
 * names: no name is resolved and no other address is ever connected to.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_relay.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_conf.h"
#include "keeper_link.h"
#include "log.h"
#include "wire.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

/* Until descriptors or memory are there again. */
#define AGAIN_MS 100
/* Of all connections of a run together, new ones included, in so many
 * milliseconds: of whole buffers more than a proxy will send, but of single
 * bytes no more than a part of the loop's time, which is everybody's. */
#define TURNS 50
#define TURNS_MS 10

static void stop_listening(struct keeper_relay *relay)
{
    if (relay->started) {
        (void)event_del(&relay->accepting);
        (void)event_del(&relay->again);
    }
    cleanup_fd(&relay->listener);
}

/* As far as the run's limits, and its turns, go on. */
void keeper_relay_link_ended(struct keeper_relay *relay)
{
    struct timeval wait = { .tv_usec = AGAIN_MS * 1000 };

    if (relay->connections >= relay->conf->connections
        || relay->bytes >= relay->conf->network_bytes) {
        stop_listening(relay); /* whoever tries is refused by the kernel */
    }
    else if (relay->listener >= 0 && relay->open < KEEPER_RELAY_OPEN
             && relay->turns > 0 && event_add(&relay->accepting, NULL) != 0) {
        (void)evtimer_add(&relay->again, &wait); /* else it is deaf */
    }
}

bool keeper_relay_take_turn(struct keeper_relay *relay)
{
    struct timeval wait = { .tv_usec = TURNS_MS * 1000 };

    relay->turns -= relay->turns > 0;
    return evtimer_pending(&relay->rest, NULL)
           || evtimer_add(&relay->rest, &wait) == 0;
}

static void on_rest(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_relay *relay = argument;
    bool waited = relay->turns == 0;

    (void)fd;
    (void)what;
    relay->turns = TURNS;
    if (waited) {
        keeper_link_resume_all(relay);
        keeper_relay_link_ended(relay); /* new ones as well */
    }
}

static void on_accept(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_relay *relay = argument;
    struct timeval wait = { .tv_usec = AGAIN_MS * 1000 };
    int accepted;
    int error;

    (void)what;
    /* A connection that ends at once costs more than its bytes. */
    if (!keeper_relay_take_turn(relay)) {
        stop_listening(relay);
        return;
    }
    accepted = accept4((int)fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    error = errno;
    if (accepted < 0 && (error == EMFILE || error == ENFILE || error == ENOMEM
                         || error == ENOBUFS)) {
        if (evtimer_add(&relay->again, &wait) != 0) {
            stop_listening(relay);
        }
        return;
    }
    if (accepted >= 0) {
        relay->connections++;
        keeper_link_open(relay, accepted);
    }
    keeper_relay_link_ended(relay); /* whoever has left again is nobody */
}

static void on_again(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    keeper_relay_link_ended(argument);
}

void keeper_relay_init(struct keeper_relay *relay)
{
    *relay = (struct keeper_relay){ .listener = -1 };
    TAILQ_INIT(&relay->links);
}

bool keeper_relay_take(struct keeper_relay *relay, int listener)
{
    int accepts = 0;
    int domain = 0;
    socklen_t size = sizeof(accepts);
    bool fits = getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &accepts,
                           &size) == 0
                && getsockopt(listener, SOL_SOCKET, SO_DOMAIN, &domain, &size)
                       == 0
                && accepts != 0 && domain == AF_INET
                && fdio_set_nonblocking(listener, true) == 0;

    relay->listener = listener;
    return fits;
}

int keeper_relay_start(struct keeper_relay *relay, struct event_base *base,
                       const struct pool_conf *conf,
                       const struct pxw_field *id)
{
    if (id->size == 0) {
        memcpy(relay->id, "-", 2);
    }
    else {
        (void)log_escape(id->data, id->size, relay->id, sizeof(relay->id));
    }
    relay->conf = conf;
    relay->base = base;
    if (event_assign(&relay->accepting, base, relay->listener, EV_READ,
                     on_accept, relay) != 0
        || evtimer_assign(&relay->again, base, on_again, relay) != 0
        || evtimer_assign(&relay->rest, base, on_rest, relay) != 0) {
        return -EINVAL;
    }
    relay->started = true;
    relay->turns = TURNS;
    return event_add(&relay->accepting, NULL) == 0 ? 0 : -ENOMEM;
}

void keeper_relay_close(struct keeper_relay *relay)
{
    struct keeper_link *link;

    stop_listening(relay);
    while ((link = TAILQ_FIRST(&relay->links)) != NULL) {
        keeper_link_cut(link);
    }
    if (relay->started) {
        (void)event_del(&relay->rest);
    }
}
