/* SPDX-License-Identifier: Apache-2.0
 *
 * Keepers are started, watched, replaced and drained; see the header. Runs in
 * the supervisor. The kernel queues runs on the socket that is common to all
 * keepers, so none is lost between two of them.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_keepers.h"

#include "cleanup.h"
#include "fdio.h"
#include "log.h"
#include "service.h"
#include "service_conf.h"
#include "service_spawn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* A keeper that lived this long did not crash because of its set-up. */
#define STABLE_US 30000000u
#define FREE_CRASHES 2
#define LONGEST_PAUSE_S 60

static int alive(const struct service *service)
{
    int count = 0;

    for (int i = 0; i < SERVICE_KEEPERS; i++) {
        count += service->keepers.slot[i].pid > 0;
    }
    return count;
}

static struct service_keeper *free_slot(struct service_keepers *keepers)
{
    for (int i = 0; i < SERVICE_KEEPERS; i++) {
        if (keepers->slot[i].pid == 0) {
            return &keepers->slot[i];
        }
    }
    return NULL;
}

/* Meanwhile whoever wants to run something is told at once. */
static void retry_after(struct service *service, unsigned pause_s)
{
    struct timeval pause = { .tv_sec = pause_s };

    service_serving(service, false);
    if (evtimer_add(&service->keepers.retry, &pause) != 0) {
        log_line(LOG_LEVEL_ERROR, 510, "no timer for the next keeper");
    }
}

static int start_in(struct service *service, struct service_keeper *slot)
{
    struct service_spawn spawn = {
        .conf = service->conf,
        .program = service->program,
        .setup = service->setup,
        .setup_size = service->setup_size,
        .listener = service->runs,
    };
    CLEANUP_FD int entrance = -1;
    int error;

    *slot = (struct service_keeper){ .lifeline = -1,
                                     .started_us = fdio_now_us() };
    service_cgroup_make(&service->cgroup, &slot->group, &entrance);
    spawn.entrance = entrance;
    error = service_spawn(&spawn, &slot->pid, &slot->lifeline);
    if (error != 0) {
        service_cgroup_remove(&service->cgroup, &slot->group);
        slot->pid = 0;
    }
    return error;
}

static void start(struct service *service)
{
    struct service_keepers *keepers = &service->keepers;
    struct service_keeper *slot = free_slot(keepers);
    int error = slot == NULL ? -EAGAIN : 0;

    (void)evtimer_del(&keepers->retry); /* a no-op where none is set */
    keepers->crowded = slot == NULL;
    if (error == 0) {
        error = start_in(service, slot);
    }
    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 511, "cannot start a keeper: %s",
                 slot == NULL ? "too many are still finishing their last runs"
                              : strerror(-error));
        retry_after(service, LONGEST_PAUSE_S);
        return;
    }
    keepers->current = slot;
    log_line(LOG_LEVEL_INFO, 512, "keeper %d started", (int)slot->pid);
    service_serving(service, true);
}

static void drain(struct service *service, struct service_keeper *slot)
{
    if (slot->pid == 0 || slot->draining) {
        return;
    }
    slot->draining = true;
    if (service->keepers.current == slot) {
        service->keepers.current = NULL;
    }
    if (kill(slot->pid, SIGTERM) != 0) {
        cleanup_fd(&slot->lifeline); /* which is understood always */
    }
}

void service_keepers_replace(struct service *service)
{
    struct service_keepers *keepers = &service->keepers;

    if (keepers->current != NULL) {
        drain(service, keepers->current);
    }
    keepers->crashes = 0;
    if (service->setup != NULL) {
        start(service);
    }
}

void service_keepers_drain(struct service *service)
{
    (void)evtimer_del(&service->keepers.retry);
    for (int i = 0; i < SERVICE_KEEPERS; i++) {
        drain(service, &service->keepers.slot[i]);
    }
    if (alive(service) == 0) {
        service_keepers_gone(service);
    }
}

void service_keepers_end(struct service *service)
{
    for (int i = 0; i < SERVICE_KEEPERS; i++) {
        cleanup_fd(&service->keepers.slot[i].lifeline);
    }
}

/* One that was told to end before it had come to listen to that is ended by
 * the signal itself. It had no run, then. */
static bool ended_as_told(const struct service_keeper *slot, int status)
{
    return slot->draining
           && (WIFEXITED(status) ? WEXITSTATUS(status) == 0
                                 : WTERMSIG(status) == SIGTERM);
}

static void log_death(const struct service_keeper *slot, int status)
{
    if (ended_as_told(slot, status)) {
        log_line(LOG_LEVEL_INFO, 513,
                 "keeper %d has finished its last runs and left",
                 (int)slot->pid);
        return;
    }
    log_line(LOG_LEVEL_ERROR, 514, "keeper %d ended by %s %d; its own lines"
             " above tell why", (int)slot->pid,
             WIFSIGNALED(status) ? "signal" : "itself, status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void start_after_crash(struct service *service, uint64_t lived_us)
{
    struct service_keepers *keepers = &service->keepers;
    unsigned pause_s;

    if (lived_us > STABLE_US) {
        keepers->crashes = 0;
    }
    keepers->crashes++;
    if (keepers->crashes <= FREE_CRASHES) {
        start(service);
        return;
    }
    pause_s = keepers->crashes - FREE_CRASHES < 6
                  ? 1u << (keepers->crashes - FREE_CRASHES)
                  : LONGEST_PAUSE_S;
    log_line(LOG_LEVEL_ERROR, 515, "the keeper has crashed %u times in a row;"
             " the next one is started in %u s", keepers->crashes, pause_s);
    retry_after(service, pause_s);
}

static void bury(struct service *service, struct service_keeper *slot,
                 int status)
{
    bool was_current = service->keepers.current == slot;
    uint64_t lived_us = fdio_now_us() - slot->started_us;

    log_death(slot, status);
    cleanup_fd(&slot->lifeline);
    service_cgroup_remove(&service->cgroup, &slot->group);
    slot->pid = 0;
    if (was_current) {
        service->keepers.current = NULL;
        if (!service->stopping) {
            start_after_crash(service, lived_us);
        }
    }
    else if (service->keepers.crowded && !service->stopping) {
        start(service); /* in the slot that is free now */
    }
    if (service->stopping && alive(service) == 0) {
        service_keepers_gone(service);
    }
}

void service_keepers_reap(struct service *service)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < SERVICE_KEEPERS; i++) {
            struct service_keeper *slot = &service->keepers.slot[i];

            if (slot->pid == pid) {
                bury(service, slot, status);
                break;
            }
        }
    }
}

static void on_retry(evutil_socket_t fd, short what, void *argument)
{
    struct service *service = argument;

    (void)fd;
    (void)what;
    if (!service->stopping && service->keepers.current == NULL
        && service->setup != NULL) {
        start(service);
    }
}

int service_keepers_open(struct service *service)
{
    for (int i = 0; i < SERVICE_KEEPERS; i++) {
        service->keepers.slot[i].lifeline = -1;
    }
    return evtimer_assign(&service->keepers.retry, service->base, on_retry,
                          service) == 0 ? 0 : -ENOMEM;
}

void service_keepers_close(struct service *service)
{
    if (event_initialized(&service->keepers.retry)) {
        (void)event_del(&service->keepers.retry);
    }
    service_keepers_end(service);
}
