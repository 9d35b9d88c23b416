/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a body of the type multipart/form-data (RFC 7578). Pure: no request,
 * no allocation; whatever it finds points into the bytes it was given.
 */
#ifndef PYEXEC_FORM_H
#define PYEXEC_FORM_H

#include <stddef.h>

/* RFC 2046. */
#define PYEXEC_FORM_BOUNDARY_MOST 70
/* Our forms have some ten fields. */
#define PYEXEC_FORM_PARTS_MOST 16
/* Of one part; browsers write some 150 bytes and a file's name. */
#define PYEXEC_FORM_HEADER_MOST 4096

typedef struct pyexec_form_part_t
{
    const char *name;  /* as it was written between the quotes */
    size_t name_size;
    const char *content;
    size_t content_size;
    int is_file;         /* it has a filename, … */
    int has_file_name;   /* … and that is not empty */
} pyexec_form_part_t;

typedef struct pyexec_form_t
{
    pyexec_form_part_t parts[PYEXEC_FORM_PARTS_MOST];
    size_t count;
} pyexec_form_t;

/* `content_type` is the whole value of the header. NULL, or one sentence that
 * says what is wrong (static); *ret_form is then undefined. Contents are any
 * bytes, NUL included. */
const char *pyexec_form_parse(const char *content_type, const char *body,
                              size_t size, pyexec_form_t *ret_form);

/* Whether the part is the one of this name. */
int pyexec_form_is(const pyexec_form_part_t *part, const char *name);

#endif
