/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads names and versions of packages; see the header. A subset of PEP 508:
 *
 *   field     = ("-i" | "-u") (blanks requirement)+
 *   requirement = name [ "[" name ("," name)* "]" ] [ clause ("," clause)* ]
 *   clause    = ("===" | "==" | "~=" | "!=" | "<=" | ">=" | "<" | ">") version
 *
 * Blanks may stand between any two of these, so that a requirement ends where
 * nothing of it can follow. What it is made of is copied without them, so that
 * whoever reads the list need not know more than its line ends.
 */
#include "pyexec_pip.h"

#include <stdio.h>
#include <string.h>

/* A word of the client's in our sentence. */
#define SHOWN_BYTES 40

typedef struct reader_t
{
    const char *bytes;
    size_t size;
    size_t at;
    size_t begun;      /* where the requirement begins in `list` */
    pyexec_pip_t *pip;
} reader_t;

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Not isalnum(3): of no locale, and of bytes above 127 never. */
static int is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}

static int is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* What is there; NUL, which is nothing's part, at the end. */
static char peek(const reader_t *reader)
{
    return reader->at < reader->size ? reader->bytes[reader->at] : '\0';
}

static void skip_blanks(reader_t *reader)
{
    while (reader->at < reader->size && is_blank(peek(reader))) {
        reader->at++;
    }
}

/* The word around the place, for a person: between blanks, cut, and without a
 * byte that could mean anything to a terminal or a log. */
static int refuse(reader_t *reader, const char *before, const char *after)
{
    char word[SHOWN_BYTES + 4];
    size_t end = reader->at;
    size_t start;
    size_t size = 0;

    /* Of what is missing at the end, the word before it. */
    while (reader->at == reader->size && end > 0
           && is_blank(reader->bytes[end - 1])) {
        end--;
    }
    start = end;
    while (start > 0 && !is_blank(reader->bytes[start - 1])) {
        start--;
    }
    while (end < reader->size && !is_blank(reader->bytes[end])) {
        end++;
    }
    for (; start < end && size < SHOWN_BYTES; start++) {
        char c = reader->bytes[start];

        word[size++] = c > ' ' && c <= '~' ? c : '?';
    }
    memcpy(word + size, start < end ? "..." : "\0\0\0", 4);
    (void)snprintf(reader->pip->problem, sizeof(reader->pip->problem),
                   "The field 'pip' %s'%s'%s", before, word, after);
    return -1;
}

static int refuse_all(reader_t *reader, const char *sentence)
{
    (void)snprintf(reader->pip->problem, sizeof(reader->pip->problem), "%s",
                   sentence);
    return -1;
}

static int refuse_word(reader_t *reader)
{
    return refuse(reader, "has ", ", which is neither the name of a package "
                                  "nor a version.");
}

/* Copies so many bytes of the text to the requirement. */
static int take(reader_t *reader, size_t size)
{
    pyexec_pip_t *pip = reader->pip;

    if (pip->size - reader->begun + size > PYEXEC_PIP_NAME_BYTES) {
        return refuse(reader, "has ", ", which is longer than any name.");
    }
    memcpy(pip->list + pip->size, reader->bytes + reader->at, size);
    pip->size += size;
    reader->at += size;
    return 0;
}

/* A letter or digit, then as many of these and of `more` as there are, the
 * last of them a letter or digit if `ends` says so. */
static int take_word(reader_t *reader, const char *more, int ends)
{
    size_t size = 0;

    if (!is_alnum(peek(reader))) {
        return refuse_word(reader);
    }
    while (reader->at + size < reader->size
           && (is_alnum(reader->bytes[reader->at + size])
               || is_one_of(reader->bytes[reader->at + size], more))) {
        size++;
    }
    if (ends && !is_alnum(reader->bytes[reader->at + size - 1])) {
        return refuse_word(reader);
    }
    return take(reader, size);
}

/* "[a, b]" */
static int take_extras(reader_t *reader)
{
    int error = 0;

    do {
        error = take(reader, 1); /* the bracket, or a comma */
        skip_blanks(reader);
        if (error == 0) {
            error = take_word(reader, "._-", 1);
        }
        skip_blanks(reader);
    } while (error == 0 && peek(reader) == ',');
    if (error == 0 && peek(reader) != ']') {
        error = refuse_word(reader);
    }
    return error != 0 ? error : take(reader, 1);
}

static size_t operator_size(const reader_t *reader)
{
    /* The longer ones first. */
    static const char *const operators[] = { "===", "==", "~=", "!=", "<=",
                                             ">=", "<", ">" };
    size_t left = reader->size - reader->at;

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t size = strlen(operators[i]);

        if (size <= left
            && memcmp(reader->bytes + reader->at, operators[i], size) == 0) {
            return size;
        }
    }
    return 0;
}

/* ">= 2, < 3" */
static int take_versions(reader_t *reader)
{
    for (;;) {
        size_t size = operator_size(reader);
        int error = size == 0 ? refuse_word(reader) : take(reader, size);

        skip_blanks(reader);
        if (error == 0 && !is_one_of(peek(reader), "0123456789vV")) {
            error = refuse_word(reader);
        }
        if (error == 0) {
            error = take_word(reader, "._*+!-", 0);
        }
        skip_blanks(reader);
        if (error != 0 || peek(reader) != ',') {
            return error;
        }
        error = take(reader, 1);
        if (error != 0) {
            return error;
        }
        skip_blanks(reader);
    }
}

/* Whether another requirement, or nothing, follows what was taken. */
static int is_at_end(const reader_t *reader)
{
    return reader->at == reader->size || is_blank(reader->bytes[reader->at - 1]);
}

static int take_requirement(reader_t *reader)
{
    pyexec_pip_t *pip = reader->pip;
    int error;

    if (pip->count == PYEXEC_PIP_NAMES_MOST) {
        return refuse_all(reader, "The field 'pip' names more packages than "
                                  "can be handled at a time.");
    }
    pip->list[pip->size++] = '\n';
    reader->begun = pip->size;
    pip->count++;
    error = take_word(reader, "._-", 1);
    skip_blanks(reader);
    if (error == 0 && pip->uninstall
        && (peek(reader) == '[' || operator_size(reader) > 0)) {
        return refuse(reader, "has ", ", but -u takes names alone.");
    }
    if (error == 0 && peek(reader) == '[') {
        error = take_extras(reader);
        skip_blanks(reader);
    }
    if (error == 0 && operator_size(reader) > 0) {
        error = take_versions(reader);
    }
    return error != 0 ? error : is_at_end(reader) ? 0 : refuse_word(reader);
}

static int take_action(reader_t *reader)
{
    pyexec_pip_t *pip = reader->pip;
    const char *bytes = reader->bytes + reader->at;
    size_t left = reader->size - reader->at;

    if (left == 0) {
        return refuse_all(reader, "The field 'pip' names no package.");
    }
    if (left < 2 || bytes[0] != '-' || (bytes[1] != 'i' && bytes[1] != 'u')
        || (left > 2 && !is_blank(bytes[2]))) {
        return refuse(reader, "begins with ", " instead of -i (install) or -u "
                                              "(uninstall).");
    }
    pip->uninstall = bytes[1] == 'u';
    pip->size = (size_t)snprintf(pip->list, sizeof(pip->list), "%s",
                                 pip->uninstall ? "uninstall" : "install");
    reader->at += 2;
    skip_blanks(reader);
    return 0;
}

int pyexec_pip_read(const char *bytes, size_t size, pyexec_pip_t *ret_pip)
{
    reader_t reader = { .bytes = bytes, .size = size, .pip = ret_pip };
    int error;

    ret_pip->count = 0;
    ret_pip->size = 0;
    ret_pip->problem[0] = '\0';
    skip_blanks(&reader);
    error = take_action(&reader);
    if (error == 0 && reader.at == size) {
        error = refuse_all(&reader, "The field 'pip' names no package.");
    }
    while (error == 0 && reader.at < size) {
        error = take_requirement(&reader);
        skip_blanks(&reader);
    }
    ret_pip->list[ret_pip->size] = '\0';
    return error;
}
