/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists packages; see the header. What is installed only an interpreter knows
 * to say, and what packages tell of themselves is hostile: so a script of ours
 * reads it in the sandbox, as a run like any other, and its answer is checked
 * to be JSON.
 */
#include "pyexec_packages.h"

#include "pyexec_body.h"
#include "pyexec_outcome.h"
#include "pyexec_reply.h"
#include "pyexec_task.h"

#include <apr_strings.h>
#include <http_log.h>
#include <string.h>

APLOG_USE_MODULE(pyexec);

/* Of what a pool's runs load from its environment, whatever that is called
 * below the directory. Name and version are in the first headers of a package's
 * metadata, and only these are read: a wheel of some KB can have more than
 * there is time for. One that cannot be read is left out. Nothing is imported
 * from what is listed: it would tell what it likes. */
static const char script[] =
    "import os, sys\n"
    "\n"
    "def metadata(top):\n"
    "    for path in top + '/METADATA', top + '/PKG-INFO', top:\n"
    "        try:\n"
    "            with open(path, encoding='utf-8') as file:\n"
    "                return file.read(16384).partition('\\n\\n')[0]\n"
    "        except (OSError, ValueError):\n"
    "            pass\n"
    "    return ''\n"
    "\n"
    "def main(top):\n"
    "    paths = [p for p in sys.path if p == top or p.startswith(top + '/')]\n"
    "    sys.path[:] = [p for p in sys.path if p not in paths]\n"
    "    from email.parser import HeaderParser\n"
    "    found = {}\n"
    "    for entry in [e for path in paths if os.path.isdir(path)\n"
    "                  for e in os.scandir(path)]:\n"
    "        if not entry.name.lower().endswith(('.dist-info', '.egg-info')):\n"
    "            continue\n"
    "        headers = HeaderParser().parsestr(metadata(entry.path))\n"
    "        name, version = headers['Name'], headers['Version']\n"
    "        if isinstance(name, str) and isinstance(version, str):\n"
    "            found.setdefault(name, version)\n"
    "    names = sorted(found, key=lambda name: (name.lower(), name))\n"
    "    return {'packages': [{'name': name, 'version': found[name]}\n"
    "                         for name in names]}\n";

static int admit(pyexec_task_t *task)
{
    request_rec *r = task->r;

    if (r->main != NULL || r->prev != NULL) {
        return pyexec_task_refuse(task, HTTP_FORBIDDEN,
                                  "Code is run for direct requests only.");
    }
    /* SetHandler is legal in .htaccess, PyExecEngine is not. */
    if (!task->place.engine) {
        return pyexec_task_refuse(task, HTTP_FORBIDDEN,
                                  "Running code is not enabled at this "
                                  "location.");
    }
    if (pyexec_config_is_below(&task->place, r->uri)) {
        return pyexec_task_refuse(task, HTTP_NOT_FOUND,
                                  pyexec_reply_sentence(HTTP_NOT_FOUND));
    }
    if (r->method_number != M_GET) {
        apr_table_setn(r->headers_out, "Allow", "GET, HEAD");
        return pyexec_task_refuse(task, HTTP_METHOD_NOT_ALLOWED,
                                  "The method is not allowed here; use GET.");
    }
    return PYEXEC_TASK_NEXT;
}

static int ask(pyexec_task_t *task)
{
    struct pxw_writer *frame = &task->frame;
    request_rec *r = task->r;
    pyexec_buffer_t *params = pyexec_buffer_make(r->pool);

    pyexec_body_leave_unread(r);
    if (task->pool->real_environment == NULL) {
        return pyexec_task_refuse(task, HTTP_FORBIDDEN,
                                  "No packages can be installed here.");
    }
    pyexec_json_open(params);
    pyexec_json_name(params, "top");
    pyexec_json_put_text(params, task->pool->real_environment);
    pyexec_json_close(params);
    pyexec_task_set_limits(task, 0);
    pyexec_task_begin_frame(task);
    pxw_put_u32(frame, PXW_F_FORBID, 0);
    pyexec_task_put_limits(task);
    pxw_put_str(frame, PXW_F_SOURCE, script);
    pxw_put_u32(frame, PXW_F_CALL, PXW_CALL_JSON);
    pxw_put_bytes(frame, PXW_F_PARAMS, params->data, params->size);
    task->asked.call = PXW_CALL_JSON;
    if (params->failed || pxw_end(frame) != 0) {
        return pyexec_reply_failure(r, PXW_BUSY);
    }
    return PYEXEC_TASK_NEXT;
}

/* A list that did not come, by a limit of the place or by what a package has
 * in its files, is no result of a program of the client's. */
static int answer(pyexec_task_t *task)
{
    request_rec *r = task->r;
    pyexec_outcome_t outcome;
    pyexec_end_t end;
    pyexec_buffer_t *body = pyexec_buffer_make(r->pool);
    int status = pyexec_task_conclude(task, &outcome);

    if (status != PYEXEC_TASK_NEXT) {
        return status;
    }
    end = pyexec_outcome_end(&outcome);
    if (end.kind != PYEXEC_END_VALUE
        || end.value.type != PYEXEC_JSON_OBJECT) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      PYXNO(0243) "run %s did not list the packages of '%s', "
                      "it ended with: %s", task->id,
                      task->pool->real_environment,
                      pxw_outcome_name(task->outcome));
        return pyexec_reply_failure(r, PXW_BROKEN);
    }
    pyexec_buffer_add(body, end.value.bytes, end.value.size);
    pyexec_buffer_puts(body, "\n"); /* as all others end */
    return pyexec_reply_json(r, HTTP_OK, body);
}

int pyexec_packages_run(request_rec *r)
{
    static int (*const stages[])(pyexec_task_t *) = {
        admit, pyexec_task_assign, ask, pyexec_task_run, answer,
    };
    pyexec_task_t *task;
    int status = PYEXEC_TASK_NEXT;

    if (r->handler == NULL
        || strcmp(r->handler, PYEXEC_PACKAGES_HANDLER) != 0) {
        return DECLINED;
    }
    task = pyexec_task_make(r);
    for (size_t i = 0; status == PYEXEC_TASK_NEXT; i++) {
        status = stages[i](task);
    }
    return status;
}
