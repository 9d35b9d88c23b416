/* SPDX-License-Identifier: Apache-2.0
 *
 * The CGI in front of bubblewrap: decodes the request, runs the script in
 * `bwrap ... python3 -`, encodes the answer. C, so that only bubblewrap and
 * the cold interpreter cost anything. Not a product: it trusts its input to be
 * what the benchmark sends.
 *
 * mod_cgid's daemon ignores SIGCHLD, so the kernel adds the CPU time of a CGI
 * to nobody's: this program waits for all that bubblewrap starts (it is made
 * their reaper) and tells the sum to a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every namespace, the interpreter read-only, nothing else; what an author who
 * cares for speed would leave out is left out. */
static const char *const command[] = {
    "bwrap", "--unshare-all", "--die-with-parent", "--new-session",
    "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib",
    "--symlink", "usr/lib64", "/lib64",
    "--ro-bind", "/etc/alternatives", "/etc/alternatives", /* libblas */
    "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/",
    "/usr/bin/python3", "-I", "-", NULL,
};

struct text {
    char *bytes;
    size_t size;
    size_t room;
};

static void __attribute__((noreturn)) die(const char *what)
{
    fprintf(stderr, "bwrap_cgi: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Returns what read(2) returned. */
static ssize_t append(struct text *text, int fd)
{
    ssize_t got;

    if (text->room - text->size < 65536) {
        text->room = text->room == 0 ? 131072 : 2 * text->room;
        text->bytes = realloc(text->bytes, text->room);
        if (text->bytes == NULL) {
            die("realloc");
        }
    }
    got = read(fd, text->bytes + text->size, text->room - text->size);
    if (got > 0) {
        text->size += (size_t)got;
    }
    return got;
}

static pid_t start(int ret_ends[3])
{
    int ends[3][2];
    pid_t pid;

    for (int i = 0; i < 3; i++) {
        if (pipe2(ends[i], O_CLOEXEC) != 0) {
            die("pipe");
        }
    }
    pid = fork();
    if (pid < 0) {
        die("fork");
    }
    if (pid == 0) {
        (void)dup2(ends[0][0], 0);
        (void)dup2(ends[1][1], 1);
        (void)dup2(ends[2][1], 2);
        execvp(command[0], (char *const *)command);
        _exit(127);
    }
    close(ends[0][0]);
    close(ends[1][1]);
    close(ends[2][1]);
    ret_ends[0] = ends[0][1];
    ret_ends[1] = ends[1][0];
    ret_ends[2] = ends[2][0];
    return pid;
}

/* Feeds the script and collects both streams until they end. */
static void converse(int ends[3], const char *code, size_t left,
                     struct text streams[2])
{
    struct pollfd fds[3] = {
        { .fd = ends[0], .events = POLLOUT },
        { .fd = ends[1], .events = POLLIN },
        { .fd = ends[2], .events = POLLIN },
    };

    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (fds[1].fd >= 0 || fds[2].fd >= 0) {
        if (poll(fds, 3, -1) < 0) {
            die("poll");
        }
        if (fds[0].fd >= 0 && fds[0].revents != 0) {
            ssize_t sent = write(fds[0].fd, code, left);

            if (sent > 0) {
                code += sent;
                left -= (size_t)sent;
            }
            if (left == 0 || (sent < 0 && errno != EAGAIN)) {
                close(fds[0].fd);
                fds[0].fd = -1;
            }
        }
        for (int i = 1; i < 3; i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0
                && append(&streams[i - 1], fds[i].fd) <= 0) {
                close(fds[i].fd);
                fds[i].fd = -1;
            }
        }
    }
}

static long long cpu_us(int who)
{
    struct rusage used;

    getrusage(who, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL
        + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void tell_account(void)
{
    const char *name = getenv("BENCH_ACCOUNT");
    int fd = name == NULL ? -1 : open(name, O_WRONLY | O_APPEND | O_CLOEXEC);

    while (wait(NULL) > 0) {
    }
    if (fd >= 0) {
        dprintf(fd, "%lld\n", cpu_us(RUSAGE_SELF) + cpu_us(RUSAGE_CHILDREN));
    }
}

int main(void)
{
    struct text body = { 0 };
    struct text streams[2] = { { 0 }, { 0 } };
    json_t *request;
    json_t *code;
    char *answer;
    int ends[3];
    int status;
    pid_t pid;

    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (append(&body, 0) > 0) {
    }
    request = json_loadb(body.bytes, body.size, 0, NULL);
    code = json_object_get(request, "code");
    if (!json_is_string(code)) {
        printf("Status: 400\r\nContent-Type: text/plain\r\n\r\nno code\n");
        return 0;
    }
    pid = start(ends);
    converse(ends, json_string_value(code), json_string_length(code), streams);
    if (waitpid(pid, &status, 0) != pid) {
        die("waitpid");
    }
    answer = json_dumps(
        json_pack("{s:s%, s:s%, s:i}", "output",
                  streams[0].bytes == NULL ? "" : streams[0].bytes,
                  streams[0].size, "error",
                  streams[1].bytes == NULL ? "" : streams[1].bytes,
                  streams[1].size, "returncode",
                  WIFEXITED(status) ? WEXITSTATUS(status)
                                    : -WTERMSIG(status)), 0);
    if (answer == NULL) {
        die("the output is no UTF-8");
    }
    printf("Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
           strlen(answer), answer);
    fflush(stdout);
    tell_account();
    return 0;
}
