/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of sections; see the header. Runs in the httpd parent, and only
 * looks.
 */
#include "pyexec_places.h"

#include <apr_strings.h>
#include <apr_tables.h>

typedef struct section_t
{
    const server_rec *server;
    const char *title;
    const char *where;
    const pyexec_place_t *place;
} section_t;

/* Made anew by every reading. */
static apr_array_header_t *engine_servers;
static apr_array_header_t *sections;

int pyexec_places_reset(apr_pool_t *pconf, apr_pool_t *plog,
                        apr_pool_t *ptemp)
{
    (void)plog;  /* the hook's signature */
    (void)ptemp;
    engine_servers = apr_array_make(pconf, 2, sizeof(const server_rec *));
    sections = apr_array_make(pconf, 8, sizeof(section_t));
    return OK;
}

const char *pyexec_places_where(apr_pool_t *pool,
                                const ap_directive_t *directive)
{
    return apr_psprintf(pool, "%s:%d", directive->filename,
                        directive->line_num);
}

static int is_host(const ap_directive_t *section)
{
    return ap_cstr_casecmp(section->directive, "<VirtualHost") == 0;
}

void pyexec_places_note(const cmd_parms *cmd, pyexec_place_t *place)
{
    const ap_directive_t *section = cmd->directive->parent;
    const char *title = "";

    if (section == NULL || is_host(section)) {
        return; /* the host as a whole is seen without this list */
    }
    for (int i = 0; i < sections->nelts; i++) {
        if (APR_ARRAY_IDX(sections, i, section_t).place == place) {
            return;
        }
    }
    for (const ap_directive_t *outer = section;
         outer != NULL && !is_host(outer); outer = outer->parent) {
        title = apr_pstrcat(cmd->pool, outer->directive, " ", outer->args,
                            title[0] == '\0' ? "" : " ", title, NULL);
    }
    APR_ARRAY_PUSH(sections, section_t) = (section_t){
        .server = cmd->server, .title = title,
        .where = pyexec_places_where(cmd->pool, section), .place = place,
    };
}

void pyexec_places_note_engine(const server_rec *s)
{
    APR_ARRAY_PUSH(engine_servers, const server_rec *) = s;
}

int pyexec_places_any_engine(void)
{
    return engine_servers != NULL && engine_servers->nelts > 0;
}

int pyexec_places_engine_reaches(const server_rec *s)
{
    for (int i = 0; engine_servers != NULL && i < engine_servers->nelts; i++) {
        const server_rec *on = APR_ARRAY_IDX(engine_servers, i,
                                             const server_rec *);

        if (on == s || !on->is_virtual) {
            return 1;
        }
    }
    return 0;
}

static const char *where_of(apr_pool_t *pool, const server_rec *s)
{
    return s->defn_name == NULL
               ? "the main server"
               : apr_psprintf(pool, "%s:%u", s->defn_name,
                              s->defn_line_number);
}

void pyexec_places_each(apr_pool_t *pool, server_rec *main_server,
                        void (*see)(const pyexec_view_t *view, void *data),
                        void *data)
{
    for (server_rec *s = main_server; s != NULL; s = s->next) {
        pyexec_place_t *whole = ap_get_module_config(s->lookup_defaults,
                                                     &pyexec_module);
        pyexec_view_t view = { .server = s, .where = where_of(pool, s),
                               .merged = *whole };

        see(&view, data);
        for (int i = 0; sections != NULL && i < sections->nelts; i++) {
            const section_t *section = &APR_ARRAY_IDX(sections, i, section_t);
            pyexec_place_t *merged;

            if (section->server != s && section->server != main_server) {
                continue;
            }
            merged = pyexec_config_merge_place(pool, whole,
                                               (void *)section->place);
            view.section = section->title;
            view.where = section->where;
            view.own = section->place;
            view.merged = *merged;
            see(&view, data);
        }
        /* What follows belongs to the next host. */
    }
}
