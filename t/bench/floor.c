/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor: what runs cost when nothing is done but to fork a warm CPython.
 * One process starts the interpreter once, forks a child for each run, reads
 * its stdout from a pipe until the end, and reaps it. No isolation, no limit,
 * no HTTP; nothing is done to make it slow either.
 *
 *     floor SECONDS CLIENTS MODULES SCRIPT...
 *
 * CLIENTS children are in flight at any time; MODULES ("math,numpy", or "")
 * are imported once, before the first fork; the SCRIPTs (files) are run in
 * turn. A run's time is from before its fork until it is reaped. Prints one
 * line of JSON: times in microseconds, CPU in seconds (this process's and all
 * children's), output bytes over all runs.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "python_paths.h"

#define CLIENTS_MAX 1024
#define RUNS_MAX (1u << 22) /* an hour at a thousand a second */
#define CHUNK_BYTES 65536

struct run {
    pid_t pid;
    int64_t began_us;
};

static struct run runs[CLIENTS_MAX];
static struct pollfd outputs[CLIENTS_MAX]; /* of the same index's run */
static uint32_t *times_us;
static size_t n_times;
static size_t n_started;
static size_t n_failed;
static uint64_t output_bytes;

static void __attribute__((noreturn)) die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static double cpu_seconds(int who)
{
    struct rusage used;

    getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
        + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static char *read_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    char *text;
    long size;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0
        || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0
        || (text = malloc((size_t)size + 1)) == NULL
        || fread(text, 1, (size_t)size, file) != (size_t)size) {
        die(name);
    }
    text[size] = '\0';
    fclose(file);
    return text;
}

/* The interpreter of the product, with CPython's own defaults. */
static void start_python(void)
{
    PyConfig config;
    PyStatus status;

    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.use_environment = 0;
    status = PyConfig_SetBytesString(&config, &config.program_name,
                                     PYEXEC_PYTHON);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
}

static void preload(char *modules)
{
    for (char *name = strtok(modules, ","); name != NULL;
         name = strtok(NULL, ",")) {
        if (PyImport_ImportModule(name) == NULL) {
            PyErr_Print();
            exit(1);
        }
    }
}

static void __attribute__((noreturn)) child(const char *script, int output)
{
    int status;
    PyObject *out;
    PyObject *done;

    if (dup2(output, STDOUT_FILENO) < 0) {
        _exit(1);
    }
    status = PyRun_SimpleString(script) == 0 ? 0 : 1;
    out = PySys_GetObject("stdout");
    done = out == NULL ? NULL : PyObject_CallMethod(out, "flush", NULL);
    _exit(done == NULL ? 1 : status);
}

static void start(size_t slot, const char *script)
{
    int ends[2];

    runs[slot].began_us = now_us();
    if (pipe2(ends, O_CLOEXEC) != 0) {
        die("pipe");
    }
    PyOS_BeforeFork();
    runs[slot].pid = fork();
    if (runs[slot].pid == 0) {
        PyOS_AfterFork_Child();
        child(script, ends[1]);
    }
    PyOS_AfterFork_Parent();
    if (runs[slot].pid < 0) {
        die("fork");
    }
    close(ends[1]);
    outputs[slot].fd = ends[0];
    outputs[slot].events = POLLIN;
    n_started++;
}

/* Says whether the run is over. */
static int read_output(size_t slot)
{
    static char chunk[CHUNK_BYTES];
    ssize_t got = read(outputs[slot].fd, chunk, sizeof(chunk));
    int status;

    if (got < 0) {
        die("read");
    }
    if (got > 0) {
        output_bytes += (uint64_t)got;
        return 0;
    }
    close(outputs[slot].fd);
    outputs[slot].fd = -1;
    if (waitpid(runs[slot].pid, &status, 0) != runs[slot].pid) {
        die("waitpid");
    }
    if (n_times == RUNS_MAX) {
        fprintf(stderr, "floor: more runs than there is room for\n");
        exit(1);
    }
    n_failed += status != 0;
    times_us[n_times++] = (uint32_t)(now_us() - runs[slot].began_us);
    return 1;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t percentile(unsigned percent)
{
    size_t at = n_times * percent / 100;

    return n_times == 0 ? 0 : times_us[at < n_times ? at : n_times - 1];
}

/* Keeps `clients` runs in flight until the time is over, then lets those in
 * flight end. Returns how long it took, in microseconds. */
static int64_t load(int64_t limit_us, size_t clients, char **scripts,
                    size_t n_scripts)
{
    int64_t began = now_us();
    size_t in_flight = clients;

    for (size_t i = 0; i < clients; i++) {
        start(i, scripts[n_started % n_scripts]);
    }
    while (in_flight > 0) {
        if (poll(outputs, clients, -1) < 0) {
            die("poll");
        }
        for (size_t i = 0; i < clients; i++) {
            if (outputs[i].fd < 0 || outputs[i].revents == 0
                || !read_output(i)) {
                continue;
            }
            if (now_us() - began < limit_us) {
                start(i, scripts[n_started % n_scripts]);
                outputs[i].revents = 0;
            } else {
                in_flight--;
            }
        }
    }
    return now_us() - began;
}

int main(int argc, char **argv)
{
    double seconds = argc > 4 ? strtod(argv[1], NULL) : 0;
    size_t clients = argc > 4 ? strtoul(argv[2], NULL, 10) : 0;
    int64_t took_us;
    double cpu;

    if (seconds <= 0 || clients < 1 || clients > CLIENTS_MAX) {
        fprintf(stderr, "usage: floor SECONDS CLIENTS MODULES SCRIPT...\n");
        return 2;
    }
    for (int i = 4; i < argc; i++) {
        argv[i] = read_file(argv[i]);
    }
    times_us = malloc(RUNS_MAX * sizeof(*times_us));
    if (times_us == NULL) {
        die("malloc");
    }
    start_python();
    preload(argv[3]);
    cpu = cpu_seconds(RUSAGE_SELF);
    took_us = load((int64_t)(seconds * 1e6), clients, argv + 4,
                   (size_t)argc - 4);
    cpu = cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN) - cpu;
    qsort(times_us, n_times, sizeof(*times_us), compare);
    printf("{\"p50\": %u, \"p95\": %u, \"p99\": %u, \"answers\": %zu, "
           "\"failed\": %zu, \"seconds\": %.6f, \"cpu\": %.6f, "
           "\"bytes\": %llu}\n",
           percentile(50), percentile(95), percentile(99), n_times, n_failed,
           (double)took_us / 1e6, cpu, (unsigned long long)output_bytes);
    return 0;
}
