/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - i386: GDT, TSS, IDT, control registers.
 *
 * The double fault is a task gate (SDM 3A 7.3): the CPU switches to a TSS with a stack and a CR3
 * of its own, so that a kernel stack overflow can be explained. The interrupted state is then in
 * the main TSS.
 */
#include "arch/control.h"
#include "arch/cpu.h"
#include "arch/trap.h"

#include <mem/paging.h>

struct tss { /* SDM 3A 7.2.1 */
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
};
_Static_assert(sizeof(struct tss) == 104, "SDM 3A figure 7-2");

struct descriptor_pointer {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));

enum { GDT_ENTRIES = 8, IDT_ENTRIES = VECTOR_COUNT, FAULT_STACK_BYTES = 8192 };

static uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(16)));
static uint64_t idt[IDT_ENTRIES] __attribute__((aligned(16)));
static struct tss main_tss __attribute__((aligned(128)));
static struct tss fault_tss __attribute__((aligned(128))); /* within one page: SDM 3A 7.2.1 */

static struct {
    uint8_t guard[PAGE_SIZE];
    uint8_t stack[FAULT_STACK_BYTES];
} fault_stack __attribute__((aligned(PAGE_SIZE)));

extern uint8_t boot_stack_guard[], boot_stack[], boot_stack_top[]; /* entry32.asm   */
extern const vword_t trap_entries[VECTOR_COUNT];                   /* trap_entry.asm */
void double_fault_entry(void);
void double_fault_task(void);
void trap_load_idt(void);

/* A segment from 0 to 4 GiB; access byte and flags as SDM 3A 3.4.5. */
static uint64_t flat_segment(uint8_t access)
{
    return 0x00cf00000000ffffull | (uint64_t)access << 40;
}

static uint64_t tss_descriptor(const struct tss *tss)
{
    uint64_t base = (uint32_t)tss;
    return (sizeof *tss - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24) << 56;
}

static void prepare_fault_task(void)
{
    fault_tss = (struct tss){
        .cr3 = (uint32_t)read_cr3(),
        .eip = (uint32_t)double_fault_entry,
        .esp = (uint32_t)(fault_stack.stack + FAULT_STACK_BYTES),
        .eflags = 2,
        .cs = SELECTOR_CODE,
        .ds = SELECTOR_DATA,
        .es = SELECTOR_DATA,
        .ss = SELECTOR_DATA,
        .io_map = sizeof(struct tss),
    };
}

void cpu_load_descriptors(void)
{
    main_tss.ss0 = SELECTOR_DATA;
    main_tss.esp0 = (uint32_t)boot_stack_top;
    main_tss.io_map = sizeof(struct tss);
    prepare_fault_task();

    gdt[SELECTOR_CODE / 8] = flat_segment(0x9a);
    gdt[SELECTOR_DATA / 8] = flat_segment(0x92);
    gdt[3] = flat_segment(0xfa); /* user code */
    gdt[4] = flat_segment(0xf2); /* user data */
    gdt[SELECTOR_TSS / 8] = tss_descriptor(&main_tss);
    gdt[SELECTOR_FAULT_TSS / 8] = tss_descriptor(&fault_tss);

    struct descriptor_pointer pointer = {sizeof gdt - 1, (uint32_t)gdt};
    __asm__ volatile("lgdt %0\n"
                     "ljmp %1, $1f\n"
                     "1: mov %2, %%ds; mov %2, %%es; mov %2, %%ss\n"
                     "mov %3, %%fs; mov %3, %%gs\n"
                     "ltr %w4" ::"m"(pointer),
                     "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0), "r"(SELECTOR_TSS)
                     : "memory");
}

static uint64_t interrupt_gate(vword_t target)
{
    return (target & 0xffff) | (uint64_t)SELECTOR_CODE << 16 | 0x8e00ull << 32 |
           (uint64_t)(target & 0xffff0000) << 32;
}

static uint64_t task_gate(uint16_t selector)
{
    return (uint64_t)selector << 16 | 0x8500ull << 32;
}

void trap_load_idt(void)
{
    for (unsigned v = 0; v < IDT_ENTRIES; v++)
        idt[v] = interrupt_gate(trap_entries[v]);
    idt[VECTOR_DOUBLE_FAULT] = task_gate(SELECTOR_FAULT_TSS);

    struct descriptor_pointer pointer = {sizeof idt - 1, (uint32_t)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

/* The interrupted state lies in the main TSS; give it the shape of any other trap. */
void double_fault_task(void)
{
    struct trap_frame frame = {
        .di = main_tss.edi,
        .si = main_tss.esi,
        .bp = main_tss.ebp,
        .bx = main_tss.ebx,
        .dx = main_tss.edx,
        .cx = main_tss.ecx,
        .ax = main_tss.eax,
        .vector = VECTOR_DOUBLE_FAULT,
        .ip = main_tss.eip,
        .cs = main_tss.cs | 3, /* so that trap_sp reads the field below */
        .flags = main_tss.eflags,
        .user_sp = main_tss.esp,
        .user_ss = main_tss.ss,
    };
    trap_dispatch(&frame);
}

void trap_each_register(const struct trap_frame *f, void (*emit)(const char *name, vword_t value))
{
    emit("eax", f->ax);
    emit("ebx", f->bx);
    emit("ecx", f->cx);
    emit("edx", f->dx);
    emit("esi", f->si);
    emit("edi", f->di);
    emit("ebp", f->bp);
    emit("esp", trap_sp(f));
    emit("eip", f->ip);
    emit("cs", f->cs);
    emit("eflags", f->flags);
    emit("cr0", read_cr0());
    emit("cr2", read_cr2());
    emit("cr3", read_cr3());
}

/* CR4 came with CPUID: an early 486 has neither, and touching it there is an invalid opcode. */
void cpu_enable_features(struct paging_features *features, struct cpuid_facts *facts)
{
    cpuid_read(facts);
    *features = (struct paging_features){
        .wp = true, /* every CPU since the 486 */
        .pse = facts->pse,
        .pge = facts->pge,
        .pat = facts->pat,
        .smep = facts->smep,
        .smap = facts->smap,
        .umip = facts->umip,
        .phys_bits = 32, /* non-PAE entries hold no more; NX needs PAE too */
        .virt_bits = 32,
    };
    write_cr0(read_cr0() | CR0_WP);
    if (facts->pat)
        write_msr(MSR_PAT, PAGING_PAT_VALUE);
    if (facts->present)
        write_cr4((features->pse ? CR4_PSE : 0) | (features->pge ? CR4_PGE : 0) |
                  (features->smep ? CR4_SMEP : 0) | (features->smap ? CR4_SMAP : 0) |
                  (features->umip ? CR4_UMIP : 0));
    cpu_flush_all();
}

void cpu_root_changed(paddr_t root)
{
    fault_tss.cr3 = (uint32_t)root.v;
}

/* A 486 without CPUID has no CR4. EFER.NXE means nothing to these entries. */
struct paging_controls cpu_paging_controls(void)
{
    struct cpuid_facts facts;
    cpuid_read(&facts);
    uintptr_t cr4 = facts.present ? read_cr4() : 0;
    return (struct paging_controls){
        .wp = read_cr0() & CR0_WP,
        .pse = cr4 & CR4_PSE,
        .pae = cr4 & CR4_PAE,
        .pge = cr4 & CR4_PGE,
    };
}

const struct cpu_structure *cpu_structures(size_t *count)
{
    static struct cpu_structure all[4];
    struct table_register g = read_gdtr(), i = read_idtr();
    all[0] = (struct cpu_structure){"GDT", VA(g.base), g.limit + 1u, true};
    all[1] = (struct cpu_structure){"IDT", VA(i.base), i.limit + 1u, false};
    all[2] = (struct cpu_structure){"TSS", ptr_vaddr(&main_tss), sizeof main_tss, true};
    all[3] =
        (struct cpu_structure){"double-fault TSS", ptr_vaddr(&fault_tss), sizeof fault_tss, true};
    *count = 4;
    return all;
}

vaddr_t cpu_gate_target(unsigned vector)
{
    uint64_t gate = ((const uint64_t *)read_idtr().base)[vector];
    if ((gate >> 40 & 0x1f) == 0x05)
        return VA(fault_tss.eip);
    return VA((vword_t)((gate & 0xffff) | (gate >> 32 & 0xffff0000)));
}

const struct cpu_stack *cpu_stacks(size_t *count)
{
    static struct cpu_stack stacks[2];
    stacks[0] = (struct cpu_stack){"boot stack", ptr_vaddr(boot_stack_guard), ptr_vaddr(boot_stack),
                                   ptr_vaddr(boot_stack_top)};
    stacks[1] = (struct cpu_stack){"double-fault stack", ptr_vaddr(fault_stack.guard),
                                   ptr_vaddr(fault_stack.stack),
                                   ptr_vaddr(fault_stack.stack + FAULT_STACK_BYTES)};
    *count = 2;
    return stacks;
}
