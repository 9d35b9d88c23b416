/* SPDX-License-Identifier: Apache-2.0
 *
 * Theory of the service
 *
 * By default httpd starts the keeper. Where something else shall (a service
 * manager, which can delegate a cgroup, confine it with its own means, and let
 * it outlive httpd), `pyexecd --service` stands in httpd's place:
 *
 *   httpd's parent ──control socket──> supervisor ──fork, exec──> keeper
 *        SETUP, then silence             │  lifeline: the same SETUP   │
 *   httpd's workers ──────────runs socket (listening, common)─────────>┘
 *
 * The supervisor listens on both sockets and accepts on one: runs are accepted
 * by the keeper, as ever. It starts a keeper for each set-up that comes, drains
 * the one before, and starts another when one dies; all as pyexec_helper.c
 * does it in httpd, whose rules these are.
 *
 * Nobody waits for nothing: while there is no keeper nor about to be one (no
 * set-up yet; it crashes again and again), the supervisor itself accepts on
 * the runs socket, says so (UNSERVED) without reading a byte, and closes.
 *
 * The last set-up is kept in a file (service_store.c): a service that was
 * killed, upgraded or restarted serves again without httpd, whose workers go
 * on using the token that is in there.
 *
 * Rights: the supervisor keeps those it was started with, like httpd's parent;
 * a keeper that it starts as root drops them before it reads anything.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_conf.h"
#include "log.h"
#include "service_conf.h"
#include "service_notify.h"
#include "service_store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Refused in one turn of the loop before others have theirs. */
#define REFUSALS_PER_WAKE 64
/* Until descriptors or memory are there again, and between two lines about it. */
#define AGAIN_MS 100
#define TELL_EVERY_US 10000000u
#define CONTROL_MODE 0600
/* Where the mode cannot keep others out, the peer's user does. */
#define CONTROL_MODE_OF_OTHERS 0666

/* What is told to runs, and why. */
static enum pxw_unserved find_reason(const struct service *service,
                                     const char **ret_text)
{
    if (service->stopping) {
        *ret_text = "the service is being stopped";
        return PXW_UNSERVED_ENDING;
    }
    if (service->setup == NULL) {
        *ret_text = "the service has no set-up yet: httpd has not reached its"
                    " control socket";
        return PXW_UNSERVED_SETUP;
    }
    *ret_text = service->keepers.crowded
                    ? "too many of the service's keepers are still finishing"
                      " their last runs"
                    : "the service's keeper crashes; its own log tells why";
    return PXW_UNSERVED_CRASHED;
}

void service_tell(const struct service *service)
{
    service_notify(service->stopping ? "STOPPING=1\nSTATUS=ending"
                   : service->keepers.current != NULL
                       ? "STATUS=serving"
                   : service->setup == NULL
                       ? "STATUS=waiting for httpd to send its set-up"
                   : service->keepers.crowded
                       ? "STATUS=not serving: too many keepers are finishing"
                       : "STATUS=not serving: the keeper crashes");
}

/* Both sockets stay readable, and the loop would not rest. */
void service_accept_failed(struct service *service, int error)
{
    struct timeval wait = { .tv_usec = AGAIN_MS * 1000 };
    uint64_t now_us = fdio_now_us();

    if ((error != EMFILE && error != ENFILE && error != ENOMEM
         && error != ENOBUFS)
        || evtimer_add(&service->again, &wait) != 0) {
        return; /* whoever it was has left */
    }
    (void)event_del(&service->accepting);
    (void)event_del(&service->refusing);
    if (service->told_us == 0 || now_us - service->told_us >= TELL_EVERY_US) {
        service->told_us = now_us;
        log_line(LOG_LEVEL_WARNING, 620, "cannot accept: %s",
                 strerror(error));
    }
}

static void on_again(evutil_socket_t fd, short what, void *argument)
{
    struct service *service = argument;

    (void)fd;
    (void)what;
    if ((!service->stopping && event_add(&service->accepting, NULL) != 0)
        || (service->refuses && event_add(&service->refusing, NULL) != 0)) {
        service_accept_failed(service, ENOMEM);
    }
}

/* Takes what is in the backlog, and says no. */
static void on_refusing(evutil_socket_t fd, short what, void *argument)
{
    const char *text = NULL;
    enum pxw_unserved why = find_reason(argument, &text);
    CLEANUP(pxw_writer_free) struct pxw_writer frame = { 0 };

    (void)what;
    pxw_begin(&frame, PXW_UNSERVED);
    pxw_put_u32(&frame, PXW_F_REASON, why);
    pxw_put_str(&frame, PXW_F_TEXT, text);
    if (pxw_end(&frame) != 0) {
        return; /* no memory: they wait for the next turn */
    }
    for (int i = 0; i < REFUSALS_PER_WAKE; i++) {
        int client = accept4((int)fd, NULL, NULL,
                             SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (client < 0) {
            service_accept_failed(argument, errno);
            return;
        }
        /* The module reads what came before the end. */
        (void)!fdio_write(client, frame.data, frame.size);
        cleanup_fd(&client);
    }
}

void service_serving(struct service *service, bool serving)
{
    service->refuses = !serving;
    if (serving) {
        (void)event_del(&service->refusing);
    }
    else if (event_add(&service->refusing, NULL) != 0) {
        log_line(LOG_LEVEL_ERROR, 530, "cannot tell runs that nobody serves");
    }
    service_tell(service);
}

void service_keepers_gone(struct service *service)
{
    /* Fails only outside of the loop, which then ends anyway. */
    (void)event_base_loopbreak(service->base);
}

static void forget_setup(struct service *service)
{
    if (service->setup != NULL) {
        explicit_bzero(service->setup, service->setup_size);
        free(service->setup);
    }
    service->setup = NULL;
    service->setup_size = 0;
}

/* NULL, or what a keeper would say of it. */
static const char *judge_setup(const uint8_t *frame, size_t size)
{
    struct helper_conf conf = { .lifeline = -1 };
    struct pxw_header header;
    const char *mistake = NULL;
    /* Looked for anew, as the keeper will do: there may be more by now. */
    int pythons = helper_pythons_open(&conf.pythons, STDERR_FILENO + 1);
    int error = size < PXW_HEADER_BYTES ? -EBADMSG
                                        : pxw_get_header(frame, &header);

    if (error == 0 && (header.type != PXW_SETUP
                       || header.length != size - PXW_HEADER_BYTES)) {
        error = -EBADMSG;
    }
    if (error == 0 && pythons != 0) {
        error = pythons;
        mistake = "there is no \"pyexec-zygote\" beside pyexecd";
    }
    if (error == 0) {
        error = helper_conf_read(&conf, frame + PXW_HEADER_BYTES,
                                 header.length, &mistake);
    }
    helper_pythons_close(&conf.pythons);
    helper_conf_free(&conf);
    return error == 0        ? NULL
           : mistake != NULL ? mistake
                             : "the set-up is not to be understood: module and"
                               " service must be of the same release";
}

static void keep_setup(const struct service *service)
{
    const char *path = service->conf->state_path;
    int error = path == NULL ? 0
                             : service_store_save(path, service->setup,
                                                  service->setup_size);

    if (error != 0) {
        log_line(LOG_LEVEL_WARNING, 531, "cannot keep the set-up in \"%s\":"
                 " %s; a service that is started again waits for httpd", path,
                 strerror(-error));
    }
}

const char *service_take_setup(struct service *service, const uint8_t *frame,
                               size_t size)
{
    const char *problem = judge_setup(frame, size);
    uint8_t *copy;

    if (problem != NULL) {
        return problem;
    }
    if (service->stopping) {
        return "the service is being stopped";
    }
    if (service->setup != NULL && service->setup_size == size
        && memcmp(service->setup, frame, size) == 0) {
        return NULL; /* httpd did not know that it was still known */
    }
    copy = malloc(size);
    if (copy == NULL) {
        return "no memory";
    }
    memcpy(copy, frame, size);
    forget_setup(service);
    service->setup = copy;
    service->setup_size = size;
    keep_setup(service);
    service_keepers_replace(service);
    return NULL;
}

static void recall_setup(struct service *service)
{
    const char *path = service->conf->state_path;
    CLEANUP_FREE uint8_t *data = NULL;
    size_t size = 0;
    const char *problem = NULL;
    int error = path == NULL ? -ENOENT
                             : service_store_load(path, SERVICE_SETUP_MOST,
                                                  &data, &size);

    if (error == 0) {
        problem = judge_setup(data, size);
    }
    else if (error != -ENOENT) {
        problem = error == -EACCES ? "it must be a file of the service's user"
                                     " with mode 0600"
                                   : strerror(-error);
    }
    if (problem != NULL) {
        log_line(LOG_LEVEL_WARNING, 532, "the set-up in \"%s\" is not used:"
                 " %s", path, problem);
    }
    else if (error == 0) {
        service->setup = steal_ptr(&data);
        service->setup_size = size;
        log_line(LOG_LEVEL_INFO, 533, "serving with the set-up that was kept"
                 " in \"%s\"", path);
    }
}

static void on_accepting(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    service_control_accept(argument);
}

static void on_child(evutil_socket_t number, short what, void *argument)
{
    (void)number;
    (void)what;
    service_keepers_reap(argument);
}

static void on_hangup(evutil_socket_t number, short what, void *argument)
{
    struct service *service = argument;

    (void)number;
    (void)what;
    if (!service->stopping) {
        log_line(LOG_LEVEL_INFO, 534, "replacing the keeper");
        service_keepers_replace(service);
    }
}

/* Runs that come now stay in the backlog of a socket that was handed over, for
 * who serves there next; ours goes with us, and they are told. */
static void on_terminate(evutil_socket_t number, short what, void *argument)
{
    struct service *service = argument;

    (void)number;
    (void)what;
    if (service->stopping) {
        log_line(LOG_LEVEL_INFO, 535, "ending at once");
        service_keepers_end(service);
        return;
    }
    log_line(LOG_LEVEL_INFO, 536, "ending when the last run has");
    service->stopping = true;
    (void)event_del(&service->accepting);
    service_keepers_drain(service);
    service_serving(service, service->made[0].inode == 0);
}

static int open_sockets(struct service *service)
{
    const struct service_conf *conf = service->conf;
    uid_t owner = geteuid() == 0 && conf->owner != 0 ? conf->owner : (uid_t)-1;
    bool others = service_conf_serves_other(conf);
    char control[128];

    if (conf->socket_path == NULL) {
        int keep[] = { conf->runs, conf->control };
        int error = fdio_close_all_but(keep, 2);

        service->runs = conf->runs;
        service->control = conf->control;
        error = error != 0 ? error : fdio_set_close_on_exec(conf->runs, true);
        error = error != 0 ? error
                           : fdio_set_close_on_exec(conf->control, true);
        error = error != 0 ? error : fdio_set_nonblocking(conf->runs, true);
        return error != 0 ? error : fdio_set_nonblocking(conf->control, true);
    }
    (void)snprintf(control, sizeof(control), "%s" SERVICE_CONTROL_SUFFIX,
                   conf->socket_path);
    service->control = service_listen(
        control, others ? CONTROL_MODE_OF_OTHERS : CONTROL_MODE, owner,
        &service->made[1]);
    if (service->control < 0) {
        return service->control;
    }
    service->runs = service_listen(conf->socket_path, conf->mode, (uid_t)-1,
                                   &service->made[0]);
    return service->runs < 0 ? service->runs : 0;
}

static int add_events(struct service *service)
{
    struct
    {
        struct event *event;
        int number;
        event_callback_fn call;
    } signals[] = {
        { &service->terminate, SIGTERM, on_terminate },
        { &service->interrupt, SIGINT, on_terminate },
        { &service->hangup, SIGHUP, on_hangup },
        { &service->child, SIGCHLD, on_child },
    };

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (evsignal_assign(signals[i].event, service->base,
                            signals[i].number, signals[i].call, service) != 0
            || evsignal_add(signals[i].event, NULL) != 0) {
            return -ENOMEM;
        }
    }
    return event_assign(&service->refusing, service->base, service->runs,
                        EV_READ | EV_PERSIST, on_refusing, service) != 0
                   || event_assign(&service->accepting, service->base,
                                   service->control, EV_READ | EV_PERSIST,
                                   on_accepting, service) != 0
                   || evtimer_assign(&service->again, service->base, on_again,
                                     service) != 0
                   || event_add(&service->accepting, NULL) != 0
               ? -ENOMEM
               : 0;
}

/* The path, not the file: after an upgrade the next keeper is the new one,
 * beside the zygote that belongs to it. */
static int find_program(struct service *service)
{
    ssize_t size = readlink("/proc/self/exe", service->program,
                            sizeof(service->program) - 1);

    if (size < 0) {
        return -errno;
    }
    service->program[size] = '\0';
    return 0;
}

static void close_all(struct service *service)
{
    struct event *events[] = {
        &service->refusing, &service->accepting, &service->again,
        &service->terminate, &service->interrupt, &service->hangup,
        &service->child,
    };

    service_control_close(service);
    service_keepers_close(service);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (event_initialized(events[i])) {
            (void)event_del(events[i]);
        }
    }
    service_cgroup_close(&service->cgroup);
    service_unlisten(&service->made[0]);
    service_unlisten(&service->made[1]);
    cleanup_fd(&service->runs);
    cleanup_fd(&service->control);
    forget_setup(service);
    if (service->base != NULL) {
        event_base_free(service->base);
    }
    libevent_global_shutdown();
}

static int open_all(struct service *service)
{
    int error = find_program(service);

    if (error == 0) {
        error = open_sockets(service);
    }
    if (error == 0 && chdir("/") != 0) {
        error = -errno;
    }
    if (error == 0) {
        service->base = event_base_new();
        error = service->base == NULL ? -ENOMEM : service_keepers_open(service);
    }
    return error == 0 ? add_events(service) : error;
}

int service_run(const struct service_conf *conf)
{
    struct service service = { .conf = conf, .runs = -1, .control = -1,
                               .cgroup.directory = -1 };
    int error;

    service_control_open(&service);
    error = open_all(&service);
    if (error == 0) {
        service_cgroup_open(&service.cgroup,
                            geteuid() == 0 ? conf->uid : (uid_t)-1);
        recall_setup(&service);
        service_keepers_replace(&service);
        if (service.setup == NULL) {
            service_serving(&service, false);
        }
        log_line(LOG_LEVEL_INFO, 537, "the service is ready");
        service_notify("READY=1");
        error = event_base_dispatch(service.base) < 0 ? -EIO : 0;
    }
    close_all(&service);
    return error;
}
