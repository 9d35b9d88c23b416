/* SPDX-License-Identifier: Apache-2.0
 *
 * The one list of directives. Structures, defaults, merging and the command
 * table in pyexec_config.[ch] are expanded from it; nothing else names them.
 *
 * X(scope, kind, field, name, default, least, most, help)
 *
 *   scope  PLACE    per server, virtual host, Directory, Location; never from
 *                   .htaccess, not even through AllowOverrideList. The inner
 *                   value holds.
 *          WISH     the same and in .htaccess (AllowOverride FileInfo). Of the
 *                   server's own files the inner value holds; what .htaccess
 *                   files say is kept beside it and only ever tightens: the
 *                   least of all numbers, On before Off, the intersection of
 *                   imports, the union of what is forbidden.
 *          CEILING  as PLACE, but the least of all enclosing values holds. Its
 *                   field has the name of the wish that it bounds.
 *          POOL     in <PyExecPool>; outside, in the main server, the default
 *                   of all pools
 *          GLOBAL   the main server only: there is one helper
 *   kind   FLAG       On | Off
 *          BYTES      a number of bytes, or with K, M or G
 *          MEBIBYTES  a number of MiB, or with K, M or G; kept in bytes
 *          DURATION   seconds, or with ms, s, min; kept in milliseconds
 *          PERIOD     the same, and 0 for never or none
 *          COUNT      a whole number
 *          DIALECT    the name of a dialect
 *          ORIGIN     none | * | scheme://host[:port]
 *          LEVEL      full | restricted
 *          PATH       relative to ServerRoot
 *          ACCOUNT    name | #uid
 *          HELPER     spawn | unix:/path
 *          OWNER      user[:group], each a name or #number
 *          MODE       of a file, in octal: who may read and write it
 *          LIST       names; kept one a line; `none`: empty
 *          POOLNAME   letters, digits, dots, dashes
 *          TENANT     text | expr=an expression of httpd's
 *          IMPORTS    see pyexec_policy.h
 *          FORBID     see pyexec_policy.h
 *          EGRESS     any | public and addresses; see pyexec_egress.h
 *          ENV        NAME value; each directive adds one
 *          PYTHON     letters, digits, dots, dashes
 *          DIRS       absolute paths; kept one a line; `none`: empty
 *          NETWORK    none | proxy=ADDRESS:PORT; kept as the address and port,
 *                     `none` as ""
 *          DIR        none | absolute path; kept as the path, `none` as ""
 *          URL        http(s)://host[:port]/path
 */
#ifndef PYEXEC_DIRECTIVES_H
#define PYEXEC_DIRECTIVES_H

#include "../sandbox-helper/wire.h"

/* What the `code` contract promises to have, and hence what is loaded before
 * the first run. */
#define PYEXEC_DEFAULT_MODULES                                              \
    "math\nrandom\ndatetime\nnumpy\nrequests\njson\nstring\nos\nsys\n"      \
    "collections\nre\ntime\nsubprocess\nitertools\nfunctools\ntyping\n"     \
    "statistics\ndecimal\nhashlib\nuuid\ncopy\nheapq\nbisect\noperator\n"   \
    "shlex\ndataclasses\ntextwrap"

#define PYEXEC_KIB 1024LL
#define PYEXEC_MIB (1024 * PYEXEC_KIB)
#define PYEXEC_GIB (1024 * PYEXEC_MIB)

/* What the helper is told never to exceed, whatever a run asks for. The
 * directives end at the same numbers, so that none is brought down silently. */
#define PYEXEC_WALL_CEILING_MS 300000LL
#define PYEXEC_CPU_CEILING_MS (PYEXEC_WALL_CEILING_MS + 1000)
#define PYEXEC_MEMORY_CEILING_BYTES (4 * PYEXEC_GIB)
#define PYEXEC_OUTPUT_CEILING_BYTES ((long long)PXW_OUTPUT_MAX)
#define PYEXEC_FILES_CEILING 1024
#define PYEXEC_THREADS_CEILING 256
#define PYEXEC_CONCURRENCY_CEILING 256

/* An installation is unpacked and checked in memory, beside what is there; so
 * much of it still fits below the ceiling of memory. */
#define PYEXEC_INSTALL_CEILING_BYTES (1536 * PYEXEC_MIB)

/* A run's own; enough for what honest scripts do in five seconds. */
#define PYEXEC_RUN_FILES 64
#define PYEXEC_RUN_THREADS 64

/* Decoding JSON never makes a text longer, so a body of this size always fits
 * into one frame, with the longest list of modules, the eight bytes that each
 * argument of the script costs, and the limits. */
#define PYEXEC_BODY_MOST_BYTES ((long long)PXW_BLOB_MAX - 2 * (long long)PXW_LIST_MAX)

/* 0, outside the range: as many as there are processors online. */
#define PYEXEC_CONCURRENCY_AUTO 0
/* 0, outside the range: three quarters of ThreadsPerChild. */
#define PYEXEC_WORKERS_AUTO 0

/* No time: as long as below where the pool is a tenant's own that its first run
 * started, else never. Hundreds of tenants are not to keep hundreds of warm
 * interpreters for ever, and who comes once in a while waits for one anyway. */
#define PYEXEC_IDLE_AUTO (-2)
#define PYEXEC_IDLE_LAZY_MS 600000LL

/* No number of a directive. */
#define PYEXEC_UNSET (-1)

#define PYEXEC_PLACE_DIRECTIVES(X)                                          \
    X(PLACE, FLAG, engine, "PyExecEngine", 0, 0, 1,                         \
      "On: this place may run code; Off (default): 403")                    \
    X(PLACE, FLAG, metrics, "PyExecMetrics", 0, 0, 1,                       \
      "On: this place may show the metrics of all pools and tenants; Off "   \
      "(default): 403")                                                     \
    X(PLACE, DIALECT, dialect, "PyExecDialect", "auto", 0, 0,               \
      "the JSON contract spoken here: auto (default), code, main-json, "     \
      "main-object, main-report, run")                                      \
    X(PLACE, POOLNAME, pool, "PyExecPool", NULL, 0, 0,                      \
      "the <PyExecPool> whose interpreters run this place's code (default: " \
      "one of its tenant's own)")                                           \
    X(PLACE, TENANT, tenant, "PyExecTenant", NULL, 0, 0,                    \
      "whom the runs of this place are counted for: a name, or "             \
      "expr=expression (default: the virtual host's ServerName)")           \
    X(PLACE, ORIGIN, allow_origin, "PyExecAllowOrigin", "none", 0, 0,       \
      "which origin a browser may call from: none (default), *, or one")    \
    X(PLACE, EGRESS, egress, "PyExecEgress", NULL, 0, 0,                    \
      "where this virtual host's mod_proxy may connect: any (default), "    \
      "public, or addresses and networks (10.1.2.0/24)")

#define PYEXEC_WISH_DIRECTIVES(X)                                           \
    X(WISH, FLAG, policy, "PyExecPolicy", 1, 0, 1,                          \
      "Off: no check of the source, no list of modules, the sandbox alone "  \
      "(default On); in .htaccess: On wins")                                \
    X(WISH, IMPORTS, imports, "PyExecImports", NULL, 0, 0,                  \
      "what may be imported: names, or +name and -name on top of the "       \
      "dialect's list, or *, or none; in .htaccess: the intersection")      \
    X(WISH, FORBID, forbid, "PyExecForbid", PYEXEC_UNSET, 0, 0,             \
      "what is refused: os.system, shell, write, eval, or none, or +name "   \
      "and -name on top of the dialect's; in .htaccess: the union")         \
    X(WISH, BYTES, body_bytes, "PyExecBody", 16 * PYEXEC_MIB,               \
      1, PYEXEC_BODY_MOST_BYTES,                                            \
      "largest request body in bytes (default 16M); in .htaccess: the least")\
    X(WISH, DURATION, wall_ms, "PyExecTimeout", 5000,                       \
      100, PYEXEC_WALL_CEILING_MS,                                          \
      "wall-clock time of a run (default 5s); in .htaccess: the least")     \
    X(WISH, PERIOD, cpu_ms, "PyExecCPUTime", 0,                             \
      100, PYEXEC_CPU_CEILING_MS,                                             \
      "CPU time of a run, all its threads together (default 0: one second "  \
      "more than PyExecTimeout); in .htaccess: the least")                  \
    X(WISH, MEBIBYTES, memory_bytes, "PyExecMemory", 256 * PYEXEC_MIB,      \
      PYEXEC_MIB, PYEXEC_MEMORY_CEILING_BYTES,                              \
      "memory of a run in MiB (default 256); in .htaccess: the least")      \
    X(WISH, BYTES, output_bytes, "PyExecOutput", PYEXEC_MIB,                \
      1, PYEXEC_OUTPUT_CEILING_BYTES,                                       \
      "bytes kept of each output stream (default 1M); in .htaccess: the "    \
      "least")

#define PYEXEC_CEILING_DIRECTIVES(X)                                        \
    X(CEILING, BYTES, body_bytes, "PyExecMaxBody", PYEXEC_BODY_MOST_BYTES,  \
      1, PYEXEC_BODY_MOST_BYTES,                                            \
      "PyExecBody is never more; the least of all enclosing ones holds")    \
    X(CEILING, DURATION, wall_ms, "PyExecMaxTimeout",                       \
      PYEXEC_WALL_CEILING_MS, 100, PYEXEC_WALL_CEILING_MS,                  \
      "PyExecTimeout is never more; the least of all enclosing ones holds") \
    X(CEILING, DURATION, cpu_ms, "PyExecMaxCPUTime",                        \
      PYEXEC_CPU_CEILING_MS, 100, PYEXEC_CPU_CEILING_MS,                    \
      "PyExecCPUTime is never more; the least of all enclosing ones holds") \
    X(CEILING, MEBIBYTES, memory_bytes, "PyExecMaxMemory",                  \
      PYEXEC_MEMORY_CEILING_BYTES, PYEXEC_MIB, PYEXEC_MEMORY_CEILING_BYTES, \
      "PyExecMemory is never more; the least of all enclosing ones holds")  \
    X(CEILING, BYTES, output_bytes, "PyExecMaxOutput",                      \
      PYEXEC_OUTPUT_CEILING_BYTES, 1, PYEXEC_OUTPUT_CEILING_BYTES,          \
      "PyExecOutput is never more; the least of all enclosing ones holds")

#define PYEXEC_POOL_DIRECTIVES(X)                                           \
    X(POOL, COUNT, concurrency, "PyExecConcurrency",                        \
      PYEXEC_CONCURRENCY_AUTO, 1, PYEXEC_CONCURRENCY_CEILING,                 \
      "runs of a pool at the same time (default: processors online)")       \
    X(POOL, COUNT, queue, "PyExecMaxQueue", 128, 0, 65535,                  \
      "runs that may wait for a free place (default 128)")                  \
    X(POOL, DURATION, queue_ms, "PyExecQueueTimeout", 10000, 100, 300000,   \
      "how long a run may wait for a free place (default 10s)")             \
    X(POOL, COUNT, tenant_concurrency, "PyExecTenantConcurrency", 0,        \
      0, PYEXEC_CONCURRENCY_CEILING,                                        \
      "runs of one tenant at the same time (default 0: no cap of its own)") \
    X(POOL, COUNT, tenant_queue, "PyExecTenantQueue", 0, 0, 65535,          \
      "runs of one tenant that may wait (default 0: no cap of its own)")    \
    X(POOL, LEVEL, isolation, "PyExecIsolation", "full", 0, 0,              \
      "the least isolation that runs are served with: full (default), or "   \
      "restricted where the kernel has no user namespaces")                 \
    X(POOL, COUNT, processes, "PyExecProcesses", 1, 1, 64,                  \
      "processes of a run, its threads included (default 1: a run cannot "   \
      "start any); more needs isolation full")                              \
    X(POOL, COUNT, recycle_runs, "PyExecRecycle", 5000, 0, 1000000,         \
      "runs after which the warm interpreter is replaced (default 5000); "   \
      "0: never")                                                           \
    X(POOL, PERIOD, recycle_ms, "PyExecRecycleAfter", 3600000,              \
      100, 86400000,                                                         \
      "time after which it is replaced (default 1 hour); 0: never")         \
    X(POOL, PERIOD, idle_ms, "PyExecIdle", PYEXEC_IDLE_AUTO,                \
      1000, 86400000,                                                       \
      "time without a run after which it is ended until the next one; 0: "   \
      "never (default: 10 minutes in a tenant's own pool that its first run " \
      "started, else 0)")                                                    \
    X(POOL, LIST, preload, "PyExecPreload", PYEXEC_DEFAULT_MODULES, 0, 0,   \
      "modules loaded before the first run (default: those of the code "    \
      "contract); none: no module")                                         \
    X(POOL, ENV, env, "PyExecEnv", NULL, 0, 0,                              \
      "NAME value: a variable of the scripts' environment")                 \
    X(POOL, PYTHON, python, "PyExecPython", NULL, 0, 0,                     \
      "which of the interpreters that the helper was built for runs the "    \
      "scripts, "                                                           \
      "such as python3.12 (default: the first)")                            \
    X(POOL, DIRS, site, "PyExecSitePackages", NULL, 0, 0,                   \
      "directories of modules of your own, such as the site-packages of a " \
      "virtual environment; all in them is readable for scripts; none")           \
    X(POOL, NETWORK, network, "PyExecNetwork", "", 0, 0,                    \
      "none (default), or proxy=address:port: the HTTP proxy that scripts "  \
      "may reach, and nothing else; needs isolation full")                  \
    X(POOL, COUNT, connections, "PyExecNetworkConnections", 64, 1, 100000,  \
      "connections of a run to the proxy (default 64)")                     \
    X(POOL, BYTES, network_bytes, "PyExecNetworkBytes", 16 * PYEXEC_MIB,    \
      1, 1024 * PYEXEC_GIB,                                                 \
      "bytes of a run's connections, both directions together (default 16M)") \
    X(POOL, FLAG, links, "PyExecLinks", 0, 0, 1,                            \
      "On: a script may be a link (dialect run), which the run fetches by "  \
      "PyExecNetwork; Off (default): 403")                                  \
    X(POOL, DURATION, link_ms, "PyExecLinkTimeout", 3000,                   \
      100, PYEXEC_WALL_CEILING_MS,                                          \
      "how long fetching a script may take (default 3s), at most three "     \
      "quarters of the run's time")                                         \
    X(POOL, BYTES, link_bytes, "PyExecLinkBytes", PYEXEC_MIB,               \
      1, PYEXEC_BODY_MOST_BYTES,                                            \
      "bytes of a script behind a link (default 1M)")                       \
    X(POOL, DIR, environment, "PyExecEnvironment", "", 0, 0,                \
      "none (default), or the directory of the packages that clients "      \
      "install for the scripts of a pool; of the helper's user")            \
    X(POOL, FLAG, install, "PyExecInstall", 0, 0, 1,                        \
      "On: clients may install packages into PyExecEnvironment (dialect "   \
      "run, field pip); needs PyExecNetwork and isolation full; Off "       \
      "(default): 403")                                                     \
    X(POOL, FLAG, install_source, "PyExecInstallSource", 0, 0, 1,           \
      "On: packages without a wheel are built, by their own code; Off "     \
      "(default): such packages cannot be installed")                       \
    X(POOL, URL, install_index, "PyExecInstallIndex",                       \
      "https://pypi.org/simple/", 0, 0,                                     \
      "the index that packages come from, which the proxy must allow "      \
      "(default https://pypi.org/simple/)")                                 \
    X(POOL, DURATION, install_ms, "PyExecInstallTimeout", 60000,            \
      100, PYEXEC_WALL_CEILING_MS,                                          \
      "wall-clock time of an installation (default 60s)")                   \
    X(POOL, MEBIBYTES, install_bytes, "PyExecInstallSize",                  \
      512 * PYEXEC_MIB, PYEXEC_MIB, PYEXEC_INSTALL_CEILING_BYTES,           \
      "how large all that is installed may be together, in MiB (default "   \
      "512)")

/* A socket that its owner alone may connect to, and one that all may. */
#define PYEXEC_MODE_LEAST 0600
#define PYEXEC_MODE_MOST 0666

#define PYEXEC_GLOBAL_DIRECTIVES(X)                                         \
    X(GLOBAL, HELPER, helper, "PyExecHelper", "spawn", 0, 0,                \
      "spawn (default): httpd starts the helper; unix:/path: the socket of "\
      "a service that runs without httpd (pyexecd --service)")              \
    X(GLOBAL, PATH, helper_program, "PyExecHelperProgram",                  \
      PYEXEC_HELPER_PROGRAM, 0, 0,                                          \
      "the helper that httpd starts")                                       \
    X(GLOBAL, ACCOUNT, helper_user, "PyExecHelperUser", NULL, 0, 0,         \
      "user that the helper runs as, name or #uid (default pyexec if there "\
      "is one, else httpd's User)")                                         \
    X(GLOBAL, OWNER, socket_owner, "PyExecSocketOwner", NULL, 0, 0,         \
      "user[:group] that the helper's socket belongs to (default: httpd's " \
      "User and Group)")                                                    \
    X(GLOBAL, MODE, socket_mode, "PyExecSocketMode", PYEXEC_MODE_LEAST,     \
      PYEXEC_MODE_LEAST, PYEXEC_MODE_MOST,                                  \
      "octal mode of the helper's socket (default 0600); 0666 where the "   \
      "MPM changes the user for each request")                              \
    X(GLOBAL, COUNT, workers, "PyExecMaxWorkers", PYEXEC_WORKERS_AUTO,      \
      1, 65535,                                                             \
      "threads of each httpd child that runs may hold, going on or waiting "\
      "(default: three quarters of ThreadsPerChild)")

#define PYEXEC_DIRECTIVES(X)                                                \
    PYEXEC_PLACE_DIRECTIVES(X)                                              \
    PYEXEC_WISH_DIRECTIVES(X)                                               \
    PYEXEC_CEILING_DIRECTIVES(X)                                            \
    PYEXEC_POOL_DIRECTIVES(X)                                               \
    PYEXEC_GLOBAL_DIRECTIVES(X)

#endif
