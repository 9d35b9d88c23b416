/* SPDX-License-Identifier: Apache-2.0
 *
 * The multipart parser; see the header. Runs in a worker thread on bytes that
 * a hostile client sent. It takes what browsers, curl and the usual libraries
 * write and refuses the rest of the grammar: preamble, epilogue, folded
 * header lines, bare line feeds, transfer encodings. Where two readers could
 * disagree about where a part ends, the answer is a refusal.
 *
 *   --boundary CRLF
 *   Content-Disposition: form-data; name="script" CRLF
 *   CRLF
 *   content
 *   CRLF --boundary-- CRLF
 */
#include "pyexec_form.h"

#include <string.h>
#include <strings.h>

/* CRLF, two dashes and the boundary: what ends a content. */
#define DELIMITER_MOST (4 + PYEXEC_FORM_BOUNDARY_MOST)

typedef struct text_t
{
    const char *bytes;
    size_t size;
} text_t;

typedef struct reader_t
{
    const char *at;
    const char *end;
    char delimiter[DELIMITER_MOST];
    size_t delimiter_size;
} reader_t;

static const char bad_header[] =
    "The form is malformed: a part has a header that is not well formed.";

static size_t left(const reader_t *reader)
{
    return (size_t)(reader->end - reader->at);
}

static int starts_with(const reader_t *reader, const char *bytes, size_t size)
{
    return left(reader) >= size && memcmp(reader->at, bytes, size) == 0;
}

static int is_word(text_t text, const char *word)
{
    return text.size == strlen(word)
           && strncasecmp(text.bytes, word, text.size) == 0;
}

static int is_token_character(char c)
{
    return c > 0x20 && c < 0x7f && strchr("()<>@,;:\\\"/[]?={}", c) == NULL;
}

static text_t take_token(text_t *rest)
{
    text_t token = { rest->bytes, 0 };

    while (token.size < rest->size
           && is_token_character(rest->bytes[token.size])) {
        token.size++;
    }
    rest->bytes += token.size;
    rest->size -= token.size;
    return token;
}

static void skip_blanks(text_t *rest)
{
    while (rest->size > 0
           && (rest->bytes[0] == ' ' || rest->bytes[0] == '\t')) {
        rest->bytes++;
        rest->size--;
    }
}

static int take_character(text_t *rest, char c)
{
    if (rest->size == 0 || rest->bytes[0] != c) {
        return 0;
    }
    rest->bytes++;
    rest->size--;
    return 1;
}

/* The inside of a quoted string whose first quote is taken. */
static int take_quoted(text_t *rest, text_t *ret_value)
{
    size_t i = 0;

    while (i < rest->size && rest->bytes[i] != '"') {
        i += rest->bytes[i] == '\\' ? 2 : 1;
    }
    if (i >= rest->size) {
        return 0;
    }
    *ret_value = (text_t){ rest->bytes, i };
    rest->bytes += i + 1;
    rest->size -= i + 1;
    return 1;
}

/* One `; name=value`. 1, 0 when there is no more, -1 when it is no such. A
 * boundary may have characters in it that a token may not. */
static int take_parameter(text_t *rest, text_t *ret_name, text_t *ret_value)
{
    skip_blanks(rest);
    if (rest->size == 0) {
        return 0;
    }
    if (!take_character(rest, ';')) {
        return -1;
    }
    skip_blanks(rest);
    *ret_name = take_token(rest);
    if (ret_name->size == 0 || !take_character(rest, '=')) {
        return -1;
    }
    if (take_character(rest, '"')) {
        return take_quoted(rest, ret_value) ? 1 : -1;
    }
    *ret_value = (text_t){ rest->bytes, 0 };
    while (rest->size > 0 && strchr("; \t\"", rest->bytes[0]) == NULL) {
        rest->bytes++;
        rest->size--;
        ret_value->size++;
    }
    return ret_value->size > 0 ? 1 : -1;
}

static int is_boundary(text_t text)
{
    if (text.size == 0 || text.size > PYEXEC_FORM_BOUNDARY_MOST
        || text.bytes[text.size - 1] == ' ') {
        return 0;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.bytes[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || (c != '\0' && strchr("'()+_,-./:=? ", c) != NULL))) {
            return 0;
        }
    }
    return 1;
}

static const char *read_boundary(reader_t *reader, const char *content_type)
{
    text_t rest = { content_type, strcspn(content_type, ";") };
    text_t boundary = { NULL, 0 };
    text_t name;
    text_t value;
    int more;

    rest.bytes += rest.size;
    rest.size = strlen(rest.bytes);
    while ((more = take_parameter(&rest, &name, &value)) > 0) {
        if (is_word(name, "boundary")) {
            if (boundary.bytes != NULL) {
                return "The Content-Type of the form has two boundaries.";
            }
            boundary = value;
        }
    }
    if (more < 0 || !is_boundary(boundary)) {
        return "The Content-Type of the form has no valid boundary.";
    }
    memcpy(reader->delimiter, "\r\n--", 4);
    memcpy(reader->delimiter + 4, boundary.bytes, boundary.size);
    reader->delimiter_size = 4 + boundary.size;
    return NULL;
}

static const char *read_disposition(text_t rest, pyexec_form_part_t *part)
{
    text_t name;
    text_t value;
    int more;

    skip_blanks(&rest);
    if (part->name != NULL || !is_word(take_token(&rest), "form-data")) {
        return bad_header;
    }
    while ((more = take_parameter(&rest, &name, &value)) > 0) {
        if (is_word(name, "name")) {
            if (part->name != NULL) {
                return bad_header;
            }
            part->name = value.bytes;
            part->name_size = value.size;
        }
        else if (is_word(name, "filename") || is_word(name, "filename*")) {
            part->is_file = 1;
            part->has_file_name |= value.size > 0;
        }
    }
    return more < 0 ? bad_header : NULL;
}

static const char *read_header(text_t line, pyexec_form_part_t *part)
{
    text_t name = take_token(&line);

    if (name.size == 0 || !take_character(&line, ':')) {
        return bad_header; /* a folded line too: it begins with a blank */
    }
    for (size_t i = 0; i < line.size; i++) {
        if ((unsigned char)line.bytes[i] < 0x20 && line.bytes[i] != '\t') {
            return bad_header;
        }
    }
    if (is_word(name, "Content-Disposition")) {
        return read_disposition(line, part);
    }
    if (is_word(name, "Content-Transfer-Encoding")) {
        skip_blanks(&line);
        if (!is_word(line, "7bit") && !is_word(line, "8bit")
            && !is_word(line, "binary")) {
            return "The form has a part with a Content-Transfer-Encoding that "
                   "is not supported.";
        }
    }
    return NULL;
}

/* Up to and including the empty line. */
static const char *read_headers(reader_t *reader, pyexec_form_part_t *part)
{
    size_t most = left(reader) < PYEXEC_FORM_HEADER_MOST
                      ? left(reader) : PYEXEC_FORM_HEADER_MOST;
    const char *limit = reader->at + most;

    for (;;) {
        const char *line = reader->at;
        const char *end = memmem(line, (size_t)(limit - line), "\r\n", 2);
        const char *problem;

        if (end == NULL) {
            return limit == reader->end
                ? "The form ends in the middle of a part."
                : "The form has a part with too long headers.";
        }
        reader->at = end + 2;
        if (end == line) {
            break;
        }
        problem = read_header((text_t){ line, (size_t)(end - line) }, part);
        if (problem != NULL) {
            return problem;
        }
    }
    return part->name == NULL || part->name_size == 0
               ? "The form has a part without a name." : NULL;
}

/* Up to and including the delimiter. */
static const char *read_content(reader_t *reader, pyexec_form_part_t *part)
{
    /* An empty content may have given its CRLF to the empty line. */
    const char *start = reader->at - 2;
    const char *end = memmem(start, (size_t)(reader->end - start),
                             reader->delimiter, reader->delimiter_size);

    if (end == NULL) {
        return "The form ends in the middle of a part.";
    }
    if (end == start) {
        return "The form is malformed: a part has no content, not even an "
               "empty one.";
    }
    part->content = reader->at;
    part->content_size = (size_t)(end - reader->at);
    reader->at = end + reader->delimiter_size;
    return NULL;
}

static const char *read_parts(reader_t *reader, pyexec_form_t *form)
{
    const char *problem;

    while (starts_with(reader, "\r\n", 2)) {
        pyexec_form_part_t *part = &form->parts[form->count];

        reader->at += 2;
        if (form->count == PYEXEC_FORM_PARTS_MOST) {
            return "The form has too many parts.";
        }
        *part = (pyexec_form_part_t){ 0 };
        problem = read_headers(reader, part);
        if (problem == NULL) {
            problem = read_content(reader, part);
        }
        if (problem != NULL) {
            return problem;
        }
        form->count++;
    }
    if (!starts_with(reader, "--", 2)) {
        return left(reader) == 0
            ? "The form ends without its last boundary."
            : "The form is malformed: a boundary is not followed by a line "
              "end.";
    }
    reader->at += 2;
    if (left(reader) > 0 && !(left(reader) == 2
                              && starts_with(reader, "\r\n", 2))) {
        return "The form goes on after its last boundary.";
    }
    return form->count == 0 ? "The form has no fields." : NULL;
}

const char *pyexec_form_parse(const char *content_type, const char *body,
                              size_t size, pyexec_form_t *ret_form)
{
    reader_t reader = { 0 };
    const char *problem = read_boundary(&reader, content_type);

    if (problem != NULL) {
        return problem;
    }
    if (size == 0) {
        return "The request body is empty; a form is needed.";
    }
    reader.at = body;
    reader.end = body + size;
    ret_form->count = 0;
    /* The first delimiter lacks its CRLF. */
    if (!starts_with(&reader, reader.delimiter + 2,
                     reader.delimiter_size - 2)) {
        return "The form does not begin with the boundary of its "
               "Content-Type.";
    }
    reader.at += reader.delimiter_size - 2;
    return read_parts(&reader, ret_form);
}

int pyexec_form_is(const pyexec_form_part_t *part, const char *name)
{
    return part->name_size == strlen(name)
           && memcmp(part->name, name, part->name_size) == 0;
}
