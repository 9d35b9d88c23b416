/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes over the lifeline: a SETUP frame becomes pools that hold what
 * helper_conf.h promises, or nothing. Then the WARM frames that are made of
 * each pool, one for each of its branches.
 */
#include "fuzz.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_conf.h"
#include "keeper_plan.h"
#include "keeper_zygote_start.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

const char fuzz_name[] = "setup";

#define MOST 200000u
/* What a pipe takes at once then. */
#define PIPE_BYTES (1 << 18)
#define WARM_BYTES (PXW_HEADER_BYTES + (80u << 10))

/* As long as one may be. */
#define GENERATION "123456789012345"

static int channel[2] = { -1, -1 };

static void check_warm(const struct pool_conf *pool,
                       const struct plan_branch *branch)
{
    static uint8_t packet[WARM_BYTES];
    struct pxw_header header;
    struct pxw_message message;
    int text_file = -1;
    size_t fds = 0;
    ssize_t size;

    FUZZ_HOLDS(keeper_zygote_warm(channel[0], pool, branch,
                                  pool->least_level, GENERATION) == 0);
    size = fdio_receive(channel[1], packet, sizeof(packet), &text_file, 1,
                        &fds);
    cleanup_fd(&text_file);
    FUZZ_HOLDS(size >= PXW_HEADER_BYTES && fds <= 1);
    FUZZ_HOLDS(pxw_get_header(packet, &header) == 0);
    FUZZ_HOLDS(header.type == PXW_WARM
               && header.length == (size_t)size - PXW_HEADER_BYTES);
    FUZZ_HOLDS(pxw_parse(header.type, packet + PXW_HEADER_BYTES,
                         header.length, &message) == 0);
    FUZZ_HOLDS(message.field[PXW_F_PRELOAD].size
               == (branch == NULL ? pool->preload_size
                                  : branch->preload_size));
    FUZZ_HOLDS(message.field[PXW_F_ENV].size == pool->env_size);
    FUZZ_HOLDS(message.field[PXW_F_SITE].size == pool->site_size);
    FUZZ_HOLDS(pxw_u32(&message, PXW_F_NETWORK, 0)
               == (pool->proxy.size > 0));
    FUZZ_HOLDS(pxw_u32(&message, PXW_F_LINK_MS, 0) == pool->link_ms);
    FUZZ_HOLDS(pxw_u32(&message, PXW_F_LINK_BYTES, 0) == pool->link_bytes);
    FUZZ_HOLDS(message.field[PXW_F_ENVIRONMENT].size
               == (pool->environment == NULL
                       ? 0
                       : strlen(pool->environment) + sizeof(GENERATION)));
    FUZZ_HOLDS(pxw_u64(&message, PXW_F_INSTALL_BYTES, 0)
               == pool->install_bytes);
    FUZZ_HOLDS(pxw_has(&message, PXW_F_INDEX) == (pool->install_bytes > 0));
}

static void check_branches(const struct pool_conf *pool)
{
    struct keeper_plan plan;

    FUZZ_HOLDS(keeper_plan_make(&plan, pool->preload, pool->preload_size,
                                1 + pool->concurrency % PLAN_MOST_BRANCHES)
               == 0);
    FUZZ_HOLDS(plan.count > 0 && plan.count <= PLAN_MOST_BRANCHES);
    FUZZ_HOLDS(plan.eager < plan.count);
    for (size_t i = 0; i < plan.count; i++) {
        check_warm(pool, &plan.branches[i]);
    }
    /* The list is a text as good as any other to look for imports. */
    if (pool->preload != NULL) {
        (void)keeper_plan_look(&plan, pool->preload, pool->preload_size);
    }
    keeper_plan_free(&plan);
}

static void check_pool(const struct helper_conf *conf, size_t number)
{
    const struct pool_conf *pool = &conf->pools[number];

    FUZZ_HOLDS(pool->name_size > 0 && pool->name_size <= PXW_NAME_MAX);
    FUZZ_HOLDS(strlen(pool->name) == pool->name_size);
    for (size_t i = 0; i < number; i++) {
        FUZZ_HOLDS(strcmp(pool->name, conf->pools[i].name) != 0);
    }
    FUZZ_HOLDS(pool->concurrency > 0 && pool->concurrency <= 256);
    FUZZ_HOLDS(pool->wall_ms > 0 && pool->wall_ms <= 86400000);
    FUZZ_HOLDS(pool->cpu_ms > 0 && pool->cpu_ms <= 86400000);
    FUZZ_HOLDS(pool->memory_bytes > 0 && pool->memory_bytes <= INT64_MAX);
    FUZZ_HOLDS(pool->output_bytes <= PXW_OUTPUT_MAX);
    FUZZ_HOLDS(pool->files > 0 && pool->threads > 0);
    FUZZ_HOLDS(pool->least_level != LEVEL_NONE);
    FUZZ_HOLDS((pool->preload != NULL) == (pool->preload_size > 0));
    FUZZ_HOLDS((pool->env != NULL) == (pool->env_size > 0));
    FUZZ_HOLDS(pool->env_size <= PXW_ENV_MAX);
    FUZZ_HOLDS((pool->site != NULL) == (pool->site_size > 0));
    FUZZ_HOLDS(pool->site_size <= PXW_DIRS_MAX);
    FUZZ_HOLDS(pool->program == 0 || pool->program == 1);
    FUZZ_HOLDS(pool->proxy.size == 0
               || (pool->connections > 0 && pool->network_bytes > 0
                   && pool->proxy.size <= sizeof(pool->proxy.address)
                   && strlen(pool->proxy.text) < PXW_PROXY_TEXT));
    FUZZ_HOLDS((pool->link_ms > 0) == (pool->link_bytes > 0));
    FUZZ_HOLDS(pool->link_ms == 0
               || (pool->proxy.size > 0 && pool->link_ms <= 86400000
                   && pool->link_bytes <= PXW_BLOB_MAX));
    FUZZ_HOLDS(pool->environment == NULL
               || (pool->environment[0] == '/'
                   && strlen(pool->environment) <= PXW_DIRS_MAX
                   && strchr(pool->environment, '\n') == NULL));
    FUZZ_HOLDS(pool->index == NULL || strncmp(pool->index, "http", 4) == 0);
    FUZZ_HOLDS(pool->install_bytes == 0
               || (pool->environment != NULL && pool->index != NULL
                   && pool->proxy.size > 0
                   && pool->install_bytes <= INT64_MAX));
    check_warm(pool, NULL);
    check_branches(pool);
}

static void check_conf(const struct helper_conf *conf, const uint8_t *data,
                       size_t size)
{
    struct pxw_header header;
    struct pxw_message message;
    int left = -1;

    FUZZ_HOLDS(size >= PXW_HEADER_BYTES);
    FUZZ_HOLDS(pxw_get_header(data, &header) == 0);
    FUZZ_HOLDS(pxw_parse(PXW_SETUP, data + PXW_HEADER_BYTES, header.length,
                         &message) == 0);
    FUZZ_HOLDS(memcmp(conf->token, message.field[PXW_F_TOKEN].data,
                      PXW_TOKEN_BYTES) == 0);
    /* Exactly one frame is read. */
    FUZZ_HOLDS(ioctl(conf->lifeline, FIONREAD, &left) == 0);
    FUZZ_HOLDS((size_t)left == size - PXW_HEADER_BYTES - header.length);
    FUZZ_HOLDS(conf->pool_count > 0 && conf->pool_count <= 512);
    for (size_t i = 0; i < conf->pool_count; i++) {
        check_pool(conf, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct helper_conf conf = {
        .lifeline = -1,
        .pythons = { .list = { { .program = 0 },
                               { .name = "python3.11", .program = 1 } },
                     .count = 2 },
    };
    const char *mistake = NULL;
    int ends[2];
    int error;

    if (channel[0] < 0) {
        FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
                              channel) == 0);
    }
    if (size > MOST) {
        return 0;
    }
    FUZZ_HOLDS(pipe2(ends, O_CLOEXEC) == 0);
    FUZZ_HOLDS(size < 60000
               || fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES);
    FUZZ_HOLDS(write(ends[1], data, size) == (ssize_t)size);
    (void)close(ends[1]);
    conf.lifeline = ends[0];
    error = helper_conf_setup(&conf, &mistake);
    FUZZ_HOLDS(error <= 0);
    FUZZ_HOLDS(error != 0 || mistake == NULL);
    if (error == 0) {
        check_conf(&conf, data, size);
    }
    helper_conf_free(&conf);
    (void)close(ends[0]);
    return 0;
}
