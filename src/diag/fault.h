/* SPDX-License-Identifier: MIT */
/* fault.h - an exception that nobody expected, explained. */
#ifndef DIAG_FAULT_H
#define DIAG_FAULT_H

#include "arch/trap.h"

/* Prints what happened, where, why, registers and callers; ends in a fail verdict. */
void fault_explain(struct trap_frame *frame, vword_t cr2);

/*
 * The same for a mistake that the kernel found by itself, in the function at `ip` with the frame
 * `bp`: "stack protector: function F at FILE:LINE: " and then the sentence.
 */
[[gnu::noreturn, gnu::format(printf, 4, 5)]] void fault_found(const char *finder, vword_t ip,
                                                              vword_t bp, const char *format, ...);

#endif
