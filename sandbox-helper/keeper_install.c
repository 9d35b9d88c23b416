/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may install, and who has to load anew. Runs in the keeper.
 *
 * What is installed becomes a generation of an environment (job_commit.h). A
 * zygote belongs to the generation it has on its path, and its jobs with it:
 * they end their runs with that one, and new runs wait for a new zygote, unless
 * who has installed it waits first (keeper_settle.h).
 * Nobody is told of a new generation; before a run is handed over one looks,
 * which costs less than a run would notice and misses nothing: it may have come
 * from a pool of ours, from a keeper that is leaving, or from another server.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_install.h"

#include "cleanup.h"
#include "keeper.h"
#include "keeper_environment.h"
#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

/* Between attempts to have the lock: nobody in a hurry installs. */
#define AGAIN_MS 100

static bool installs(const struct keeper_pool *pool)
{
    return pool->conf->install_bytes > 0;
}

static void on_again(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    keeper_queue_serve(argument);
}

void keeper_install_open(struct keeper_pool *pool)
{
    pool->install.lock = -1;
    pool->install.turn = -1;
    keeper_settle_open(pool);
    (void)evtimer_assign(&pool->install.again, pool->keeper->base, on_again,
                         pool); /* only fails for a bad base */
}

static void give_back(struct keeper_pool *pool)
{
    cleanup_fd(&pool->install.lock);
    cleanup_fd(&pool->install.turn);
}

void keeper_install_close(struct keeper_pool *pool)
{
    (void)event_del(&pool->install.again);
    keeper_settle_close(pool);
    give_back(pool);
}

static void look_again(struct keeper_pool *pool)
{
    struct timeval wait = { .tv_usec = AGAIN_MS * 1000 };

    if (evtimer_add(&pool->install.again, &wait) != 0) {
        log_line(LOG_LEVEL_ERROR, 393, "pool \"%s\": no timer for the lock of"
                 " its environment", pool->conf->name);
    }
}

/* The lock, in an environment that something can be installed into; or a
 * negative errno. */
static int take_lock(struct keeper_pool *pool)
{
    const char *directory = pool->conf->environment;
    struct keeper_generation now = KEEPER_NO_GENERATION;
    CLEANUP_FD int lock = keeper_environment_lock(directory,
                                                  &pool->install.turn);
    int rv = lock < 0 ? lock : keeper_environment_take(directory, &now);

    keeper_environment_leave(&now);
    return rv < 0 ? rv : steal_fd(&lock);
}

/* Also while a run waits for its zygote: what that begins with must be what it
 * ends with. */
static bool has_lock(struct keeper_pool *pool)
{
    struct keeper_install *install = &pool->install;
    int rv = install->lock >= 0 ? install->lock : take_lock(pool);

    if (rv >= 0) {
        install->lock = rv;
        return true;
    }
    if (rv == -EWOULDBLOCK) {
        look_again(pool);
        return false;
    }
    log_line(LOG_LEVEL_ERROR, 394, "pool \"%s\": nothing can be installed in"
             " \"%s\" (PyExecEnvironment): %s",
             pool->conf->name, pool->conf->environment, strerror(-rv));
    keeper_queue_refuse(pool, PXW_BROKEN, "nothing can be installed in the"
                                          " environment's directory");
    return false;
}

bool keeper_install_shares(const struct keeper_pool *pool,
                           const struct keeper_pool *other)
{
    return pool != other && pool->conf->environment != NULL
           && other->conf->environment != NULL
           && strcmp(pool->conf->environment, other->conf->environment) == 0;
}

void keeper_install_look(struct keeper_pool *pool)
{
    for (size_t i = 0; i < pool->plan.count; i++) {
        struct keeper_branch *branch = &pool->branches[i];
        const struct keeper_zygote *zygote = branch->zygotes.current;

        if (zygote == NULL
            || keeper_environment_is(pool->conf->environment,
                                     &zygote->generation)) {
            continue;
        }
        if (keeper_settle_tolerates(pool, zygote->generation.name)) {
            keeper_zygotes_renew(branch);
            continue;
        }
        log_line(LOG_LEVEL_INFO, 395, "pool \"%s\": zygote %d is replaced:"
                 " other packages are installed now",
                 pool->conf->name, (int)zygote->ends.pid);
        keeper_branch_replace(branch);
    }
}

void keeper_install_left(struct keeper_pool *pool)
{
    if (pool->queue.length == 0 && pool->running == 0
        && !pool->settle.waiting) {
        give_back(pool);
    }
}

bool keeper_install_may_serve(struct keeper_pool *pool)
{
    if (pool->conf->environment == NULL) {
        return true;
    }
    if (pool->settle.waiting) {
        return false; /* one after the other, up to the answer */
    }
    if (pool->queue.length == 0) {
        keeper_install_left(pool);
        return true;
    }
    if (installs(pool) && !has_lock(pool)) {
        return false;
    }
    keeper_install_look(pool);
    return true;
}

void keeper_install_taken(const struct keeper_job *job)
{
    if (installs(job->branch->pool)) {
        keeper_settle_began(job->branch->pool, job->zygote->generation.name);
        keeper_branch_let_go(job->branch);
    }
}

bool keeper_install_ended(struct keeper_pool *pool, int status,
                          struct keeper_run *run, struct pxw_writer *answer)
{
    if (!installs(pool)) {
        return false;
    }
    if (status == 0 && keeper_settle_begin(pool, run, answer)) {
        return true;
    }
    keeper_install_settled(pool);
    return false;
}

void keeper_install_settled(struct keeper_pool *pool)
{
    struct keeper *keeper = pool->keeper;

    if (pool->running == 0) {
        /* Also where others of ours wait: somebody else's may have for
         * longer. */
        give_back(pool);
    }
    /* Where the keeper drains, who still has runs looks before they begin. */
    for (size_t i = 0; !keeper->draining && i < keeper->pool_count; i++) {
        struct keeper_pool *other = &keeper->pools[i];

        if (keeper_install_shares(pool, other)) {
            keeper_install_look(other);
            for (size_t k = 0; k < other->plan.count; k++) {
                keeper_jobs_drop_stale(&other->branches[k]);
            }
        }
    }
}
