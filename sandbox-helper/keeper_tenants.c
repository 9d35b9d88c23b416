/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants of a queue. Runs in the keeper. There are at most as many as runs in
 * the pool, so lists will do.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_tenants.h"

#include "keeper_queue.h"

#include <stdlib.h>
#include <string.h>

void keeper_tenants_open(struct keeper_tenants *tenants)
{
    TAILQ_INIT(&tenants->turn);
    TAILQ_INIT(&tenants->others);
}

static struct keeper_tenant *find(const struct keeper_tenant_list *list,
                                  const void *name, size_t size)
{
    struct keeper_tenant *tenant;

    TAILQ_FOREACH(tenant, list, link) {
        if (tenant->name_size == size
            && (size == 0 || memcmp(tenant->name, name, size) == 0)) {
            return tenant;
        }
    }
    return NULL;
}

struct keeper_tenant *keeper_tenants_get(struct keeper_tenants *tenants,
                                         const void *name, size_t size)
{
    struct keeper_tenant *tenant = find(&tenants->turn, name, size);

    if (tenant == NULL) {
        tenant = find(&tenants->others, name, size);
    }
    if (tenant != NULL || size > sizeof(tenant->name)) {
        return tenant;
    }
    tenant = calloc(1, sizeof(*tenant));
    if (tenant != NULL) {
        TAILQ_INIT(&tenant->waiting);
        if (size > 0) {
            memcpy(tenant->name, name, size);
        }
        tenant->name_size = size;
        TAILQ_INSERT_TAIL(&tenants->others, tenant, link);
    }
    return tenant;
}

void keeper_tenants_put(struct keeper_tenants *tenants,
                        struct keeper_tenant *tenant)
{
    if (tenant->length == 0 && tenant->running == 0) {
        TAILQ_REMOVE(&tenants->others, tenant, link);
        free(tenant);
    }
}

static void take_turn(struct keeper_tenants *tenants,
                      struct keeper_tenant *tenant)
{
    if (tenant->length++ == 0) {
        TAILQ_REMOVE(&tenants->others, tenant, link);
        TAILQ_INSERT_TAIL(&tenants->turn, tenant, link);
    }
}

void keeper_tenants_wait(struct keeper_tenants *tenants,
                         struct keeper_run *run)
{
    take_turn(tenants, run->tenant);
    TAILQ_INSERT_TAIL(&run->tenant->waiting, run, link);
}

void keeper_tenants_wait_first(struct keeper_tenants *tenants,
                               struct keeper_run *run)
{
    take_turn(tenants, run->tenant);
    TAILQ_INSERT_HEAD(&run->tenant->waiting, run, link);
}

static void drop(struct keeper_tenants *tenants, struct keeper_run *run)
{
    struct keeper_tenant *tenant = run->tenant;

    TAILQ_REMOVE(&tenant->waiting, run, link);
    tenant->length--;
    if (tenant->length == 0) {
        TAILQ_REMOVE(&tenants->turn, tenant, link);
        TAILQ_INSERT_TAIL(&tenants->others, tenant, link);
    }
}

void keeper_tenants_leave(struct keeper_tenants *tenants,
                          struct keeper_run *run)
{
    drop(tenants, run);
    keeper_tenants_put(tenants, run->tenant);
    run->tenant = NULL;
}

void keeper_tenants_began(struct keeper_tenants *tenants,
                          struct keeper_run *run)
{
    struct keeper_tenant *tenant = run->tenant;

    drop(tenants, run);
    tenant->running++;
    if (tenant->length > 0) {
        TAILQ_REMOVE(&tenants->turn, tenant, link);
        TAILQ_INSERT_TAIL(&tenants->turn, tenant, link);
    }
}

void keeper_tenants_ended(struct keeper_tenants *tenants,
                          struct keeper_tenant *tenant)
{
    tenant->running--;
    keeper_tenants_put(tenants, tenant);
}

static size_t places(const struct keeper_tenant *tenant)
{
    return tenant->length + tenant->running;
}

struct keeper_run *keeper_tenants_yielding(const struct keeper_tenants *tenants,
                                           const struct keeper_tenant *tenant)
{
    const struct keeper_tenant *most = NULL;
    const struct keeper_tenant *other;

    TAILQ_FOREACH(other, &tenants->turn, link) {
        if (most == NULL || places(other) > places(most)) {
            most = other;
        }
    }
    return most == NULL || places(most) < places(tenant) + 2
               ? NULL
               : TAILQ_LAST(&most->waiting, keeper_run_list);
}
