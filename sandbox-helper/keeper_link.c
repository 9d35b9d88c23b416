/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of a run, relayed. Runs in the keeper. Both sides are hostile:
 * their bytes are moved and counted, never looked at; what may be asked of the
 * proxy is the proxy's to decide.
 *
 *     job ── fds[JOB]  ══ two ways, a buffer each ══  fds[PROXY] ── proxy
 *
 * A way is read from while there is room in its buffer, and written to while
 * there are bytes, so that a slow side makes the other one wait. The end of one
 * direction is passed on by itself.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_link.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_conf.h"
#include "keeper_relay.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Of each way. Larger ones would make a bulk transfer cheaper, and let it take
 * longer turns in the loop that serves everybody. */
#define BUFFER_BYTES (16u << 10)
/* The kernel doubles it. Enough for 20 MB/s at 10 ms to the proxy. */
#define PROXY_BUFFER_BYTES (128 << 10)
/* A proxy that is not there would fill the log. */
#define TELL_EVERY_US 10000000u

enum side
{
    JOB,
    PROXY,
    SIDES
};

/* From the side of the same number to the other one. */
struct way
{
    struct keeper_link *link;
    struct event readable;
    struct event writable;
    size_t at;   /* of what is to be written */
    size_t size;
    bool ended;  /* nothing more comes in */
    bool shut;   /* and the other side was told */
    uint8_t bytes[BUFFER_BYTES];
};

struct keeper_link
{
    TAILQ_ENTRY(keeper_link) link;
    struct keeper_relay *relay;
    int fds[SIDES];
    bool connecting;
    struct way ways[SIDES];
};

static enum side side_of(const struct way *way)
{
    return way == &way->link->ways[JOB] ? JOB : PROXY;
}

static int fd_from(const struct way *way)
{
    return way->link->fds[side_of(way)];
}

static int fd_to(const struct way *way)
{
    return way->link->fds[side_of(way) == JOB ? PROXY : JOB];
}

/* An end that is no regular one shall not look like one: HTTP knows bodies
 * that end with their connection. */
static void reset_on_close(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
}

static void free_link(struct keeper_link *link)
{
    for (size_t i = 0; i < SIDES; i++) {
        (void)event_del(&link->ways[i].readable);
        (void)event_del(&link->ways[i].writable);
        cleanup_fd(&link->fds[i]);
    }
    free(link);
}

static void end_link(struct keeper_link *link)
{
    struct keeper_relay *relay = link->relay;

    TAILQ_REMOVE(&relay->links, link, link);
    relay->open--;
    free_link(link);
    keeper_relay_link_ended(relay);
}

void keeper_link_cut(struct keeper_link *link)
{
    reset_on_close(link->fds[JOB]);
    reset_on_close(link->fds[PROXY]);
    end_link(link);
}

static void tell_unreachable(const struct pool_conf *conf, int error)
{
    static uint64_t told_us;
    uint64_t now_us = fdio_now_us();

    if (told_us == 0 || now_us - told_us >= TELL_EVERY_US) {
        told_us = now_us;
        log_line(LOG_LEVEL_WARNING, 390,
                 "pool \"%s\": a run's connection was not passed on: proxy"
                 " %s: %s", conf->name, conf->proxy.text, strerror(error));
    }
}

/* Waits for whatever this way can do next. False: there is no memory to. */
static bool watch(struct way *way)
{
    bool reads = !way->ended && way->size < BUFFER_BYTES;
    bool writes = way->size > 0;

    if (way->link->relay->turns == 0) {
        return true; /* all wait for the next ones */
    }
    return (!reads || event_add(&way->readable, NULL) == 0)
           && (!writes || event_add(&way->writable, NULL) == 0);
}

/* After each step. The link is gone if it has come to its end. */
static void go_on(struct way *way)
{
    struct keeper_link *link = way->link;

    if (way->ended && way->size == 0 && !way->shut) {
        /* Fails where the other side is gone, which it tells by itself. */
        (void)shutdown(fd_to(way), SHUT_WR);
        way->shut = true;
    }
    if (link->ways[JOB].shut && link->ways[PROXY].shut) {
        end_link(link);
    }
    else if (!watch(way)) {
        keeper_link_cut(link);
    }
}

/* As many bytes as the buffer and the run's limit take. */
static size_t room(const struct way *way)
{
    const struct keeper_relay *relay = way->link->relay;
    uint64_t left = relay->conf->network_bytes - relay->bytes;
    size_t free = BUFFER_BYTES - way->at - way->size;

    return left < free ? (size_t)left : free;
}

/* The limit is reached: the end may come, but not one more byte. */
static void read_end(struct way *way)
{
    struct keeper_relay *relay = way->link->relay;
    uint8_t byte;
    ssize_t count = recv(fd_from(way), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (count == 0) {
        way->ended = true;
        go_on(way);
    }
    else if (count > 0) {
        log_line(LOG_LEVEL_DEBUG, 391,
                 "pool \"%s\": a run has used up its PyExecNetworkBytes",
                 relay->conf->name);
        keeper_relay_close(relay);
    }
    else if (errno == EAGAIN || errno == EINTR) {
        go_on(way);
    }
    else {
        keeper_link_cut(way->link);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    struct way *way = argument;
    ssize_t count;

    (void)fd;
    (void)what;
    if (!keeper_relay_take_turn(way->link->relay)) {
        keeper_link_cut(way->link);
        return;
    }
    if (way->at > 0) {
        memmove(way->bytes, way->bytes + way->at, way->size);
        way->at = 0;
    }
    if (room(way) == 0) {
        read_end(way);
        return;
    }
    count = fdio_read(fd_from(way), way->bytes + way->size, room(way));
    if (count < 0 && count != -EAGAIN) {
        keeper_link_cut(way->link);
        return;
    }
    if (count == 0) {
        way->ended = true;
    }
    else if (count > 0) {
        way->size += (size_t)count;
        way->link->relay->bytes += (uint64_t)count;
    }
    go_on(way);
}

/* The proxy's log has the port, httpd's logs have the run. */
static void tell_connected(const struct keeper_link *link)
{
    const struct keeper_relay *relay = link->relay;
    struct sockaddr_storage own = { 0 };
    socklen_t size = sizeof(own);
    in_port_t port;

    if (getsockname(link->fds[PROXY], (struct sockaddr *)&own, &size) != 0) {
        return;
    }
    port = own.ss_family == AF_INET6
               ? ((const struct sockaddr_in6 *)&own)->sin6_port
               : ((const struct sockaddr_in *)&own)->sin_port;
    log_line(LOG_LEVEL_INFO, 621,
             "pool \"%s\": run %s: connected to the proxy from port %u",
             relay->conf->name, relay->id, (unsigned)ntohs(port));
}

static bool is_connected(struct keeper_link *link)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(link->fds[PROXY], SOL_SOCKET, SO_ERROR, &error, &size)
        != 0) {
        error = errno;
    }
    if (error != 0) {
        tell_unreachable(link->relay->conf, error);
        return false;
    }
    link->connecting = false;
    tell_connected(link);
    return true;
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    struct way *way = argument;
    struct keeper_link *link = way->link;
    ssize_t count = 0;

    (void)fd;
    (void)what;
    if (link->connecting) {
        if (!is_connected(link) || !watch(&link->ways[PROXY])) {
            keeper_link_cut(link);
            return;
        }
    }
    else if (!keeper_relay_take_turn(link->relay)) {
        keeper_link_cut(link);
        return;
    }
    else if (way->size > 0) {
        count = send(fd_to(way), way->bytes + way->at, way->size,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            keeper_link_cut(link);
            return;
        }
    }
    if (count > 0) {
        way->size -= (size_t)count;
        way->at = way->size == 0 ? 0 : way->at + (size_t)count;
    }
    go_on(way);
}

/* To the proxy: 0, also while that goes on, or an errno. */
static int connect_link(struct keeper_link *link)
{
    const struct pxw_proxy *proxy = &link->relay->conf->proxy;
    int one = 1;
    int size = PROXY_BUFFER_BYTES;
    int fd = socket(proxy->address.ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    link->fds[PROXY] = fd;
    if (fd < 0) {
        return errno;
    }
    /* What a slow proxy has not taken yet waits in the kernel's memory; without
     * a size of its own that may grow to megabytes. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    /* Requests come in small pieces; the job decides how small. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(link->fds[JOB], IPPROTO_TCP, TCP_NODELAY, &one,
                     sizeof(one));
    return connect(fd, (const struct sockaddr *)&proxy->address, proxy->size)
                           == 0
                       || errno == EINPROGRESS
               ? 0
               : errno;
}

static int assign(struct keeper_link *link)
{
    struct event_base *base = link->relay->base;
    int failed = 0;

    for (size_t i = 0; i < SIDES; i++) {
        struct way *way = &link->ways[i];

        failed |= event_assign(&way->readable, base, fd_from(way), EV_READ,
                               on_readable, way);
        failed |= event_assign(&way->writable, base, fd_to(way), EV_WRITE,
                               on_writable, way);
    }
    return failed;
}

void keeper_link_open(struct keeper_relay *relay, int fd)
{
    struct keeper_link *link = calloc(1, sizeof(*link));
    int error;

    if (link == NULL) {
        reset_on_close(fd);
        cleanup_fd(&fd);
        return;
    }
    link->relay = relay;
    link->fds[JOB] = fd;
    link->connecting = true;
    for (size_t i = 0; i < SIDES; i++) {
        link->ways[i].link = link;
    }
    TAILQ_INSERT_TAIL(&relay->links, link, link);
    relay->open++;
    error = connect_link(link);
    if (error != 0) {
        tell_unreachable(relay->conf, error);
    }
    /* The way from the job waits until the proxy is there. */
    if (assign(link) != 0 || error != 0
        || event_add(&link->ways[JOB].writable, NULL) != 0) {
        keeper_link_cut(link);
    }
}

void keeper_link_resume_all(struct keeper_relay *relay)
{
    struct keeper_link *next = TAILQ_FIRST(&relay->links);
    struct keeper_link *link;

    while ((link = next) != NULL) {
        next = TAILQ_NEXT(link, link);
        if (!link->connecting
            && !(watch(&link->ways[JOB]) && watch(&link->ways[PROXY]))) {
            keeper_link_cut(link);
        }
    }
}
