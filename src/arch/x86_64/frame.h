/* SPDX-License-Identifier: MIT */
/* frame.h - what trap_entry.asm pushes on x86_64, lowest address first. */
#ifndef ARCH_FRAME_H
#define ARCH_FRAME_H

#include <mem/types.h>

struct trap_frame {
    vword_t r15, r14, r13, r12, r11, r10, r9, r8;
    vword_t bp, di, si, dx, cx, bx, ax;
    vword_t vector, error;         /* error 0 where the CPU pushes none              */
    vword_t ip, cs, flags, sp, ss; /* pushed by the CPU, always (SDM 3A 6.14.2)      */
};

static inline bool trap_from_user(const struct trap_frame *frame)
{
    return (frame->cs & 3) != 0;
}

/* The stack pointer just before the trap. */
static inline vword_t trap_sp(const struct trap_frame *frame)
{
    return frame->sp;
}

/* Argument n, of three, of the function at whose first instruction the trap came. */
static inline vword_t trap_argument(const struct trap_frame *frame, unsigned n)
{
    return n == 0 ? frame->di : n == 1 ? frame->si : frame->dx;
}

#endif
