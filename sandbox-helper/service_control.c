/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of the control socket; see wire.h for what is said. Runs in the
 * supervisor, perhaps as root. Who connects is asked from the kernel, before a
 * byte of his is read: the socket's mode may be wrong, and the descriptor may
 * have been handed over by anybody. What he sends is checked as if he lied.
 *
 * One owner at a time: a connection whose set-up was taken, for as long as it
 * and the process behind it are there. Two httpds would otherwise take turns
 * in replacing each other's keeper for ever. A service that was started again
 * belongs to who comes first. The same token makes the same
 * httpd: after a graceful restart it comes again by another connection.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_control.h"

#include "cleanup.h"
#include "fdio.h"
#include "log.h"
#include "service.h"
#include "service_conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* httpd has one, and for a moment a second one. */
#define MOST 8
#define SETUP_TIMEOUT_S 5
/* A sentence, with what two processes are called in it. */
#define TEXT_BYTES 256
/* Refusals of those who have no business here. */
#define TELL_EVERY_US 10000000u

struct service_control
{
    TAILQ_ENTRY(service_control) link;
    struct service *service;
    int fd;
    int process; /* pidfd of the peer; -1: not to be had */
    struct ucred peer;
    struct event io;
    struct event death;
    struct event deadline;
    uint8_t *frame; /* malloc; NULL once it was taken */
    size_t have;
    struct pxw_header header;
    uint8_t token[PXW_TOKEN_BYTES]; /* of an owner */
};

static void free_frame(struct service_control *control)
{
    if (control->frame != NULL) {
        explicit_bzero(control->frame, control->have); /* has the token */
        free(control->frame);
    }
    control->frame = NULL;
}

static void close_control(struct service_control *control)
{
    struct service *service = control->service;

    (void)event_del(&control->io);
    (void)event_del(&control->deadline);
    if (control->process >= 0) {
        (void)event_del(&control->death);
    }
    if (service->controls.owner == control) {
        log_line(LOG_LEVEL_INFO, 520, "httpd process %d has left; its set-up"
                 " stays until another one comes", (int)control->peer.pid);
        service->controls.owner = NULL;
    }
    TAILQ_REMOVE(&service->controls.all, control, link);
    service->controls.count--;
    cleanup_fd(&control->fd);
    cleanup_fd(&control->process);
    free_frame(control);
    explicit_bzero(control->token, sizeof(control->token));
    free(control);
}

/* An answer is small and the first thing in an empty socket: it fits. */
static bool answer(int fd, const char *problem)
{
    CLEANUP(pxw_writer_free) struct pxw_writer frame = { 0 };

    pxw_begin(&frame, PXW_SETUP_IS);
    pxw_put_u32(&frame, PXW_F_READY, problem == NULL);
    pxw_put_str(&frame, PXW_F_VERSION, PACKAGE_VERSION);
    if (problem != NULL) {
        pxw_put_str(&frame, PXW_F_TEXT, problem);
    }
    return pxw_end(&frame) == 0
           && fdio_write(fd, frame.data, frame.size) == (ssize_t)frame.size;
}

static void refuse(struct service_control *control, const char *problem)
{
    log_line(LOG_LEVEL_WARNING, 521, "refused a set-up of process %d, user"
             " %d: %s", (int)control->peer.pid, (int)control->peer.uid,
             problem);
    (void)answer(control->fd, problem); /* it may be gone */
    close_control(control);
}

static const char *judge_header(int error, const struct pxw_header *header)
{
    static char version[96];

    switch (error) {
    case 0:
        return header->type == PXW_SETUP ? NULL
                                         : "only a set-up may be sent here";
    case -EPROTONOSUPPORT:
        (void)snprintf(version, sizeof(version),
                       "this service is %s and speaks version %d of the"
                       " protocol, the module another one",
                       PACKAGE_VERSION, PXW_VERSION);
        return version;
    case -EMSGSIZE:
        return "the set-up is too large";
    default:
        return "what was sent is not of our protocol";
    }
}

/* Whether another httpd is in charge; its name then is in `text`. */
static bool is_taken(const struct service_control *control,
                     const uint8_t *token, char text[TEXT_BYTES])
{
    const struct service_control *owner = control->service->controls.owner;

    if (owner == NULL || owner == control
        || memcmp(owner->token, token, PXW_TOKEN_BYTES) == 0) {
        return false;
    }
    (void)snprintf(text, TEXT_BYTES, "another httpd, process %d of user %d,"
                   " uses this service; it is free when that one has ended",
                   (int)owner->peer.pid, (int)owner->peer.uid);
    return true;
}

/* The frame is whole. */
static void take_frame(struct service_control *control)
{
    struct service *service = control->service;
    struct service_control *former;
    struct pxw_message message;
    char text[TEXT_BYTES];
    const char *problem = NULL;

    if (pxw_parse(PXW_SETUP, control->frame + PXW_HEADER_BYTES,
                  control->header.length, &message) != 0) {
        problem = "the set-up is malformed";
    }
    else if (is_taken(control, message.field[PXW_F_TOKEN].data, text)) {
        problem = text;
    }
    else {
        problem = service_take_setup(service, control->frame, control->have);
    }
    if (problem != NULL) {
        refuse(control, problem);
        return;
    }
    memcpy(control->token, message.field[PXW_F_TOKEN].data, PXW_TOKEN_BYTES);
    free_frame(control);
    (void)event_del(&control->deadline);
    former = service->controls.owner;
    service->controls.owner = control;
    if (former != NULL && former != control) {
        close_control(former);
    }
    log_line(LOG_LEVEL_INFO, 522, "took the set-up of httpd process %d, user"
             " %d", (int)control->peer.pid, (int)control->peer.uid);
    if (!answer(control->fd, NULL)) {
        close_control(control);
    }
}

/* False: it is gone, or there is nothing more to read now. */
static bool read_some(struct service_control *control)
{
    size_t want = control->have < PXW_HEADER_BYTES
                      ? PXW_HEADER_BYTES
                      : PXW_HEADER_BYTES + (size_t)control->header.length;
    ssize_t count = fdio_read(control->fd, control->frame + control->have,
                              want - control->have);
    const char *problem;

    if (count <= 0) {
        if (count != -EAGAIN) {
            close_control(control);
        }
        return false;
    }
    control->have += (size_t)count;
    if (control->have == PXW_HEADER_BYTES) {
        problem = judge_header(pxw_get_header(control->frame,
                                              &control->header),
                               &control->header);
        if (problem != NULL) {
            refuse(control, problem);
            return false;
        }
    }
    if (control->have >= PXW_HEADER_BYTES
        && control->have == PXW_HEADER_BYTES + control->header.length) {
        take_frame(control);
        return false;
    }
    return true;
}

static void on_io(evutil_socket_t fd, short what, void *argument)
{
    struct service_control *control = argument;
    uint8_t byte;

    (void)what;
    if (control->frame == NULL) {
        /* An owner is silent: it has left, or does not keep to the rules. */
        if (fdio_read((int)fd, &byte, 1) != -EAGAIN) {
            close_control(control);
        }
        return;
    }
    while (read_some(control)) {
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    refuse(argument, "the set-up was not complete in time");
}

/* Its connection may live on in a process that inherited it. */
static void on_death(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    close_control(argument);
}

/* NULL, or why this peer may say nothing. */
static const char *judge_peer(const struct service *service, int fd,
                              struct ucred *ret_peer)
{
    socklen_t size = sizeof(*ret_peer);

    *ret_peer = (struct ucred){ .uid = (uid_t)-1 };
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_peer, &size) != 0) {
        return "the kernel does not say who it is";
    }
    if (ret_peer->uid != 0 && ret_peer->uid != service->conf->owner) {
        return "its user may not send a set-up (see --owner)";
    }
    return service->controls.count < MOST ? NULL : "too many connections";
}

/* Where the socket lets everybody connect, everybody could fill the log. */
static void tell_refused(struct service *service, const struct ucred *peer,
                         const char *problem)
{
    struct service_controls *controls = &service->controls;
    uint64_t now_us = fdio_now_us();
    char untold[48] = "";

    if (controls->told_us != 0 && now_us - controls->told_us < TELL_EVERY_US) {
        controls->untold++;
        return;
    }
    if (controls->untold > 0) {
        (void)snprintf(untold, sizeof(untold),
                       "; %u more since the line before", controls->untold);
    }
    controls->told_us = now_us;
    controls->untold = 0;
    log_line(LOG_LEVEL_WARNING, 523, "refused a connection of process %d,"
             " user %d: %s%s", (int)peer->pid, (int)peer->uid, problem, untold);
}

static int watch(struct service_control *control)
{
    struct timeval wait = { .tv_sec = SETUP_TIMEOUT_S };
    struct event_base *base = control->service->base;

    if (event_assign(&control->io, base, control->fd, EV_READ | EV_PERSIST,
                     on_io, control) != 0
        || evtimer_assign(&control->deadline, base, on_deadline, control) != 0
        || (control->process >= 0
            && event_assign(&control->death, base, control->process, EV_READ,
                            on_death, control) != 0)
        || event_add(&control->io, NULL) != 0
        || evtimer_add(&control->deadline, &wait) != 0
        || (control->process >= 0 && event_add(&control->death, NULL) != 0)) {
        return -ENOMEM;
    }
    return 0;
}

static void open_control(struct service *service, int fd,
                         const struct ucred *peer)
{
    struct service_control *control = calloc(1, sizeof(*control));
    uint8_t *frame = malloc(SERVICE_SETUP_MOST);

    if (control == NULL || frame == NULL) {
        free(control);
        free(frame);
        cleanup_fd(&fd);
        return;
    }
    control->service = service;
    control->fd = fd;
    control->peer = *peer;
    control->frame = frame;
    /* Not to be had of a process in another namespace. */
    control->process = peer->pid > 0 ? pidfd_open(peer->pid, 0) : -1;
    TAILQ_INSERT_TAIL(&service->controls.all, control, link);
    service->controls.count++;
    if (watch(control) != 0) {
        refuse(control, "no memory");
    }
}

void service_control_accept(struct service *service)
{
    struct ucred peer;
    const char *problem;
    int fd = accept4(service->control, NULL, NULL,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        service_accept_failed(service, errno);
        return;
    }
    problem = judge_peer(service, fd, &peer);
    if (problem == NULL) {
        open_control(service, fd, &peer);
        return;
    }
    tell_refused(service, &peer, problem);
    (void)answer(fd, problem); /* it may be gone */
    cleanup_fd(&fd);
}

void service_control_open(struct service *service)
{
    TAILQ_INIT(&service->controls.all);
}

void service_control_close(struct service *service)
{
    struct service_control *control;

    while ((control = TAILQ_FIRST(&service->controls.all)) != NULL) {
        close_control(control);
    }
}
