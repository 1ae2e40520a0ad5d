/* SPDX-License-Identifier: MIT */
/*
 * trap.h - exceptions and interrupts, as the rest of the kernel sees them.
 *
 * struct trap_frame is the target's own (frame.h): what the entry code pushed. Everything printed
 * or decided from it goes through the few functions here.
 */
#ifndef ARCH_TRAP_H
#define ARCH_TRAP_H

#include <mem/types.h>

#include "frame.h"

enum {
    VECTOR_DEBUG = 1,
    VECTOR_NMI = 2,
    VECTOR_BREAKPOINT = 3,
    VECTOR_INVALID_OPCODE = 6,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_GENERAL_PROTECTION = 13,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_EXCEPTIONS = 32,
    VECTOR_IRQ = 32,
    VECTOR_COUNT = 48,
};

/* Error code of a page fault (SDM 3A 4.7). */
enum {
    FAULT_PRESENT = 1 << 0,
    FAULT_WRITE = 1 << 1,
    FAULT_USER = 1 << 2,
    FAULT_RESERVED = 1 << 3,
    FAULT_FETCH = 1 << 4,
};

/* Fills and loads the IDT. `exception` must not return; `irq` gets the vector, and returns. */
void trap_init(void (*exception)(struct trap_frame *frame, vword_t cr2),
               void (*irq)(unsigned vector));

/* The entry code comes here, with interrupts off. */
void trap_dispatch(struct trap_frame *frame);

/* Calls emit for every register, in the order to print them. */
void trap_each_register(const struct trap_frame *frame,
                        void (*emit)(const char *name, vword_t value));

/*
 * Tries one access. False: it went through. True: it faulted, and *fault says how. With this the
 * kernel proves its own permissions, and touches pointers that it does not trust.
 */
enum probe_kind { PROBE_READ, PROBE_WRITE, PROBE_EXEC };
struct probe_fault {
    unsigned vector;
    vword_t error, cr2;
};
bool probe(enum probe_kind kind, vaddr_t va, struct probe_fault *fault);

#endif
