/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling the service how it is to serve; see the header. Runs in the httpd
 * parent, as root where httpd was started by root.
 *
 * The connection on which the set-up was sent stays open: its end tells the
 * service that httpd is gone, and httpd that the service is. A service that
 * comes back has its set-up from its own file; it is sent again all the same,
 * for that file may be lost, and the same once more changes nothing there.
 *
 * While there is nobody who took the set-up children do not even try: requests
 * are answered 503 at once.
 */
#include "pyexec_service.h"

#include "pyexec_child.h"
#include "pyexec_setup.h"
#include "pyexec_socket.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <http_core.h>
#include <http_log.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

APLOG_USE_MODULE(pyexec);

/* As in pyexec_helper.c: changes with the layout. */
#define RETAINED "pyexec-service-1"
#define PREFIX "unix:"
#define SPAWN "spawn"

/* The service takes a set-up within milliseconds; its parent's loop waits. */
#define DEADLINE_MS 2000
#define PROBLEM_BYTES 512

typedef struct retained_t
{
    pid_t owner;   /* the parent: a forked child must touch nothing */
    int connection; /* -1: nobody has our set-up */
    apr_uint64_t generation;
    char path[PYEXEC_SOCKET_PATH_BYTES]; /* empty: not used */
    unsigned char token[PXW_TOKEN_BYTES];
    char problem[PROBLEM_BYTES]; /* as it was logged last */
    int *paused; /* shared with the children, as in pyexec_helper.c */
} retained_t;

static retained_t *retained;

const char *pyexec_service_path(const pyexec_global_t *global)
{
    return strncmp(global->helper, PREFIX, strlen(PREFIX)) == 0
               ? global->helper + strlen(PREFIX) : NULL;
}

const char *pyexec_service_problem(apr_pool_t *pool, const char *text)
{
    const char *path = text + strlen(PREFIX);
    const apr_size_t most = PYEXEC_SOCKET_PATH_BYTES
                            - sizeof(PYEXEC_CONTROL_SUFFIX);

    if (strcmp(text, SPAWN) == 0) {
        return NULL;
    }
    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0) {
        return apr_psprintf(pool, "'%s' is neither spawn nor unix:/path", text);
    }
    if (path[0] != '/' || path[strlen(path) - 1] == '/') {
        return apr_psprintf(pool, "'%s' is not an absolute path of a socket",
                            path);
    }
    return strlen(path) > most
               ? apr_psprintf(pool, "'%s' has more than %" APR_SIZE_T_FMT
                              " bytes, which a socket cannot have when its "
                              "control socket is called the same with "
                              PYEXEC_CONTROL_SUFFIX, path, most)
               : NULL;
}

static void hang_up(void)
{
    if (retained->connection >= 0) {
        (void)close(retained->connection); /* nothing is ever lost in it */
        retained->connection = -1;
    }
}

/* NULL, or what is wrong. */
static const char *wait_for(int fd, short events, apr_time_t deadline)
{
    struct pollfd wanted = { .fd = fd, .events = events };
    apr_interval_time_t left;
    int ready;

    do {
        left = deadline - apr_time_now();
        ready = left <= 0 ? 0 : poll(&wanted, 1, (int)(left / 1000) + 1);
    } while (ready < 0 && errno == EINTR);
    return ready > 0    ? NULL
           : ready == 0 ? "it does not answer in time"
                        : strerror(errno);
}

static const char *send_all(int fd, const unsigned char *data, apr_size_t size,
                            apr_time_t deadline)
{
    const char *problem = NULL;

    while (size > 0 && problem == NULL) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n > 0) {
            data += n;
            size -= (apr_size_t)n;
        }
        else if (errno == EAGAIN) {
            problem = wait_for(fd, POLLOUT, deadline);
        }
        else if (errno != EINTR) {
            return NULL; /* what it has to say about that is to be read */
        }
    }
    return problem;
}

static const char *receive_all(int fd, void *data, apr_size_t size,
                               apr_time_t deadline)
{
    char *at = data;

    while (size > 0) {
        const char *problem = wait_for(fd, POLLIN, deadline);
        ssize_t n = problem != NULL ? -1 : recv(fd, at, size, 0);

        if (problem != NULL) {
            return problem;
        }
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
            return n == 0 ? "it hangs up" : strerror(errno);
        }
        if (n > 0) {
            at += n;
            size -= (apr_size_t)n;
        }
    }
    return NULL;
}

/* SETUP_IS: NULL when it took ours. */
static const char *read_answer(apr_pool_t *pool, int fd, apr_time_t deadline)
{
    unsigned char head[PXW_HEADER_BYTES];
    const char *problem = receive_all(fd, head, sizeof(head), deadline);
    struct pxw_header header = { 0 };
    struct pxw_message answer;
    const struct pxw_field *text;
    unsigned char *body;
    int error;

    if (problem != NULL) {
        return problem;
    }
    error = pxw_get_header(head, &header);
    if (error == -EPROTONOSUPPORT) {
        return "it speaks another version of the protocol: module and service "
               "must be of the same release";
    }
    if (error != 0 || header.type != PXW_SETUP_IS) {
        return "its answer breaks the protocol";
    }
    body = apr_palloc(pool, header.length + 1);
    problem = receive_all(fd, body, header.length, deadline);
    if (problem != NULL) {
        return problem;
    }
    if (pxw_parse(PXW_SETUP_IS, body, header.length, &answer) != 0) {
        return "its answer breaks the protocol";
    }
    text = &answer.field[PXW_F_TEXT];
    return pxw_u32(&answer, PXW_F_READY, 0) == 1 ? NULL
           : text->data == NULL
               ? "it refuses the set-up"
               : apr_psprintf(pool, "it refuses the set-up: %s",
                              ap_escape_logitem(pool, apr_pstrmemdup(
                                  pool, (const char *)text->data,
                                  text->size)));
}

static const char *dial(apr_pool_t *pool, const char *path, int *ret_fd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    if (fd < 0
        || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        const char *problem = apr_psprintf(pool, "cannot connect to '%s': %s",
                                           path, strerror(errno));

        if (fd >= 0) {
            (void)close(fd); /* it never was connected */
        }
        return problem;
    }
    *ret_fd = fd;
    return NULL;
}

static const char *announce(apr_pool_t *pool)
{
    apr_time_t deadline = apr_time_now() + DEADLINE_MS * 1000;
    struct pxw_writer frame = { 0 };
    const char *problem = NULL;
    int fd = -1;

    if (pyexec_setup_build(&frame, retained->token, retained->generation)) {
        problem = "the set-up is too large";
    }
    if (problem == NULL) {
        problem = dial(pool, apr_pstrcat(pool, retained->path,
                                         PYEXEC_CONTROL_SUFFIX, NULL), &fd);
    }
    if (problem == NULL) {
        problem = send_all(fd, frame.data, frame.size, deadline);
    }
    pyexec_setup_free(&frame);
    if (problem == NULL) {
        problem = read_answer(pool, fd, deadline);
    }
    if (problem == NULL) {
        retained->connection = fd;
    }
    else if (fd >= 0) {
        (void)close(fd); /* it was of no use */
    }
    return problem;
}

/* The old connection is given up only now: whoever inherited it is no owner. */
static void try_to_announce(server_rec *s)
{
    const char *problem;
    apr_pool_t *pool;
    int former = retained->connection;

    retained->connection = -1;
    apr_pool_create(&pool, s->process->pool);
    problem = announce(pool);
    if (former >= 0) {
        (void)close(former); /* as in hang_up() */
    }
    *retained->paused = problem != NULL;
    if (problem == NULL) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                     PYXNO(0111) "the service at '%s' has taken the set-up",
                     retained->path);
    }
    else if (strncmp(problem, retained->problem, PROBLEM_BYTES - 1) != 0) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                     PYXNO(0112) "the service at '%s' cannot be used, runs get "
                     "503 until it can: %s", retained->path, problem);
    }
    apr_cpystrn(retained->problem, problem == NULL ? "" : problem,
                PROBLEM_BYTES);
    apr_pool_destroy(pool);
}

/* NULL, or what there is not enough of. */
static const char *make_retained(void)
{
    unsigned char token[PXW_TOKEN_BYTES];
    void *page;

    retained = ap_retained_data_get(RETAINED);
    if (retained != NULL) {
        return NULL;
    }
    if (apr_generate_random_bytes(token, sizeof(token))) {
        return "no random bytes for a token";
    }
    page = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return "no memory to share with httpd's children";
    }
    retained = ap_retained_data_create(RETAINED, sizeof(*retained));
    retained->connection = -1;
    retained->owner = getpid();
    retained->paused = page;
    retained->generation = (apr_uint64_t)apr_time_now();
    memcpy(retained->token, token, sizeof(token));
    return NULL;
}

void pyexec_service_use(server_rec *s, const char *path)
{
    const char *problem;

    if (path == NULL) {
        retained = ap_retained_data_get(RETAINED);
        if (retained != NULL) {
            hang_up();
            *retained->paused = 1; /* for children that are still there */
            retained->path[0] = '\0';
        }
        return;
    }
    problem = make_retained();
    if (problem != NULL) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                     PYXNO(0114) "the service cannot be used: there is %s",
                     problem);
        return;
    }
    apr_cpystrn(retained->path, path, sizeof(retained->path));
    retained->problem[0] = '\0'; /* to be told once in each configuration */
    retained->generation++;
    pyexec_child_know(&(pyexec_endpoint_t){ .path = retained->path,
                                            .token = retained->token,
                                            .paused = retained->paused });
    try_to_announce(s);
}

void pyexec_service_look(server_rec *s)
{
    struct pollfd gone = { .events = POLLIN };

    if (retained == NULL || retained->path[0] == '\0') {
        return;
    }
    gone.fd = retained->connection;
    if (retained->connection >= 0) {
        if (poll(&gone, 1, 0) == 0) {
            return; /* it never says anything */
        }
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     PYXNO(0113) "the service at '%s' has hung up",
                     retained->path);
        hang_up();
    }
    try_to_announce(s);
}

void pyexec_service_let_go(void)
{
    if (retained != NULL && getpid() != retained->owner) {
        hang_up(); /* the parent's */
    }
}
