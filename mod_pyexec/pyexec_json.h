/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON both ways: reading a client's request (pyexec_json.c, the only file
 * that sees jansson) and writing an answer as Python's json.dumps would write
 * it (pyexec_json_write.c).
 */
#ifndef PYEXEC_JSON_H
#define PYEXEC_JSON_H

#include "pyexec_buffer.h"
#include "pyexec_jsoncheck.h"

/* A JSON object of a request; lives as long as the pool it was read into, and
 * points into the bytes it was read from. */
typedef struct pyexec_json_t pyexec_json_t;

/* Bytes with a length; `bytes` NULL: there are none. */
typedef struct pyexec_text_t
{
    const char *bytes;
    apr_size_t size;
} pyexec_text_t;

/* Before there are threads: seeds jansson's hash tables. */
void pyexec_json_init(void);

/* Reads exactly one JSON object from the bytes. NULL, or one sentence that
 * says what is wrong with them (static or from the pool, never the client's
 * own words beyond a member's plain name); *ret_object is then untouched. */
const char *pyexec_json_parse(apr_pool_t *pool, const char *bytes,
                              apr_size_t size,
                              const pyexec_json_t **ret_object);

/* An empty object, to be filled with what came in another form. The values
 * must live as long as the object. NULL, or a sentence that names the member.
 * put_member takes any bytes and refuses what is not UTF-8, the other takes
 * what the bytes are as JSON. */
pyexec_json_t *pyexec_json_make(apr_pool_t *pool);
const char *pyexec_json_put_member(apr_pool_t *pool, pyexec_json_t *object,
                                   const char *name, pyexec_text_t text);
const char *pyexec_json_put_member_value(apr_pool_t *pool,
                                         pyexec_json_t *object,
                                         const char *name, pyexec_text_t json);

/* Whether there is such a member and it is not null. */
int pyexec_json_has(const pyexec_json_t *object, const char *name);

/* Whether it is the text "". */
int pyexec_json_is_empty(const pyexec_json_t *object, const char *name);

/* The member as what its type says. NULL, or a sentence that names it. Only
 * get_bytes lets NUL through. */
const char *pyexec_json_get_text(apr_pool_t *pool,
                                 const pyexec_json_t *object,
                                 const char *name, pyexec_text_t *ret_text);
const char *pyexec_json_get_bytes(apr_pool_t *pool,
                                  const pyexec_json_t *object,
                                  const char *name, pyexec_text_t *ret_text);
const char *pyexec_json_get_texts(apr_pool_t *pool,
                                  const pyexec_json_t *object,
                                  const char *name, apr_size_t most,
                                  const pyexec_text_t **ret_texts,
                                  apr_size_t *ret_count);
const char *pyexec_json_get_number(apr_pool_t *pool,
                                   const pyexec_json_t *object,
                                   const char *name, double *ret_number);
const char *pyexec_json_get_flag(apr_pool_t *pool,
                                 const pyexec_json_t *object,
                                 const char *name, int *ret_flag);
/* An array or an object, in the client's own bytes. */
const char *pyexec_json_get_container(apr_pool_t *pool,
                                      const pyexec_json_t *object,
                                      const char *name,
                                      pyexec_text_t *ret_json);

/* Writing: an object with its members in the order of the calls. A text may
 * be put together from any number of pieces between open and close. */
void pyexec_json_open(pyexec_buffer_t *buffer);
void pyexec_json_close(pyexec_buffer_t *buffer);
void pyexec_json_name(pyexec_buffer_t *buffer, const char *name);
void pyexec_json_text_open(pyexec_buffer_t *buffer);
void pyexec_json_text_close(pyexec_buffer_t *buffer);
void pyexec_json_put_number(pyexec_buffer_t *buffer, apr_int64_t number);
void pyexec_json_put_flag(pyexec_buffer_t *buffer, int flag);
void pyexec_json_put_text(pyexec_buffer_t *buffer, const char *text);

/* An object or a list as the value of a member. */
void pyexec_json_object_open(pyexec_buffer_t *buffer);
void pyexec_json_object_close(pyexec_buffer_t *buffer);
void pyexec_json_list_open(pyexec_buffer_t *buffer);
void pyexec_json_list_text(pyexec_buffer_t *buffer, const void *bytes,
                           apr_size_t size);
void pyexec_json_list_object_open(pyexec_buffer_t *buffer);
void pyexec_json_list_close(pyexec_buffer_t *buffer);

/* Any bytes, taken as UTF-8; what is not UTF-8 becomes U+FFFD, once for each
 * maximal subpart, as bytes.decode(errors='replace') does. */
void pyexec_json_text_add(pyexec_buffer_t *buffer, const void *bytes,
                          apr_size_t size);
void pyexec_json_text_puts(pyexec_buffer_t *buffer, const char *text);

/* A value that was checked, byte for byte; and, of a string, what stands
 * between its quotes, to go on with an open text. */
void pyexec_json_put_value(pyexec_buffer_t *buffer,
                           const pyexec_jsonvalue_t *value);
void pyexec_json_text_add_string(pyexec_buffer_t *buffer,
                                 const pyexec_jsonvalue_t *value);

/* What a checked string says, decoded. Lone surrogates become what is not
 * UTF-8. */
void pyexec_json_decode_string(pyexec_buffer_t *buffer,
                               const pyexec_jsonvalue_t *value);

/* The size without a character that the end of the bytes cuts in two. */
apr_size_t pyexec_json_whole_characters(const void *bytes, apr_size_t size);

#endif
