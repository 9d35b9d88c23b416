/* SPDX-License-Identifier: Apache-2.0
 *
 * The field `pip`: what is accepted is a word and lines of names and versions,
 * of which none could be anything else for pip; what is refused has a sentence
 * of printable ASCII. Reading an accepted list again gives the same.
 */
#include "fuzz.h"

#include "pyexec_pip.h"

#include <string.h>

const char fuzz_name[] = "pip";

static int is_harmless(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || strchr("._-[],~=!<>*+", c) != NULL;
}

static int is_name_start(char c)
{
    return is_harmless(c) && strchr("._-[],~=!<>*+", c) == NULL;
}

static void check_list(const pyexec_pip_t *pip)
{
    const char *line = strchr(pip->list, '\n');
    unsigned count = 0;

    FUZZ_HOLDS(strlen(pip->list) == pip->size && line != NULL);
    FUZZ_HOLDS(strncmp(pip->list, pip->uninstall ? "uninstall\n" : "install\n",
                       (size_t)(line - pip->list) + 1) == 0);
    for (; line != NULL; line = strchr(line + 1, '\n'), count++) {
        size_t size = strcspn(line + 1, "\n");

        FUZZ_HOLDS(size > 0 && size <= PYEXEC_PIP_NAME_BYTES);
        FUZZ_HOLDS(is_name_start(line[1]));
        for (size_t i = 1; i <= size; i++) {
            FUZZ_HOLDS(is_harmless(line[i]));
        }
    }
    FUZZ_HOLDS(count == pip->count && count <= PYEXEC_PIP_NAMES_MOST);
}

static void check_again(const pyexec_pip_t *pip)
{
    static pyexec_pip_t again;
    char text[sizeof(pip->list) + 2];
    const char *line = strchr(pip->list, '\n');

    (void)snprintf(text, sizeof(text), "%s%s", pip->uninstall ? "-u" : "-i",
                   line);
    FUZZ_HOLDS(pyexec_pip_read(text, strlen(text), &again) == 0);
    FUZZ_HOLDS(strcmp(again.list, pip->list) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pyexec_pip_t pip;

    if (pyexec_pip_read((const char *)data, size, &pip) == 0) {
        check_list(&pip);
        check_again(&pip);
        return 0;
    }
    FUZZ_HOLDS(strncmp(pip.problem, "The field 'pip' ", 16) == 0);
    FUZZ_HOLDS(pip.problem[strlen(pip.problem) - 1] == '.');
    for (const char *c = pip.problem; *c != '\0'; c++) {
        FUZZ_HOLDS(*c >= ' ' && *c <= '~');
    }
    return 0;
}
