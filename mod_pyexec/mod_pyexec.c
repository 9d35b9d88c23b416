/* SPDX-License-Identifier: Apache-2.0
 *
 * The module record and the registration of hooks; nothing else.
 */
#include "pyexec.h"

#include "pyexec_check.h"
#include "pyexec_child.h"
#include "pyexec_commands.h"
#include "pyexec_config.h"
#include "pyexec_dump.h"
#include "pyexec_egress.h"
#include "pyexec_handler.h"
#include "pyexec_helper.h"
#include "pyexec_metrics.h"
#include "pyexec_openapi.h"
#include "pyexec_packages.h"
#include "pyexec_places.h"
#include "pyexec_pools.h"
#include "pyexec_reply.h"
#include "pyexec_status.h"

#include <ap_mpm.h>
#include <apr_optional_hooks.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_status.h>
#include <mpm_common.h>

static void register_hooks(apr_pool_t *pool)
{
    (void)pool; /* the callback's signature */
    ap_hook_pre_config(pyexec_places_reset, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_config(pyexec_pools_reset, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(pyexec_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(pyexec_dump, NULL, NULL, APR_HOOK_MIDDLE);
    /* First: what others fork from the parent is then as closed as it is. */
    ap_hook_post_config(pyexec_child_hide, NULL, NULL, APR_HOOK_REALLY_FIRST);
    /* Last: a daemon that another module forks without exec (mod_cgid) would
     * keep the lifeline open, and with it the helper of a dead httpd. */
    ap_hook_post_config(pyexec_helper_post_config, NULL, NULL,
                        APR_HOOK_REALLY_LAST);
    ap_hook_monitor(pyexec_helper_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(pyexec_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(pyexec_child_stopping, NULL, NULL,
                           APR_HOOK_MIDDLE);
    ap_hook_pre_connection(pyexec_egress_pre_connection, NULL, NULL,
                           APR_HOOK_FIRST);
    /* Before mod_proxy's, which is among the first. */
    ap_hook_handler(pyexec_egress_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(pyexec_handler_run, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(pyexec_status_health, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(pyexec_metrics_run, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(pyexec_openapi_run, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(pyexec_packages_run, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, pyexec_status_section, NULL, NULL,
                      APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(pyexec_reply_insert_error_filter, NULL, NULL,
                                APR_HOOK_LAST);
    pyexec_reply_register_filter();
}

module AP_MODULE_DECLARE_DATA pyexec_module = {
    STANDARD20_MODULE_STUFF,
    .create_dir_config = pyexec_config_create_place,
    .merge_dir_config = pyexec_config_merge_place,
    .create_server_config = pyexec_config_create_global,
    .cmds = pyexec_commands,
    .register_hooks = register_hooks,
};
