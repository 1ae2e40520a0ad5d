/* SPDX-License-Identifier: MIT */
/*
 * trap.c - from the entry code to whoever handles the vector; and probes, which expect to fault.
 *
 * A probe is in flight while probe_resume is not 0. Its fault is noted and execution goes on at
 * probe_resume, in probe_access (probe.asm), which puts the stack back. One CPU, interrupts off
 * during a probe: no other trap can take the note away.
 */
#include "arch/control.h"
#include "arch/trap.h"

#include <platform.h>

extern vword_t probe_resume; /* probe.asm */
int probe_access(enum probe_kind kind, vword_t va);

static void (*exception_handler)(struct trap_frame *frame, vword_t cr2);
static void (*irq_handler)(unsigned vector);
static struct probe_fault probed;

void trap_load_idt(void); /* the target's idt.c */

void trap_init(void (*exception)(struct trap_frame *frame, vword_t cr2),
               void (*irq)(unsigned vector))
{
    exception_handler = exception;
    irq_handler = irq;
    trap_load_idt();
}

void trap_dispatch(struct trap_frame *frame)
{
    vword_t cr2 = read_cr2();
    if (frame->vector >= VECTOR_IRQ) {
        irq_handler((unsigned)frame->vector);
        return;
    }
    if (probe_resume) {
        probed = (struct probe_fault){(unsigned)frame->vector, frame->error, cr2};
        frame->ip = probe_resume;
        probe_resume = 0;
        return;
    }
    exception_handler(frame, cr2);
}

bool probe(enum probe_kind kind, vaddr_t va, struct probe_fault *fault)
{
    vword_t irq = platform_irq_save();
    bool faulted = probe_access(kind, va.v) != 0;
    if (faulted && fault)
        *fault = probed;
    platform_irq_restore(irq);
    return faulted;
}
