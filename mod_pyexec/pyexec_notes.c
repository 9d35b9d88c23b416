/* SPDX-License-Identifier: Apache-2.0
 *
 * Notes for the access log; see the header. mod_log_config escapes them.
 */
#include "pyexec_notes.h"

#include <apr_strings.h>

#define RUN_ID_BYTES 16

static const struct
{
    const char *note;
    enum pxw_tag tag;
} times[] = {
    { "pyexec-queue-us", PXW_F_QUEUE_US },
    { "pyexec-wall-us", PXW_F_WALL_US },
    { "pyexec-cpu-us", PXW_F_CPU_US },
};

#define TIMES (sizeof(times) / sizeof(times[0]))

static const char *make_id(request_rec *r)
{
    unsigned char bytes[RUN_ID_BYTES];
    char *id = apr_palloc(r->pool, 2 * sizeof(bytes) + 1);

    if (apr_generate_random_bytes(bytes, sizeof(bytes)) != APR_SUCCESS) {
        return "-";
    }
    ap_bin2hex(bytes, sizeof(bytes), id);
    return id;
}

const char *pyexec_notes_begin(request_rec *r, const char *tenant)
{
    const char *id = make_id(r);

    apr_table_setn(r->notes, "pyexec-run", id);
    apr_table_setn(r->notes, "pyexec-tenant",
                   tenant == NULL || tenant[0] == '\0' ? "-" : tenant);
    for (apr_size_t i = 0; i < TIMES; i++) {
        apr_table_setn(r->notes, times[i].note, "0");
    }
    pyexec_notes_outcome(r, "rejected");
    return id;
}

void pyexec_notes_outcome(request_rec *r, const char *outcome)
{
    apr_table_setn(r->notes, "pyexec-outcome", outcome);
}

void pyexec_notes_times(request_rec *r, const struct pxw_message *answer)
{
    for (apr_size_t i = 0; i < TIMES; i++) {
        apr_table_setn(r->notes, times[i].note,
                       apr_psprintf(r->pool, "%" APR_UINT64_T_FMT,
                                    (apr_uint64_t)pxw_u64(answer, times[i].tag,
                                                          0)));
    }
}
