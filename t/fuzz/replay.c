/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays a target's corpus without a fuzzer, as TAP: all files of
 * $srcdir/t/fuzz/corpus/NAME, or those named as arguments. An input that is
 * wrong ends the process, which is a failure as well; so is having none.
 */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>

/* The bytes in a block that ends where they end: a sanitizer sees what is
 * read beyond. */
static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;
    int rv = -1;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0
        || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0) {
        goto out;
    }
    data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) {
        goto out;
    }
    rv = 0;
out:
    if (file != NULL) {
        (void)fclose(file); /* only read; a target finds its number free */
    }
    if (rv == 0) {
        rv = LLVMFuzzerTestOneInput(data, (size_t)size);
    }
    free(data);
    return rv;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int report(const char *path, int number)
{
    int ok = replay(path) == 0;

    (void)printf("%sok %d - %s\n", ok ? "" : "not ", number, path);
    (void)fflush(stdout);
    return ok ? 0 : 1;
}

static int replay_corpus(void)
{
    const char *srcdir = getenv("srcdir");
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    int failed = 0;
    int count;

    (void)snprintf(path, sizeof(path), "%s/t/fuzz/corpus/%s",
                   srcdir == NULL ? "." : srcdir, fuzz_name);
    count = scandir(path, &entries, is_input, alphasort);
    if (count <= 0) {
        (void)printf("1..1\nnot ok 1 - there are inputs in %s\n", path);
        return 1;
    }
    (void)printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX + NAME_MAX + 2];

        (void)snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        failed += report(file, i + 1);
        free(entries[i]);
    }
    free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc < 2) {
        return replay_corpus() != 0;
    }
    (void)printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        failed += report(argv[i], i);
    }
    return failed != 0;
}
