/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the loader's name out of our own program headers: it depends on the
 * architecture, and every program here is of ours.
 */
#include "jail_programs.h"

#include <link.h>
#include <stddef.h>

/* The first object is the program itself. */
static int find_interpreter(struct dl_phdr_info *info, size_t size, void *found)
{
    const char **name = found;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_INTERP) {
            *name = (const char *)(info->dlpi_addr
                                   + info->dlpi_phdr[i].p_vaddr);
        }
    }
    return 1;
}

const char *jail_loader(void)
{
    const char *name = NULL;

    (void)dl_iterate_phdr(find_interpreter, &name);
    return name;
}
