/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fuzz target is: a name, which is that of its corpus, and libFuzzer's
 * entry point. A promise that does not hold ends the process.
 */
#ifndef PYEXEC_FUZZ_H
#define PYEXEC_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern const char fuzz_name[];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_HOLDS(condition) fuzz_holds((condition) != 0, #condition)

static inline void fuzz_holds(int holds, const char *promise)
{
    if (!holds) {
        (void)fprintf(stderr, "%s: does not hold: %s\n", fuzz_name, promise);
        abort();
    }
}

#endif
