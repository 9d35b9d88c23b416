/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at the address that mod_proxy has connected to; see the header. Runs in
 * a worker thread. What is looked at is the socket itself: a name is resolved
 * once, by mod_proxy, and a second look at it could come to another address.
 * The price is that the connection was made, and is closed without a byte.
 */
#include "pyexec_egress.h"

#include "pyexec_address.h"
#include "pyexec_config.h"

#include <ap_mmn.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <httpd.h>
#include <string.h>

APLOG_USE_MODULE(pyexec);

/* Of older ones nothing tells a tunnel's connection from a client's. */
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 116)
#define KNOWS_OUTGOING 1
#define IS_OUTGOING(c) ((c)->outgoing)
#else
#define KNOWS_OUTGOING 0
#define IS_OUTGOING(c) 0
#endif

struct pyexec_egress_t
{
    const char *words;
    int public;                  /* what `special` has not */
    apr_array_header_t *special; /* as pyexec_address_special() */
    apr_array_header_t *listed;  /* more of them */
};

const char *pyexec_egress_read(apr_pool_t *pool, int argc, char *const argv[],
                               const pyexec_egress_t **ret_egress)
{
    pyexec_egress_t *egress = apr_pcalloc(pool, sizeof(*egress));

    if (argc == 0) {
        return "any, public, or addresses are missing";
    }
    if (argc == 1 && ap_cstr_casecmp(argv[0], "any") == 0) {
        /* Not NULL, which would be no word at all about it. */
        egress->words = "any";
        *ret_egress = egress;
        return NULL;
    }
    if (!KNOWS_OUTGOING) {
        return "this needs httpd 2.4.49 or newer";
    }
    egress->special = pyexec_address_special(pool);
    egress->listed = pyexec_address_list(pool);
    egress->words = "";
    if (egress->special == NULL) {
        return "this system cannot tell networks apart";
    }
    for (int i = 0; i < argc; i++) {
        if (ap_cstr_casecmp(argv[i], "public") == 0) {
            egress->public = 1;
        }
        else if (!pyexec_address_add(pool, egress->listed, argv[i])) {
            return apr_psprintf(pool, "'%s' is neither public, nor an address "
                                "(192.0.2.1) or network (192.0.2.0/24) in "
                                "numbers; any stands alone", argv[i]);
        }
        egress->words = apr_pstrcat(pool, egress->words, i > 0 ? " " : "",
                                    argv[i], NULL);
    }
    *ret_egress = egress;
    return NULL;
}

const char *pyexec_egress_words(const pyexec_egress_t *egress)
{
    return egress->words;
}

/* Whoever is connected to himself has one address at both ends. */
static int is_allowed(const pyexec_egress_t *egress, apr_sockaddr_t *remote,
                      apr_sockaddr_t *local)
{
    if (remote->family != APR_INET
#if APR_HAVE_IPV6
        && remote->family != APR_INET6
#endif
    ) {
        return 0;
    }
    return pyexec_address_is_in(egress->listed, remote)
           || (egress->public
               && !pyexec_address_is_in(egress->special, remote)
               && !apr_sockaddr_equal(remote, local));
}

int pyexec_egress_pre_connection(conn_rec *c, void *socket)
{
    const pyexec_place_t *place =
        ap_get_module_config(c->base_server->lookup_defaults, &pyexec_module);
    apr_sockaddr_t *remote = NULL;
    apr_sockaddr_t *local = NULL;

    if (place->egress == NULL || place->egress->listed == NULL
        || !IS_OUTGOING(c)) {
        return DECLINED;
    }
    if (apr_socket_addr_get(&remote, APR_REMOTE, socket) == APR_SUCCESS
        && apr_socket_addr_get(&local, APR_LOCAL, socket) == APR_SUCCESS
        && is_allowed(place->egress, remote, local)) {
        return DECLINED;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, c->base_server,
                 PYXNO(0218) "a connection of mod_proxy to %pI was refused: it "
                 "is none of \"PyExecEgress %s\"", remote,
                 place->egress->words);
    return HTTP_FORBIDDEN;
}

/* Whether mod_proxy makes a connection of httpd's for it, which the hook above
 * sees: FastCGI, SCGI and AJP use a bare socket. What is not known to is not
 * among these. */
static int is_looked_at(const char *filename)
{
    static const char *const schemes[] = {
        "proxy:http://", "proxy:https://", "proxy:ws://", "proxy:wss://",
    };

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (ap_cstr_casecmpn(filename, schemes[i], strlen(schemes[i])) == 0) {
            return 1;
        }
    }
    return 0;
}

int pyexec_egress_handler(request_rec *r)
{
    const pyexec_place_t *place =
        ap_get_module_config(r->server->lookup_defaults, &pyexec_module);

    if (place->egress == NULL || place->egress->listed == NULL
        || r->proxyreq != PROXYREQ_PROXY || r->method_number == M_CONNECT
        || (r->filename != NULL && is_looked_at(r->filename))) {
        return DECLINED;
    }
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  PYXNO(0219) "a request to mod_proxy was refused: of its "
                  "scheme \"PyExecEgress %s\" would see no address",
                  place->egress->words);
    return HTTP_FORBIDDEN;
}
