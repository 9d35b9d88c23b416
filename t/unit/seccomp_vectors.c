/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of system calls, expanded once more: into rows that can be asked.
 */
#include "seccomp_vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "seccomp_table.h"

#define MAX_COMPARED 3
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Debian 12's kernel has 450 calls and libseccomp 2.5.4 knows two more;
 * whatever is newer must look absent. */
#define FIRST_NEWER 453

struct row
{
    const char *name;
    int call;
    enum verdict verdict;
    enum jail_level level;      /* the least that has it */
    enum { ANY, ALONE, TREE } run;  /* that may start processes, or not */
    bool network;               /* for runs with a network only */
    bool install;               /* for jobs that install packages only */
    enum { EITHER, READING, WRITING } files;  /* none, or some are written */
    unsigned int compared;
    struct scmp_arg_cmp compare[MAX_COMPARED];
};

#define PLAIN(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_RESTRICTED },
#define FULL(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_FULL },
#define ABSENT(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ENOSYS, \
      .level = JAIL_RESTRICTED },
#define ARGUED(c, count, ...) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_RESTRICTED, .compared = (count), \
      .compare = { __VA_ARGS__ } },
#define NO_MEMORY(c, count, ...) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ENOMEM, \
      .level = JAIL_RESTRICTED, .compared = (count), \
      .compare = { __VA_ARGS__ } },

#define ALONE_PLAIN(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_RESTRICTED, .run = ALONE },
#define ALONE_ARGUED(c, count, ...) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_RESTRICTED, .run = ALONE, .compared = (count), \
      .compare = { __VA_ARGS__ } },
#define TREE_PLAIN(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_FULL, .run = TREE },
#define TREE_ARGUED(c, count, ...) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_FULL, .run = TREE, .compared = (count), \
      .compare = { __VA_ARGS__ } },
#define NETWORK_PLAIN(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_FULL, .network = true },
#define NETWORK_ARGUED(c, count, ...) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_FULL, .network = true, .compared = (count), \
      .compare = { __VA_ARGS__ } },
#define TREE_UNSUPPORTED(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_EOPNOTSUPP, \
      .level = JAIL_FULL, .run = TREE },
#define READING_ARGUED(c, count, ...) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_RESTRICTED, .files = READING, .compared = (count), \
      .compare = { __VA_ARGS__ } },
#define WRITING_ARGUED(c, count, ...) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_FULL, .files = WRITING, .compared = (count), \
      .compare = { __VA_ARGS__ } },
#define INSTALL_PLAIN(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_ALLOW, \
      .level = JAIL_FULL, .install = true },
#define INSTALL_UNSUPPORTED(c) \
    { .name = #c, .call = SCMP_SYS(c), .verdict = VERDICT_EOPNOTSUPP, \
      .level = JAIL_FULL, .install = true },

static const struct row rows[] = {
    SECCOMP_PLAIN(PLAIN)
    SECCOMP_FULL_ONLY(FULL)
    SECCOMP_ARGUED(ARGUED)
    SECCOMP_ALONE_PLAIN(ALONE_PLAIN)
    SECCOMP_ALONE_ARGUED(ALONE_ARGUED)
    SECCOMP_TREE_PLAIN(TREE_PLAIN)
    SECCOMP_TREE_ARGUED(TREE_ARGUED)
    SECCOMP_NETWORK_PLAIN(NETWORK_PLAIN)
    SECCOMP_NETWORK_ARGUED(NETWORK_ARGUED)
    SECCOMP_NO_MEMORY(NO_MEMORY)
    SECCOMP_TREE_UNSUPPORTED(TREE_UNSUPPORTED)
    SECCOMP_READING_ARGUED(READING_ARGUED)
    SECCOMP_WRITING_ARGUED(WRITING_ARGUED)
    SECCOMP_INSTALL_PLAIN(INSTALL_PLAIN)
    SECCOMP_INSTALL_UNSUPPORTED(INSTALL_UNSUPPORTED)
    SECCOMP_ABSENT(ABSENT)
};

/* Whether the row is about runs of this kind at all. */
static bool concerns(const struct row *row, const struct jail *jail)
{
    bool writes = jail->processes || jail->install_bytes > 0;

    return row->run != (jail->processes ? ALONE : TREE)
           && row->files != (writes ? READING : WRITING)
           && (jail->network || !row->network)
           && (jail->install_bytes > 0 || !row->install);
}

static bool applies(const struct row *row, const struct jail *jail)
{
    return row->level <= jail->level && concerns(row, jail);
}

struct list
{
    struct vector *item;
    size_t count;
    size_t room;
};

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {
        [VERDICT_ALLOW] = "allow",
        [VERDICT_EPERM] = "EPERM",
        [VERDICT_ENOSYS] = "ENOSYS",
        [VERDICT_ENOMEM] = "ENOMEM",
        [VERDICT_EOPNOTSUPP] = "EOPNOTSUPP",
    };

    return names[verdict];
}

static bool holds(const struct scmp_arg_cmp *compare, uint64_t value)
{
    switch (compare->op) {
    case SCMP_CMP_EQ: return value == compare->datum_a;
    case SCMP_CMP_LE: return value <= compare->datum_a;
    case SCMP_CMP_MASKED_EQ:
        return (value & compare->datum_a) == compare->datum_b;
    default:
        (void)fprintf(stderr, "the table compares in a way of its own: %d\n",
                      (int)compare->op);
        abort();
    }
}

static bool row_matches(const struct row *row, const uint64_t *args)
{
    for (unsigned int i = 0; i < row->compared; i++) {
        if (!holds(&row->compare[i], args[row->compare[i].arg])) {
            return false;
        }
    }
    return true;
}

/* What the table as a whole says; all rows of a call are alternatives. */
static enum verdict verdict_of(const struct jail *jail, int call,
                               const uint64_t *args)
{
    for (size_t i = 0; i < LENGTH(rows); i++) {
        if (rows[i].call == call && applies(&rows[i], jail)
            && row_matches(&rows[i], args)) {
            return rows[i].verdict;
        }
    }
    return call >= FIRST_NEWER ? VERDICT_ENOSYS : VERDICT_EPERM;
}

static void add(struct list *list, const struct jail *jail,
                struct vector vector)
{
    if (list->count == list->room) {
        list->room = 2 * list->room + 1024;
        list->item = realloc(list->item, list->room * sizeof(*list->item));
        if (list->item == NULL) {
            abort();
        }
    }
    vector.verdict = verdict_of(jail, vector.call, vector.args);
    list->item[list->count++] = vector;
}

static uint64_t matching(const struct scmp_arg_cmp *compare)
{
    return compare->op == SCMP_CMP_MASKED_EQ ? compare->datum_b
                                             : compare->datum_a;
}

/* Bits that decide: what a mask leaves out must not. */
static uint64_t decisive(const struct scmp_arg_cmp *compare)
{
    return compare->op == SCMP_CMP_MASKED_EQ ? compare->datum_a : UINT64_MAX;
}

/* One row: as it matches, then with one bit of one argument another way. */
static void add_row(struct list *list, const struct jail *jail,
                    const struct row *row)
{
    struct vector base = { .name = row->name, .call = row->call };

    for (unsigned int i = 0; i < row->compared; i++) {
        base.compared[row->compare[i].arg] = 1;
        base.args[row->compare[i].arg] = matching(&row->compare[i]);
    }
    add(list, jail, base);
    for (unsigned int i = 0; i < row->compared; i++) {
        const struct scmp_arg_cmp *compare = &row->compare[i];
        uint64_t bits = decisive(compare);

        for (unsigned int bit = 0; bit < 64; bit++) {
            struct vector flipped = base;

            flipped.args[compare->arg] ^= UINT64_C(1) << bit;
            if ((bits >> bit & 1) != 0) {
                add(list, jail, flipped);
            }
        }
        if (compare->op == SCMP_CMP_MASKED_EQ) {
            struct vector others = base;

            others.args[compare->arg] |= ~bits;
            add(list, jail, others);
        }
    }
}

size_t seccomp_vectors(const struct jail *jail, int last,
                       struct vector **ret_vectors)
{
    struct list list = { 0 };

    for (int call = 0; call <= last; call++) {
        bool argued = false;
        const char *name = NULL;

        for (size_t i = 0; i < LENGTH(rows); i++) {
            if (rows[i].call != call || !concerns(&rows[i], jail)) {
                continue;
            }
            name = rows[i].name;
            if (rows[i].compared > 0) {
                argued = true;
                add_row(&list, jail, &rows[i]);
            }
        }
        if (!argued) {
            add(&list, jail, (struct vector){ .name = name, .call = call });
        }
    }
    *ret_vectors = list.item;
    return list.count;
}

void seccomp_vectors_print(FILE *out, const struct vector *vectors,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct vector *vector = &vectors[i];

        (void)fprintf(out, "%s %s %d", verdict_name(vector->verdict),
                      vector->name != NULL ? vector->name : "-", vector->call);
        for (int arg = 0; arg < SECCOMP_ARGS; arg++) {
            uint64_t value = vector->args[arg];
            uint64_t flipped = value ^ SECCOMP_OWN_PID;

            if (vector->compared[arg] == 0) {
                continue;
            }
            /* At most one bit away from the stand-in. */
            if ((flipped & (flipped - 1)) == 0) {
                (void)fprintf(out, " %d=pid^%" PRIx64, arg, flipped);
            }
            else {
                (void)fprintf(out, " %d=%" PRIx64, arg, value);
            }
        }
        (void)fputc('\n', out);
    }
}
