/* SPDX-License-Identifier: MIT */
/* frame.h - what trap_entry.asm pushes on i386, lowest address first. */
#ifndef ARCH_FRAME_H
#define ARCH_FRAME_H

#include <mem/types.h>

struct trap_frame {
    vword_t di, si, bp, pusha_sp, bx, dx, cx, ax; /* PUSHA                                */
    vword_t vector, error;                        /* error 0 where the CPU pushes none    */
    vword_t ip, cs, flags;                        /* pushed by the CPU (SDM 3A 6.12.1)    */
    vword_t user_sp, user_ss;                     /* there only when the trap left ring 3 */
};

static inline bool trap_from_user(const struct trap_frame *frame)
{
    return (frame->cs & 3) != 0;
}

/* The stack pointer just before the trap. */
static inline vword_t trap_sp(const struct trap_frame *frame)
{
    return trap_from_user(frame) ? frame->user_sp : (vword_t)&frame->user_sp;
}

/* Argument n of the function at whose first instruction the trap came: above its way back. */
static inline vword_t trap_argument(const struct trap_frame *frame, unsigned n)
{
    return ((const vword_t *)trap_sp(frame))[1 + n];
}

#endif
