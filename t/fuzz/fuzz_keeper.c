/* SPDX-License-Identifier: Apache-2.0
 *
 * A keeper among enemies: the input is a row of steps that clients, zygotes
 * and jobs take in any order, each with what it would send in good order or
 * with bytes of its own. After every step the keeper's books are in order, and
 * at the end nothing is left.
 */
#include "world.h"

#include "fuzz.h"

#include "cleanup.h"
#include "fdio.h"

#include <event2/event.h>
#include <unistd.h>

const char fuzz_name[] = "keeper";

/* A slow input finds nothing that a shorter one would not. */
#define STEPS_MOST 300

static struct
{
    const uint8_t *at;
    size_t left;
} input;

static uint8_t next_byte(void)
{
    if (input.left == 0) {
        return 0;
    }
    input.left--;
    return *input.at++;
}

/* Raw bytes: their number, then they. */
static const uint8_t *next_bytes(size_t *ret_size)
{
    const uint8_t *bytes;
    size_t size = next_byte();

    size |= (size_t)next_byte() << 8;
    bytes = input.at;
    *ret_size = size < input.left ? size : input.left;
    input.at += *ret_size;
    input.left -= *ret_size;
    return bytes;
}

static struct world_zygote *next_zygote(void)
{
    uint8_t number = next_byte();

    return world.zygote_count == 0 ? NULL
                                   : &world.zygotes[number % world.zygote_count];
}

static struct world_job *next_job(void)
{
    uint8_t number = next_byte();

    return world.job_count == 0 ? NULL : &world.jobs[number % world.job_count];
}

static struct world_client *next_client(void)
{
    uint8_t number = next_byte();

    return world.client_count == 0
               ? NULL
               : &world.clients[number % world.client_count];
}

/* What does not fit is lost, and a closed end takes nothing. */
static void put(int fd, const void *bytes, size_t size)
{
    if (fd >= 0) {
        (void)!write(fd, bytes, size);
    }
}

static void put_frame(int fd, struct pxw_writer *frame)
{
    FUZZ_HOLDS(pxw_end(frame) == 0);
    put(fd, frame->data, frame->size);
    pxw_writer_free(frame);
}

static void send_packet(const struct world_zygote *zygote, const void *bytes,
                        size_t size, size_t fds)
{
    int fd[2] = { world.process, world.process };

    if (zygote->channel >= 0) {
        (void)fdio_send(zygote->channel, bytes, size, fd, fds);
    }
}

static void send_frame(const struct world_zygote *zygote,
                       struct pxw_writer *frame, size_t fds)
{
    FUZZ_HOLDS(pxw_end(frame) == 0);
    send_packet(zygote, frame->data, frame->size, fds);
    pxw_writer_free(frame);
}

/* ---- zygotes ---- */

static void step_warmed(void)
{
    const struct world_zygote *zygote = next_zygote();
    uint8_t kind = next_byte();
    struct pxw_writer frame = { 0 };

    if (zygote != NULL) {
        pxw_begin(&frame, PXW_WARMED);
        pxw_put_str(&frame, PXW_F_PYTHON, "3.11.2");
        pxw_put_str(&frame, PXW_F_LEVEL, kind % 4 == 1   ? "restricted"
                                         : kind % 4 == 2 ? "none"
                                                         : "full");
        send_frame(zygote, &frame, 0);
    }
}

/* Bits of `kind`: with an error, without a descriptor, of another number,
 * without a process, by another zygote, with one descriptor too many. */
static void step_forked(void)
{
    const struct world_job *job = next_job();
    uint8_t kind = next_byte();
    struct pxw_writer frame = { 0 };

    if (job != NULL) {
        const struct world_zygote *zygote = kind & 16 ? &world.zygotes[0]
                                                      : job->zygote;

        pxw_begin(&frame, PXW_FORKED);
        pxw_put_u64(&frame, PXW_F_JOB, job->number + (kind & 4 ? 1 : 0));
        if (!(kind & 8)) {
            pxw_put_u32(&frame, PXW_F_PID, (uint32_t)getpid());
        }
        if (kind & 1) {
            pxw_put_u32(&frame, PXW_F_ERROR, kind);
        }
        send_frame(zygote, &frame, kind & 2 ? 0 : kind & 32 ? 2 : 1);
    }
}

static void step_exited(void)
{
    struct world_job *job = next_job();
    uint8_t low = next_byte();
    uint8_t high = next_byte();
    uint8_t kind = next_byte();
    struct pxw_writer frame = { 0 };

    if (job != NULL) {
        pxw_begin(&frame, PXW_EXITED);
        pxw_put_u64(&frame, PXW_F_JOB, job->number + (kind & 1));
        pxw_put_u32(&frame, PXW_F_WAIT, (uint32_t)(low | high << 8));
        pxw_put_u64(&frame, PXW_F_CPU_US, kind & 2 ? UINT64_MAX : 1000);
        pxw_put_u64(&frame, PXW_F_PEAK, kind & 4 ? UINT64_MAX : 1 << 20);
        send_frame(job->zygote, &frame, kind & 8 ? 1 : 0);
        job->exited = true;
    }
}

static void step_packet(void)
{
    const struct world_zygote *zygote = next_zygote();
    uint8_t fds = next_byte() % 3;
    size_t size;
    const uint8_t *bytes = next_bytes(&size);

    if (zygote != NULL) {
        send_packet(zygote, bytes, size, fds);
    }
}

static void step_log(void)
{
    const struct world_zygote *zygote = next_zygote();
    size_t size;
    const uint8_t *bytes = next_bytes(&size);

    if (zygote != NULL) {
        put(zygote->log, bytes, size);
    }
}

/* It ends, or only closes one of its ends. */
static void step_leave(void)
{
    struct world_zygote *zygote = next_zygote();
    uint8_t kind = next_byte();
    uint64_t one = 1;

    if (zygote != NULL && kind % 3 == 0) {
        put(zygote->process, &one, sizeof(one));
    }
    else if (zygote != NULL) {
        cleanup_fd(kind % 3 == 1 ? &zygote->channel : &zygote->log);
    }
}

/* ---- jobs ---- */

static void step_report(void)
{
    static const enum pxw_type types[] = { PXW_READY, PXW_STARTED,
                                           PXW_EXHAUSTED };
    struct world_job *job = next_job();
    uint8_t kind = next_byte() % 3;
    struct pxw_writer frame = { 0 };

    if (job != NULL) {
        pxw_begin(&frame, types[kind]);
        if (types[kind] == PXW_EXHAUSTED) {
            pxw_put_u32(&frame, PXW_F_OUTCOME, PXW_OUT_OF_MEMORY);
        }
        put_frame(job->ends[3], &frame);
        job->ready = job->ready || kind == 0;
        job->started = job->started || kind == 1;
    }
}

static void step_verdict(void)
{
    struct world_job *job = next_job();
    uint8_t kind = next_byte() % 3;
    struct pxw_writer frame = { 0 };

    if (job == NULL) {
        return;
    }
    if (kind == 0) {
        pxw_begin(&frame, PXW_REFUSED);
        pxw_put_u32(&frame, PXW_F_REASON, PXW_REASON_POLICY);
        pxw_put_str(&frame, PXW_F_TEXT, "no");
    }
    else if (kind == 1) {
        pxw_begin(&frame, PXW_FAILED);
        pxw_put_str(&frame, PXW_F_STEP, "mounts");
        pxw_put_u32(&frame, PXW_F_ERROR, 13);
    }
    else {
        pxw_begin(&frame, PXW_RESULT);
        pxw_put_u32(&frame, PXW_F_KIND, PXW_RESULT_VALUE);
        pxw_put_str(&frame, PXW_F_JSON, "[1]");
    }
    put_frame(job->ends[3], &frame);
}

/* On stdout, stderr or the report. */
static void step_write(void)
{
    struct world_job *job = next_job();
    uint8_t end = next_byte() % 3;
    size_t size;
    const uint8_t *bytes = next_bytes(&size);

    if (job != NULL) {
        put(job->ends[1 + end], bytes, size);
        job->raw = job->raw || end == 2;
    }
}

static void step_flood(void)
{
    static const uint8_t bytes[60000];
    const struct world_job *job = next_job();

    if (job != NULL) {
        put(job->ends[1], bytes, sizeof(bytes));
    }
}

static void step_read(void)
{
    uint8_t bytes[4096];
    const struct world_job *job = next_job();

    if (job != NULL && job->ends[0] >= 0) {
        (void)!read(job->ends[0], bytes, sizeof(bytes));
    }
}

static void step_shut(void)
{
    struct world_job *job = next_job();
    uint8_t end = next_byte() % 4;

    if (job != NULL) {
        cleanup_fd(&job->ends[end]);
    }
}

/* ---- clients ---- */

static void step_connect(void)
{
    (void)world_connect();
}

static void step_hello(void)
{
    struct world_client *client = next_client();
    uint8_t token[PXW_TOKEN_BYTES] = { next_byte() & 7 };
    struct pxw_writer frame = { 0 };

    if (client != NULL) {
        /* Mostly the right one, which is all zeros. */
        token[0] = token[0] == 7;
        client->known = client->known || token[0] == 0;
        pxw_begin(&frame, PXW_HELLO);
        pxw_put_bytes(&frame, PXW_F_TOKEN, token, sizeof(token));
        put_frame(client->fd, &frame);
    }
}

static void step_run(void)
{
    static const uint8_t zeros[30000];
    struct world_client *client = next_client();
    uint8_t kind = next_byte();
    const uint8_t *source = (const uint8_t *)"import numpy";
    size_t size = 12;
    struct pxw_writer frame = { 0 };

    if (client == NULL) {
        return;
    }
    pxw_begin(&frame, !(kind & 1) ? PXW_RUN
                      : kind & 32 ? PXW_METRICS : PXW_STATUS);
    if (!(kind & 1)) {
        pxw_put_str(&frame, PXW_F_POOL, kind & 2 ? "another" : "p");
        if (kind & 16) {
            source = next_bytes(&size);
        }
        pxw_put_bytes(&frame, PXW_F_SOURCE, source, size);
        if (kind >> 5 == 2) {
            pxw_put_u32(&frame, PXW_F_LINK, 1);
        }
        pxw_put_u32(&frame, PXW_F_FORBID, 0);
        pxw_put_u32(&frame, PXW_F_WALL_MS, 100000);
        pxw_put_u32(&frame, PXW_F_CPU_MS, 100000);
        pxw_put_u64(&frame, PXW_F_MEMORY, UINT64_MAX);
        pxw_put_u32(&frame, PXW_F_OUTPUT, kind & 4 ? 0 : UINT32_MAX);
        pxw_put_u32(&frame, PXW_F_FILES, 100);
        pxw_put_u32(&frame, PXW_F_THREADS, 100);
        pxw_put_bytes(&frame, PXW_F_STDIN, zeros, kind & 8 ? sizeof(zeros) : 3);
    }
    put_frame(client->fd, &frame);
    if (!(kind & 1) && (kind >> 5) != 7) {
        struct pxw_writer go = { 0 };

        pxw_begin(&go, PXW_GO);
        put_frame(client->fd, &go);
    }
}

static void step_send(void)
{
    struct world_client *client = next_client();
    size_t size;
    const uint8_t *bytes = next_bytes(&size);

    if (client != NULL) {
        put(client->fd, bytes, size);
        client->known = true;
    }
}

static void step_hang_up(void)
{
    struct world_client *client = next_client();

    if (client != NULL) {
        cleanup_fd(&client->fd);
    }
}

/* Nobody is told DONE while no job has said that it started. */
static void check_answer(const struct pxw_message *message)
{
    bool possible = false;

    for (size_t i = 0; i < world.job_count; i++) {
        const struct world_job *job = &world.jobs[i];

        possible = possible || job->raw
                   || (job->ready && job->started && job->exited);
    }
    FUZZ_HOLDS(possible || message->type != PXW_OUTCOME
               || pxw_u32(message, PXW_F_OUTCOME, 0) != PXW_DONE);
}

static void step_listen(void)
{
    static uint8_t bytes[1 << 18];
    struct world_client *client = next_client();
    ssize_t size = client == NULL || client->fd < 0
                       ? 0
                       : read(client->fd, bytes, sizeof(bytes));
    struct pxw_header header;
    struct pxw_message message;

    if (size <= 0) {
        return;
    }
    FUZZ_HOLDS(client->known && size >= PXW_HEADER_BYTES);
    FUZZ_HOLDS(pxw_get_header(bytes, &header) == 0);
    FUZZ_HOLDS(header.type == PXW_OUTCOME || header.type == PXW_STATUS_IS
               || header.type == PXW_METRICS_ARE);
    FUZZ_HOLDS(header.length == (size_t)size - PXW_HEADER_BYTES);
    FUZZ_HOLDS(pxw_parse(header.type, bytes + PXW_HEADER_BYTES, header.length,
                         &message) == 0);
    check_answer(&message);
}

/* ---- the keeper ---- */

static void step_expire(void)
{
    world_expire(next_byte());
}

static void step_drain(void)
{
    /* As on_terminate() does. */
    if (next_byte() == 0xdd) {
        world.keeper.draining = true;
        (void)event_del(&world.keeper.listening);
    }
}

static void (*const steps[])(void) = {
    world_run,    step_warmed, step_forked,  step_exited, step_packet,
    step_log,     step_leave,  step_report,  step_verdict, step_write,
    step_flood,   step_read,   step_shut,    step_connect, step_hello,
    step_run,     step_send,   step_hang_up, step_listen, step_expire,
    step_drain,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input.at = data;
    input.left = size;
    world_open(next_byte());
    for (int i = 0; i < STEPS_MOST && input.left > 0; i++) {
        uint8_t step = next_byte();

        steps[(step & 0x7f) % (sizeof(steps) / sizeof(steps[0]))]();
        /* With the top bit, more happens before the keeper comes to it. */
        if (!(step & 0x80)) {
            world_run();
        }
        world_check();
    }
    world_close();
    return 0;
}
