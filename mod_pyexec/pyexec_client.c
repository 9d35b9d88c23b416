/* SPDX-License-Identifier: Apache-2.0
 *
 * One conversation with the helper. Runs in a worker thread as httpd's User.
 * Trusts the helper with nothing: sizes are compared to the type's maximum
 * before memory is taken, and the whole frame is checked before it is used.
 *
 * The wait is one poll of three: the helper, the client (gone?), and the stop
 * descriptor of this child. The question is sent in the same loop, because a
 * helper that is busy answers before it has read a long question.
 */
#include "pyexec_client.h"

#include "pyexec_buffer.h"
#include "pyexec_child.h"

#include <apr_portable.h>
#include <apr_time.h>
#include <errno.h>
#include <http_core.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* HELLO, the question, GO. */
#define PARTS 3

/* An HTTP/2 stream has no socket of its own to poll; its abort is a flag. */
#define STREAM_STEP_MS 200

typedef struct talk_t
{
    request_rec *r;
    int fd;
    int client_fd;  /* -1: look at the flag instead */
    struct iovec parts[PARTS];
    apr_size_t sent;
    apr_size_t total;
    int send_failed;
    unsigned char go[PXW_HEADER_BYTES];
    unsigned char head[PXW_HEADER_BYTES];
    apr_size_t head_size;
    pyexec_buffer_t *body;
    apr_size_t body_size;
    struct pxw_header header;
    uint16_t want;
    int error;
} talk_t;

enum { GO_ON = -1 };  /* beside pyexec_client_end_e: no end yet */

static apr_status_t close_fd(void *data)
{
    (void)close((int)(intptr_t)data); /* nothing that could be lost */
    return APR_SUCCESS;
}

static apr_status_t free_writer(void *data)
{
    pxw_writer_free(data);
    return APR_SUCCESS;
}

/* End, or GO_ON with talk->fd connected and owned by the pool. */
static int connect_helper(talk_t *talk, apr_pool_t *pool)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = pyexec_child_helper_path();

    if (path == NULL || strlen(path) >= sizeof(address.sun_path)) {
        talk->error = ENOENT;
        return PYEXEC_NOT_BEGUN;
    }
    memcpy(address.sun_path, path, strlen(path));
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (talk->fd < 0) {
        talk->error = errno;
        return PYEXEC_NOT_BEGUN;
    }
    apr_pool_cleanup_register(pool, (void *)(intptr_t)talk->fd, close_fd,
                              apr_pool_cleanup_null);
    if (connect(talk->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        talk->error = errno;
        /* EAGAIN: the backlog is full; waiting is the client's business. */
        return errno == EAGAIN ? PYEXEC_CROWDED : PYEXEC_NOT_BEGUN;
    }
    return GO_ON;
}

/* Sends what the socket takes. A failure is no end yet: an answer that came
 * first may be waiting to be read. */
static void send_some(talk_t *talk)
{
    while (talk->sent < talk->total && !talk->send_failed) {
        struct iovec rest[PARTS];
        struct msghdr message = { .msg_iov = rest };
        apr_size_t skip = talk->sent;
        ssize_t n;

        for (int i = 0; i < PARTS; i++) {
            struct iovec *part = &rest[message.msg_iovlen];

            if (skip >= talk->parts[i].iov_len) {
                skip -= talk->parts[i].iov_len;
                continue;
            }
            part->iov_base = (char *)talk->parts[i].iov_base + skip;
            part->iov_len = talk->parts[i].iov_len - skip;
            skip = 0;
            message.msg_iovlen++;
        }
        n = sendmsg(talk->fd, &message, MSG_NOSIGNAL);
        if (n >= 0) {
            talk->sent += (apr_size_t)n;
        }
        else if (errno == EAGAIN) {
            return;
        }
        else if (errno != EINTR) {
            talk->send_failed = 1;
            talk->error = errno;
        }
    }
}

/* What the helper leaving means depends on how much it had been told, and had
 * read: ECONNRESET says that bytes of ours, and be it GO, were left. */
static int ended(const talk_t *talk)
{
    return talk->head_size == 0
               && (talk->sent < talk->total || talk->error == ECONNRESET)
           ? PYEXEC_NOT_BEGUN : PYEXEC_ENDED;
}

static int take_header(talk_t *talk)
{
    int error = pxw_get_header(talk->head, &talk->header);
    char *room;

    if (error == -EPROTONOSUPPORT) {
        return PYEXEC_OTHER_VERSION;
    }
    if (error != 0 || (talk->header.type != talk->want
                       && talk->header.type != PXW_UNSERVED)) {
        return PYEXEC_MALFORMED;
    }
    talk->body = pyexec_buffer_make(talk->r->pool);
    room = pyexec_buffer_extend(talk->body, (apr_size_t)talk->header.length + 1);
    if (room == NULL) {
        talk->error = ENOMEM;
        return PYEXEC_MALFORMED;
    }
    return talk->header.length == 0 ? PYEXEC_ANSWERED : GO_ON;
}

/* Reads what is there: exactly one frame, never ahead. */
static int receive_some(talk_t *talk)
{
    for (;;) {
        int in_head = talk->head_size < sizeof(talk->head);
        char *to = in_head ? (char *)talk->head + talk->head_size
                           : talk->body->data + talk->body_size;
        apr_size_t room = in_head ? sizeof(talk->head) - talk->head_size
                                  : talk->header.length - talk->body_size;
        ssize_t n = recv(talk->fd, to, room, 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return GO_ON;
        }
        if (n <= 0) {
            talk->error = n < 0 ? errno : 0;
            return ended(talk);
        }
        if (!in_head) {
            talk->body_size += (apr_size_t)n;
            if (talk->body_size == talk->header.length) {
                return PYEXEC_ANSWERED;
            }
            continue;
        }
        talk->head_size += (apr_size_t)n;
        if (talk->head_size == sizeof(talk->head)) {
            int end = take_header(talk);

            if (end != GO_ON) {
                return end;
            }
        }
    }
}

static int converse(talk_t *talk, apr_time_t deadline)
{
    conn_rec *c = talk->r->connection;

    for (;;) {
        struct pollfd fds[3] = {
            { .fd = talk->fd, .events = POLLIN },
            { .fd = pyexec_child_stop_fd(), .events = POLLIN },
            /* Not POLLIN: the next request of a pipeline may be there. */
            { .fd = talk->client_fd, .events = POLLRDHUP },
        };
        apr_interval_time_t left = deadline - apr_time_now();
        int end;

        if (left <= 0) {
            return PYEXEC_OVERDUE;
        }
        left = (left + 999) / 1000;
        if (talk->client_fd < 0 && left > STREAM_STEP_MS) {
            left = STREAM_STEP_MS;
        }
        if (talk->sent < talk->total && !talk->send_failed) {
            fds[0].events |= POLLOUT;
        }
        if (poll(fds, 3, (int)left) < 0 && errno != EINTR) {
            talk->error = errno;
            return PYEXEC_ENDED;
        }
        /* First: the client's descriptor is closed by now, and its number
         * may belong to another. */
        if (fds[1].revents & POLLIN) {
            return PYEXEC_STOPPING;
        }
        if (fds[0].revents & POLLOUT) {
            send_some(talk);
        }
        if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)
            || talk->send_failed) {
            end = receive_some(talk);
            if (end != GO_ON) {
                return end;
            }
            if (talk->send_failed) {
                return ended(talk);
            }
        }
        if (c->aborted
            || fds[2].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) {
            return PYEXEC_CLIENT_LEFT;
        }
    }
}

static int client_socket(const request_rec *r)
{
    apr_socket_t *socket;
    apr_os_sock_t fd;

    if (r->connection->master != NULL) {
        return -1;
    }
    socket = ap_get_conn_socket(r->connection);
    return socket != NULL && apr_os_sock_get(&fd, socket) == APR_SUCCESS
               ? fd : -1;
}

static int add_hello(talk_t *talk, apr_pool_t *pool)
{
    struct pxw_writer *hello = apr_pcalloc(pool, sizeof(*hello));

    apr_pool_cleanup_register(pool, hello, free_writer, apr_pool_cleanup_null);
    pxw_begin(hello, PXW_HELLO);
    pxw_put_bytes(hello, PXW_F_TOKEN, pyexec_child_token(), PXW_TOKEN_BYTES);
    if (pxw_end(hello) != 0) {
        talk->error = ENOMEM;
        return PYEXEC_NOT_BEGUN;
    }
    talk->parts[0] = (struct iovec){ hello->data, hello->size };
    return GO_ON;
}

static void add_question(talk_t *talk, const struct pxw_writer *question)
{
    talk->parts[1] = (struct iovec){ question->data, question->size };
    if (talk->want == PXW_OUTCOME) {
        pxw_put_header(talk->go, PXW_GO, 0);
        talk->parts[2] = (struct iovec){ talk->go, sizeof(talk->go) };
    }
    for (int i = 0; i < PARTS; i++) {
        talk->total += talk->parts[i].iov_len;
    }
}

pyexec_client_end_e pyexec_client_ask(request_rec *r,
                                      const struct pxw_writer *question,
                                      uint16_t want, apr_int64_t deadline_ms,
                                      struct pxw_message *ret_answer,
                                      int *ret_error)
{
    apr_time_t deadline = apr_time_now() + deadline_ms * 1000;
    talk_t talk = { .r = r, .fd = -1, .client_fd = client_socket(r),
                    .want = want };
    apr_pool_t *pool;
    int end;

    apr_pool_create(&pool, r->pool);
    end = connect_helper(&talk, pool);
    if (end == GO_ON) {
        end = add_hello(&talk, pool);
    }
    if (end == GO_ON) {
        add_question(&talk, question);
        send_some(&talk);
        end = converse(&talk, deadline);
    }
    apr_pool_destroy(pool); /* closes the connection */
    if (end == PYEXEC_ANSWERED) {
        end = pxw_parse(talk.header.type, (const uint8_t *)talk.body->data,
                        talk.header.length, ret_answer) != 0 ? PYEXEC_MALFORMED
              : talk.header.type == PXW_UNSERVED ? PYEXEC_UNSERVED
                                                 : PYEXEC_ANSWERED;
    }
    *ret_error = talk.error;
    return (pyexec_client_end_e)end;
}

const char *pyexec_client_end_text(pyexec_client_end_e end)
{
    switch (end) {
    case PYEXEC_ANSWERED:
        return "answered";
    case PYEXEC_NOT_BEGUN:
        return "the helper could not be reached";
    case PYEXEC_CROWDED:
        return "the helper's socket has no room for another connection";
    case PYEXEC_ENDED:
        return "the helper ended the conversation without an answer";
    case PYEXEC_OVERDUE:
        return "the helper did not answer in time";
    case PYEXEC_MALFORMED:
        return "the helper's answer breaks the protocol";
    case PYEXEC_OTHER_VERSION:
        return "the helper speaks another version of the protocol: module "
               "and helper must be of the same release";
    case PYEXEC_UNSERVED:
        return "nobody serves runs now";
    case PYEXEC_CLIENT_LEFT:
        return "the client left";
    case PYEXEC_STOPPING:
        return "httpd stops";
    }
    return "unknown";
}
