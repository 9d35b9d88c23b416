/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON both ways: reading a client's request (jansson, seen by pyexec_json.c
 * only) and writing an answer as Python's json.dumps would write it.
 */
#ifndef PYEXEC_JSON_H
#define PYEXEC_JSON_H

#include "pyexec_buffer.h"

/* A JSON object of a request; lives as long as the pool it was read into. */
typedef struct pyexec_json_t pyexec_json_t;

/* Before there are threads: seeds jansson's hash tables. */
void pyexec_json_init(void);

/* Reads exactly one JSON object from the bytes. NULL, or one sentence that
 * says what is wrong with them (static or from the pool, never the client's
 * own bytes); *ret_object is then untouched. */
const char *pyexec_json_parse(apr_pool_t *pool, const char *bytes,
                              apr_size_t size,
                              const pyexec_json_t **ret_object);

int pyexec_json_has(const pyexec_json_t *object, const char *name);

/* The member as text without NUL. NULL, or a sentence that names it. */
const char *pyexec_json_get_text(apr_pool_t *pool,
                                 const pyexec_json_t *object,
                                 const char *name, const char **ret_text,
                                 apr_size_t *ret_size);

/* Writing: an object with its members in the order of the calls. A text may
 * be put together from any number of pieces between open and close. */
void pyexec_json_open(pyexec_buffer_t *buffer);
void pyexec_json_close(pyexec_buffer_t *buffer);
void pyexec_json_name(pyexec_buffer_t *buffer, const char *name);
void pyexec_json_text_open(pyexec_buffer_t *buffer);
void pyexec_json_text_close(pyexec_buffer_t *buffer);
void pyexec_json_put_number(pyexec_buffer_t *buffer, apr_int64_t number);
void pyexec_json_put_text(pyexec_buffer_t *buffer, const char *text);

/* Any bytes, taken as UTF-8; what is not UTF-8 becomes U+FFFD, once for each
 * maximal subpart, as bytes.decode(errors='replace') does. */
void pyexec_json_text_add(pyexec_buffer_t *buffer, const void *bytes,
                          apr_size_t size);

/* The size without a character that the end of the bytes cuts in two. */
apr_size_t pyexec_json_whole_characters(const void *bytes, apr_size_t size);

#endif
