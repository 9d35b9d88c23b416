/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that all zygotes of a keeper have alike, in memory only once.
 */
#ifndef PYEXEC_ZYGOTE_SHARED_H
#define PYEXEC_ZYGOTE_SHARED_H

#include <stddef.h>

/* Maps `size` bytes of `file`, a memfd, at `place`, readable and executable,
 * private, in huge pages; all three are multiples of a huge page, and what is
 * at `place` is replaced. The first who asks puts the bytes at `from` in and
 * seals the file for good; everybody else gets the mapping only if they are
 * the same. 0 or a negative errno: then there is nothing new at `place`, or
 * what is there must not be used. */
int zygote_shared_map(int file, const void *from, size_t size, void *place);

#endif
