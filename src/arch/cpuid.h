/* SPDX-License-Identifier: MIT */
/*
 * cpuid.h - what the CPU says of itself (SDM 2A CPUID), before anyone decides what to use.
 */
#ifndef ARCH_CPUID_H
#define ARCH_CPUID_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid_facts {
    bool present; /* the CPUID instruction exists: no 386, no early 486 */
    char vendor[13];
    char brand[49]; /* "" when the CPU has no brand string */
    unsigned family, model, stepping;
    bool tsc, pse, pge, pat, smep, smap, umip, pcid, nx, gib_pages, long_mode, hypervisor, rdrand;
    unsigned phys_bits; /* 32 (36 with PAE) when leaf 80000008 is absent */
};

void cpuid_read(struct cpuid_facts *out);

#endif
