/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - descriptors, control registers and stacks; cpu.c in the target's folder implements it.
 */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include <mem/paging.h>
#include <mem/types.h>

#include "arch/cpuid.h"

/* Segment selectors, the same on both targets; user ones carry RPL 3. */
enum { SELECTOR_CODE = 0x08, SELECTOR_DATA = 0x10, SELECTOR_TSS = 0x28, SELECTOR_FAULT_TSS = 0x38 };

/* A stack with an unmapped page below it. */
struct cpu_stack {
    const char *name;
    vaddr_t guard; /* the page that must not be mapped */
    vaddr_t bottom, top;
};

/* Loads our own GDT and TSS. From here on faults can be taken (once the IDT is loaded). */
void cpu_load_descriptors(void);

/*
 * Arms what the CPU has: WP, PSE, PGE, PAT, NX, SMEP, SMAP, UMIP. CR4 is written whole, since the
 * loader may have left bits in it. Says in *features what this build can use of it.
 */
void cpu_enable_features(struct paging_features *features, struct cpuid_facts *facts);

/* The double-fault handler must find these page tables: call after every change of root. */
void cpu_root_changed(paddr_t root);

/* Something that the CPU reads, and perhaps writes, by itself while it takes a trap. */
struct cpu_structure {
    const char *name;
    vaddr_t va;
    size_t bytes;
    bool written; /* accessed bits in the GDT, the busy task's registers in a TSS */
};

/* GDT and IDT as GDTR and IDTR have them, and each TSS; *count of them. */
const struct cpu_structure *cpu_structures(size_t *count);

/* The first instruction behind the gate of `vector` (through the task, for a task gate). */
vaddr_t cpu_gate_target(unsigned vector);

/* What CR0, CR4 and EFER have switched on now. */
struct paging_controls cpu_paging_controls(void);

/* Every kernel stack; *count of them. */
const struct cpu_stack *cpu_stacks(size_t *count);

/* Turns CR4.PGE off and on or reloads CR3: drops every translation (SDM 3A 4.10.4.1). */
void cpu_flush_all(void);

/* An exception with no IDT: the CPU shuts down, and most machines reset. */
[[gnu::noreturn]] void cpu_triple_fault(void);

/* Pulls the reset line, by the keyboard controller and then by a triple fault. */
[[gnu::noreturn]] void cpu_reset(void);

#endif
