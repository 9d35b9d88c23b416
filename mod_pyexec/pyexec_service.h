/* SPDX-License-Identifier: Apache-2.0
 *
 * A helper that httpd does not start: `pyexecd --service`, reached by
 * PyExecHelper unix:/path. Runs in the httpd parent, which sends the set-up
 * and neither starts nor signals anything.
 */
#ifndef PYEXEC_SERVICE_H
#define PYEXEC_SERVICE_H

#include "pyexec_config.h"

/* The control socket has the name of the other one and this. */
#define PYEXEC_CONTROL_SUFFIX ".control"

/* NULL, or what is wrong with the text of PyExecHelper. */
const char *pyexec_service_problem(apr_pool_t *pool, const char *text);

/* The path of the service's socket; NULL: httpd starts the helper. */
const char *pyexec_service_path(const pyexec_global_t *global);

/* post_config: this is the configuration from now on, by whose `path` (NULL:
 * the service is not used any more) it is told. Logs what fails, which is
 * tried again by pyexec_service_look(). */
void pyexec_service_use(server_rec *s, const char *path);

/* The monitor hook, while httpd serves. */
void pyexec_service_look(server_rec *s);

/* In a new child: closes what only the parent may hold. */
void pyexec_service_let_go(void);

#endif
