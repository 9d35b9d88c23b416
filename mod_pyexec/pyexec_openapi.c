/* SPDX-License-Identifier: Apache-2.0
 *
 * Serves conf/openapi.yaml, which is written in JSON (a part of YAML) so that
 * the file and the answer are the same bytes; the build makes them a header.
 * Runs in a worker thread; asks nobody.
 */
#include "pyexec_openapi.h"

#include "pyexec_body.h"
#include "pyexec_config.h"
#include "pyexec_reply.h"

#include <string.h>

static const unsigned char document[] = {
#include "pyexec_openapi_data.h"
};

int pyexec_openapi_run(request_rec *r)
{
    pyexec_buffer_t *body;
    pyexec_place_t place;

    if (r->handler == NULL
        || strcmp(r->handler, PYEXEC_OPENAPI_HANDLER) != 0) {
        return DECLINED;
    }
    place = pyexec_config_place(r->per_dir_config);
    pyexec_reply_allow_origin(r, &place);
    pyexec_body_leave_unread(r);
    if (pyexec_config_is_below(&place, r->uri)) {
        return pyexec_reply_error(r, HTTP_NOT_FOUND,
                                  pyexec_reply_sentence(HTTP_NOT_FOUND));
    }
    if (r->method_number != M_GET) {
        apr_table_setn(r->headers_out, "Allow", "GET, HEAD");
        return pyexec_reply_error(r, HTTP_METHOD_NOT_ALLOWED,
                                  "The method is not allowed here; use GET.");
    }
    body = pyexec_buffer_make(r->pool);
    pyexec_buffer_add(body, document, sizeof(document));
    return pyexec_reply_json(r, HTTP_OK, body);
}
