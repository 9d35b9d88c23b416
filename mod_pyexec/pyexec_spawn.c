/* SPDX-License-Identifier: Apache-2.0
 *
 * fork and exec of the helper. Runs in the httpd parent as root, which may
 * have threads (mod_watchdog): between fork and exec only async-signal-safe
 * calls, everything else is prepared before. The token travels by descriptor,
 * never in arguments or environment, which others can read.
 */
#include "pyexec_spawn.h"

#include "pyexec_setup.h"

#include <apr_strings.h>
#include <apr_user.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unixd.h>

#define DEFAULT_ACCOUNT "pyexec"
#define LISTENER_FD 3
#define LIFELINE_FD 4
#define FIRST_FREE_FD 5
#define EXEC_FAILED 127

const char *pyexec_spawn_identity(apr_pool_t *pool,
                                  const pyexec_global_t *global,
                                  uid_t *ret_uid, gid_t *ret_gid)
{
    const char *name = global->helper_user;
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (uid != 0) {
        *ret_uid = uid; /* one user for everything: nothing to drop to */
        *ret_gid = gid;
        return NULL;
    }
    if (name == NULL) {
        if (apr_uid_get(&uid, &gid, DEFAULT_ACCOUNT, pool) != APR_SUCCESS) {
            uid = ap_unixd_config.user_id;
            gid = ap_unixd_config.group_id;
        }
    }
    else {
        char *end = NULL;
        char *found = NULL;

        if (name[0] == '#') {
            unsigned long number = strtoul(name + 1, &end, 10);

            if (end == name + 1 || *end != '\0' || number > 0x7fffffffUL
                || apr_uid_name_get(&found, (apr_uid_t)number, pool)) {
                return apr_psprintf(pool, "no user has the number of "
                                    "PyExecHelperUser %s", name);
            }
            name = found;
        }
        if (apr_uid_get(&uid, &gid, name, pool) != APR_SUCCESS) {
            return apr_psprintf(pool, "there is no user '%s' "
                                "(PyExecHelperUser: a name, or # and a number)",
                                name);
        }
    }
    if (uid == 0 || uid == (uid_t)-1) {
        return "the helper would run as root; set PyExecHelperUser to an "
               "unprivileged user";
    }
    *ret_uid = uid;
    *ret_gid = gid;
    return NULL;
}

/* A pipe with the whole set-up frame already in it, so that the parent never
 * waits for its helper. */
static const char *make_lifeline(apr_pool_t *pool, const pyexec_spawn_t *spawn,
                                 int ret_ends[2])
{
    struct pxw_writer frame = { 0 };
    const char *problem = NULL;
    int ends[2] = { -1, -1 };

    if (pyexec_setup_build(&frame, spawn->token, 0) != 0) {
        problem = "the set-up of the helper is too large";
    }
    else if (pipe2(ends, O_CLOEXEC) != 0
             || fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0
             || (frame.size > 4096
                 && fcntl(ends[1], F_GETPIPE_SZ) < (int)frame.size
                 && fcntl(ends[1], F_SETPIPE_SZ, (int)frame.size) < 0)) {
        problem = apr_psprintf(pool, "cannot make the helper's lifeline (see "
                               "/proc/sys/fs/pipe-max-size): %s",
                               strerror(errno));
    }
    else if (write(ends[1], frame.data, frame.size) != (ssize_t)frame.size) {
        problem = "cannot write the helper's set-up into its lifeline";
    }
    pyexec_setup_free(&frame);
    if (problem != NULL) {
        for (int i = 0; i < 2; i++) {
            if (ends[i] >= 0) {
                (void)close(ends[i]); /* nobody reads it */
            }
        }
        return problem;
    }
    ret_ends[0] = ends[0];
    ret_ends[1] = ends[1];
    return NULL;
}

/* Everything the child needs, made before fork. */
typedef struct image_t
{
    const char *program;
    char *argv[6];
    char *envp[6];
    char listen_pid[32];
    char exec_error[160];
    int listener;
    int lifeline;
    int last_fd;
} image_t;

static void prepare_image(apr_pool_t *pool, const pyexec_spawn_t *spawn,
                          int lifeline, image_t *image)
{
    struct rlimit files = { 0 };
    int n = 0;

    *image = (image_t){ .program = spawn->global->helper_program,
                        .listener = spawn->listener, .lifeline = lifeline,
                        .last_fd = 65536,
                        .listen_pid = "LISTEN_PID=" };
    image->argv[n++] = "pyexecd";
    image->argv[n++] = apr_psprintf(pool, "--lifeline=%d", LIFELINE_FD);
    image->argv[n++] = apr_pstrcat(pool, "--socket=", spawn->socket_path, NULL);
    if (geteuid() == 0) {
        image->argv[n++] = apr_psprintf(pool, "--user=%lu:%lu",
                                        (unsigned long)spawn->uid,
                                        (unsigned long)spawn->gid);
    }
    image->envp[0] = "PATH=/usr/bin:/bin";
    image->envp[1] = "LC_ALL=C.UTF-8";
    image->envp[2] = "LISTEN_FDS=1";
    image->envp[3] = image->listen_pid;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0
        && files.rlim_cur < (rlim_t)image->last_fd) {
        image->last_fd = (int)files.rlim_cur;
    }
    (void)apr_snprintf(image->exec_error, sizeof(image->exec_error),
                       PYXNO(0108) "cannot execute '%.100s'\n",
                       image->program);
}

/* From here to exec: async-signal-safe calls only. */
static void append_number(char *text, unsigned long number)
{
    char digits[24];
    int n = 0;

    text += strlen(text);
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0) {
        *text++ = digits[--n];
    }
    *text = '\0';
}

/* httpd ignores SIGPIPE and handles others; exec would keep ignored ones. */
static void reset_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int number = 1; number < NSIG; number++) {
        (void)sigaction(number, &action, NULL); /* KILL and STOP refuse */
    }
    (void)sigemptyset(&none); /* cannot fail */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors 0..4 and no other. The two of ours are moved out of the way
 * first: either may have the number that the other shall get. */
static int arrange_descriptors(const image_t *image)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int listener = fcntl(image->listener, F_DUPFD_CLOEXEC, 10);
    int lifeline = fcntl(image->lifeline, F_DUPFD_CLOEXEC, 10);

    if (null < 0 || listener < 0 || lifeline < 0
        || dup2(null, STDIN_FILENO) < 0
        || dup2(STDERR_FILENO, STDOUT_FILENO) < 0
        || dup2(listener, LISTENER_FD) < 0
        || dup2(lifeline, LIFELINE_FD) < 0) {
        return -1;
    }
    if (close_range(FIRST_FREE_FD, ~0U, 0) != 0) {
        for (int fd = FIRST_FREE_FD; fd < image->last_fd; fd++) {
            (void)close(fd); /* most are not open */
        }
    }
    return 0;
}

static void become_helper(image_t *image)
{
    ssize_t ignored;

    (void)setpgid(0, 0); /* a signal to httpd's group is not for the helper */
    (void)umask(077);
    append_number(image->listen_pid, (unsigned long)getpid());
    reset_signals();
    if (chdir("/") == 0 && arrange_descriptors(image) == 0) {
        (void)execve(image->program, image->argv, image->envp);
    }
    ignored = write(STDERR_FILENO, image->exec_error,
                    strlen(image->exec_error));
    (void)ignored; /* the exit status tells it again */
    _exit(EXEC_FAILED);
}

const char *pyexec_spawn(apr_pool_t *pool, const pyexec_spawn_t *spawn,
                         pid_t *ret_pid, int *ret_lifeline)
{
    int ends[2];
    const char *problem = make_lifeline(pool, spawn, ends);
    sigset_t all;
    sigset_t before;
    image_t image;
    pid_t pid;

    if (problem != NULL) {
        return problem;
    }
    prepare_image(pool, spawn, ends[0], &image);
    /* Until exec the child has httpd's handlers: a signal must wait. */
    (void)sigfillset(&all); /* cannot fail */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        become_helper(&image);
    }
    if (pid < 0) {
        problem = apr_psprintf(pool, "cannot fork: %s", strerror(errno));
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[0]); /* the helper has its own */
    if (pid < 0) {
        (void)close(ends[1]); /* nobody reads it */
        return problem;
    }
    *ret_pid = pid;
    *ret_lifeline = ends[1];
    return NULL;
}
