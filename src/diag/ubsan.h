/* SPDX-License-Identifier: MIT */
/* ubsan.h - undefined behaviour, in kernels built with SANITIZE=ubsan; in others this is empty. */
#ifndef DIAG_UBSAN_H
#define DIAG_UBSAN_H

#include "arch/trap.h"

#ifdef UBSAN
/* Of an invalid opcode: says what was undefined and ends the run, if one of our traps was hit. */
void ubsan_explain(const struct trap_frame *frame);
#else
static inline void ubsan_explain(const struct trap_frame *frame)
{
    (void)frame;
}
#endif

#endif
