/* SPDX-License-Identifier: MIT */
/* bench.h - instruction counts of the memory calls, on this machine. */
#ifndef DIAG_BENCH_H
#define DIAG_BENCH_H

#include "diag/shell.h"

bool bench_command(const struct shell_args *args);

#endif
