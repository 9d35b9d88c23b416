/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks for the helper's programs; see the header. Runs in the httpd parent.
 */
#include "pyexec_pythons.h"

#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_PROGRAM "pyexec-zygote"
#define PREFIX DEFAULT_PROGRAM "-"

/* The helper looks beside the file that a link leads to. */
static const char *directory_of(apr_pool_t *pool, const char *helper)
{
    char *real = realpath(helper, NULL);
    const char *directory = NULL;

    if (real != NULL) {
        directory = apr_pstrmemdup(pool, real,
                                   (apr_size_t)(strrchr(real, '/') - real + 1));
    }
    free(real);
    return directory;
}

static int is_program(apr_pool_t *pool, const char *directory, const char *file)
{
    struct stat status;

    return stat(apr_pstrcat(pool, directory, file, NULL), &status) == 0
           && S_ISREG(status.st_mode)
           && (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *list_all(apr_pool_t *pool, const char *directory)
{
    apr_array_header_t *names = apr_array_make(pool, 8, sizeof(const char *));
    apr_dir_t *dir = NULL;
    apr_finfo_t entry;

    if (apr_dir_open(&dir, directory, pool) != APR_SUCCESS) {
        return "none that can be listed";
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        if (strncmp(entry.name, PREFIX, strlen(PREFIX)) == 0
            && is_program(pool, directory, entry.name)) {
            APR_ARRAY_PUSH(names, const char *) =
                apr_pstrdup(pool, entry.name + strlen(PREFIX));
        }
    }
    (void)apr_dir_close(dir); /* it was only read */
    qsort(names->elts, (size_t)names->nelts, sizeof(const char *), compare);
    return names->nelts == 0 ? "the default one alone"
                             : apr_array_pstrcat(pool, names, ' ');
}

const char *pyexec_pythons_instead(apr_pool_t *pool, const char *helper,
                                   const char *name)
{
    const char *directory = directory_of(pool, helper);

    if (directory == NULL || !is_program(pool, directory, DEFAULT_PROGRAM)
        || is_program(pool, directory, apr_pstrcat(pool, PREFIX, name, NULL))) {
        return NULL;
    }
    return list_all(pool, directory);
}
