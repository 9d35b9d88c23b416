/* SPDX-License-Identifier: Apache-2.0
 *
 * Where our directives stand: the sections that have any, and what holds in
 * each of them for each virtual host. Filled while httpd reads its files; used
 * by the checks, the list of pools and the dump, never by a request.
 */
#ifndef PYEXEC_PLACES_H
#define PYEXEC_PLACES_H

#include "pyexec_config.h"

/* pre_config: forgets what an earlier reading of the files left behind. */
int pyexec_places_reset(apr_pool_t *pconf, apr_pool_t *plog,
                        apr_pool_t *ptemp);

/* A directive of ours, not of an .htaccess, is about to be kept in `place`. */
void pyexec_places_note(const cmd_parms *cmd, pyexec_place_t *place);

/* PyExecEngine On was read for this server. */
void pyexec_places_note_engine(const server_rec *s);

/* Whether PyExecEngine On stands anywhere, and whether it stands where this
 * virtual host is reached by it (sections of the main server included). */
int pyexec_places_any_engine(void);
int pyexec_places_engine_reaches(const server_rec *s);

/* "file:line" of a directive. */
const char *pyexec_places_where(apr_pool_t *pool,
                                const ap_directive_t *directive);

typedef struct pyexec_view_t
{
    const server_rec *server;
    const char *section;   /* as it is written; NULL: the host as a whole */
    const char *where;     /* of the section, or of the host */
    const pyexec_place_t *own; /* what the section says; NULL: the host */
    pyexec_place_t merged; /* what holds in it for that host, of httpd's own
                            * files and as far as one section can tell */
} pyexec_view_t;

/* Each server as a whole and with each section that reaches it, in the order
 * in which they are written. */
void pyexec_places_each(apr_pool_t *pool, server_rec *main_server,
                        void (*see)(const pyexec_view_t *view, void *data),
                        void *data);

#endif
