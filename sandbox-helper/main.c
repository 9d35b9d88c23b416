/* SPDX-License-Identifier: Apache-2.0
 *
 * pyexecd: the order in which the keeper starts. It may begin as root and
 * never serves as root: whatever of the drop cannot be done ends the process.
 * The only file of the keeper that may end it. With --service it becomes the
 * supervisor of keepers instead: service.c.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "cleanup.h"
#include "envcheck.h"
#include "fdio.h"
#include "helper_conf.h"
#include "helper_pythons.h"
#include "keeper.h"
#include "log.h"
#include "process.h"
#include "service.h"
#include "service_conf.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a failure to start is told by: --check has a meaning for 1. */
static int failure = EXIT_FAILURE;

static void check_or_die(int error, unsigned code, const char *what)
{
    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, code, "%s: %s", what, strerror(-error));
        exit(failure);
    }
}

static int result(int returned)
{
    return returned < 0 ? -errno : 0;
}

/* Keeps the standard descriptors, the two that we were meant to have and those
 * of the zygote programs: the administrator's shell and other modules leak
 * theirs. */
static int clean_descriptors(const struct helper_conf *conf)
{
    int keep[2 + HELPER_PYTHONS_MAX] = { conf->listener, conf->lifeline };
    size_t count = 2;
    int error;

    for (size_t i = 0; i < conf->pythons.count; i++) {
        keep[count++] = conf->pythons.list[i].program;
    }
    error = fdio_close_all_but(keep, count);

    if (conf->check) {
        return error;
    }
    if (error == 0) {
        error = fdio_set_close_on_exec(conf->listener, true);
    }
    if (error == 0) {
        error = fdio_set_close_on_exec(conf->lifeline, true);
    }
    return error;
}

static int drop_user(const struct helper_conf *conf)
{
    if (geteuid() != 0) {
        /* A wish that cannot be granted is not passed over in silence. */
        bool same = !conf->has_user
                    || (conf->uid == geteuid() && conf->gid == getegid());

        return same ? 0 : -EPERM;
    }
    if (!conf->has_user || conf->uid == 0 || conf->gid == 0) {
        return -EINVAL;
    }
    if (setgroups(0, NULL) != 0
        || setresgid(conf->gid, conf->gid, conf->gid) != 0
        || setresuid(conf->uid, conf->uid, conf->uid) != 0) {
        return -errno;
    }
    return 0;
}

/* What the drop was meant to reach, asked from the kernel. */
static int verify_user(const struct helper_conf *conf)
{
    uid_t uid[3];
    gid_t gid[3];

    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0
        || getresgid(&gid[0], &gid[1], &gid[2]) != 0) {
        return -errno;
    }
    for (int i = 0; i < 3; i++) {
        /* Group 0 reads and writes much of the host; the zygote refuses
         * it, too. */
        if (uid[i] == 0 || gid[i] == 0 || uid[i] != uid[0]
            || gid[i] != gid[0]
            || (conf->has_user
                && (uid[i] != conf->uid || gid[i] != conf->gid))) {
            return -EPERM;
        }
    }
    return 0;
}

/* setresuid() took root's; a service manager may have left ambient ones. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0
        || syscall(SYS_capset, &header, data) != 0
        || syscall(SYS_capget, &header, data) != 0) {
        return -errno;
    }
    for (int i = 0; i < 2; i++) {
        if (data[i].effective != 0 || data[i].permitted != 0
            || data[i].inheritable != 0) {
            return -EPERM;
        }
    }
    return 0;
}

static void drop_rights_or_die(const struct helper_conf *conf)
{
    check_or_die(drop_user(conf), 303,
                 "cannot become the user of --user=UID:GID (root must name"
                 " one, neither number may be 0)");
    check_or_die(verify_user(conf), 304,
                 "refusing to serve as this user and group, of which neither"
                 " may be root's");
    check_or_die(drop_capabilities(), 305, "cannot give up capabilities");
    check_or_die(process_close(true), 306, "cannot close the process to others");
}

/* The supervisor in front of keepers, which are this program again. */
static int serve_or_die(int argc, char **argv)
{
    struct service_conf conf;
    const char *mistake = NULL;
    int error = service_conf_options(argc, argv, &conf, &mistake);

    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 500, "%s", mistake);
        return EXIT_FAILURE;
    }
    log_open("pyexecd", conf.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    check_or_die(process_reset_signals(), 501, "cannot reset signals");
    check_or_die(process_close(false), 502,
                 "cannot close the process to others");
    (void)umask(077); /* cannot fail */
    error = service_run(&conf);
    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 503, "the service ends: %s",
                 strerror(-error));
    }
    service_conf_free(&conf);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct helper_conf conf;
    const char *mistake = NULL;
    int error;

    log_open("pyexecd", LOG_LEVEL_INFO);
    check_or_die(fdio_fill_standard(), 302, "cannot open /dev/null");
    if (service_conf_is_help(argc, argv)) {
        return fputs(service_conf_help, stdout) < 0 ? EXIT_FAILURE
                                                    : EXIT_SUCCESS;
    }
    if (service_conf_is_wanted(argc, argv)) {
        return serve_or_die(argc, argv);
    }
    error = helper_conf_options(argc, argv, &conf, &mistake);
    failure = conf.check ? ENVCHECK_NOTHING : EXIT_FAILURE;
    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 301, "%s", mistake);
        return failure;
    }
    log_open("pyexecd", conf.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    /* Before the drop: their directory may be closed to the later user. With
     * --check there is no listener, but its number is still where a zygote is
     * going to have its channel. */
    check_or_die(helper_pythons_open(&conf.pythons, HELPER_LISTENER + 1), 307,
                 "cannot open \"pyexec-zygote\" beside this program");
    check_or_die(clean_descriptors(&conf), 312, "cannot close descriptors");
    check_or_die(process_reset_signals(), 308, "cannot reset signals");
    drop_rights_or_die(&conf);
    (void)umask(077); /* cannot fail */
    check_or_die(result(chdir("/")), 309, "cannot change to /");
    if (conf.check) {
        return (int)envcheck_run(&conf.pythons);
    }
    error = helper_conf_setup(&conf, &mistake);
    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 310, "no usable set-up on the lifeline: %s",
                 mistake != NULL ? mistake : strerror(-error));
        helper_conf_free(&conf);
        return EXIT_FAILURE;
    }
    error = keeper_run(&conf);
    if (error != 0) {
        log_line(LOG_LEVEL_ERROR, 311, "cannot serve: %s", strerror(-error));
    }
    helper_conf_free(&conf);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
