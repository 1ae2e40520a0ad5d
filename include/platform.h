/* SPDX-License-Identifier: MIT */
/*
 * platform.h - the seam: all that src/mem needs from a machine.
 *
 * The kernel implements it with instructions (src/arch/<arch>/platform.c), the host tests with an
 * array of fake RAM and counters (tests/unit/fake_machine.c). kmap.h is the seam to memory itself.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <mem/types.h>

/* Drops one page's translation from this CPU's TLB, global or not (INVLPG, SDM 3A 4.10.4.1). */
void platform_flush_page(vaddr_t va);

/* Drops every translation, global ones too. */
void platform_flush_all(void);

/* Loads the top-level table. Interrupts are off; the caller has checked that the next fetch is mapped. */
void platform_load_root(paddr_t root);
paddr_t platform_root(void);

/* Turns interrupts off and says how they were; the second puts them back. */
vword_t platform_irq_save(void);
void platform_irq_restore(vword_t state);

/* One of our own invariants is broken. Prints, with a backtrace, and stops with a fail verdict. */
[[gnu::noreturn, gnu::format(printf, 1, 2)]] void platform_panic(const char *format, ...);

/* A caller's mistake that was refused: counted and printed with the caller, and life goes on. */
[[gnu::format(printf, 1, 2)]] void platform_complain(const char *format, ...);

#endif
