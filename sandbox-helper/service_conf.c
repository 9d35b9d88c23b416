/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of the service. Runs before it serves, with the rights of whoever
 * started it. Sockets are taken by their names, never by their order: runs on
 * the control socket would be anybody's control.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "service_conf.h"

#include "fdio.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3
#define STATE_NAME "setup"
#define OVERFLOW_UID 65534 /* where the kernel was told no other one */

const char service_conf_help[] =
    "usage: pyexecd --service [options]     started by a service manager or by hand\n"
    "       pyexecd --check [--user=UID:GID]  tells what this machine offers\n"
    "       pyexecd --lifeline=FD ...         as httpd starts it\n"
    "\n"
    "options of --service:\n"
    "  --socket=PATH    listen at PATH, and for httpd's set-up at PATH.control;\n"
    "                   not where sockets are handed over (LISTEN_FDS) under the\n"
    "                   names \"runs\" and \"control\"\n"
    "  --mode=OCTAL     who may connect to PATH (default 0666: a token is asked\n"
    "                   for); PATH.control is its owner's\n"
    "  --state=FILE     where the last set-up is kept (default: \"setup\" in\n"
    "                   $RUNTIME_DIRECTORY; without that, nowhere)\n"
    "  --owner=USER     who beside root may send a set-up (default: the user of\n"
    "                   the service), a name or a number\n"
    "  --user=USER      whom scripts run as: needed, and possible, for root only;\n"
    "                   a name, or UID:GID\n"
    "  --debug          tell more\n"
    "\n"
    "SIGTERM ends it when its last run has, a second one at once; SIGHUP replaces\n"
    "the keeper.\n";

static bool has_option(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool service_conf_is_wanted(int argc, char **argv)
{
    return has_option(argc, argv, "--service");
}

bool service_conf_is_help(int argc, char **argv)
{
    return has_option(argc, argv, "--help");
}

static bool parse_number(const char *text, unsigned long most,
                         unsigned long *ret_number)
{
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *ret_number = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *ret_number <= most;
}

static bool parse_owner(const char *text, uid_t *ret_uid)
{
    const struct passwd *user;
    unsigned long number;

    if (parse_number(text, UINT32_MAX - 1, &number)) {
        *ret_uid = (uid_t)number;
        return true;
    }
    user = getpwnam(text);
    if (user != NULL) {
        *ret_uid = user->pw_uid;
    }
    return user != NULL;
}

/* "name" or "UID:GID"; not root. */
static bool parse_user(char *text, struct service_conf *conf)
{
    char *colon = strchr(text, ':');
    const struct passwd *user = colon == NULL ? getpwnam(text) : NULL;
    unsigned long uid = 0;
    unsigned long gid = 0;

    if (user != NULL) {
        uid = user->pw_uid;
        gid = user->pw_gid;
    }
    else if (colon != NULL) {
        *colon = '\0';
        if (!parse_number(text, UINT32_MAX - 1, &uid)
            || !parse_number(colon + 1, UINT32_MAX - 1, &gid)) {
            return false;
        }
    }
    conf->has_user = true;
    conf->uid = (uid_t)uid;
    conf->gid = (gid_t)gid;
    return uid != 0 && gid != 0;
}

static bool parse_mode(const char *text, mode_t *ret_mode)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    /* To connect is to write. */
    if (text[0] < '0' || text[0] > '7' || *end != '\0' || (mode & ~0666ul) != 0
        || (mode & 0600) != 0600) {
        return false;
    }
    *ret_mode = (mode_t)mode;
    return true;
}

/* We leave the working directory: a relative path would change its meaning. */
static bool copy_path(const char *text, size_t most, char **ret_path)
{
    if (text[0] != '/' || strlen(text) > most) {
        return false;
    }
    free(*ret_path);
    *ret_path = strdup(text);
    return *ret_path != NULL;
}

static bool take_option(int option, struct service_conf *conf)
{
    static const size_t socket_most = sizeof(((struct sockaddr_un *)0)->sun_path)
                                      - sizeof(SERVICE_CONTROL_SUFFIX);

    switch (option) {
    case 's':
        return copy_path(optarg, socket_most, &conf->socket_path);
    case 't':
        return copy_path(optarg, PATH_MAX - 16, &conf->state_path);
    case 'm':
        return parse_mode(optarg, &conf->mode);
    case 'o':
        return parse_owner(optarg, &conf->owner);
    case 'u':
        return parse_user(optarg, conf);
    case 'd':
        conf->debug = true;
        return true;
    default:
        return option == 'S';
    }
}

/* Of an option whose value was not taken. */
static const char *wanted(int option)
{
    switch (option) {
    case 's':
        return "--socket wants an absolute path that a socket can have with"
               " \"" SERVICE_CONTROL_SUFFIX "\" behind it";
    case 't':
        return "--state wants the absolute path of a file";
    case 'm':
        return "--mode wants an octal mode from 0600 to 0666 that lets none"
               " execute";
    case 'o':
        return "--owner wants the name of a user that there is, or a number";
    case 'u':
        return "--user wants the name of a user that there is, or UID:GID in"
               " numbers, and neither may be 0";
    default:
        return "an option is unknown or has no value: see pyexecd --help";
    }
}

/* What SO_ACCEPTCONN and friends must say of a socket handed over. */
static bool is_listener(int fd)
{
    static const struct
    {
        int option;
        int wanted;
    } asked[] = {
        { SO_DOMAIN, AF_UNIX }, { SO_TYPE, SOCK_STREAM }, { SO_ACCEPTCONN, 1 },
    };

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        int value = -1;
        socklen_t size = sizeof(value);

        if (getsockopt(fd, SOL_SOCKET, asked[i].option, &value, &size) != 0
            || value != asked[i].wanted) {
            return false;
        }
    }
    return true;
}

/* sd_listen_fds(3): descriptors from 3 on, their names with colons between. */
static const char *take_sockets(struct service_conf *conf)
{
    const char *names = getenv("LISTEN_FDNAMES");
    unsigned long pid;
    unsigned long count;
    int *fds[] = { &conf->runs, &conf->control };
    static const char *const known[] = { "runs", "control" };

    /* The variables may be left over from a parent. */
    if (!parse_number(getenv("LISTEN_PID"), INT_MAX, &pid)
        || (pid_t)pid != getpid()
        || !parse_number(getenv("LISTEN_FDS"), 64, &count) || count == 0) {
        return NULL;
    }
    for (unsigned long i = 0; i < count; i++) {
        size_t size = names == NULL ? 0 : strcspn(names, ":");

        for (size_t k = 0; k < 2; k++) {
            if (size == strlen(known[k])
                && memcmp(names, known[k], size) == 0 && *fds[k] < 0) {
                *fds[k] = FIRST_FD + (int)i;
            }
        }
        names = names == NULL || names[size] == '\0' ? NULL : names + size + 1;
    }
    if (count != 2 || conf->runs < 0 || conf->control < 0) {
        return "two sockets have to be handed over, with the names \"runs\""
               " and \"control\" (FileDescriptorName=, or --fdname="
               "runs:control of systemd-socket-activate)";
    }
    return is_listener(conf->runs) && is_listener(conf->control)
               ? NULL
               : "what was handed over are not listening Unix stream sockets";
}

bool service_conf_serves_other(const struct service_conf *conf)
{
    return conf->owner != geteuid() && geteuid() != 0;
}

/* Whether a file of /proc can be read and begins with these numbers. */
static bool begins_with(const char *path, const unsigned long *numbers,
                        size_t count)
{
    FILE *file = fopen(path, "re");
    bool equal = file != NULL;

    for (size_t i = 0; equal && i < count; i++) {
        unsigned long number;

        equal = fscanf(file, "%lu", &number) == 1 && number == numbers[i];
    }
    if (file != NULL) {
        (void)fclose(file); /* only read */
    }
    return equal;
}

/* In a user namespace every user without a number in it looks like this one:
 * as the owner he would be anybody, where the socket's mode keeps nobody out. */
static bool is_anybody(uid_t uid)
{
    const unsigned long whole[] = { 0, 0, UINT32_MAX };
    const unsigned long number = uid;

    return (uid == OVERFLOW_UID
            || begins_with("/proc/sys/kernel/overflowuid", &number, 1))
           && !begins_with("/proc/self/uid_map", whole, 3);
}

static const char *check(const struct service_conf *conf)
{
    if ((conf->runs >= 0 || service_conf_serves_other(conf))
        && is_anybody(conf->owner)) {
        return "in this user namespace the user of --owner is whoever has no"
               " number in it";
    }
    if ((conf->runs >= 0) == (conf->socket_path != NULL)) {
        return conf->runs >= 0
                   ? "sockets were handed over, so there is no --socket to make"
                   : "no sockets were handed over (LISTEN_FDS): --socket=PATH"
                     " is wanted";
    }
    if (geteuid() == 0 && !conf->has_user) {
        return "started by root it needs --user=USER to become for its runs";
    }
    if (geteuid() != 0 && conf->has_user
        && (conf->uid != geteuid() || conf->gid != getegid())) {
        return "only root can become another --user";
    }
    return NULL;
}

static const char *take_runtime_directory(struct service_conf *conf)
{
    const char *directory = getenv("RUNTIME_DIRECTORY");
    size_t size = directory == NULL ? 0 : strcspn(directory, ":");
    char *path;

    if (conf->state_path != NULL || size == 0 || directory[0] != '/') {
        return NULL;
    }
    path = malloc(size + sizeof("/" STATE_NAME));
    if (path == NULL) {
        return "no memory";
    }
    memcpy(path, directory, size); /* the first of several */
    memcpy(path + size, "/" STATE_NAME, sizeof("/" STATE_NAME));
    conf->state_path = path;
    return NULL;
}

int service_conf_options(int argc, char **argv, struct service_conf *conf,
                         const char **ret_mistake)
{
    static const struct option options[] = {
        { .name = "service", .has_arg = no_argument, .val = 'S' },
        { .name = "socket", .has_arg = required_argument, .val = 's' },
        { .name = "mode", .has_arg = required_argument, .val = 'm' },
        { .name = "state", .has_arg = required_argument, .val = 't' },
        { .name = "owner", .has_arg = required_argument, .val = 'o' },
        { .name = "user", .has_arg = required_argument, .val = 'u' },
        { .name = "debug", .has_arg = no_argument, .val = 'd' },
        { 0 },
    };
    const char *mistake = NULL;
    int option;

    *conf = (struct service_conf){ .mode = 0666, .owner = geteuid(),
                                   .runs = -1, .control = -1 };
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!take_option(option, conf)) {
            mistake = wanted(option);
        }
    }
    if (mistake == NULL && optind != argc) {
        mistake = "there are words that belong to no option: see pyexecd"
                  " --help";
    }
    mistake = mistake == NULL ? take_sockets(conf) : mistake;
    mistake = mistake == NULL ? take_runtime_directory(conf) : mistake;
    mistake = mistake == NULL ? check(conf) : mistake;
    /* Only fail for a malformed name. */
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (mistake != NULL) {
        *ret_mistake = mistake;
        service_conf_free(conf);
        return -EINVAL;
    }
    return 0;
}

void service_conf_free(struct service_conf *conf)
{
    free(conf->socket_path);
    free(conf->state_path);
    conf->socket_path = NULL;
    conf->state_path = NULL;
}
