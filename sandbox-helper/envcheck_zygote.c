/* SPDX-License-Identifier: Apache-2.0
 *
 * One zygote without a keeper. Runs in `pyexecd --check`, with the keeper's
 * rights; what the zygote writes is shown, escaped.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "envcheck_zygote.h"

#include "cleanup.h"
#include "fdio.h"
#include "helper_conf.h"
#include "keeper_zygote_start.h"
#include "log.h"
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

/* As long as the keeper gives one. */
#define WARM_TIMEOUT_US 30000000u
#define PACKET_BYTES (PXW_HEADER_BYTES + (8u << 10))
#define LOG_BYTES 4096

static void end_zygote(struct keeper_zygote_ends *ends)
{
    if (ends->pidfd >= 0) {
        /* Only fails when it is dead already. */
        (void)pidfd_send_signal(ends->pidfd, SIGKILL, NULL, 0);
        while (waitpid(ends->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    cleanup_fd(&ends->pidfd);
    cleanup_fd(&ends->channel);
    cleanup_fd(&ends->log);
}

/* Waits for the answer, or for the end of the channel. Room for what it
 * writes to its log is in the pipe. */
static int wait_for_answer(int channel, uint64_t end_us)
{
    struct pollfd waited = { .fd = channel, .events = POLLIN };
    uint64_t now_us = fdio_now_us();
    int ready;

    if (now_us >= end_us) {
        return -ETIMEDOUT;
    }
    ready = poll(&waited, 1, (int)((end_us - now_us + 999) / 1000));
    return ready == 0 ? -ETIMEDOUT : ready < 0 && errno != EINTR ? -errno : 0;
}

/* 0 when it is warm at no less than `level`. */
static int take_answer(int channel, enum keeper_level level,
                       char ret_python[PXW_NAME_MAX + 1])
{
    uint64_t end_us = fdio_now_us() + WARM_TIMEOUT_US;
    uint8_t packet[PACKET_BYTES];
    struct pxw_header header;
    struct pxw_message message;
    const struct pxw_field *python = &message.field[PXW_F_PYTHON];
    size_t fds = 0;
    ssize_t size;

    do {
        int error = wait_for_answer(channel, end_us);

        if (error != 0) {
            return error;
        }
        size = fdio_receive(channel, packet, sizeof(packet), NULL, 0, &fds);
    } while (size == -EAGAIN);
    if (size <= 0) {
        return size == 0 ? -ECONNRESET : (int)size;
    }
    if (size < PXW_HEADER_BYTES || pxw_get_header(packet, &header) != 0
        || header.type != PXW_WARMED
        || header.length != (size_t)size - PXW_HEADER_BYTES
        || pxw_parse(PXW_WARMED, packet + PXW_HEADER_BYTES, header.length,
                     &message) != 0
        || keeper_level_of(&message.field[PXW_F_LEVEL], LEVEL_NONE) < level) {
        return -EPROTO;
    }
    memcpy(ret_python, python->data, python->size); /* at most PXW_NAME_MAX */
    ret_python[python->size] = '\0';
    return 0;
}

/* Its own words, if any, each line indented. */
static void show_log(int log)
{
    char bytes[LOG_BYTES];
    char text[4 * LOG_BYTES + 1];
    ssize_t count = fdio_read(log, bytes, sizeof(bytes));
    const char *at = bytes;
    const char *end = bytes + (count > 0 ? count : 0);

    if (at < end) {
        (void)printf("The zygote said:\n");
    }
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));

        stop = stop == NULL ? end : stop;
        (void)log_escape(at, (size_t)(stop - at), text, sizeof(text));
        (void)printf("  %s\n", text);
        at = stop + 1;
    }
}

int envcheck_zygote(const struct helper_python *python, enum keeper_level level,
                    enum envcheck_kind kind)
{
    /* The smallest pool there is. */
    const struct pool_conf pool = {
        .concurrency = 1,
        .memory_bytes = 64u << 20,
        .processes = kind == ENVCHECK_PROCESSES ? 2 : 1,
        /* Nobody is asked: only that there is one matters. */
        .proxy.size = kind == ENVCHECK_NETWORK ? 1 : 0,
    };
    const char *what = kind == ENVCHECK_PROCESSES ? " with PyExecProcesses"
                       : kind == ENVCHECK_NETWORK ? " with PyExecNetwork"
                                                  : "";
    const char *whose = python->name[0] == '\0' ? "" : " PyExecPython ";
    CLEANUP(end_zygote) struct keeper_zygote_ends ends = {
        .pidfd = -1, .channel = -1, .log = -1,
    };
    char version[PXW_NAME_MAX + 1];
    const char *step = "";
    int error = keeper_zygote_start(python->program, -1, &ends, &step);

    if (error != 0) {
        (void)printf("Isolation \"%s\"%s%s: not reached: cannot %s: %s.\n",
                     keeper_level_name(level), whose, python->name, step, strerror(-error));
        return error;
    }
    error = keeper_zygote_warm(ends.channel, &pool, NULL, level, "");
    if (error == 0) {
        error = take_answer(ends.channel, level, version);
    }
    if (error == 0) {
        (void)printf("Isolation \"%s\"%s%s%s: reached and tested, Python %s.\n",
                     keeper_level_name(level), whose, python->name, what,
                     version);
        return 0;
    }
    (void)printf("Isolation \"%s\"%s%s%s: not reached: %s.\n",
                 keeper_level_name(level), whose, python->name, what,
                 error == -ECONNRESET ? "the zygote ended"
                 : error == -EPROTO   ? "it isolates less"
                                      : strerror(-error));
    show_log(ends.log);
    return error;
}
