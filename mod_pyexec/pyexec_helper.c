/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps one helper alive. Runs in the httpd parent (as root where httpd was
 * started so); a child only lets go of what it inherited.
 *
 *   start        socket once per life of the parent, one helper
 *   graceful     pconf goes: SIGTERM to the helper, which finishes its runs;
 *                post_config starts its successor on the same socket, whose
 *                backlog holds what comes in between
 *   it dies      replaced at once, from the third crash on after a pause
 *   stop         SIGTERM, then the lifeline closes with the parent
 *
 * Our .so is unloaded by every restart: what has to outlive that is in
 * retained data and points to nothing of ours.
 */
#include "pyexec_helper.h"

#include "pyexec_child.h"
#include "pyexec_config.h"
#include "pyexec_json.h"
#include "pyexec_places.h"
#include "pyexec_service.h"
#include "pyexec_socket.h"
#include "pyexec_spawn.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <errno.h>
#include <http_core.h>
#include <http_log.h>
#include <mpm_common.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unixd.h>

APLOG_USE_MODULE(pyexec);

/* A graceful restart may load a newer or older .so into the same parent, which
 * finds what this one left. So the layout of retained_t never changes: what a
 * later release has to remember gets an entry of another name beside it. With
 * another name for all of it the parent would forget its socket, whose backlog
 * nobody would empty, and its helpers. */
#define RETAINED "pyexec-helper-1"

/* One serving, the others draining: each graceful restart within the longest
 * run's time leaves one more. */
#define SLOTS 16

/* A helper that lived this long did not crash because of how it was started. */
#define STABLE apr_time_from_sec(30)
#define FREE_CRASHES 2
#define LONGEST_PAUSE_S 60

typedef struct slot_t
{
    apr_proc_t process;
    int lifeline;
    int alive;
    int draining;
    apr_time_t started;
} slot_t;

typedef struct retained_t
{
    pid_t owner;   /* the parent: a forked child must touch nothing */
    int listener;
    uid_t user;    /* who may connect */
    char path[PYEXEC_SOCKET_PATH_BYTES];
    unsigned char token[PXW_TOKEN_BYTES];
    slot_t slots[SLOTS];
    int current;   /* index, or -1 */
    unsigned crashes;
    apr_time_t retry_at;  /* 0: nothing to retry */
    /* Shared with the children: 1 while no helper is there nor about to be,
     * so that a request need not wait in the backlog to find that out. */
    int *paused;
} retained_t;

_Static_assert(sizeof(void *) != 8
               || (sizeof(slot_t) == 56 && sizeof(retained_t) == 1072),
               "the layout of retained_t must not change; see RETAINED");

static retained_t *retained;
static apr_pool_t *config_pool;
static server_rec *main_server;
static int wanted;
static int external; /* the helper is a service */
static int refused; /* the configuration has mistakes */

static void start(void);

static void close_lifeline(slot_t *slot)
{
    if (slot->lifeline >= 0) {
        (void)close(slot->lifeline); /* nothing is ever lost in it */
        slot->lifeline = -1;
    }
}

/* SIGTERM: finish what runs, take nothing new. */
static void drain(slot_t *slot)
{
    if (!slot->alive || slot->draining) {
        return;
    }
    slot->draining = 1;
    if (retained->current == slot - retained->slots) {
        retained->current = -1;
    }
    if (kill(slot->process.pid, SIGTERM) != 0) {
        /* With -X httpd has dropped to its User and may not signal another
         * one's process; the end of the lifeline is understood always. */
        close_lifeline(slot);
    }
}

static int is_serving(void)
{
    int state = AP_MPMQ_STOPPING;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS
           && state == AP_MPMQ_RUNNING;
}

/* Whoever has connected meanwhile would wait for nobody: he is told to ask
 * again, and finds then that it is of no use. */
static void pause_for(unsigned pause_s)
{
    retained->retry_at = apr_time_now() + apr_time_from_sec(pause_s);
    *retained->paused = pause_s > 0;
    if (pause_s > 0) {
        pyexec_socket_turn_away(retained->listener);
    }
}

/* When the next one may be started, after a helper that ended by itself. */
static void count_crash(const slot_t *slot)
{
    unsigned pause_s = 0;

    if (apr_time_now() - slot->started > STABLE) {
        retained->crashes = 0;
    }
    retained->crashes++;
    if (retained->crashes > FREE_CRASHES) {
        unsigned power = retained->crashes - FREE_CRASHES;

        pause_s = power < 6 ? 1u << power : LONGEST_PAUSE_S;
    }
    pause_for(pause_s);
}

/* httpd tells one number and not whether it is an exit status or a signal. */
static void log_death(const slot_t *slot, int number)
{
    if (slot->draining && number == 0) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, main_server,
                     PYXNO(0101) "helper %" APR_PID_T_FMT " has finished its "
                     "last runs and left", slot->process.pid);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, main_server,
                 PYXNO(0102) "helper %" APR_PID_T_FMT " ended, exit status or "
                 "signal %d; its own lines above tell why",
                 slot->process.pid, number);
}

static void bury(slot_t *slot, int status)
{
    int was_current = retained->current == slot - retained->slots;

    slot->alive = 0;
    close_lifeline(slot);
    log_death(slot, status);
    if (was_current) {
        retained->current = -1;
        count_crash(slot);
        if (wanted && is_serving()) {
            if (retained->retry_at <= apr_time_now()) {
                start();
            }
            else {
                ap_log_error(APLOG_MARK, APLOG_ERR, 0, main_server,
                             PYXNO(0103) "the helper has crashed %u times in "
                             "a row; the next one is started in %d s or a "
                             "little later", retained->crashes,
                             (int)apr_time_sec(retained->retry_at
                                               - apr_time_now()) + 1);
            }
        }
    }
}

/* apr_proc_other_child_…: the parent's main loop; must not block. */
static void maintain(int reason, void *data, int status)
{
    slot_t *slot = data;

    if (getpid() != retained->owner) {
        return; /* a forked child clearing the parent's pools */
    }
    switch (reason) {
    case APR_OC_REASON_DEATH:
    case APR_OC_REASON_LOST:
        slot->alive = 0; /* before: unregister comes back here */
        apr_proc_other_child_unregister(slot);
        bury(slot, status);
        break;
    case APR_OC_REASON_RESTART:
        /* Also a graceful stop: what children still want to run is told no
         * at once. After a restart start() takes it back. */
        *retained->paused = 1;
        apr_proc_other_child_unregister(slot);
        break;
    case APR_OC_REASON_UNREGISTER:
        drain(slot);
        break;
    default:
        break;
    }
}

static slot_t *free_slot(void)
{
    for (int i = 0; i < SLOTS; i++) {
        if (!retained->slots[i].alive) {
            return &retained->slots[i];
        }
    }
    return NULL;
}

static void watch(slot_t *slot)
{
    apr_proc_other_child_register(&slot->process, maintain, slot, NULL,
                                  config_pool);
}

/* Starts the serving helper. A failure is logged and answered with 503: a
 * restart must not take the whole server down. */
static void start(void)
{
    pyexec_global_t global = pyexec_config_global(main_server);
    pyexec_spawn_t spawn = { .global = &global, .token = retained->token,
                             .socket_path = retained->path,
                             .listener = retained->listener };
    slot_t *slot = free_slot();
    apr_pool_t *pool;
    const char *problem;
    pid_t pid = 0;
    int lifeline = -1;

    apr_pool_create(&pool, config_pool);
    pause_for(0);
    problem = pyexec_spawn_identity(pool, &global, &spawn.uid, &spawn.gid);
    if (problem == NULL && slot == NULL) {
        problem = "too many helpers are still finishing their last runs";
    }
    if (problem == NULL) {
        problem = pyexec_spawn(pool, &spawn, &pid, &lifeline);
    }
    if (problem == NULL) {
        *slot = (slot_t){ .lifeline = lifeline, .alive = 1,
                          .started = apr_time_now() };
        slot->process.pid = pid;
        retained->current = (int)(slot - retained->slots);
        watch(slot);
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, main_server,
                     PYXNO(0104) "helper %" APR_PID_T_FMT " '%s' started as "
                     "uid %lu on '%s'", pid, global.helper_program,
                     (unsigned long)spawn.uid, retained->path);
    }
    else {
        pause_for(LONGEST_PAUSE_S);
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, main_server,
                     PYXNO(0105) "cannot start the helper: %s", problem);
    }
    apr_pool_destroy(pool);
}

/* After a restart: those that still drain are httpd's children all the same,
 * and one that it does not know makes it log AH00488. */
static void adopt_survivors(void)
{
    for (int i = 0; i < SLOTS; i++) {
        slot_t *slot = &retained->slots[i];
        int status = 0;

        if (!slot->alive) {
            continue;
        }
        if (waitpid(slot->process.pid, &status, WNOHANG) == 0) {
            drain(slot); /* a no-op unless a restart forgot it */
            watch(slot);
        }
        else {
            slot->alive = 0;
            close_lifeline(slot);
            log_death(slot, WIFSIGNALED(status) ? WTERMSIG(status)
                                               : WEXITSTATUS(status));
        }
    }
}

static const char *open_socket(apr_pool_t *pool)
{
    pyexec_global_t global = pyexec_config_global(main_server);
    const char *path = pyexec_socket_path(pool, getpid());
    pyexec_socket_access_t access = { 0 };
    const char *problem;
    uid_t uid;
    gid_t gid;

    if (path == NULL || strlen(path) >= sizeof(retained->path)) {
        return "the path of its socket is too long (DefaultRuntimeDir)";
    }
    problem = pyexec_spawn_identity(pool, &global, &uid, &gid);
    if (problem == NULL) {
        problem = pyexec_socket_access(pool, &global, &access);
    }
    if (problem != NULL) {
        return problem;
    }
    if (retained->paused == NULL) {
        void *page = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (page == MAP_FAILED) {
            return "there is no memory to share with httpd's children";
        }
        retained->paused = page;
    }
    if (apr_generate_random_bytes(retained->token, PXW_TOKEN_BYTES)) {
        return "there are no random bytes for its token";
    }
    problem = pyexec_socket_open(pool, path, uid, gid, &access,
                                 &retained->listener);
    if (problem == NULL) {
        apr_cpystrn(retained->path, path, sizeof(retained->path));
        retained->user = access.uid;
    }
    return problem;
}

/* Purging the package removes the socket, while httpd goes on without us; when
 * the module comes back, it has to make another one. */
static void check_socket(void)
{
    struct stat status;

    if (retained->listener >= 0
        && (lstat(retained->path, &status) != 0
            || !S_ISSOCK(status.st_mode))) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     PYXNO(0120) "the socket '%s' has been removed: making "
                     "another one", retained->path);
        (void)close(retained->listener); /* nobody can reach it */
        retained->listener = -1;
    }
}

/* pconf goes with every restart; only the last time the socket goes too. The
 * MPM's own state cannot be asked for here any more. */
static apr_status_t leave(void *data)
{
    (void)data; /* all in retained */
    if (getpid() == retained->owner && retained->listener >= 0
        && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_EXITING) {
        pyexec_socket_remove(retained->path);
    }
    return APR_SUCCESS;
}

static void remember(apr_pool_t *pconf, server_rec *s)
{
    config_pool = pconf;
    main_server = s;
    wanted = pyexec_places_any_engine() && !refused;
    refused = 0;
    retained = ap_retained_data_get(RETAINED);
    if (retained == NULL) {
        retained = ap_retained_data_create(RETAINED, sizeof(*retained));
        retained->listener = -1;
        retained->current = -1;
        retained->owner = getpid();
        for (int i = 0; i < SLOTS; i++) {
            retained->slots[i].lifeline = -1;
        }
    }
}

/* A restart, unlike the start and -t, has something to lose: httpd itself. */
int pyexec_helper_refuse(void)
{
    refused = ap_retained_data_get(RETAINED) != NULL;
    return refused;
}

/* The socket is made once in the parent's life. */
static void warn_if_changed(apr_pool_t *pool, const pyexec_global_t *global)
{
    pyexec_socket_access_t now;
    struct stat status;

    if (pyexec_socket_access(pool, global, &now) == NULL
        && lstat(retained->path, &status) == 0
        && (now.uid != status.st_uid || now.gid != status.st_gid
            || now.mode != (status.st_mode & 0777))) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     PYXNO(0106) "owner or mode of the socket '%s' shall be "
                     "others (User, PyExecSocketOwner, PyExecSocketMode): they "
                     "stay what they are until httpd is stopped and started",
                     retained->path);
    }
}

int pyexec_helper_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *s)
{
    pyexec_global_t global = pyexec_config_global(s);
    const char *path = pyexec_service_path(&global);
    const char *problem = NULL;

    (void)plog; /* the hook's signature */
    /* The first of two readings at start: httpd forks before the second. */
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    pyexec_json_init();
    remember(pconf, s);
    apr_pool_cleanup_register(pconf, NULL, leave, apr_pool_cleanup_null);
    adopt_survivors();
    pyexec_service_use(s, wanted ? path : NULL);
    external = path != NULL;
    if (!wanted || external) {
        if (retained->paused != NULL) {
            *retained->paused = 1; /* for children that are still there */
        }
        return OK;
    }
    check_socket();
    if (retained->listener < 0) {
        problem = open_socket(ptemp);
    }
    else {
        warn_if_changed(ptemp, &global);
    }
    if (problem != NULL) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                     PYXNO(0107) "there will be no helper: %s", problem);
        return OK;
    }
    pyexec_child_know(&(pyexec_endpoint_t){ .path = retained->path,
                                            .token = retained->token,
                                            .paused = retained->paused });
    retained->crashes = 0;
    start();
    return OK;
}

int pyexec_helper_monitor(apr_pool_t *pool, server_rec *s)
{
    (void)pool; /* the hook's signature */
    if (wanted && external && is_serving()) {
        pyexec_service_look(s);
    }
    if (wanted && !external && retained != NULL && retained->listener >= 0
        && retained->current < 0 && is_serving()
        && retained->retry_at <= apr_time_now()) {
        start();
    }
    return DECLINED;
}

/* In a child: the helper's life is none of its business. With -X the one
 * process is parent and child, and keeps what it has. */
void pyexec_helper_let_go(void)
{
    pyexec_service_let_go();
    if (retained == NULL || getpid() == retained->owner) {
        return;
    }
    for (int i = 0; i < SLOTS; i++) {
        close_lifeline(&retained->slots[i]);
    }
    if (retained->listener >= 0) {
        (void)close(retained->listener); /* the parent's */
        retained->listener = -1;
    }
}
