/* SPDX-License-Identifier: Apache-2.0
 *
 * What AddressSanitizer is told in the zygote and its jobs, whose environment
 * is the scripts' and has no room for ASAN_OPTIONS. Called by its run time in
 * a sanitizer build, by nobody in any other.
 */

/* The name and the type are the run time's. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    /* Memory that the limit refuses is a MemoryError, not an end. */
    return "allocator_may_return_null=1:detect_leaks=0";
}
