/* SPDX-License-Identifier: Apache-2.0
 *
 * The command table: how each directive is read. Only parses: no file and no
 * user is looked up.
 */
#ifndef PYEXEC_COMMANDS_H
#define PYEXEC_COMMANDS_H

#include "pyexec.h"

extern const command_rec pyexec_commands[];

#endif
