/* SPDX-License-Identifier: Apache-2.0
 *
 * What the keeper counts, from its start on: how runs ended, how long they
 * waited and took, whom it refused, how often zygotes were started. Bounded,
 * whatever names and however many of them come in.
 */
#ifndef PYEXEC_KEEPER_METRICS_H
#define PYEXEC_KEEPER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct keeper;
struct keeper_pool;
struct keeper_run;

/* Pairs of pool and tenant with counters of their own; whoever comes later, or
 * is called "other", is counted as "other". A name may be the client's choice
 * (a tenant by expression), and each costs memory here and in the monitor. */
#define KEEPER_METRICS_TENANTS 100
#define KEEPER_METRICS_OTHER "other"

/* Above the largest pxw_outcome; 0 stands for runs that nobody waited for. */
#define KEEPER_METRICS_OUTCOMES 64
#define KEEPER_METRICS_CANCELLED 0
#define KEEPER_METRICS_BUCKETS 16

/* Why a run was turned away (PXW_BUSY and its like). */
enum keeper_refusal
{
    KEEPER_NOT_REFUSED,
    KEEPER_REFUSED_BYTES,
    KEEPER_REFUSED_FULL,
    KEEPER_REFUSED_TENANT,  /* its own cap */
    KEEPER_REFUSED_TIMEOUT,
    KEEPER_REFUSED_YIELDED, /* made room for another tenant */
    KEEPER_REFUSALS
};

struct keeper_histogram
{
    /* Each alone, not cumulative; the last is for what is above all bounds. */
    uint64_t counts[KEEPER_METRICS_BUCKETS + 1];
    uint64_t sum_us;
};

struct keeper_tenant_metrics
{
    const struct keeper_pool *pool;
    char name[PXW_NAME_MAX + 1]; /* UTF-8 whatever came in; "": it had none */
    uint64_t runs[KEEPER_METRICS_OUTCOMES];
};

struct keeper_pool_metrics
{
    uint64_t other[KEEPER_METRICS_OUTCOMES]; /* tenants without counters */
    uint64_t answered;
    uint64_t refused[KEEPER_REFUSALS];
    struct keeper_histogram queue; /* of the runs in `run`, before they began */
    struct keeper_histogram run;   /* runs that had a job and were answered */
    uint64_t zygotes_started;
    uint64_t zygotes_failed; /* died, or never became warm */
    uint64_t connections;    /* of runs that have ended, to the proxy */
    uint64_t network_bytes;  /* the same, both directions */
};

struct keeper_metrics
{
    uint64_t start_s; /* Unix time */
    struct keeper_tenant_metrics tenants[KEEPER_METRICS_TENANTS];
    size_t tenant_count;
    struct keeper_pool_metrics nowhere; /* runs of which no pool is known */
};

/* Each run is counted once: when its answer is ready, or when its client left
 * before that. */
void keeper_metrics_answered(const struct keeper_run *run);
void keeper_metrics_cancelled(const struct keeper_run *run);

void keeper_metrics_observe(struct keeper_histogram *histogram,
                            uint64_t time_us);

/* All of it in Prometheus' text format, version 0.0.4; malloc. NULL: no
 * memory. */
char *keeper_metrics_text(const struct keeper *keeper, size_t *ret_size);

/* The upper bounds of the buckets, ascending, as number and as text. */
extern const struct keeper_metrics_bound
{
    uint64_t time_us;
    const char *seconds;
} keeper_metrics_bounds[KEEPER_METRICS_BUCKETS];

#endif
