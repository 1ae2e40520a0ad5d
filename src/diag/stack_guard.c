/* SPDX-License-Identifier: MIT */
/*
 * stack_guard.c - draws the guard word, and says whose frame was smashed.
 *
 * The word comes from RDRAND (SDM 1 7.3.17) where the CPU has it. Elsewhere it is as good as the
 * moment of this boot: the time-stamp counter and the timer chip, which has run since power-on. A
 * 486 has the timer alone, 16 bits of chance: enough to find a bug, too little to stop an attack.
 * The lowest byte is 0, so that a string that runs over can neither read the word nor restore it.
 */
#include "diag/stack_guard.h"

#include "arch/control.h"
#include "arch/cpuid.h"
#include "arch/io.h"
#include "diag/explain.h"
#include "diag/fault.h"

#include <mem/types.h>

extern vword_t __stack_chk_guard; /* both names are the compiler's */
vword_t __stack_chk_guard;
[[gnu::noreturn]] void __stack_chk_fail(void);

enum { PIT_CHANNEL_0 = 0x40, PIT_COMMAND = 0x43, PIT_LATCH_0 = 0, RDRAND_TRIES = 10 };
#define MIX ((vword_t)0x9e3779b97f4a7c15) /* odd, half of its bits set */

static vword_t timer_count(void)
{
    outb(PIT_COMMAND, PIT_LATCH_0);
    vword_t low = inb(PIT_CHANNEL_0);
    return (vword_t)inb(PIT_CHANNEL_0) << 8 | low;
}

/* 0 when the CPU has no random numbers, or none just now. */
static vword_t hardware_random(void)
{
    for (unsigned i = 0; i < RDRAND_TRIES; i++) {
        vword_t word;
        bool valid;
        __asm__ volatile("rdrand %0" : "=r"(word), "=@ccc"(valid));
        if (valid)
            return word;
    }
    return 0;
}

/* Not inlined: it is guarded, and must return before the guard changes. */
[[gnu::noinline]] static vword_t draw(void)
{
    struct cpuid_facts cpu;
    cpuid_read(&cpu);
    vword_t word = (timer_count() + 1) * MIX;
    if (cpu.tsc)
        word = (word ^ (vword_t)read_tsc()) * MIX;
    return cpu.rdrand ? word ^ hardware_random() : word;
}

__attribute__((no_stack_protector)) void stack_guard_draw(void)
{
    __stack_chk_guard = draw() & ~(vword_t)0xff;
}

/* Called by the smashed function itself, at its end: its frame pointer is still right. */
void __stack_chk_fail(void)
{
    const vword_t *own = __builtin_frame_address(0);
    fault_found("stack protector", own[1] - 1, own[0],
                "it wrote beyond an array on its stack, and where it would return to may be lost");
}
