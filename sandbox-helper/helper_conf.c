/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading options and SETUP. Runs in the keeper before it serves; what it
 * reads comes from httpd or the administrator, and is checked all the same:
 * a mistake must be named here, not show later as a strange run.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "helper_conf.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_install.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* SETUP is written before the keeper is started, or at once afterwards. */
#define SETUP_TIMEOUT_MS 5000

/* More tenants with zygotes of their own than one machine serves; what there
 * is of a pool before its first run is a few kilobytes. */
#define MAX_POOLS 512
/* Twice as many processes and eight times as many pipes come with it. */
#define MAX_CONCURRENCY 256
/* Above this the queue timeout answers before the queue does. */
#define MAX_QUEUE 65536
#define MAX_QUEUE_MS 600000
/* A day: longer is a batch job, and would wrap no timer. */
#define MAX_RUN_MS 86400000
#define MAX_FILES 4096
#define MAX_THREADS 4096
/* A run's memory is bounded for each process: this many times as much. */
#define MAX_PROCESSES 64
/* Each costs the keeper some work, and the proxy more. */
#define MAX_NETWORK_CONNECTIONS 100000
/* More often the machine would do nothing but warm zygotes. */
#define MIN_RECYCLE_MS 100
/* Shorter pauses are between two requests of the same person. */
#define MIN_IDLE_MS 1000
#define MAX_IDLE_MS 86400000

static bool parse_number(const char *text, char end, unsigned long max,
                         unsigned long *ret_number, const char **ret_rest)
{
    unsigned long number;
    char *rest;

    /* strtoul() takes blanks and signs, which an identifier has not. */
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    number = strtoul(text, &rest, 10);
    if (errno != 0 || *rest != end || number > max) {
        return false;
    }
    *ret_number = number;
    if (ret_rest != NULL) {
        *ret_rest = rest + 1;
    }
    return true;
}

static int parse_user(const char *text, struct helper_conf *conf)
{
    unsigned long uid;
    unsigned long gid;
    const char *rest;

    /* The largest number means "leave it" to setresuid(2). */
    if (!parse_number(text, ':', UINT32_MAX - 1, &uid, &rest)
        || !parse_number(rest, '\0', UINT32_MAX - 1, &gid, NULL)) {
        return -EINVAL;
    }
    conf->has_user = true;
    conf->uid = (uid_t)uid;
    conf->gid = (gid_t)gid;
    return 0;
}

static int parse_lifeline(const char *text, struct helper_conf *conf)
{
    unsigned long fd;

    if (!parse_number(text, '\0', INT_MAX, &fd, NULL)
        || fd <= HELPER_LISTENER) {
        return -EINVAL;
    }
    conf->lifeline = (int)fd;
    return 0;
}

static int parse_socket(const char *text, struct helper_conf *conf)
{
    struct stat status;

    /* We leave the working directory, so a relative path would change its
     * meaning. */
    if (text[0] != '/') {
        return -EINVAL;
    }
    free(conf->socket_path);
    conf->socket_path = strdup(text);
    if (conf->socket_path == NULL) {
        return -ENOMEM;
    }
    if (lstat(text, &status) == 0 && S_ISSOCK(status.st_mode)) {
        conf->socket_device = status.st_dev;
        conf->socket_inode = status.st_ino;
    }
    return 0;
}

/* The descriptors are ours only if they were meant for this very process:
 * the variables may be left over from a parent. */
static int check_listen(const char **ret_mistake)
{
    unsigned long pid;
    unsigned long count;
    struct stat status;
    bool ours = parse_number(getenv("LISTEN_PID"), '\0', INT_MAX, &pid, NULL)
                && (pid_t)pid == getpid()
                && parse_number(getenv("LISTEN_FDS"), '\0', INT_MAX, &count,
                                NULL)
                && count == 1;

    if (!ours) {
        *ret_mistake = "LISTEN_PID and LISTEN_FDS do not hand one listener"
                       " to this process";
        return -EINVAL;
    }
    if (fstat(HELPER_LISTENER, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        *ret_mistake = "descriptor 3 is not a socket";
        return -EINVAL;
    }
    /* Only fails for a malformed name. */
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return 0;
}

int helper_conf_options(int argc, char **argv, struct helper_conf *conf,
                        const char **ret_mistake)
{
    static const struct option options[] = {
        { .name = "lifeline", .has_arg = required_argument, .val = 'l' },
        { .name = "socket", .has_arg = required_argument, .val = 's' },
        { .name = "user", .has_arg = required_argument, .val = 'u' },
        { .name = "debug", .has_arg = no_argument, .val = 'd' },
        { .name = "check", .has_arg = no_argument, .val = 'c' },
        { 0 },
    };
    int option;

    *conf = (struct helper_conf){ .listener = -1, .lifeline = -1 };
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char *mistake = NULL;

        if (option == 'l' && parse_lifeline(optarg, conf) != 0) {
            mistake = "--lifeline wants the number of a descriptor above 3";
        }
        else if (option == 's' && parse_socket(optarg, conf) != 0) {
            mistake = "--socket wants an absolute path";
        }
        else if (option == 'u' && parse_user(optarg, conf) != 0) {
            mistake = "--user wants UID:GID in numbers";
        }
        else if (option == '?') {
            mistake = "unknown option, or one without its value; known are"
                      " --lifeline=FD --socket=PATH --user=UID:GID --debug"
                      " --check";
        }
        conf->debug = conf->debug || option == 'd';
        conf->check = conf->check || option == 'c';
        if (mistake != NULL) {
            *ret_mistake = mistake;
            return -EINVAL;
        }
    }
    if (optind != argc
        || (conf->check ? conf->lifeline >= 0 || conf->socket_path != NULL
                        : conf->lifeline < 0)) {
        *ret_mistake = "usage: pyexecd --lifeline=FD [--socket=PATH]"
                       " [--user=UID:GID] [--debug], or"
                       " pyexecd --check [--user=UID:GID], or see"
                       " pyexecd --help";
        return -EINVAL;
    }
    if (conf->check) {
        return 0; /* nothing is served: nothing was handed over */
    }
    conf->listener = HELPER_LISTENER;
    return check_listen(ret_mistake);
}

static bool in_range(uint64_t value, uint64_t least, uint64_t most)
{
    return value >= least && value <= most;
}

static bool ranges_hold(const struct pool_conf *pool)
{
    return in_range(pool->concurrency, 1, MAX_CONCURRENCY)
           && pool->queue <= MAX_QUEUE && pool->queue_ms <= MAX_QUEUE_MS
           && pool->tenant_concurrency <= MAX_CONCURRENCY
           && pool->tenant_queue <= MAX_QUEUE
           && in_range(pool->wall_ms, 1, MAX_RUN_MS)
           && in_range(pool->cpu_ms, 1, MAX_RUN_MS)
           && in_range(pool->memory_bytes, 1, INT64_MAX)
           /* What is kept must fit into an OUTCOME frame. */
           && pool->output_bytes <= PXW_OUTPUT_MAX
           && in_range(pool->files, 1, MAX_FILES)
           && in_range(pool->threads, 1, MAX_THREADS)
           && in_range(pool->processes, 1, MAX_PROCESSES)
           && (pool->recycle_ms == 0 || pool->recycle_ms >= MIN_RECYCLE_MS)
           && (pool->idle_ms == 0
               || in_range(pool->idle_ms, MIN_IDLE_MS, MAX_IDLE_MS))
           && pool->least_level != LEVEL_NONE;
}

/* Without an address there is no network, and the limits say nothing. */
static int read_network(const struct pxw_message *message,
                        struct pool_conf *pool)
{
    const struct pxw_field *proxy = &message->field[PXW_F_PROXY];

    if (proxy->data == NULL) {
        /* But for scripts that are to be fetched. */
        return pxw_u32(message, PXW_F_LINK, 0) == 0 ? 0 : -ERANGE;
    }
    if (pxw_u32(message, PXW_F_LINK, 0) != 0) {
        pool->link_ms = pxw_u32(message, PXW_F_LINK_MS, 0);
        pool->link_bytes = pxw_u32(message, PXW_F_LINK_BYTES, 0);
        if (!in_range(pool->link_ms, 1, MAX_RUN_MS)
            || !in_range(pool->link_bytes, 1, PXW_BLOB_MAX)) {
            return -ERANGE;
        }
    }
    pool->connections = pxw_u32(message, PXW_F_CONNECTIONS, 0);
    pool->network_bytes = pxw_u64(message, PXW_F_NETWORK_BYTES, 0);
    return pxw_read_proxy(proxy->data, proxy->size, &pool->proxy) != 0
                   || !in_range(pool->connections, 1, MAX_NETWORK_CONNECTIONS)
                   || !in_range(pool->network_bytes, 1, INT64_MAX)
               ? -ERANGE
               : 0;
}

/* A copy of a field that may be absent or empty: NULL and 0 then. */
static int copy_field(const struct pxw_field *field, uint8_t **ret_data,
                      size_t *ret_size)
{
    if (field->data != NULL && field->size > 0) {
        *ret_data = malloc(field->size);
        if (*ret_data == NULL) {
            return -ENOMEM;
        }
        memcpy(*ret_data, field->data, field->size);
        *ret_size = field->size;
    }
    return 0;
}

static int read_pool(const struct pxw_field *field,
                     const struct helper_pythons *pythons,
                     struct pool_conf *pool)
{
    struct pxw_message message;
    const struct pxw_field *name;
    int error = pxw_parse_pool(field, &message);

    if (error != 0) {
        return error;
    }
    name = &message.field[PXW_F_POOL];
    memcpy(pool->name, name->data, name->size); /* at most PXW_NAME_MAX */
    pool->name_size = name->size;
    pool->concurrency = pxw_u32(&message, PXW_F_CONCURRENCY, 0);
    pool->queue = pxw_u32(&message, PXW_F_QUEUE, 0);
    pool->queue_ms = pxw_u32(&message, PXW_F_QUEUE_MS, 0);
    pool->tenant_concurrency = pxw_u32(&message, PXW_F_TENANT_CONCURRENCY, 0);
    pool->tenant_queue = pxw_u32(&message, PXW_F_TENANT_QUEUE, 0);
    pool->wall_ms = pxw_u32(&message, PXW_F_WALL_MS, 0);
    pool->cpu_ms = pxw_u32(&message, PXW_F_CPU_MS, 0);
    pool->memory_bytes = pxw_u64(&message, PXW_F_MEMORY, 0);
    pool->output_bytes = pxw_u32(&message, PXW_F_OUTPUT, 0);
    pool->files = pxw_u32(&message, PXW_F_FILES, 0);
    pool->threads = pxw_u32(&message, PXW_F_THREADS, 0);
    pool->processes = pxw_u32(&message, PXW_F_PROCESSES, 1);
    pool->recycle_runs = pxw_u32(&message, PXW_F_RECYCLE_RUNS, 0);
    pool->recycle_ms = pxw_u32(&message, PXW_F_RECYCLE_MS, 0);
    pool->idle_ms = pxw_u32(&message, PXW_F_IDLE_MS, 0);
    pool->least_level = keeper_level_of(&message.field[PXW_F_LEVEL],
                                        LEVEL_FULL);
    pool->lazy = pxw_u32(&message, PXW_F_LAZY, 0) != 0;
    error = copy_field(&message.field[PXW_F_PRELOAD], &pool->preload,
                       &pool->preload_size);
    if (error == 0) {
        error = copy_field(&message.field[PXW_F_ENV], &pool->env,
                           &pool->env_size);
    }
    if (error == 0) {
        error = copy_field(&message.field[PXW_F_SITE], &pool->site,
                           &pool->site_size);
    }
    pool->program = helper_pythons_find(pythons,
                                        &message.field[PXW_F_INTERPRETER]);
    if (error == 0 && pool->program < 0) {
        return pool->program;
    }
    if (error == 0) {
        error = read_network(&message, pool);
    }
    if (error == 0) {
        error = helper_install_read(&message, pool);
    }
    return error != 0 ? error : ranges_hold(pool) ? 0 : -ERANGE;
}

static bool is_taken(const struct helper_conf *conf,
                     const struct pool_conf *pool)
{
    for (const struct pool_conf *other = conf->pools; other < pool; other++) {
        if (other->name_size == pool->name_size
            && memcmp(other->name, pool->name, pool->name_size) == 0) {
            return true;
        }
    }
    return false;
}

static int read_pools(const struct pxw_message *setup,
                      struct helper_conf *conf, const char **ret_mistake)
{
    struct pxw_field field;
    size_t at = 0;

    conf->pools = calloc(MAX_POOLS, sizeof(conf->pools[0]));
    if (conf->pools == NULL) {
        return -ENOMEM;
    }
    while (pxw_next(setup, &at, &field)) {
        struct pool_conf *pool = &conf->pools[conf->pool_count];
        int error;

        if (field.tag != PXW_F_POOL_DEF) {
            continue;
        }
        if (conf->pool_count == MAX_POOLS) {
            *ret_mistake = "more than 512 pools";
            return -EINVAL;
        }
        conf->pool_count++; /* first, so that a half-read one is freed too */
        error = read_pool(&field, &conf->pythons, pool);
        if (error == -ENOENT) {
            *ret_mistake = "a pool wants an interpreter that none of the programs"
                           " pyexec-zygote-NAME beside this one is for";
            return -EINVAL;
        }
        if (error == -ENOTDIR || error == -EDESTADDRREQ) {
            *ret_mistake = "a pool's directory of packages is no absolute"
                           " path, or a pool that installs lacks it, its"
                           " proxy or its index";
            return -EINVAL;
        }
        if (error == -ERANGE) {
            *ret_mistake = "a number, the isolation level, the proxy's or the"
                           " index's address of a pool is out of its range";
            return -EINVAL;
        }
        if (error != 0) {
            return error;
        }
        if (is_taken(conf, pool)) {
            *ret_mistake = "two pools have the same name";
            return -EINVAL;
        }
    }
    if (conf->pool_count == 0) {
        *ret_mistake = "no pool is defined";
        return -EINVAL;
    }
    return 0;
}

int helper_conf_read(struct helper_conf *conf, const uint8_t *body,
                     size_t size, const char **ret_mistake)
{
    struct pxw_message message;
    int error = pxw_parse(PXW_SETUP, body, size, &message);

    if (error != 0) {
        return error;
    }
    memcpy(conf->token, message.field[PXW_F_TOKEN].data, PXW_TOKEN_BYTES);
    return read_pools(&message, conf, ret_mistake);
}

int helper_conf_setup(struct helper_conf *conf, const char **ret_mistake)
{
    uint64_t end_us = fdio_now_us() + SETUP_TIMEOUT_MS * 1000u;
    uint8_t head[PXW_HEADER_BYTES];
    struct pxw_header header;
    CLEANUP_FREE uint8_t *body = NULL;
    uint64_t now_us;
    int error = fdio_read_full(conf->lifeline, head, sizeof(head),
                               SETUP_TIMEOUT_MS);

    if (error == 0) {
        error = pxw_get_header(head, &header);
    }
    if (error == -EPROTONOSUPPORT) {
        *ret_mistake = "it is of another release than pyexecd "
                       PACKAGE_VERSION ": install both, then restart httpd";
    }
    if (error != 0) {
        return error;
    }
    if (header.type != PXW_SETUP) {
        return -EBADMSG;
    }
    body = malloc(header.length + 1); /* at most 1 MiB; never size 0 */
    if (body == NULL) {
        return -ENOMEM;
    }
    now_us = fdio_now_us();
    error = fdio_read_full(conf->lifeline, body, header.length,
                           now_us < end_us ? (int)((end_us - now_us) / 1000)
                                           : 0);
    if (error == 0) {
        error = helper_conf_read(conf, body, header.length, ret_mistake);
    }
    /* It holds the token; the copy in `conf` shall be the only one. */
    explicit_bzero(body, header.length);
    return error;
}

void helper_conf_free(struct helper_conf *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        free(conf->pools[i].preload);
        free(conf->pools[i].env);
        free(conf->pools[i].site);
        free(conf->pools[i].environment);
        free(conf->pools[i].index);
    }
    free(conf->pools);
    free(conf->socket_path);
    explicit_bzero(conf->token, sizeof(conf->token));
    conf->pools = NULL;
    conf->pool_count = 0;
    conf->socket_path = NULL;
}
