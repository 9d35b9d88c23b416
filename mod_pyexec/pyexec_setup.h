/* SPDX-License-Identifier: Apache-2.0
 *
 * The set-up frame: the token and all pools with their ceilings. What a helper
 * that httpd starts reads on its lifeline, and the service on its control
 * socket.
 */
#ifndef PYEXEC_SETUP_H
#define PYEXEC_SETUP_H

#include "pyexec_config.h"

/* 0 or what pxw_end() says. `token`: PXW_TOKEN_BYTES. `generation`: which
 * reading of the configuration it is; 0: nobody asks. */
int pyexec_setup_build(struct pxw_writer *frame, const unsigned char *token,
                       apr_uint64_t generation);

/* Wipes and frees, whatever came of it. */
void pyexec_setup_free(struct pxw_writer *frame);

/* Runs at the same time, as configured or as many as there are processors. */
apr_uint32_t pyexec_setup_concurrency(const pyexec_pool_t *pool);

#endif
