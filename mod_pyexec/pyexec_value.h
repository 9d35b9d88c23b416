/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of one value in the configuration: what it means or whether it is
 * acceptable. Pure functions; nothing is looked up.
 */
#ifndef PYEXEC_VALUE_H
#define PYEXEC_VALUE_H

#include <apr.h>
#include <apr_pools.h>

/* "16", "16K", "16MiB": the number times its unit, `unit` where it names
 * none; -1 when it is no number. */
apr_int64_t pyexec_value_size(const char *text, apr_int64_t unit);

/* scheme://host[:port], and nothing that could end a header line or name
 * more than one origin. */
int pyexec_value_is_origin(const char *text);

/* A module's name as Python writes it: it goes to an interpreter, in a list
 * with one a line. */
int pyexec_value_is_module(const char *name);

/* 1 to PXW_NAME_MAX bytes without control characters. */
int pyexec_value_is_name(const char *text);

/* An absolute path that goes into a list with one a line. */
int pyexec_value_is_directory(const char *text);

/* "http://host[:port]/path" or the same of https: what a server serves that
 * is asked without a name or a word for it, so neither a user, nor a query,
 * nor a fragment; ASCII, at most PXW_NAME_MAX bytes. */
int pyexec_value_is_url(const char *text);

/* The address and port in "none" ("" then) or "proxy=192.0.2.1:3128",
 * "proxy=[2001:db8::1]:3128"; NULL: it is neither. Numbers only: the helper
 * resolves no names. */
const char *pyexec_value_network(const char *text);

/* The name of a <PyExecPool>. */
#define PYEXEC_VALUE_POOL_RULE \
    "1 to 64 letters, digits, dots, dashes and underscores"
int pyexec_value_is_pool(const char *name);

/* "0660": who may read and write a file, its owner always and nobody may
 * execute it. -1: it is something else. */
apr_int64_t pyexec_value_mode(const char *text);

/* A value as it is written: "16M", "5s", "100ms"; a number where no unit fits. */
const char *pyexec_value_show_number(apr_pool_t *pool, apr_int64_t number);
const char *pyexec_value_show_bytes(apr_pool_t *pool, apr_int64_t number);
const char *pyexec_value_show_duration(apr_pool_t *pool, apr_int64_t ms);

#endif
