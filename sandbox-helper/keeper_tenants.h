/* SPDX-License-Identifier: Apache-2.0
 *
 * The tenants of a pool's queue: whose runs wait, whose turn it is, and who
 * holds how many places. Counts and lists only; knows neither jobs nor events.
 *
 * A tenant is there as long as a run of it waits or runs. One that runs counts
 * until its process is reaped, whoever still waits for it: coming and leaving
 * gains nothing.
 */
#ifndef PYEXEC_KEEPER_TENANTS_H
#define PYEXEC_KEEPER_TENANTS_H

#include "wire.h"

#include <stddef.h>
#include <sys/queue.h>

struct keeper_run;

TAILQ_HEAD(keeper_run_list, keeper_run);

struct keeper_tenant
{
    TAILQ_ENTRY(keeper_tenant) link; /* in one of the lists below */
    struct keeper_run_list waiting;  /* in the order in which they came */
    size_t length;                   /* of that */
    size_t running;
    size_t name_size;
    char name[PXW_NAME_MAX];
};

TAILQ_HEAD(keeper_tenant_list, keeper_tenant);

struct keeper_tenants
{
    struct keeper_tenant_list turn;   /* whoever waits; the first is next */
    struct keeper_tenant_list others; /* nothing of them waits */
};

void keeper_tenants_open(struct keeper_tenants *tenants);

/* Found or made. Runs without a name are one tenant's. NULL: no memory. One
 * that was made is to be put back when its run does not come to wait. */
struct keeper_tenant *keeper_tenants_get(struct keeper_tenants *tenants,
                                         const void *name, size_t size);
/* Frees it if nothing of it waits or runs. */
void keeper_tenants_put(struct keeper_tenants *tenants,
                        struct keeper_tenant *tenant);

/* A run, its `tenant` filled in, waits at the end of its tenant's; one whose
 * first it is waits for its turn behind all others. */
void keeper_tenants_wait(struct keeper_tenants *tenants,
                         struct keeper_run *run);
/* The same before its tenant's others: it has waited once already. */
void keeper_tenants_wait_first(struct keeper_tenants *tenants,
                               struct keeper_run *run);
/* It does not wait any more, and its tenant may be gone. */
void keeper_tenants_leave(struct keeper_tenants *tenants,
                          struct keeper_run *run);

/* A waiting run got a job: its tenant has had its turn. Who holds the job
 * calls keeper_tenants_ended() once it is reaped. */
void keeper_tenants_began(struct keeper_tenants *tenants,
                          struct keeper_run *run);
void keeper_tenants_ended(struct keeper_tenants *tenants,
                          struct keeper_tenant *tenant);

/* Which run makes room for one of this tenant in a queue that is full: the
 * newest of the tenant that holds the most places, waiting and running. NULL
 * where nobody holds at least two more than this one: with one more the two
 * would only change places, and then again. */
struct keeper_run *keeper_tenants_yielding(const struct keeper_tenants *tenants,
                                           const struct keeper_tenant *tenant);

#endif
