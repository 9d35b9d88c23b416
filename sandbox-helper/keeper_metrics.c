/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting. Runs in the keeper, once for each run, with names that a client
 * may have chosen: nothing here grows, and no name can spoil the text that
 * is made of it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_metrics.h"

#include "keeper.h"

#include <string.h>

/* From a `print()` to the longest run that can be configured. */
const struct keeper_metrics_bound
    keeper_metrics_bounds[KEEPER_METRICS_BUCKETS] = {
    { 1000, "0.001" },     { 2500, "0.0025" },    { 5000, "0.005" },
    { 10000, "0.01" },     { 25000, "0.025" },    { 50000, "0.05" },
    { 100000, "0.1" },     { 250000, "0.25" },    { 500000, "0.5" },
    { 1000000, "1" },      { 2500000, "2.5" },    { 5000000, "5" },
    { 10000000, "10" },    { 30000000, "30" },    { 60000000, "60" },
    { 300000000, "300" },
};

void keeper_metrics_observe(struct keeper_histogram *histogram,
                            uint64_t time_us)
{
    size_t i = 0;

    while (i < KEEPER_METRICS_BUCKETS
           && time_us > keeper_metrics_bounds[i].time_us) {
        i++;
    }
    histogram->counts[i]++;
    histogram->sum_us += time_us;
}

/* The length of the character at the start of the bytes, 0 if it is none: no
 * overlong form, no surrogate, nothing above U+10FFFF. */
static size_t character_size(const uint8_t *bytes, size_t size)
{
    static const struct
    {
        uint8_t first_least, first_most;
        uint8_t second_least, second_most;
        uint8_t length;
    } forms[] = {
        { 0x20, 0x7e, 0, 0, 1 },          { 0xc2, 0xdf, 0x80, 0xbf, 2 },
        { 0xe0, 0xe0, 0xa0, 0xbf, 3 },    { 0xe1, 0xec, 0x80, 0xbf, 3 },
        { 0xed, 0xed, 0x80, 0x9f, 3 },    { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 },    { 0xf1, 0xf3, 0x80, 0xbf, 4 },
        { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t length = forms[i].length;

        if (bytes[0] < forms[i].first_least
            || bytes[0] > forms[i].first_most) {
            continue;
        }
        if (length > size
            || (length > 1 && (bytes[1] < forms[i].second_least
                               || bytes[1] > forms[i].second_most))) {
            return 0;
        }
        for (size_t k = 2; k < length; k++) {
            if ((bytes[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return length;
    }
    return 0;
}

/* One name that is not UTF-8 would make a monitor refuse the whole text. Done
 * before names are compared, so that two of them never look the same there. */
static void clean_name(const struct pxw_field *tenant,
                       char ret_name[PXW_NAME_MAX + 1])
{
    size_t size = tenant->data == NULL ? 0 : tenant->size;
    size_t at = 0;

    size = size > PXW_NAME_MAX ? PXW_NAME_MAX : size;
    while (at < size) {
        size_t length = character_size(tenant->data + at, size - at);

        if (length == 0) {
            ret_name[at++] = '?';
            continue;
        }
        memcpy(ret_name + at, tenant->data + at, length);
        at += length;
    }
    ret_name[size] = '\0';
}

static uint64_t *counters(const struct keeper_run *run)
{
    struct keeper_metrics *metrics = &run->keeper->metrics;
    struct keeper_tenant_metrics *tenant;
    char name[PXW_NAME_MAX + 1];

    if (run->pool == NULL) {
        return metrics->nowhere.other;
    }
    clean_name(&run->message.field[PXW_F_TENANT], name);
    if (strcmp(name, KEEPER_METRICS_OTHER) == 0) {
        return run->pool->metrics.other;
    }
    for (size_t i = 0; i < metrics->tenant_count; i++) {
        tenant = &metrics->tenants[i];
        if (tenant->pool == run->pool && strcmp(tenant->name, name) == 0) {
            return tenant->runs;
        }
    }
    if (metrics->tenant_count == KEEPER_METRICS_TENANTS) {
        return run->pool->metrics.other;
    }
    tenant = &metrics->tenants[metrics->tenant_count++];
    tenant->pool = run->pool;
    memcpy(tenant->name, name, sizeof(tenant->name));
    return tenant->runs;
}

void keeper_metrics_cancelled(const struct keeper_run *run)
{
    counters(run)[KEEPER_METRICS_CANCELLED]++;
}

void keeper_metrics_answered(const struct keeper_run *run)
{
    struct keeper_pool_metrics *pool = run->pool != NULL
                                           ? &run->pool->metrics
                                           : &run->keeper->metrics.nowhere;

    counters(run)[run->outcome]++;
    pool->answered++;
    if (run->refusal != KEEPER_NOT_REFUSED) {
        pool->refused[run->refusal]++;
    }
    if (run->ran) {
        keeper_metrics_observe(&pool->queue, run->queue_us);
        keeper_metrics_observe(&pool->run, run->wall_us);
    }
}
