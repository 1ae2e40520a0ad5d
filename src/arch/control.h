/* SPDX-License-Identifier: MIT */
/* control.h - control registers and friends by name (SDM 3A 2.5), the same on both targets. */
#ifndef ARCH_CONTROL_H
#define ARCH_CONTROL_H

#include <stdint.h>

enum {
    CR0_WP = 1 << 16,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_PGE = 1 << 7,
    CR4_UMIP = 1 << 11,
    CR4_PCIDE = 1 << 17,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
    EFLAGS_IF = 1 << 9,
    EFER_NXE = 1 << 11,
};
#define MSR_EFER 0xC0000080u
#define MSR_PAT  0x277u

#define CONTROL_REGISTER(name)                                                                     \
    static inline uintptr_t read_##name(void)                                                      \
    {                                                                                              \
        uintptr_t value;                                                                           \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory");                           \
        return value;                                                                              \
    }                                                                                              \
    static inline void write_##name(uintptr_t value)                                               \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");                              \
    }

CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

/* GDTR and IDTR: where the CPU looks, whatever we meant (SDM 3A 2.4). */
struct table_register {
    uint16_t limit; /* bytes - 1 */
    uintptr_t base;
} __attribute__((packed));

static inline struct table_register read_gdtr(void)
{
    struct table_register r;
    __asm__ volatile("sgdt %0" : "=m"(r));
    return r;
}

static inline struct table_register read_idtr(void)
{
    struct table_register r;
    __asm__ volatile("sidt %0" : "=m"(r));
    return r;
}

static inline uintptr_t read_flags(void)
{
    uintptr_t flags;
    __asm__ volatile("pushf; pop %0" : "=r"(flags)::"memory");
    return flags;
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" ::: "memory");
}

/* Waits for one interrupt: nothing can slip in between STI and HLT (SDM 2B STI). */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt" ::: "memory");
}

/* The time-stamp counter (SDM 3B 18.17); not on a 486. */
static inline uint64_t read_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

#endif
