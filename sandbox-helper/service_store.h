/* SPDX-License-Identifier: Apache-2.0
 *
 * The last set-up in a file, so that a service that is started again serves
 * without httpd. It holds the token: whoever reads the file can have code run,
 * and whoever writes it decides with which limits. So it is read only when it
 * is a file of our own user that nobody else may open, and made like that.
 */
#ifndef PYEXEC_SERVICE_STORE_H
#define PYEXEC_SERVICE_STORE_H

#include <stddef.h>
#include <stdint.h>

/* Puts a file with these bytes in the place of `path`. 0 or a negative errno,
 * and then the old file is gone, too: what it said holds no longer. */
int service_store_save(const char *path, const uint8_t *data, size_t size);

/* 0, and *ret_data (malloc) is the caller's; -ENOENT: there is none; -EACCES:
 * it is not ours alone; -EFBIG; or another errno. */
int service_store_load(const char *path, size_t most, uint8_t **ret_data,
                       size_t *ret_size);

#endif
