/* SPDX-License-Identifier: Apache-2.0
 *
 * One keeper with one pool, and the other ends of all its channels: clients,
 * zygotes and jobs that a fuzz target plays. Nothing is replaced but what
 * needs a process of its own: starting a zygote, signals to one, the log.
 */
#ifndef PYEXEC_FUZZ_WORLD_H
#define PYEXEC_FUZZ_WORLD_H

#include "keeper.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_ZYGOTES 12
#define WORLD_JOBS 48
#define WORLD_CLIENTS 8

/* The zygote's side. -1: closed, or not there. */
struct world_zygote
{
    int channel;
    int log;
    int process; /* an eventfd in the pidfd's place: readable once it ended */
};

/* What came with a FORK. */
struct world_job
{
    struct world_zygote *zygote;
    uint64_t number;
    int ends[4];  /* stdin, stdout, stderr, report */
    bool ready;   /* READY and STARTED were written as such */
    bool started;
    bool raw;     /* bytes of any kind were written: all is possible */
    bool exited;
};

struct world_client
{
    int fd;     /* -1: closed */
    bool known; /* the token was sent; true as well when any bytes were */
};

struct world
{
    struct keeper keeper;
    struct keeper_pool pool;
    struct helper_conf conf;
    struct pool_conf pool_conf;
    struct world_zygote zygotes[WORLD_ZYGOTES];
    size_t zygote_count;
    struct world_job jobs[WORLD_JOBS];
    size_t job_count;
    struct world_client clients[WORLD_CLIENTS];
    size_t client_count;
    int listener;
    int process; /* every job's, in the pidfd's place */
    int open_before; /* descriptors, when it was made */
};

extern struct world world;

/* `kind` chooses among a few configurations. */
void world_open(uint8_t kind);
/* Ends it as the keeper ends, and checks that nothing is left. */
void world_close(void);

/* What holds between any two events. */
void world_check(void);

/* Connects a client; false: no more of them. */
bool world_connect(void);
/* Lets events happen that are due, and takes the FORKs that were sent. */
void world_run(void);
/* Lets a timer that is set run out, the number-th. */
void world_expire(size_t number);

#endif
