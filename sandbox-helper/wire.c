/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking of frames. Runs in every process of ours, with that process's
 * rights; must never read outside the bytes it was given and never block. The
 * two tables below are the whole grammar; wire_writer.c packs frames.
 */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALL (8u << 10)
/* Room for one list, which is the largest thing in a packet of the fork
 * channel. */
#define PACKET (PXW_LIST_MAX + SMALL)
/* … and for the texts that there are of a pool beside it. */
#define POOL (PACKET + PXW_DIRS_MAX + PXW_TEXT_MAX)

enum kind
{
    KIND_NONE,
    KIND_U32,
    KIND_U64,
    KIND_TOKEN,
    KIND_NAME,   /* 1..PXW_NAME_MAX bytes, no NUL, no control characters */
    KIND_LIST,   /* up to PXW_LIST_MAX, no NUL */
    KIND_ENV,    /* up to PXW_ENV_MAX, no NUL */
    KIND_DIRS,   /* up to PXW_DIRS_MAX, no NUL */
    KIND_TEXT,   /* up to PXW_TEXT_MAX, no NUL */
    KIND_LINE,   /* up to PXW_BLOB_MAX, no NUL */
    KIND_BLOB,   /* up to PXW_BLOB_MAX */
    KIND_OUTPUT, /* up to PXW_OUTPUT_MAX */
    KIND_FIELDS, /* up to POOL, a body of its own */
};

static const uint8_t kinds[PXW_TAGS] = {
    [PXW_F_TOKEN] = KIND_TOKEN,
    [PXW_F_POOL] = KIND_NAME,
    [PXW_F_TENANT] = KIND_NAME,
    [PXW_F_SOURCE] = KIND_LINE,
    [PXW_F_STDIN] = KIND_BLOB,
    [PXW_F_ARG] = KIND_LINE,
    [PXW_F_IMPORTS] = KIND_LIST,
    [PXW_F_FORBID] = KIND_U32,
    [PXW_F_WALL_MS] = KIND_U32,
    [PXW_F_CPU_MS] = KIND_U32,
    [PXW_F_MEMORY] = KIND_U64,
    [PXW_F_OUTPUT] = KIND_U32,
    [PXW_F_FILES] = KIND_U32,
    [PXW_F_THREADS] = KIND_U32,
    [PXW_F_CALL] = KIND_U32,
    [PXW_F_FUNCTION] = KIND_NAME,
    [PXW_F_PARAMS] = KIND_LINE,
    [PXW_F_DENY] = KIND_LIST,
    [PXW_F_OUTCOME] = KIND_U32,
    [PXW_F_TEXT] = KIND_TEXT,
    [PXW_F_EXIT] = KIND_U32,
    [PXW_F_WALL_US] = KIND_U64,
    [PXW_F_CPU_US] = KIND_U64,
    [PXW_F_PEAK] = KIND_U64,
    [PXW_F_OUT] = KIND_OUTPUT,
    [PXW_F_ERR] = KIND_OUTPUT,
    [PXW_F_CUT] = KIND_U32,
    [PXW_F_JSON] = KIND_OUTPUT,
    [PXW_F_QUEUE_US] = KIND_U64,
    [PXW_F_REASON] = KIND_U32,
    [PXW_F_KIND] = KIND_U32,
    [PXW_F_HINTS] = KIND_LIST,
    [PXW_F_NAMES] = KIND_LIST,
    [PXW_F_TENANT_CONCURRENCY] = KIND_U32,
    [PXW_F_TENANT_QUEUE] = KIND_U32,
    [PXW_F_IDLE_MS] = KIND_U32,
    [PXW_F_POOL_DEF] = KIND_FIELDS,
    [PXW_F_PRELOAD] = KIND_LIST,
    [PXW_F_SLOTS] = KIND_U32,
    [PXW_F_CONCURRENCY] = KIND_U32,
    [PXW_F_QUEUE] = KIND_U32,
    [PXW_F_QUEUE_MS] = KIND_U32,
    [PXW_F_RECYCLE_RUNS] = KIND_U32,
    [PXW_F_RECYCLE_MS] = KIND_U32,
    [PXW_F_PROCESSES] = KIND_U32,
    [PXW_F_LAZY] = KIND_U32,
    [PXW_F_ENV] = KIND_ENV,
    [PXW_F_JOB] = KIND_U64,
    [PXW_F_PID] = KIND_U32,
    [PXW_F_ERROR] = KIND_U32,
    [PXW_F_WAIT] = KIND_U32,
    [PXW_F_PYTHON] = KIND_NAME,
    [PXW_F_STEP] = KIND_NAME,
    [PXW_F_INIT] = KIND_U32,
    [PXW_F_LEVEL] = KIND_NAME,
    [PXW_F_VERSION] = KIND_NAME,
    [PXW_F_READY] = KIND_U32,
    [PXW_F_RUNNING] = KIND_U32,
    [PXW_F_QUEUED] = KIND_U32,
    [PXW_F_CGROUP] = KIND_NAME,
    [PXW_F_POOL_IS] = KIND_FIELDS,
    [PXW_F_BRANCHES] = KIND_U32,
    [PXW_F_RUNS] = KIND_U64,
    [PXW_F_METRICS] = KIND_OUTPUT,
    [PXW_F_INTERPRETER] = KIND_NAME,
    [PXW_F_SITE] = KIND_DIRS,
    [PXW_F_GENERATION] = KIND_U64,
    [PXW_F_PROXY] = KIND_NAME,
    [PXW_F_NETWORK] = KIND_U32,
    [PXW_F_CONNECTIONS] = KIND_U32,
    [PXW_F_NETWORK_BYTES] = KIND_U64,
    [PXW_F_LINK] = KIND_U32,
    [PXW_F_LINK_MS] = KIND_U32,
    [PXW_F_LINK_BYTES] = KIND_U32,
    [PXW_F_ENVIRONMENT] = KIND_DIRS,
    [PXW_F_INSTALL_BYTES] = KIND_U64,
    [PXW_F_INDEX] = KIND_TEXT,
    [PXW_F_SOURCES] = KIND_U32,
    [PXW_F_INSTALL] = KIND_LIST,
    [PXW_F_OPEN] = KIND_U32,
    [PXW_F_RUN_ID] = KIND_NAME,
};

#define MAX_RULE_TAGS 24

/* What a frame may hold. `must` fields are there exactly once; `may` fields
 * at most once, the one named `many` any number of times. */
struct rule
{
    uint16_t type;
    uint32_t max_body;
    uint8_t must[MAX_RULE_TAGS];
    uint8_t may[MAX_RULE_TAGS];
    uint8_t many;
};

static const struct rule rules[] = {
    { .type = PXW_HELLO, .max_body = 64, .must = { PXW_F_TOKEN } },
    { .type = PXW_RUN, .max_body = PXW_BLOB_MAX,
      .must = { PXW_F_POOL, PXW_F_SOURCE, PXW_F_FORBID, PXW_F_WALL_MS,
                PXW_F_CPU_MS, PXW_F_MEMORY, PXW_F_OUTPUT, PXW_F_FILES,
                PXW_F_THREADS },
      .may = { PXW_F_TENANT, PXW_F_STDIN, PXW_F_IMPORTS, PXW_F_ARG,
               PXW_F_CALL, PXW_F_FUNCTION, PXW_F_PARAMS, PXW_F_DENY,
               PXW_F_LINK, PXW_F_INSTALL, PXW_F_OPEN, PXW_F_RUN_ID },
      .many = PXW_F_ARG },
    { .type = PXW_OUTCOME, .max_body = 3 * PXW_OUTPUT_MAX + 2 * PACKET,
      .must = { PXW_F_OUTCOME },
      .may = { PXW_F_TEXT, PXW_F_EXIT, PXW_F_WALL_US, PXW_F_CPU_US, PXW_F_PEAK,
               PXW_F_OUT, PXW_F_ERR, PXW_F_CUT, PXW_F_JSON, PXW_F_QUEUE_US,
               PXW_F_REASON, PXW_F_KIND, PXW_F_HINTS, PXW_F_NAMES,
               PXW_F_PYTHON, PXW_F_CONNECTIONS, PXW_F_NETWORK_BYTES } },
    { .type = PXW_GO, .max_body = 64 },
    { .type = PXW_STATUS, .max_body = 64 },
    { .type = PXW_STATUS_IS, .max_body = 1u << 20,
      .must = { PXW_F_READY, PXW_F_LEVEL, PXW_F_VERSION },
      .may = { PXW_F_PYTHON, PXW_F_RUNNING, PXW_F_QUEUED, PXW_F_TEXT,
               PXW_F_CGROUP, PXW_F_POOL_IS },
      .many = PXW_F_POOL_IS },
    { .type = PXW_METRICS, .max_body = 64 },
    { .type = PXW_METRICS_ARE, .max_body = PXW_OUTPUT_MAX + SMALL,
      .must = { PXW_F_METRICS } },
    { .type = PXW_SETUP, .max_body = 1u << 20, .must = { PXW_F_TOKEN },
      .may = { PXW_F_GENERATION, PXW_F_POOL_DEF },
      .many = PXW_F_POOL_DEF },
    { .type = PXW_SETUP_IS, .max_body = SMALL,
      .must = { PXW_F_READY, PXW_F_VERSION }, .may = { PXW_F_TEXT } },
    { .type = PXW_UNSERVED, .max_body = SMALL,
      .must = { PXW_F_REASON, PXW_F_TEXT } },
    { .type = PXW_WARM, .max_body = POOL,
      .must = { PXW_F_SLOTS, PXW_F_MEMORY },
      .may = { PXW_F_ENV, PXW_F_PRELOAD, PXW_F_LEVEL, PXW_F_PROCESSES,
               PXW_F_SITE, PXW_F_VERSION, PXW_F_NETWORK, PXW_F_LINK_MS,
               PXW_F_LINK_BYTES, PXW_F_ENVIRONMENT, PXW_F_INSTALL_BYTES,
               PXW_F_INDEX, PXW_F_SOURCES } },
    { .type = PXW_WARMED, .max_body = SMALL,
      .must = { PXW_F_PYTHON, PXW_F_LEVEL }, .may = { PXW_F_MEMORY } },
    { .type = PXW_FORK, .max_body = SMALL, .must = { PXW_F_JOB } },
    { .type = PXW_FORKED, .max_body = SMALL, .must = { PXW_F_JOB },
      .may = { PXW_F_PID, PXW_F_INIT, PXW_F_ERROR } },
    { .type = PXW_EXITED, .max_body = SMALL,
      .must = { PXW_F_JOB, PXW_F_WAIT, PXW_F_CPU_US, PXW_F_PEAK },
      .may = { PXW_F_TEXT } },
    { .type = PXW_READY, .max_body = 64 },
    { .type = PXW_FAILED, .max_body = SMALL,
      .must = { PXW_F_STEP, PXW_F_ERROR } },
    { .type = PXW_REFUSED, .max_body = 2 * PACKET,
      .must = { PXW_F_REASON, PXW_F_TEXT },
      .may = { PXW_F_HINTS, PXW_F_NAMES } },
    { .type = PXW_STARTED, .max_body = 64 },
    { .type = PXW_RESULT, .max_body = PXW_OUTPUT_MAX + PACKET,
      .must = { PXW_F_KIND },
      .may = { PXW_F_JSON, PXW_F_TEXT, PXW_F_HINTS } },
    { .type = PXW_EXHAUSTED, .max_body = 64, .must = { PXW_F_OUTCOME } },
};

/* The inside of PXW_F_POOL_DEF. */
static const struct rule pool_rule = {
    .max_body = POOL,
    .must = { PXW_F_POOL, PXW_F_CONCURRENCY, PXW_F_QUEUE, PXW_F_QUEUE_MS,
              PXW_F_WALL_MS, PXW_F_CPU_MS, PXW_F_MEMORY, PXW_F_OUTPUT,
              PXW_F_FILES, PXW_F_THREADS },
    .may = { PXW_F_LAZY, PXW_F_ENV, PXW_F_PRELOAD, PXW_F_LEVEL,
             PXW_F_RECYCLE_RUNS, PXW_F_RECYCLE_MS, PXW_F_PROCESSES,
             PXW_F_TENANT_CONCURRENCY, PXW_F_TENANT_QUEUE, PXW_F_IDLE_MS,
             PXW_F_INTERPRETER, PXW_F_SITE, PXW_F_PROXY, PXW_F_CONNECTIONS,
             PXW_F_NETWORK_BYTES, PXW_F_LINK, PXW_F_LINK_MS,
             PXW_F_LINK_BYTES, PXW_F_ENVIRONMENT, PXW_F_INSTALL_BYTES,
             PXW_F_INDEX, PXW_F_SOURCES },
};

/* The inside of PXW_F_POOL_IS. */
static const struct rule pool_is_rule = {
    .max_body = SMALL,
    .must = { PXW_F_POOL, PXW_F_READY, PXW_F_LEVEL, PXW_F_RUNNING,
              PXW_F_QUEUED, PXW_F_BRANCHES, PXW_F_RUNS },
    .may = { PXW_F_PYTHON, PXW_F_LAZY },
};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const uint8_t *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static const struct rule *find_rule(uint16_t type)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].type == type) {
            return &rules[i];
        }
    }
    return NULL;
}

static bool holds(const uint8_t tags[MAX_RULE_TAGS], uint16_t tag)
{
    for (size_t i = 0; i < MAX_RULE_TAGS && tags[i] != 0; i++) {
        if (tags[i] == tag) {
            return true;
        }
    }
    return false;
}

uint32_t pxw_max_body(uint16_t type)
{
    const struct rule *rule = find_rule(type);

    return rule == NULL ? 0 : rule->max_body;
}

int pxw_get_header(const uint8_t *bytes, struct pxw_header *ret_header)
{
    uint16_t type = get16(bytes + 6);
    uint32_t length = get32(bytes + 8);
    const struct rule *rule = find_rule(type);

    if (memcmp(bytes, PXW_MAGIC, 4) != 0) {
        return -EPROTO;
    }
    if (get16(bytes + 4) != PXW_VERSION) {
        return -EPROTONOSUPPORT;
    }
    if (rule == NULL) {
        return -EBADMSG;
    }
    if (length > rule->max_body) {
        return -EMSGSIZE;
    }
    *ret_header = (struct pxw_header){ .type = type, .length = length };
    return 0;
}

static bool has_nul(const struct pxw_field *field)
{
    return memchr(field->data, 0, field->size) != NULL;
}

static bool is_name(const struct pxw_field *field)
{
    if (field->size == 0 || field->size > PXW_NAME_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < field->size; i++) {
        if (field->data[i] < 0x20 || field->data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool fits_kind(const struct pxw_field *field)
{
    switch ((enum kind)kinds[field->tag]) {
    case KIND_U32:
        return field->size == 4;
    case KIND_U64:
        return field->size == 8;
    case KIND_TOKEN:
        return field->size == PXW_TOKEN_BYTES;
    case KIND_NAME:
        return is_name(field);
    case KIND_LIST:
        return field->size <= PXW_LIST_MAX && !has_nul(field);
    case KIND_ENV:
        return field->size <= PXW_ENV_MAX && !has_nul(field);
    case KIND_DIRS:
        return field->size <= PXW_DIRS_MAX && !has_nul(field);
    case KIND_TEXT:
        return field->size <= PXW_TEXT_MAX && !has_nul(field);
    case KIND_LINE:
        return field->size <= PXW_BLOB_MAX && !has_nul(field);
    case KIND_BLOB:
        return field->size <= PXW_BLOB_MAX;
    case KIND_OUTPUT:
        return field->size <= PXW_OUTPUT_MAX;
    case KIND_FIELDS:
        return field->size <= POOL;
    case KIND_NONE:
        break;
    }
    return false;
}

/* Takes the field at *at. 0, or -EBADMSG when it does not fit into the body:
 * the sizes are compared by subtraction, so that no sum can overflow. */
static int take_field(const uint8_t *body, size_t size, size_t *at,
                      struct pxw_field *ret_field)
{
    const uint8_t *head = body + *at;

    if (size - *at < PXW_FIELD_HEADER_BYTES || get16(head + 2) != 0
        || get32(head + 4) > size - *at - PXW_FIELD_HEADER_BYTES) {
        return -EBADMSG;
    }
    *ret_field = (struct pxw_field){
        .tag = get16(head),
        .size = get32(head + 4),
        .data = head + PXW_FIELD_HEADER_BYTES,
    };
    *at += PXW_FIELD_HEADER_BYTES + ret_field->size;
    return 0;
}

static int accept_field(const struct rule *rule, const struct pxw_field *field,
                        struct pxw_message *message)
{
    struct pxw_field *slot;

    if (field->tag == 0 || field->tag >= PXW_TAGS
        || (!holds(rule->must, field->tag) && !holds(rule->may, field->tag))) {
        return field->tag & PXW_OPTIONAL ? 0 : -EBADMSG;
    }
    slot = &message->field[field->tag];
    if (!fits_kind(field)
        || (slot->data != NULL && field->tag != rule->many)) {
        return -EBADMSG;
    }
    if (slot->data == NULL) {
        *slot = *field;
    }
    return 0;
}

static int parse(const struct rule *rule, const uint8_t *body, size_t size,
                 struct pxw_message *ret_message)
{
    struct pxw_message message = { .type = rule->type, .body = body,
                                   .size = size };
    struct pxw_field field;
    size_t at = 0;

    if (size > rule->max_body) {
        return -EBADMSG;
    }
    while (at < size) {
        if (take_field(body, size, &at, &field) != 0
            || accept_field(rule, &field, &message) != 0) {
            return -EBADMSG;
        }
    }
    for (size_t i = 0; i < MAX_RULE_TAGS && rule->must[i] != 0; i++) {
        if (message.field[rule->must[i]].data == NULL) {
            return -EBADMSG;
        }
    }
    *ret_message = message;
    return 0;
}

int pxw_parse(uint16_t type, const uint8_t *body, size_t size,
              struct pxw_message *ret_message)
{
    const struct rule *rule = find_rule(type);

    return rule == NULL ? -EBADMSG : parse(rule, body, size, ret_message);
}

int pxw_parse_pool(const struct pxw_field *pool,
                   struct pxw_message *ret_message)
{
    return parse(&pool_rule, pool->data, pool->size, ret_message);
}

int pxw_parse_pool_is(const struct pxw_field *pool,
                      struct pxw_message *ret_message)
{
    return parse(&pool_is_rule, pool->data, pool->size, ret_message);
}

uint32_t pxw_u32(const struct pxw_message *message, enum pxw_tag tag,
                 uint32_t absent)
{
    const struct pxw_field *field = &message->field[tag];

    return field->data == NULL ? absent : get32(field->data);
}

uint64_t pxw_u64(const struct pxw_message *message, enum pxw_tag tag,
                 uint64_t absent)
{
    const struct pxw_field *field = &message->field[tag];

    return field->data == NULL ? absent : get64(field->data);
}

bool pxw_next(const struct pxw_message *message, size_t *at,
              struct pxw_field *ret_field)
{
    return *at < message->size
           && take_field(message->body, message->size, at, ret_field) == 0;
}

const char *pxw_outcome_name(enum pxw_outcome outcome)
{
    static const struct
    {
        enum pxw_outcome outcome;
        const char *name;
    } names[] = {
        { PXW_NOT_ACCEPTABLE, "refused" },
        { PXW_DONE, "done" },
        { PXW_EXITED_NONZERO, "exit" },
        { PXW_OUT_OF_WALL, "time" },
        { PXW_OUT_OF_CPU, "cpu" },
        { PXW_OUT_OF_MEMORY, "memory" },
        { PXW_OUT_OF_OUTPUT, "output" },
        { PXW_OUT_OF_PROCESSES, "processes" },
        { PXW_SIGNALLED, "signal" },
        { PXW_OUT_OF_DESCRIPTORS, "descriptors" },
        { PXW_OUT_OF_THREADS, "threads" },
        { PXW_OUT_OF_RECURSION, "recursion" },
        { PXW_OUT_OF_STACK, "stack" },
        { PXW_BUSY, "busy" },
        { PXW_ABSENT, "absent" },
        { PXW_LOST, "lost" },
        { PXW_BROKEN, "broken" },
        { PXW_NO_SANDBOX, "no-sandbox" },
        { PXW_TENANT_BUSY, "tenant_busy" },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].outcome == outcome) {
            return names[i].name;
        }
    }
    return "broken";
}
