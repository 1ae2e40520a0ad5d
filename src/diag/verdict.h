/* SPDX-License-Identifier: MIT */
/*
 * verdict.h - how a run ends, in words and as an exit code.
 *
 * The last line is `twinpage: verdict pass` or `twinpage: verdict fail: <why>`; then the code
 * leaves through isa-debug-exit (QEMU: 33 or 35), and "Shutdown" goes to Bochs' port 0x8900.
 * On a machine with neither, the CPU halts with the line on the screen.
 */
#ifndef DIAG_VERDICT_H
#define DIAG_VERDICT_H

#include <mem/types.h>

[[gnu::noreturn]] void verdict_pass(void);
[[gnu::noreturn, gnu::format(printf, 1, 2)]] void verdict_fail(const char *why, ...);

/* Prints the callers from a frame pointer on, newest first, with symbols. Reads only our stacks. */
void backtrace(vword_t ip, vword_t bp);

#endif
