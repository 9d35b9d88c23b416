/* SPDX-License-Identifier: Apache-2.0
 *
 * The helper's command line: one argument a line, after three lines with the
 * values of LISTEN_PID ("@": this process), LISTEN_FDS and LISTEN_FDNAMES;
 * an empty one is not set.
 */
#include "fuzz.h"

#include "helper_conf.h"

#include <getopt.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char fuzz_name[] = "options";

#define ARGS_MOST 16

/* What systemd and the module hand over, before a fuzzer has a file there. */
__attribute__((constructor)) static void prepare_listener(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    FUZZ_HOLDS(listener >= 0);
    FUZZ_HOLDS(dup2(listener, HELPER_LISTENER) == HELPER_LISTENER);
    if (listener != HELPER_LISTENER) {
        (void)close(listener);
    }
}

static void set_variable(const char *name, const char *value)
{
    char pid[16];

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (value[0] == '\0') {
        (void)unsetenv(name);
    }
    else {
        FUZZ_HOLDS(setenv(name, value[0] == '@' ? pid : value, 1) == 0);
    }
}

static void check(const struct helper_conf *conf)
{
    if (conf->check) {
        FUZZ_HOLDS(conf->socket_path == NULL && conf->lifeline < 0);
        FUZZ_HOLDS(conf->listener < 0);
    }
    else {
        FUZZ_HOLDS(conf->socket_path == NULL || conf->socket_path[0] == '/');
        FUZZ_HOLDS(conf->lifeline > HELPER_LISTENER);
        FUZZ_HOLDS(conf->listener == HELPER_LISTENER);
        FUZZ_HOLDS(getenv("LISTEN_PID") == NULL);
        FUZZ_HOLDS(getenv("LISTEN_FDS") == NULL);
        FUZZ_HOLDS(getenv("LISTEN_FDNAMES") == NULL);
    }
    /* The number that means "leave it as it is" is none. */
    FUZZ_HOLDS(!conf->has_user
               || (conf->uid != (uid_t)-1 && conf->gid != (gid_t)-1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const variables[] = { "LISTEN_PID", "LISTEN_FDS",
                                             "LISTEN_FDNAMES" };
    char program[] = "pyexecd";
    char *args[ARGS_MOST + 1] = { program };
    char *text = malloc(size + 1);
    char *rest = text;
    struct helper_conf conf;
    const char *mistake = NULL;
    int count = 1;
    int error;

    FUZZ_HOLDS(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < 3; i++) {
        char *line = strsep(&rest, "\n");

        set_variable(variables[i], line == NULL ? "" : line);
    }
    while (rest != NULL && count < ARGS_MOST) {
        args[count++] = strsep(&rest, "\n");
    }
    optind = 0; /* glibc: begin anew */
    error = helper_conf_options(count, args, &conf, &mistake);
    FUZZ_HOLDS(error == 0 || mistake != NULL);
    if (error == 0) {
        check(&conf);
    }
    helper_conf_free(&conf);
    free(text);
    return 0;
}
