/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs in the keeper, which can see its jobs' processes, but is not their
 * parent. All that is read are numbers that the kernel writes. The tree
 * changes meanwhile, so nobody is counted twice: each is read before its
 * children, whose time it takes over when it waits for them, and each number
 * once, for orphans change their parent. Who is missed now is seen the next
 * time; a number that has gone to a stranger is told by its parent.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "keeper_tree.h"

#include "cleanup.h"
#include "fdio.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As many as a run may have (PyExecProcesses), and where it begins. */
#define MAX_TREE 72

struct node
{
    pid_t pid;
    pid_t parent; /* 0: where we began */
};

struct tree
{
    struct node nodes[MAX_TREE];
    size_t count;
};

/* The whole of a small file as text; false: not to be had. */
static bool read_text(const char *path, char *ret_text, size_t size)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : fdio_read(fd, ret_text, size - 1);

    ret_text[count > 0 ? count : 0] = '\0';
    return count >= 0;
}

static bool has(const struct tree *tree, pid_t pid)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->nodes[i].pid == pid) {
            return true;
        }
    }
    return false;
}

static void add_children(struct tree *tree, pid_t parent, const char *task)
{
    char path[64];
    char text[1024]; /* 64 numbers of 10 digits, with blanks */
    char *at = text;
    char *end;

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children",
                   (int)parent, task);
    if (!read_text(path, text, sizeof(text))) {
        return;
    }
    for (;;) {
        long pid = strtol(at, &end, 10);

        if (end == at || pid <= 1 || tree->count == MAX_TREE) {
            return;
        }
        if (!has(tree, (pid_t)pid)) {
            tree->nodes[tree->count++] = (struct node){ .pid = (pid_t)pid,
                                                        .parent = parent };
        }
        at = end;
    }
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* fails for a bad stream only */
    }
}

/* Each thread has children of its own. */
static void add_children_of_threads(struct tree *tree, pid_t parent)
{
    CLEANUP(close_dir) DIR *dir = NULL;
    const struct dirent *entry;
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            add_children(tree, parent, entry->d_name);
        }
    }
}

/* proc(5), the fields of stat behind the name, which may hold anything:
 * state ppid … utime stime cutime cstime. The latter two are of the children
 * that were waited for. */
static uint64_t read_cpu_us(const struct node *node)
{
    bool is_root = node->parent == 0;
    char path[32];
    char text[1024];
    const char *at;
    int parent;
    unsigned long own[2];
    long waited[2];
    uint64_t ticks;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)node->pid);
    if (!read_text(path, text, sizeof(text))
        || (at = strrchr(text, ')')) == NULL
        || sscanf(at + 1,
                  " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
                  &parent, &own[0], &own[1], &waited[0], &waited[1]) != 5
        || (!is_root && parent != node->parent)) {
        return 0;
    }
    ticks = (uint64_t)waited[0] + (uint64_t)waited[1]
            + (is_root ? 0 : (uint64_t)own[0] + (uint64_t)own[1]);
    return ticks * 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t keeper_tree_cpu_us(pid_t job, pid_t init)
{
    struct tree tree = { .nodes = { { .pid = job }, { .pid = init } },
                         .count = 2 };
    uint64_t sum = 0;

    for (size_t i = 0; i < tree.count; i++) {
        sum += read_cpu_us(&tree.nodes[i]);
        add_children_of_threads(&tree, tree.nodes[i].pid);
    }
    return sum;
}
