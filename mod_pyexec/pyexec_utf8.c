/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8; see the header. Runs in a worker thread; reads no byte that it was
 * not given. The bounds of the second byte are those of table 3-7 of the
 * Unicode standard: no surrogates, nothing overlong, nothing past U+10FFFF.
 */
#include "pyexec_utf8.h"

size_t pyexec_utf8_take(const unsigned char *at, size_t left,
                        int32_t *ret_code, int *ret_cut)
{
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    int32_t code;
    size_t need;
    size_t i;

    *ret_code = -1;
    *ret_cut = 0;
    if (at[0] < 0x80) {
        *ret_code = at[0];
        return 1;
    }
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 1;
    }
    need = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : low;
    high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : high;
    code = at[0] & (0xff >> (need + 1));
    for (i = 1; i < need; i++) {
        if (i == left) {
            *ret_cut = 1;
            return i;
        }
        if (at[i] < low || at[i] > high) {
            return i;
        }
        code = code << 6 | (at[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *ret_code = code;
    return need;
}
