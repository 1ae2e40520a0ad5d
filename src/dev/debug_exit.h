/* SPDX-License-Identifier: MIT */
/* debug_exit.h - the run ends, with a code where an emulator takes one. */
#ifndef DEV_DEBUG_EXIT_H
#define DEV_DEBUG_EXIT_H

#include <stdbool.h>

/* isa-debug-exit (QEMU exits 33 or 35), then Bochs' shutdown port, then halts for good. */
[[gnu::noreturn]] void debug_exit(bool pass);

#endif
