/* SPDX-License-Identifier: Apache-2.0
 *
 * Isolation levels as the keeper compares them; their names on the wire.
 */
#ifndef PYEXEC_KEEPER_LEVEL_H
#define PYEXEC_KEEPER_LEVEL_H

struct pxw_field;

/* More is greater. */
enum keeper_level
{
    LEVEL_NONE, /* not known yet, or no name of a level */
    LEVEL_RESTRICTED,
    LEVEL_FULL,
};

/* LEVEL_NONE has no name on the wire; it reads "unknown". */
const char *keeper_level_name(enum keeper_level level);

/* The level that a field names; `absent` where the field is not there,
 * LEVEL_NONE for any other name. */
enum keeper_level keeper_level_of(const struct pxw_field *field,
                                  enum keeper_level absent);

#endif
