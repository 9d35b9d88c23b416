/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8, one character at a time. Pure functions over hostile bytes.
 */
#ifndef PYEXEC_UTF8_H
#define PYEXEC_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Takes the character at `at`, of which `left` (at least 1) bytes are there.
 * Returns how many bytes it took (at least 1) and its code point, or -1 for
 * an ill-formed maximal subpart; *ret_cut tells whether only the end of the
 * bytes made it so. */
size_t pyexec_utf8_take(const unsigned char *at, size_t left,
                        int32_t *ret_code, int *ret_cut);

#endif
