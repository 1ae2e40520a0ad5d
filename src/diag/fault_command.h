/* SPDX-License-Identifier: MIT */
/*
 * fault_command.h - the command `fault`, and what a sanitizer adds to its list.
 *
 * A kernel built with SANITIZE= has one of asan_causes.c and ubsan_causes.c; others have none.
 */
#ifndef DIAG_FAULT_COMMAND_H
#define DIAG_FAULT_COMMAND_H

#include <stddef.h>

#include "diag/shell.h"

struct fault_cause {
    const char *name, *meaning; /* a NULL name ends a list */
    void (*cause)(void);
};

#ifdef SANITIZE
extern const struct fault_cause sanitizer_causes[];
#else
static const struct fault_cause sanitizer_causes[] = {{NULL, NULL, NULL}};
#endif

bool fault_command(const struct shell_args *args);

#endif
