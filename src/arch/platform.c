/* SPDX-License-Identifier: MIT */
/* platform.c - platform.h by instructions: the same few on both targets. */
#include <platform.h>

#include "arch/control.h"
#include "arch/cpu.h"
#include "arch/io.h"

void platform_flush_page(vaddr_t va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va.v) : "memory");
}

void platform_flush_all(void)
{
    cpu_flush_all();
}

void platform_load_root(paddr_t root)
{
    cpu_root_changed(root);
    write_cr3((uintptr_t)root.v);
}

paddr_t platform_root(void)
{
    return PA(read_cr3() & ~(uintptr_t)0xfff);
}

vword_t platform_irq_save(void)
{
    vword_t flags = read_flags();
    interrupts_off();
    return flags & EFLAGS_IF;
}

void platform_irq_restore(vword_t state)
{
    if (state)
        interrupts_on();
}

/* Changing PGE drops global entries too; without PGE there are none, and CR3 does (SDM
 * 3A 4.10.4.1). CPUID is asked once: under a hypervisor it is the dearest instruction there is. */
void cpu_flush_all(void)
{
    static bool asked, pge;
    if (!asked) {
        struct cpuid_facts facts;
        cpuid_read(&facts);
        pge = facts.pge;
        asked = true;
    }
    if (!pge) {
        write_cr3(read_cr3());
        return;
    }
    uintptr_t cr4 = read_cr4();
    write_cr4(cr4 ^ CR4_PGE);
    write_cr4(cr4);
}

void cpu_triple_fault(void)
{
    static const struct {
        uint16_t limit;
        vword_t base;
    } __attribute__((packed)) none = {0, 0};
    interrupts_off();
    __asm__ volatile("lidt %0; ud2" ::"m"(none));
    for (;;)
        __asm__ volatile("hlt");
}

void cpu_reset(void)
{
    enum { I8042_COMMAND = 0x64, I8042_BUSY = 2, PULSE_RESET = 0xfe, TRIES = 100000 };
    interrupts_off();
    for (unsigned i = 0; i < TRIES && inb(I8042_COMMAND) & I8042_BUSY; i++)
        ;
    outb(I8042_COMMAND, PULSE_RESET);
    for (unsigned i = 0; i < TRIES; i++)
        inb(I8042_COMMAND);
    cpu_triple_fault();
}
