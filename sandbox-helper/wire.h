/* SPDX-License-Identifier: Apache-2.0
 *
 * The one protocol of mod_pyexec: module, keeper, zygote and job speak it.
 * Compiled into all of them, into the tests and the fuzzers; knows neither
 * APR nor libevent nor Python. Everything received is treated as hostile.
 *
 * A frame is a header and a body. All integers are little-endian.
 *
 *      0        4         6        8            12
 *      +--------+---------+--------+------------+------ - -
 *      | "PYXW" | version |  type  |   length   | body, `length` bytes
 *      +--------+---------+--------+------------+------ - -
 *        4 bytes   u16       u16       u32
 *
 * A body is a row of fields, in any order:
 *
 *      0       2       4         8
 *      +-------+-------+---------+------ - -
 *      |  tag  |   0   |  size   | value, `size` bytes
 *      +-------+-------+---------+------ - -
 *         u16     u16     u32
 *
 * Who says what on which channel, and when:
 *
 *   listening Unix stream socket: module -> keeper, one connection a request
 *     HELLO    module: the token; always first, answered by nothing
 *     RUN      module: one run          -> OUTCOME, then the keeper closes
 *     GO       module: right behind RUN. The keeper reads it when it hands
 *              the run to a job and no earlier: should the keeper end before,
 *              Linux answers the module, whose bytes were not all read, with
 *              ECONNRESET, else with the end of file. So the module knows
 *              whether it may ask again, and nothing is sent for it.
 *     STATUS   module: how are you      -> STATUS_IS, then the keeper closes
 *     METRICS  module: what was counted -> METRICS_ARE, then the keeper closes
 *     UNSERVED in place of any answer, also before anything was asked: nobody
 *              serves now, and nothing was begun. From the service while it
 *              has no keeper, from a keeper to who speaks another version.
 *     Closing the connection before the answer cancels the run.
 *
 *   lifeline (pipe or file): module or administrator -> keeper
 *     SETUP    once, at the start; afterwards the pipe stays open and silent,
 *              and its end of file means that httpd is gone
 *
 *   control socket of the service (Unix stream): module -> service
 *     SETUP    the same frame; once a connection -> SETUP_IS. The connection
 *              then stays open and silent for as long as httpd lives: whoever
 *              holds it is the one who may change the set-up.
 *
 *   fork channel (SOCK_SEQPACKET, one frame a packet): keeper <-> zygote
 *     WARM     keeper: what to preload, what jobs may do; with a memfd for
 *              the interpreter's code (zygote_shared.h), or without
 *                                       -> WARMED, after the self-test held
 *     FORK     keeper, with four descriptors: stdin (a pipe's read end),
 *              stdout, stderr, report (pipes' write ends); where a cgroup is
 *              delegated with a fifth, cgroup.procs of the job's group
 *                                       -> FORKED, with the job's pidfd and,
 *                                          of jobs with NETWORK, their
 *                                          listener; or with ERROR and no
 *                                          descriptor
 *     EXITED   zygote: a job was reaped, and whatever it had started is gone;
 *              where packages were to be installed its status is 0 if they
 *              have become the environment's, and TEXT may say why not
 *
 *   job's stdin (pipe): keeper -> job
 *     RUN      the frame as the keeper got it, its limits brought down to the
 *              ceilings; the bytes after it are what the script reads as stdin
 *
 *   job's report (pipe): job -> keeper
 *     READY    confined, warm, waiting for RUN
 *     FAILED   a step of the confinement failed; the job ends
 *     REFUSED  the source is not acceptable; the job ends
 *     STARTED  user code runs from here on: nothing that follows is believed
 *              to be more than bytes chosen by the script
 *     RESULT   what the called function returned, as JSON text
 *     EXHAUSTED  which limit the script met at its end
 *
 * Version rule: the version is raised when an old reader would misread a
 * frame. A reader refuses any other version. Within a version, types and
 * tags are only ever added; a tag with PXW_OPTIONAL set may be skipped by a
 * reader that does not know it, any other unknown tag is a violation. The
 * header's first eight bytes are the same in all versions, so that two that do
 * not understand each other can say so: whoever is asked in another version
 * answers in his own.
 *
 * Who can meet another version: a package is replaced while httpd runs.
 *   module, keeper  Children of httpd from before a graceful restart ask the
 *              keeper from after it: it closes without reading on, which they
 *              understand (GO) as not begun, and answer 503. A keeper that is
 *              not the module's refuses SETUP and ends; httpd tries again.
 *   keeper, zygote  A keeper holds the program that lay beside it when it
 *              started. In between one of the two may have been replaced: the
 *              zygote refuses a WARM of another version or release (VERSION).
 *
 * On a violation (bad magic or version, unknown or unexpected type, length
 * above the type's maximum, malformed or missing field) the reader closes the
 * channel and the run is PXW_BROKEN; nothing of the frame is used.
 */
#ifndef PYEXEC_WIRE_H
#define PYEXEC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PXW_MAGIC "PYXW"
/* The tests of upgrades build another one (t/upgrade). */
#ifndef PXW_VERSION
#define PXW_VERSION 1
#endif
#define PXW_HEADER_BYTES 12
#define PXW_FIELD_HEADER_BYTES 8
#define PXW_OPTIONAL 0x8000u

/* 32 random bytes that only httpd and the keeper know. */
#define PXW_TOKEN_BYTES 32
/* Names of pools, tenants, modules: long enough for any host name. */
#define PXW_NAME_MAX 255
/* A message for a person; more is cut by the writer. */
#define PXW_TEXT_MAX 4096
/* A list of names, one a line. */
#define PXW_LIST_MAX (64u << 10)
/* Variables of the environment, one a line; fits beside a list. */
#define PXW_ENV_MAX (4u << 10)
/* Names of directories, one a line; fits beside both. */
#define PXW_DIRS_MAX (2u << 10)
/* Source, stdin, arguments: bounded by the largest request body (below). */
#define PXW_BLOB_MAX (64u << 20)
/* Captured output per stream, and a result. */
#define PXW_OUTPUT_MAX (16u << 20)

/* Copying what was installed to a slow disk, when the run's time is over. */
#define PXW_COMMIT_MS 60000
/* Starting interpreters that have it, before that is answered. */
#define PXW_SETTLE_MS 10000

/* Where a job finds the way to the proxy: 127.0.0.1 of its own network. */
#define PXW_PROXY_PORT 3128

/* Exit status of a job, before READY, that the keeper answers by asking for
 * another one, and that is no failure. */
#define PXW_EXIT_AGAIN 123

/* Requests are even, answers and notices odd. */
enum pxw_type
{
    PXW_HELLO = 2,
    PXW_RUN = 4,
    PXW_OUTCOME = 5,
    PXW_STATUS = 6,
    PXW_STATUS_IS = 7,
    PXW_SETUP = 8,
    PXW_SETUP_IS = 9,
    PXW_GO = 10,
    PXW_METRICS = 12,
    PXW_METRICS_ARE = 13,
    PXW_UNSERVED = 15,
    PXW_WARM = 16,
    PXW_WARMED = 17,
    PXW_FORK = 18,
    PXW_FORKED = 19,
    PXW_EXITED = 21,
    PXW_READY = 33,
    PXW_FAILED = 35,
    PXW_REFUSED = 37,
    PXW_STARTED = 39,
    PXW_RESULT = 41,
    PXW_EXHAUSTED = 43,
};

/* The fields. The comment names the type; rules per frame are in wire.c. */
enum pxw_tag
{
    PXW_F_TOKEN = 1,      /* bytes, exactly PXW_TOKEN_BYTES */

    /* a run */
    PXW_F_POOL = 2,       /* name */
    PXW_F_TENANT = 3,     /* name */
    PXW_F_SOURCE = 4,     /* bytes: UTF-8 text without NUL */
    PXW_F_STDIN = 5,      /* bytes; absent: empty */
    PXW_F_ARG = 6,        /* text without NUL, repeated: sys.argv[1:] */
    PXW_F_IMPORTS = 7,    /* list: what may be imported; absent: anything */
    PXW_F_FORBID = 8,     /* u32: PXW_FORBID_… */
    PXW_F_WALL_MS = 9,    /* u32 */
    PXW_F_CPU_MS = 10,    /* u32 */
    PXW_F_MEMORY = 11,    /* u64 bytes on top of the warm interpreter; in
                           * WARMED: what that itself has of its own */
    PXW_F_OUTPUT = 12,    /* u32 bytes kept per stream */
    PXW_F_FILES = 13,     /* u32 open descriptors */
    PXW_F_THREADS = 14,   /* u32 threads, the main one included */
    PXW_F_CALL = 15,      /* u32: enum pxw_call; absent: PXW_CALL_NONE */
    PXW_F_FUNCTION = 16,  /* name: what is called; absent: see pxw_call */
    PXW_F_PARAMS = 17,    /* text: a JSON array (positional) or object (by
                           * keyword); absent: no arguments */
    PXW_F_DENY = 18,      /* list: what may not be imported */

    /* what became of it */
    PXW_F_OUTCOME = 20,   /* u32: enum pxw_outcome; in EXHAUSTED: the limit */
    PXW_F_TEXT = 21,      /* text for a person: why it was refused or failed */
    PXW_F_EXIT = 22,      /* u32: exit status 0..255, or 256 + signal */
    PXW_F_WALL_US = 23,   /* u64 */
    PXW_F_CPU_US = 24,    /* u64 */
    PXW_F_PEAK = 25,      /* u64 bytes, resident, at most */
    PXW_F_OUT = 26,       /* bytes: stdout */
    PXW_F_ERR = 27,       /* bytes: stderr */
    PXW_F_CUT = 28,       /* u32: PXW_CUT_… */
    PXW_F_JSON = 29,      /* bytes: the result, not believed to be JSON */
    PXW_F_QUEUE_US = 30,  /* u64: waited for a slot */
    PXW_F_REASON = 31,    /* u32: enum pxw_reason; in UNSERVED: pxw_unserved */
    PXW_F_KIND = 32,      /* u32: enum pxw_result; with CALL only */
    PXW_F_HINTS = 33,     /* list: what its author might do about it */
    PXW_F_NAMES = 34,     /* list: functions that the source defines */

    /* set-up */
    PXW_F_TENANT_CONCURRENCY = 37, /* u32: runs of one tenant at the same time;
                           * 0 or absent: no cap of its own */
    PXW_F_TENANT_QUEUE = 38, /* u32: runs of one tenant that may wait; the same */
    PXW_F_IDLE_MS = 39,   /* u32: a branch that no run has used for so long ends;
                           * 0 or absent: never */
    PXW_F_POOL_DEF = 40,  /* body of fields, repeated: one pool */
    PXW_F_PRELOAD = 41,   /* list of modules */
    PXW_F_SLOTS = 42,     /* u32: jobs alive at the same time, standby too */
    PXW_F_CONCURRENCY = 43, /* u32: runs at the same time */
    PXW_F_QUEUE = 44,     /* u32: runs that may wait */
    PXW_F_QUEUE_MS = 45,  /* u32: how long one may wait */
    PXW_F_RECYCLE_RUNS = 46, /* u32: a zygote is replaced after as many runs */
    PXW_F_RECYCLE_MS = 47,   /* u32: … or so long; 0 or absent: never */
    PXW_F_PROCESSES = 48, /* u32: processes and threads of a run together; 1
                           * or absent: it can start no process */

    PXW_F_LAZY = 36,      /* u32: 1: the pool's zygotes wait for its first run */
    PXW_F_ENV = 49,       /* list of NAME=value, up to PXW_ENV_MAX: variables
                           * of the scripts' environment */

    /* fork channel */
    PXW_F_JOB = 50,       /* u64: the keeper's number for a job */
    PXW_F_PID = 51,       /* u32: in the keeper's PID namespace */
    PXW_F_ERROR = 52,     /* u32: errno */
    PXW_F_WAIT = 53,      /* u32: wait status as wait4(2) gave it */
    PXW_F_PYTHON = 54,    /* name: the interpreter's version; also of OUTCOME */
    PXW_F_STEP = 55,      /* name: which step failed */
    PXW_F_INIT = 56,      /* u32: PID of the init that adopts what the job
                           * leaves behind; absent: it can leave nothing */

    /* status */
    PXW_F_LEVEL = 60,     /* name: isolation level, "full" or "restricted";
                           * of a pool: the least that is accepted (absent:
                           * full); in WARM: the one to set up */
    PXW_F_VERSION = 61,   /* name: the helper's release; in WARM: the keeper's,
                           * which must be the zygote's own */
    PXW_F_READY = 62,     /* u32: 1 when runs can be served; in SETUP_IS: 1
                           * when it was taken */
    PXW_F_RUNNING = 63,   /* u32 */
    PXW_F_QUEUED = 64,    /* u32 */
    PXW_F_CGROUP = 65,    /* name: cgroup controllers that limit each run, with
                           * blanks between; "none" */
    PXW_F_POOL_IS = 66,   /* body of fields, repeated: one pool */
    PXW_F_BRANCHES = 67,  /* u32: of a pool, that have a zygote that is up */
    PXW_F_RUNS = 68,      /* u64: answered since the helper's start */
    PXW_F_METRICS = 69,   /* bytes: Prometheus' text format */

    /* set-up again, and WARM */
    PXW_F_INTERPRETER = 70, /* name of the interpreter that a pool uses; absent:
                           * the default one */
    PXW_F_SITE = 71,      /* list of absolute paths, up to PXW_DIRS_MAX: on
                           * sys.path, and readable for runs */

    /* runs that may reach an HTTP proxy */
    PXW_F_PROXY = 72,     /* name: its address and port in numbers, "[…]:port"
                           * of IPv6; of a pool; absent: no network */
    PXW_F_NETWORK = 73,   /* u32: in WARM: 1: jobs may connect to a listener
                           * of their own, at PXW_PROXY_PORT */
    PXW_F_CONNECTIONS = 74, /* u32: connections of a run; of a pool: at most */
    PXW_F_NETWORK_BYTES = 75, /* u64: bytes of all of these, of both
                           * directions; of a pool: at most */

    /* set-up, too */
    PXW_F_GENERATION = 76, /* u64: which reading of httpd's configuration this
                           * is; the very same frame again changes nothing */

    /* scripts behind links */
    PXW_F_LINK = 77,      /* u32: of a pool: 1: runs may be links; of a run: 1:
                           * SOURCE is the address that the script is at */
    PXW_F_LINK_MS = 78,   /* u32: how long fetching may take; of a pool */
    PXW_F_LINK_BYTES = 79, /* u32: how large the script may be; of a pool */

    /* packages that clients install */
    PXW_F_ENVIRONMENT = 80, /* absolute path of the directory that has a pool's
                           * generations of packages (job_commit.h); in WARM
                           * with a second line, if there is any: the one to
                           * load from, or to begin with */
    PXW_F_INSTALL_BYTES = 81, /* u64: of a pool: runs of it install packages
                           * and nothing else, and this is how large all that
                           * is installed may be together; in WARM the same */
    PXW_F_INDEX = 82,     /* text: address of the package index; of a pool
                           * with INSTALL_BYTES, and in its WARM */
    PXW_F_SOURCES = 83,   /* u32: 1: what has no wheel is built; the same */
    PXW_F_INSTALL = 84,   /* list: `install` or `uninstall`, then names of
                           * packages, with versions or without (PEP 508); of
                           * a run, whose SOURCE is then empty */
    PXW_F_OPEN = 85,      /* u32: of a run: 1: what is installed may be
                           * imported on top of IMPORTS */

    PXW_F_RUN_ID = 86,    /* name: what the module's logs call the run */

    PXW_TAGS = 87
};

/* PXW_F_FORBID: what the source check and the run-time hooks refuse. */
enum pxw_forbid
{
    PXW_FORBID_OS_SYSTEM = 1u << 0,  /* os.system by any name */
    PXW_FORBID_SHELL = 1u << 1,      /* shell=True of subprocess */
    PXW_FORBID_OPEN_WRITE = 1u << 2, /* open() in a writing mode */
    /* Run-time half of the same list: import and audit hooks. */
    PXW_FORBID_AT_RUN_TIME = 1u << 3,
    PXW_FORBID_EVAL = 1u << 4,       /* eval, exec, compile by these names */
};

/* What is called once the source has run as __main__ (PXW_F_CALL). */
enum pxw_call
{
    PXW_CALL_NONE = 0,
    /* The named function, main by default; its value as JSON. Source that
     * does not parse, or does not bind that name, is not acceptable. */
    PXW_CALL_JSON = 1,
    /* The named function; by default main, else the only function at the top
     * level, else the last one; str() of its value as a JSON string. Refuses
     * the same. */
    PXW_CALL_TEXT = 2,
};

/* How the call ended (PXW_F_KIND): the script's own word. */
enum pxw_result
{
    PXW_RESULT_VALUE = 1,    /* JSON has the value */
    PXW_RESULT_RAISED = 2,   /* source or function raised TEXT */
    PXW_RESULT_NOT_JSON = 3, /* the value cannot be serialised: TEXT */
    PXW_RESULT_MISSING = 4,  /* the name was gone, or not callable, by then */
};

enum pxw_cut
{
    PXW_CUT_OUT = 1u << 0,
    PXW_CUT_ERR = 1u << 1,
};

/* Why source was refused (PXW_F_REASON). */
enum pxw_reason
{
    PXW_REASON_POLICY = 1,
    PXW_REASON_SYNTAX = 2,
    PXW_REASON_LIMIT = 3,  /* too deep or too large to be checked */
    PXW_REASON_MISSING = 4, /* the function to call is not in the source */
    PXW_REASON_LINK = 5,   /* the script could not be fetched */
};

/* Why nobody serves (PXW_F_REASON of UNSERVED). */
enum pxw_unserved
{
    PXW_UNSERVED_SETUP = 1,   /* no httpd has sent a set-up yet */
    PXW_UNSERVED_CRASHED = 2, /* the keeper crashes; the next one must wait */
    PXW_UNSERVED_VERSION = 3, /* the question's version is another one */
    PXW_UNSERVED_ENDING = 4,  /* the service is being stopped */
};

/* What became of a run. Below PXW_BUSY: a result of the user's program.
 * From PXW_BUSY on: a failure of the service. Unexplained is BROKEN. */
enum pxw_outcome
{
    PXW_NOT_ACCEPTABLE = 1, /* refused before it ran */
    PXW_DONE = 2,           /* exit status 0 */
    PXW_EXITED_NONZERO = 3, /* an uncaught exception included */
    PXW_OUT_OF_WALL = 4,
    PXW_OUT_OF_CPU = 5,
    PXW_OUT_OF_MEMORY = 6,
    PXW_OUT_OF_OUTPUT = 7,
    PXW_OUT_OF_PROCESSES = 8,
    PXW_SIGNALLED = 9,      /* by itself: abort, segmentation fault, … */
    PXW_OUT_OF_DESCRIPTORS = 10,
    PXW_OUT_OF_THREADS = 11,
    PXW_OUT_OF_RECURSION = 12, /* Python's own limit of nested calls */
    PXW_OUT_OF_STACK = 13,  /* a segmentation fault below the stack's limit */

    PXW_BUSY = 32,          /* no capacity, try again */
    PXW_ABSENT = 33,        /* no helper there; never sent, only concluded */
    PXW_LOST = 34,          /* its zygote or keeper died under it */
    PXW_BROKEN = 35,        /* a fault of ours */
    PXW_NO_SANDBOX = 36,    /* the isolation that is demanded is not reached */
    PXW_TENANT_BUSY = 37,   /* no capacity for this tenant, by its own cap */
};

struct pxw_header
{
    uint16_t type;
    uint32_t length;
};

struct pxw_field
{
    uint16_t tag;
    uint32_t size;
    const uint8_t *data;  /* NULL: absent */
};

/* A body that was found to be well formed. Points into the caller's bytes. */
struct pxw_message
{
    uint16_t type;
    const uint8_t *body;
    size_t size;
    struct pxw_field field[PXW_TAGS];  /* repeated ones: the first */
};

/* Takes PXW_HEADER_BYTES. Returns 0, or -EPROTO (not ours), -EPROTONOSUPPORT
 * (another version), -EBADMSG (unknown type), -EMSGSIZE (length above the
 * type's maximum: nothing need be allocated to find that out). */
int pxw_get_header(const uint8_t *bytes, struct pxw_header *ret_header);

/* The largest body that frames of this type may have; 0: no such type. */
uint32_t pxw_max_body(uint16_t type);

/* Checks a whole body against the rules of its type and finds its fields.
 * Returns 0 or -EBADMSG; *ret_message is then untouched. */
int pxw_parse(uint16_t type, const uint8_t *body, size_t size,
              struct pxw_message *ret_message);

/* The same for the values of PXW_F_POOL_DEF and PXW_F_POOL_IS. */
int pxw_parse_pool(const struct pxw_field *pool,
                   struct pxw_message *ret_message);
int pxw_parse_pool_is(const struct pxw_field *pool,
                      struct pxw_message *ret_message);

/* Values of a parsed message; `absent` where the field is not there. */
uint32_t pxw_u32(const struct pxw_message *message, enum pxw_tag tag,
                 uint32_t absent);
uint64_t pxw_u64(const struct pxw_message *message, enum pxw_tag tag,
                 uint64_t absent);
static inline bool pxw_has(const struct pxw_message *message, enum pxw_tag tag)
{
    return message->field[tag].data != NULL;
}

/* Walks all fields of a parsed message: start with *at = 0. False: no more. */
bool pxw_next(const struct pxw_message *message, size_t *at,
              struct pxw_field *ret_field);

/* A frame being written. Zero it, or pxw_begin() on one that was freed. All
 * pxw_put_… are no-ops after the first failure, which pxw_end() returns. */
struct pxw_writer
{
    uint8_t *data;  /* malloc; the frame with its header */
    size_t size;
    size_t capacity;
    int error;
};

/* The header alone: a frame of `length` body bytes follows it. Needs no
 * memory. */
void pxw_put_header(uint8_t ret_bytes[PXW_HEADER_BYTES], enum pxw_type type,
                    uint32_t length);

/* A whole EXHAUSTED frame. Needs no memory and calls nothing: a signal handler
 * may use it. */
#define PXW_EXHAUSTED_BYTES (PXW_HEADER_BYTES + PXW_FIELD_HEADER_BYTES + 4)
void pxw_put_exhausted(uint8_t ret_bytes[PXW_EXHAUSTED_BYTES],
                       enum pxw_outcome limit);

void pxw_begin(struct pxw_writer *writer, enum pxw_type type);
void pxw_put_bytes(struct pxw_writer *writer, enum pxw_tag tag,
                   const void *data, size_t size);
void pxw_put_str(struct pxw_writer *writer, enum pxw_tag tag, const char *text);
void pxw_put_u32(struct pxw_writer *writer, enum pxw_tag tag, uint32_t value);
void pxw_put_u64(struct pxw_writer *writer, enum pxw_tag tag, uint64_t value);
/* A field that holds fields: everything put between the two is inside. */
size_t pxw_put_open(struct pxw_writer *writer, enum pxw_tag tag);
void pxw_put_close(struct pxw_writer *writer, size_t open);
/* 0, -ENOMEM, or -EMSGSIZE when the body or a field is above its maximum. */
int pxw_end(struct pxw_writer *writer);
void pxw_writer_free(struct pxw_writer *writer);

/* How much of a UTF-8 text, which may have been cut anywhere, goes into a
 * PXW_F_TEXT: at most PXW_TEXT_MAX bytes, ending with a whole character. */
size_t pxw_text_size(const char *text, size_t size);

/* Overwrites the value of a u32 or u64 field of a parsed message in place
 * (the bytes must be the caller's to write): how the keeper brings limits
 * down before it hands the frame on. The field must be there. */
void pxw_patch_u32(const struct pxw_message *message, enum pxw_tag tag,
                   uint32_t value);
void pxw_patch_u64(const struct pxw_message *message, enum pxw_tag tag,
                   uint64_t value);

/* The outcome's name as `usage.ended_by`, logs and metrics show it. */
const char *pxw_outcome_name(enum pxw_outcome outcome);
static inline bool pxw_outcome_is_ours(enum pxw_outcome outcome)
{
    return outcome >= PXW_BUSY;
}

#endif
