/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of one value; see the header. Pure functions.
 */
#include "pyexec_value.h"

#include "../sandbox-helper/wire_proxy.h"
#include "pyexec_directives.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <errno.h>
#include <httpd.h>
#include <string.h>

apr_int64_t pyexec_value_size(const char *text, apr_int64_t unit)
{
    static const struct
    {
        const char *suffix;
        apr_int64_t unit;
    } units[] = {
        { "B", 1 },
        { "K", PYEXEC_KIB }, { "KB", PYEXEC_KIB }, { "KiB", PYEXEC_KIB },
        { "M", PYEXEC_MIB }, { "MB", PYEXEC_MIB }, { "MiB", PYEXEC_MIB },
        { "G", PYEXEC_GIB }, { "GB", PYEXEC_GIB }, { "GiB", PYEXEC_GIB },
    };
    char *end = NULL;
    apr_int64_t number = 0;

    if (!apr_isdigit(text[0])) {
        return -1;
    }
    errno = 0;
    number = apr_strtoi64(text, &end, 10);
    if (errno != 0) {
        return -1;
    }
    if (*end != '\0') {
        unit = -1;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (ap_cstr_casecmp(end, units[i].suffix) == 0) {
                unit = units[i].unit;
            }
        }
    }
    /* Nothing of ours is that large; it keeps the product from overflowing. */
    return unit < 0 || number > APR_INT64_MAX / PYEXEC_GIB ? -1 : number * unit;
}

int pyexec_value_is_origin(const char *text)
{
    const char *host = strstr(text, "://");

    if (host == NULL || host == text || host[3] == '\0'
        || strlen(text) > 255) {
        return 0;
    }
    for (const char *c = text; c < host; c++) {
        if (!apr_isalnum(*c) && strchr("+-.", *c) == NULL) {
            return 0;
        }
    }
    for (const char *c = host + 3; *c != '\0'; c++) {
        if (!apr_isalnum(*c) && strchr("-._:[]", *c) == NULL) {
            return 0;
        }
    }
    return 1;
}

int pyexec_value_is_module(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        if (!apr_isalnum(*c) && *c != '_' && *c != '.') {
            return 0;
        }
    }
    return name[0] != '\0';
}

int pyexec_value_is_name(const char *text)
{
    apr_size_t size = strlen(text);

    for (apr_size_t i = 0; i < size; i++) {
        if (apr_iscntrl(text[i])) {
            return 0;
        }
    }
    return size > 0 && size <= PXW_NAME_MAX;
}

int pyexec_value_is_directory(const char *text)
{
    return text[0] == '/' && pyexec_value_is_name(text);
}

int pyexec_value_is_url(const char *text)
{
    const char *host = ap_cstr_casecmpn(text, "http://", 7) == 0 ? text + 7
                       : ap_cstr_casecmpn(text, "https://", 8) == 0 ? text + 8
                                                                    : NULL;
    const char *path = host == NULL ? NULL : strchr(host, '/');

    if (path == NULL || path == host || strlen(text) > PXW_NAME_MAX) {
        return 0;
    }
    for (const char *c = host; *c != '\0'; c++) {
        if (!apr_isalnum(*c)
            && strchr(c < path ? "-._:[]" : "-._~%!$&'()*+,;=:@/", *c)
                   == NULL) {
            return 0;
        }
    }
    return apr_isalnum(host[0]) || host[0] == '[';
}

const char *pyexec_value_network(const char *text)
{
    static const char proxy[] = "proxy=";
    struct pxw_proxy ignored;

    if (ap_cstr_casecmp(text, "none") == 0) {
        return "";
    }
    if (ap_cstr_casecmpn(text, proxy, sizeof(proxy) - 1) != 0) {
        return NULL;
    }
    text += sizeof(proxy) - 1;
    /* As the helper reads it, which would not start otherwise. */
    return pxw_read_proxy(text, strlen(text), &ignored) == 0 ? text : NULL;
}

int pyexec_value_is_pool(const char *name)
{
    apr_size_t size = strlen(name);

    for (apr_size_t i = 0; i < size; i++) {
        if (!apr_isalnum(name[i]) && strchr("._-", name[i]) == NULL) {
            return 0;
        }
    }
    return size > 0 && size <= 64;
}

apr_int64_t pyexec_value_mode(const char *text)
{
    apr_int64_t mode = 0;

    if (strlen(text) < 3 || strlen(text) > 4
        || strspn(text, "01234567") != strlen(text)) {
        return -1;
    }
    for (const char *c = text; *c != '\0'; c++) {
        mode = mode * 8 + (*c - '0');
    }
    return (mode & ~(apr_int64_t)PYEXEC_MODE_MOST) == 0
           && (mode & PYEXEC_MODE_LEAST) == PYEXEC_MODE_LEAST ? mode : -1;
}

const char *pyexec_value_show_number(apr_pool_t *pool, apr_int64_t number)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT, number);
}

const char *pyexec_value_show_bytes(apr_pool_t *pool, apr_int64_t number)
{
    return number > 0 && number % PYEXEC_MIB == 0
               ? apr_psprintf(pool, "%" APR_INT64_T_FMT "M",
                              number / (apr_int64_t)PYEXEC_MIB)
               : pyexec_value_show_number(pool, number);
}

const char *pyexec_value_show_duration(apr_pool_t *pool, apr_int64_t ms)
{
    return ms > 0 && ms % 1000 == 0
               ? apr_psprintf(pool, "%" APR_INT64_T_FMT "s", ms / 1000)
               : apr_psprintf(pool, "%" APR_INT64_T_FMT "%s", ms,
                              ms > 0 ? "ms" : "");
}
