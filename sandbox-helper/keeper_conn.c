/* SPDX-License-Identifier: Apache-2.0
 *
 * One client connection: token, one request, one answer. Runs in the keeper.
 * Any local process that may open the socket can be at the other end, so
 * until the token was shown nothing but its 32 bytes is looked at; whoever
 * breaks a rule is closed without an answer.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_conn.h"

#include "cleanup.h"
#include "fdio.h"
#include "keeper.h"
#include "keeper_request.h"
#include "keeper_status.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>

/* The module sends HELLO and RUN in one go, right after it connected. */
#define HELLO_TIMEOUT_S 5
#define REQUEST_TIMEOUT_S 30
#define ANSWER_TIMEOUT_S 30
/* Reads in one turn of the loop before others have theirs. */
#define READS_PER_WAKE 16

enum state
{
    CONN_GREETING,   /* HELLO is expected */
    CONN_ASKING,     /* then RUN, STATUS or METRICS */
    CONN_READY,      /* GO is expected; it is looked at, not read */
    CONN_WAITING,    /* for the outcome */
    CONN_ANSWERING,
};

struct keeper_conn
{
    TAILQ_ENTRY(keeper_conn) link;
    struct keeper *keeper;
    int fd;
    enum state state;
    struct event io;
    struct event writable;
    struct event deadline;

    struct keeper_request request;
    struct keeper_run run;
    bool half;  /* a part of GO is there */
    bool begun; /* GO was read */
    struct pxw_writer answer;
    size_t answered;
};

/* True: go on reading; false: the connection may be gone. */
typedef bool request_handler(struct keeper_conn *conn);

static request_handler on_hello;
static request_handler on_run;
static request_handler on_status;
static request_handler on_metrics;
static void on_io(evutil_socket_t fd, short what, void *argument);

/* What may be asked when; anything else is a violation. */
static const struct rule
{
    enum state state;
    uint16_t type;
    request_handler *handle;
} requests[] = {
    { .state = CONN_GREETING, .type = PXW_HELLO, .handle = on_hello },
    { .state = CONN_ASKING, .type = PXW_RUN, .handle = on_run },
    { .state = CONN_ASKING, .type = PXW_STATUS, .handle = on_status },
    { .state = CONN_ASKING, .type = PXW_METRICS, .handle = on_metrics },
};

static const struct rule *find_request(const struct keeper_conn *conn)
{
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (requests[i].state == conn->state
            && requests[i].type == conn->request.header.type) {
            return &requests[i];
        }
    }
    return NULL;
}

static void close_conn(struct keeper_conn *conn)
{
    struct keeper *keeper = conn->keeper;

    if (conn->state == CONN_WAITING) {
        keeper_run_cancel(&conn->run);
    }
    (void)event_del(&conn->io);
    (void)event_del(&conn->writable);
    (void)event_del(&conn->deadline);
    cleanup_fd(&conn->fd);
    keeper_request_reset(&conn->request);
    if (conn->state == CONN_ANSWERING) {
        keeper_release(keeper, conn->answer.capacity);
    }
    pxw_writer_free(&conn->answer);
    TAILQ_REMOVE(&keeper->conns, conn, link);
    keeper->conn_count--;
    free(conn);
    keeper_conn_closed(keeper);
}

/* One line a second: who may connect may do so thousands of times. */
static void complain(const char *what)
{
    static uint64_t last_us;
    static unsigned silent;
    uint64_t now_us = fdio_now_us();

    if (last_us != 0 && now_us - last_us < 1000000u) {
        silent++;
        return;
    }
    log_line(LOG_LEVEL_WARNING, 330,
             "closed a connection: %s (%u more since the last message)", what,
             silent);
    last_us = now_us;
    silent = 0;
}

static void refuse(struct keeper_conn *conn, const char *what)
{
    complain(what);
    close_conn(conn);
}

/* False: no timer, and nothing may wait without one. */
static bool set_deadline(struct keeper_conn *conn, int seconds)
{
    struct timeval wait = { .tv_sec = seconds };

    return evtimer_add(&conn->deadline, &wait) == 0;
}

static void on_deadline(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_conn *conn = argument;

    (void)fd;
    (void)what;
    refuse(conn, conn->state == CONN_ANSWERING
                     ? "the answer was not read in time"
                     : "the request was not complete in time");
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_conn *conn = argument;
    struct pxw_writer *answer = &conn->answer;
    ssize_t count;

    (void)what;
    /* SIGPIPE is ignored in the whole keeper. */
    count = fdio_write((int)fd, answer->data + conn->answered,
                       answer->size - conn->answered);
    if (count > 0) {
        conn->answered += (size_t)count;
    }
    if ((count <= 0 && count != -EAGAIN) || conn->answered == answer->size
        || event_add(&conn->writable, NULL) != 0) {
        close_conn(conn);
    }
}

/* Takes the answer over and sends what fits at once. The request's bytes are
 * no longer needed; the answer's are counted, so that slow readers make new
 * runs wait, but no answer is ever refused for want of room. */
static void send_answer(struct keeper_conn *conn, struct pxw_writer *answer)
{
    (void)event_del(&conn->io);
    keeper_request_reset(&conn->request);
    conn->state = CONN_ANSWERING;
    conn->answer = *answer;
    *answer = (struct pxw_writer){ 0 };
    conn->keeper->held_bytes += conn->answer.capacity;
    if (conn->answer.error != 0 || !set_deadline(conn, ANSWER_TIMEOUT_S)) {
        log_line(LOG_LEVEL_ERROR, 331, "cannot answer: %s",
                 strerror(conn->answer.error != 0 ? -conn->answer.error
                                                  : ENOMEM));
        close_conn(conn);
        return;
    }
    on_writable(conn->fd, EV_WRITE, conn);
}

static void on_done(struct keeper_run *run, struct pxw_writer *answer)
{
    send_answer((struct keeper_conn *)((char *)run
                                       - offsetof(struct keeper_conn, run)),
                answer);
}

/* Differs in time only by what is not secret. */
static bool same_token(const uint8_t *left, const uint8_t *right)
{
    volatile uint8_t difference = 0;

    for (size_t i = 0; i < PXW_TOKEN_BYTES; i++) {
        difference |= left[i] ^ right[i];
    }
    return difference == 0;
}

static bool on_hello(struct keeper_conn *conn)
{
    struct pxw_message message;
    bool known;

    if (conn->request.discard
        || pxw_parse(PXW_HELLO, conn->request.frame + PXW_HEADER_BYTES,
                     conn->request.header.length, &message) != 0) {
        refuse(conn, conn->request.discard ? "no memory for HELLO"
                                           : "malformed HELLO");
        return false;
    }
    known = same_token(message.field[PXW_F_TOKEN].data,
                       conn->keeper->conf->token);
    explicit_bzero(conn->request.frame + PXW_HEADER_BYTES,
                   conn->request.header.length);
    if (!known || !set_deadline(conn, REQUEST_TIMEOUT_S)) {
        refuse(conn, known ? "no timer" : "wrong token");
        return false;
    }
    keeper_request_reset(&conn->request);
    conn->state = CONN_ASKING;
    return true;
}

/* From here on the end of this process tells the module that the run may have
 * begun; see GO in wire.h. */
static void on_begin(struct keeper_run *run)
{
    struct keeper_conn *conn = (struct keeper_conn *)(
        (char *)run - offsetof(struct keeper_conn, run));
    uint8_t go[PXW_HEADER_BYTES];

    if (!conn->begun) {
        /* look_for_go() has seen all of it. */
        (void)!fdio_read(conn->fd, go, sizeof(go));
        conn->begun = true;
    }
}

/* Waits for something else than before; false: the connection is gone. */
static bool watch(struct keeper_conn *conn, short what)
{
    (void)event_del(&conn->io);
    if (event_assign(&conn->io, conn->keeper->base, conn->fd,
                     what | EV_PERSIST, on_io, conn) != 0
        || event_add(&conn->io, NULL) != 0) {
        refuse(conn, "no memory");
        return false;
    }
    return true;
}

/* The frame may be on its way still: only when the module has sent all of it
 * can the run be admitted, for the module takes what it has not sent as proof
 * that nothing began. The part that is there is not read, so from then on only
 * what comes in addition may wake us. */
static void look_for_go(struct keeper_conn *conn)
{
    uint8_t go[PXW_HEADER_BYTES];
    struct pxw_header header;
    ssize_t count = recv(conn->fd, go, sizeof(go), MSG_PEEK);

    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (count <= 0) {
        close_conn(conn);
    }
    else if (count == (ssize_t)sizeof(go)) {
        if (pxw_get_header(go, &header) != 0 || header.type != PXW_GO
            || header.length != 0) {
            refuse(conn, "its run is not followed by GO");
            return;
        }
        if (conn->half && !watch(conn, EV_READ)) {
            return;
        }
        (void)event_del(&conn->deadline); /* the queue has its own */
        conn->state = CONN_WAITING;
        keeper_queue_admit(&conn->run);
    }
    else if (!conn->half) {
        conn->half = true;
        (void)watch(conn, EV_READ | EV_ET);
    }
}

static bool on_run(struct keeper_conn *conn)
{
    struct keeper_run *run = &conn->run;
    const struct pxw_field *name = &run->message.field[PXW_F_POOL];

    run->keeper = conn->keeper;
    run->begin = on_begin;
    run->done = on_done;
    run->admitted_us = fdio_now_us();
    run->frame = conn->request.frame;
    run->frame_bytes = PXW_HEADER_BYTES + (size_t)conn->request.header.length;
    conn->state = CONN_READY;
    if (conn->request.discard) {
        keeper_run_refuse(run, KEEPER_REFUSED_BYTES);
        return false;
    }
    if (pxw_parse(PXW_RUN, conn->request.frame + PXW_HEADER_BYTES,
                  conn->request.header.length, &run->message) != 0) {
        refuse(conn, "malformed RUN");
        return false;
    }
    run->pool = keeper_find_pool(conn->keeper, name->data, name->size);
    if (run->pool == NULL) {
        /* It went with a restart, which the one who asks has begun before. */
        keeper_run_finish(run, PXW_LOST, "the helper has no such pool");
        return false;
    }
    look_for_go(conn);
    return false;
}

static bool on_status(struct keeper_conn *conn)
{
    CLEANUP(pxw_writer_free) struct pxw_writer answer = { 0 };

    keeper_status_write(conn->keeper, &answer);
    send_answer(conn, &answer);
    return false;
}

static bool on_metrics(struct keeper_conn *conn)
{
    CLEANUP(pxw_writer_free) struct pxw_writer answer = { 0 };

    keeper_status_write_metrics(conn->keeper, &answer);
    send_answer(conn, &answer);
    return false;
}

/* The header is complete: is it one that may come now? */
static bool take_header(struct keeper_conn *conn)
{
    int error = pxw_get_header(conn->request.head, &conn->request.header);

    if (error == -EPROTONOSUPPORT) {
        keeper_status_tell_version(conn->fd);
    }
    if (error != 0) {
        refuse(conn, error == -EPROTONOSUPPORT
                         ? "it speaks another version of the protocol"
                     : error == -EMSGSIZE ? "its frame is too long"
                                          : "it does not speak our protocol");
        return false;
    }
    if (find_request(conn) == NULL) {
        refuse(conn, "its frame may not come now");
        return false;
    }
    return true;
}

static void read_request(struct keeper_conn *conn)
{
    for (int i = 0; i < READS_PER_WAKE; i++) {
        bool go_on = true;

        switch (keeper_request_read(&conn->request, conn->fd)) {
        case KEEPER_REQUEST_LATER:
            return;
        case KEEPER_REQUEST_GONE:
            /* A probe connects and leaves: nothing to complain about. */
            close_conn(conn);
            return;
        case KEEPER_REQUEST_PART:
            break;
        case KEEPER_REQUEST_HEADER:
            go_on = take_header(conn);
            break;
        case KEEPER_REQUEST_WHOLE:
            go_on = find_request(conn)->handle(conn);
            break;
        }
        if (!go_on) {
            return;
        }
    }
}

static void on_io(evutil_socket_t fd, short what, void *argument)
{
    struct keeper_conn *conn = argument;
    uint8_t byte;
    ssize_t count;

    if (conn->state == CONN_READY) {
        look_for_go(conn);
        return;
    }
    if (conn->state != CONN_WAITING) {
        read_request(conn);
        return;
    }
    if ((what & EV_CLOSED) != 0) {
        close_conn(conn); /* as below */
        return;
    }
    if (!conn->begun) {
        /* GO stays unread while the run waits: from now on only its client's
         * leaving is of interest. */
        (void)watch(conn, EV_CLOSED);
        return;
    }
    count = fdio_read((int)fd, &byte, sizeof(byte));
    if (count > 0) {
        refuse(conn, "it sent more than one request");
    }
    else if (count != -EAGAIN) {
        close_conn(conn); /* the client is gone: cancels the run */
    }
}

static void log_peer(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    /* For the reader of the log only: modules change httpd's uid for each
     * request, so that it proves nothing either way. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
        log_line(LOG_LEVEL_DEBUG, 332, "connection of process %d, user %d",
                 (int)peer.pid, (int)peer.uid);
    }
}

void keeper_conn_open(struct keeper *keeper, int fd)
{
    struct keeper_conn *conn = calloc(1, sizeof(*conn));
    CLEANUP_FD int owned = fd;

    if (conn == NULL) {
        complain("no memory");
        return;
    }
    if (keeper->conf->debug) {
        log_peer(fd);
    }
    conn->keeper = keeper;
    conn->request.keeper = keeper;
    conn->fd = steal_fd(&owned);
    TAILQ_INSERT_TAIL(&keeper->conns, conn, link);
    keeper->conn_count++;
    if (event_assign(&conn->io, keeper->base, fd, EV_READ | EV_PERSIST, on_io,
                     conn) != 0
        || event_assign(&conn->writable, keeper->base, fd, EV_WRITE,
                        on_writable, conn) != 0
        || evtimer_assign(&conn->deadline, keeper->base, on_deadline, conn)
               != 0
        || event_add(&conn->io, NULL) != 0
        || !set_deadline(conn, HELLO_TIMEOUT_S)) {
        refuse(conn, "no memory");
        return;
    }
    read_request(conn);
}

bool keeper_conn_evict(struct keeper *keeper)
{
    struct keeper_conn *conn;

    TAILQ_FOREACH(conn, &keeper->conns, link) {
        if (conn->state == CONN_GREETING) {
            refuse(conn, "too many connections that say nothing");
            return true;
        }
    }
    return false;
}

void keeper_conn_close_all(struct keeper *keeper)
{
    struct keeper_conn *conn;

    while ((conn = TAILQ_FIRST(&keeper->conns)) != NULL) {
        close_conn(conn);
    }
}
