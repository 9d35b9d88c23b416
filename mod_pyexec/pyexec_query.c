/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions without a body; see the header.
 */
#include "pyexec_query.h"

#include <errno.h>

pyexec_client_end_e pyexec_query(request_rec *r, enum pxw_type question,
                                 uint16_t want, apr_int64_t deadline_ms,
                                 struct pxw_message *ret_answer,
                                 int *ret_error)
{
    struct pxw_writer frame = { 0 };
    pyexec_client_end_e end = PYEXEC_NOT_BEGUN;

    *ret_error = ENOMEM;
    pxw_begin(&frame, question);
    if (pxw_end(&frame) == 0) {
        end = pyexec_client_ask(r, &frame, want, deadline_ms, ret_answer,
                                ret_error);
    }
    pxw_writer_free(&frame);
    return end;
}

int pyexec_query_next_pool(const struct pxw_message *status, apr_size_t *at,
                           struct pxw_message *ret_pool)
{
    struct pxw_field field;

    while (pxw_next(status, at, &field)) {
        if (field.tag == PXW_F_POOL_IS) {
            return pxw_parse_pool_is(&field, ret_pool) == 0;
        }
    }
    return 0;
}
