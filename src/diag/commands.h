/* SPDX-License-Identifier: MIT */
/* commands.h - the shell's table of commands. */
#ifndef DIAG_COMMANDS_H
#define DIAG_COMMANDS_H

#include "diag/shell.h"

extern const struct shell_command commands[];

#endif
