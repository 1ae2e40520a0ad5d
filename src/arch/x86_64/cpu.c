/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - x86_64: GDT, TSS, IDT, control registers.
 *
 * Double fault and NMI run on stacks of their own through the interrupt stack table (SDM 3A
 * 6.14.5), so that a kernel stack overflow can be explained.
 */
#include "arch/control.h"
#include "arch/cpu.h"
#include "arch/trap.h"

#include <mem/paging.h>

struct tss { /* SDM 3A 7.7 */
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM 3A figure 7-11");

struct gate { /* SDM 3A 6.14.1 */
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct descriptor_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

enum { GDT_ENTRIES = 7, FAULT_STACK_BYTES = 8192, IST_DOUBLE_FAULT = 1, IST_NMI = 2 };

static uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(16)));
static struct gate idt[VECTOR_COUNT] __attribute__((aligned(16)));
static struct tss tss __attribute__((aligned(128)));

struct guarded_stack {
    uint8_t guard[PAGE_SIZE];
    uint8_t stack[FAULT_STACK_BYTES];
} __attribute__((aligned(PAGE_SIZE)));
static struct guarded_stack fault_stack, nmi_stack;

extern uint8_t boot_stack_guard[], boot_stack[], boot_stack_top[]; /* entry64.asm    */
extern const vword_t trap_entries[VECTOR_COUNT];                   /* trap_entry.asm */
void trap_load_idt(void);

static uint64_t stack_top(struct guarded_stack *s)
{
    return (uint64_t)(s->stack + FAULT_STACK_BYTES);
}

/* A system descriptor takes two entries (SDM 3A 7.2.3). */
static void set_tss_descriptor(uint64_t *entry)
{
    uint64_t base = (uint64_t)&tss;
    entry[0] =
        (sizeof tss - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 255) << 56;
    entry[1] = base >> 32;
}

void cpu_load_descriptors(void)
{
    tss.rsp[0] = (uint64_t)boot_stack_top;
    tss.ist[IST_DOUBLE_FAULT - 1] = stack_top(&fault_stack);
    tss.ist[IST_NMI - 1] = stack_top(&nmi_stack);
    tss.io_map = sizeof tss;

    gdt[SELECTOR_CODE / 8] = 0x00af9a000000ffffull; /* 64-bit code, ring 0 */
    gdt[SELECTOR_DATA / 8] = 0x00cf92000000ffffull;
    gdt[3] = 0x00cff2000000ffffull; /* user data: before user code, as SYSRET wants it */
    gdt[4] = 0x00affa000000ffffull; /* user code */
    set_tss_descriptor(gdt + SELECTOR_TSS / 8);

    struct descriptor_pointer pointer = {sizeof gdt - 1, (uint64_t)gdt};
    __asm__ volatile("lgdt %0\n"
                     "pushq %1; lea 1f(%%rip), %%rax; push %%rax; lretq\n"
                     "1: mov %2, %%ds; mov %2, %%es; mov %2, %%ss\n"
                     "mov %3, %%fs; mov %3, %%gs\n"
                     "ltr %w4" ::"m"(pointer),
                     "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0), "r"(SELECTOR_TSS)
                     : "rax", "memory");
}

static struct gate interrupt_gate(vword_t target, uint8_t ist)
{
    return (struct gate){
        .offset_low = (uint16_t)target,
        .offset_middle = (uint16_t)(target >> 16),
        .offset_high = (uint32_t)(target >> 32),
        .selector = SELECTOR_CODE,
        .ist = ist,
        .type = 0x8e,
    };
}

void trap_load_idt(void)
{
    for (unsigned v = 0; v < VECTOR_COUNT; v++)
        idt[v] = interrupt_gate(trap_entries[v], 0);
    idt[VECTOR_DOUBLE_FAULT].ist = IST_DOUBLE_FAULT;
    idt[VECTOR_NMI].ist = IST_NMI;

    struct descriptor_pointer pointer = {sizeof idt - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

void trap_each_register(const struct trap_frame *f, void (*emit)(const char *name, vword_t value))
{
    emit("rax", f->ax);
    emit("rbx", f->bx);
    emit("rcx", f->cx);
    emit("rdx", f->dx);
    emit("rsi", f->si);
    emit("rdi", f->di);
    emit("rbp", f->bp);
    emit("rsp", f->sp);
    emit("r8", f->r8);
    emit("r9", f->r9);
    emit("r10", f->r10);
    emit("r11", f->r11);
    emit("r12", f->r12);
    emit("r13", f->r13);
    emit("r14", f->r14);
    emit("r15", f->r15);
    emit("rip", f->ip);
    emit("cs", f->cs);
    emit("rflags", f->flags);
    emit("cr0", read_cr0());
    emit("cr2", read_cr2());
    emit("cr3", read_cr3());
    emit("cr4", read_cr4());
}

void cpu_enable_features(struct paging_features *features, struct cpuid_facts *facts)
{
    cpuid_read(facts);
    *features = (struct paging_features){
        .wp = true,
        .pse = true, /* long mode has 2 MiB pages on every CPU */
        .pge = facts->pge,
        .pat = facts->pat,
        .nx = facts->nx,
        .smep = facts->smep,
        .smap = facts->smap,
        .umip = facts->umip,
        .gib_pages = facts->gib_pages,
        .pcid = facts->pcid,
        .phys_bits = facts->phys_bits,
        .virt_bits = 48,
    };
    write_cr0(read_cr0() | CR0_WP);
    if (facts->nx)
        write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    if (facts->pat)
        write_msr(MSR_PAT, PAGING_PAT_VALUE);
    write_cr4(CR4_PAE | (features->pge ? CR4_PGE : 0) | (features->smep ? CR4_SMEP : 0) |
              (features->smap ? CR4_SMAP : 0) | (features->umip ? CR4_UMIP : 0));
    cpu_flush_all();
}

/* IST stacks are found through the TSS, whatever CR3 holds. */
void cpu_root_changed(paddr_t root)
{
    (void)root;
}

/* CR4.PSE means nothing here. */
struct paging_controls cpu_paging_controls(void)
{
    uintptr_t cr4 = read_cr4();
    return (struct paging_controls){
        .wp = read_cr0() & CR0_WP,
        .pse = true,
        .pae = cr4 & CR4_PAE,
        .pge = cr4 & CR4_PGE,
        .nxe = read_msr(MSR_EFER) & EFER_NXE,
    };
}

const struct cpu_structure *cpu_structures(size_t *count)
{
    static struct cpu_structure all[3];
    struct table_register g = read_gdtr(), i = read_idtr();
    all[0] = (struct cpu_structure){"GDT", VA(g.base), g.limit + 1u, true};
    all[1] = (struct cpu_structure){"IDT", VA(i.base), i.limit + 1u, false};
    all[2] = (struct cpu_structure){"TSS", ptr_vaddr(&tss), sizeof tss, true};
    *count = 3;
    return all;
}

vaddr_t cpu_gate_target(unsigned vector)
{
    const struct gate *g = (const struct gate *)read_idtr().base + vector;
    return VA((vword_t)g->offset_high << 32 | (vword_t)g->offset_middle << 16 | g->offset_low);
}

const struct cpu_stack *cpu_stacks(size_t *count)
{
    static struct cpu_stack stacks[3];
    stacks[0] = (struct cpu_stack){"boot stack", ptr_vaddr(boot_stack_guard), ptr_vaddr(boot_stack),
                                   ptr_vaddr(boot_stack_top)};
    stacks[1] = (struct cpu_stack){"double-fault stack", ptr_vaddr(fault_stack.guard),
                                   ptr_vaddr(fault_stack.stack), VA(stack_top(&fault_stack))};
    stacks[2] = (struct cpu_stack){"NMI stack", ptr_vaddr(nmi_stack.guard),
                                   ptr_vaddr(nmi_stack.stack), VA(stack_top(&nmi_stack))};
    *count = 3;
    return stacks;
}
