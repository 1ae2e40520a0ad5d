/* SPDX-License-Identifier: MIT */
/*
 * fault.c - says in words what an exception means.
 *
 * A page fault gets one sentence from two sources: the error code, which says what was tried
 * (SDM 3A 4.7), and our own walk, which says which entry forbids it. Everything else gets its name
 * and its error code decoded. Works before our page tables are up (then without the walk), and on
 * the double-fault stack.
 */
#include "diag/fault.h"

#include "arch/cpu.h"
#include "diag/console.h"
#include "diag/ksyms.h"
#include "diag/verdict.h"
#include "kernel.h"
#include "kernel_space.h"
#include "lib/fmt.h"

static const char *const names[VECTOR_EXCEPTIONS] = {
    /* SDM 3A 6.15 */
    [0] = "divide error",
    [1] = "debug",
    [2] = "non-maskable interrupt",
    [3] = "breakpoint",
    [4] = "overflow",
    [5] = "bound range exceeded",
    [6] = "invalid opcode",
    [7] = "device not available",
    [8] = "double fault",
    [9] = "coprocessor segment overrun",
    [10] = "invalid TSS",
    [11] = "segment not present",
    [12] = "stack-segment fault",
    [13] = "general protection",
    [14] = "page fault",
    [16] = "x87 floating-point error",
    [17] = "alignment check",
    [18] = "machine check",
    [19] = "SIMD floating-point exception",
    [20] = "virtualization exception",
    [21] = "control protection",
};

static const char *exception_name(vword_t vector)
{
    const char *name = vector < VECTOR_EXCEPTIONS ? names[vector] : NULL;
    return name ? name : "reserved exception";
}

static const char *what_was_tried(vword_t error)
{
    if (error & FAULT_FETCH)
        return "execute";
    return error & FAULT_WRITE ? "write to" : "read from";
}

/* Whose memory is it? The stacks' guard pages first: they lie inside the kernel image. */
static void whose(vaddr_t va, char *text, size_t bytes)
{
    size_t count;
    const struct cpu_stack *stacks = cpu_stacks(&count);
    for (size_t i = 0; i < count; i++) {
        if (va.v - stacks[i].guard.v < PAGE_SIZE) {
            fmt(text, bytes, "the guard page of the %s: the stack overflowed", stacks[i].name);
            return;
        }
    }
    if (va.v < PAGE_SIZE)
        fmt(text, bytes, "the null page: a NULL pointer was followed");
    else
        fmt(text, bytes, "%s", kernel_region_name(va));
}

static const char *why_denied(const struct walk *w, vword_t error)
{
    if (!w->canonical)
        return "the address is not canonical";
    if (w->reserved_bit)
        return "a reserved bit is set in the entry";
    if (!w->mapped)
        return "nothing is mapped there";
    if (error & FAULT_FETCH && !(w->flags & MAP_EXEC))
        return "the page is no-execute";
    if (error & FAULT_WRITE && !(w->flags & MAP_WRITE))
        return "the page is read-only";
    if (error & FAULT_USER && !(w->flags & MAP_USER))
        return "the page is for the kernel only";
    if (w->flags & MAP_USER && !(error & FAULT_USER))
        return error & FAULT_FETCH ? "the page is a user page (SMEP)"
                                   : "the page is a user page (SMAP)";
    return "the tables allow it now: a stale TLB entry, or they changed since";
}

static void print_walk(const struct walk *w)
{
    static const char *const level_names[] = {"?", "PTE", "PDE", "PDPTE", "PML4E"};
    for (unsigned i = 0; i < w->steps; i++)
        kprintf("    %-5s at 0x%09llx holds 0x%016llx%s\n", level_names[w->step[i].level],
                (unsigned long long)w->step[i].entry_pa.v, (unsigned long long)w->step[i].entry,
                i == w->deciding ? "  <- decides" : "");
}

static void explain_page_fault(const struct trap_frame *frame, vword_t cr2)
{
    char owner[96];
    whose(VA(cr2), owner, sizeof owner);
    kprintf("  %s tried to %s %p, %s", frame->error & FAULT_USER ? "user code" : "the kernel",
            what_was_tried(frame->error), (void *)cr2, owner);
    if (!kernel_space_live()) {
        kprintf("; error code 0x%zx\n", (size_t)frame->error);
        return;
    }
    struct walk w;
    paging_walk(&kernel.aspace, VA(cr2), &w);
    kprintf(": %s\n", why_denied(&w, frame->error));
    kprintf("  error code 0x%zx: %s, %s, %s%s\n", (size_t)frame->error,
            frame->error & FAULT_PRESENT ? "page present" : "page not present",
            what_was_tried(frame->error), frame->error & FAULT_USER ? "user" : "supervisor",
            frame->error & FAULT_RESERVED ? ", reserved bit set" : "");
    print_walk(&w);
}

/* Selector error codes, SDM 3A 6.13. */
static void explain_selector(vword_t error)
{
    if (!error) {
        kprintf("  error code 0: no selector involved\n");
        return;
    }
    kprintf("  error code 0x%zx: selector 0x%zx in the %s%s\n", (size_t)error,
            (size_t)(error & 0xfff8),
            error & 2   ? "IDT"
            : error & 4 ? "LDT"
                        : "GDT",
            error & 1 ? ", while delivering an external event" : "");
}

static void explain_double_fault(const struct trap_frame *frame, vword_t cr2)
{
    char owner[96];
    vword_t sp = trap_sp(frame);
    whose(VA(sp - sizeof sp), owner, sizeof owner);
    kprintf("  a second exception came while the first was being delivered; the stack pointer was\n"
            "  %p, %s; CR2 is %p\n",
            (void *)sp, owner, (void *)cr2);
}

static unsigned column;

static void print_register(const char *name, vword_t value)
{
    kprintf("  %6s %0*zx", name, (int)(2 * sizeof value), (size_t)value);
    if (++column % 4 == 0)
        kprintf("\n");
}

static void print_registers(const struct trap_frame *frame)
{
    column = 0;
    trap_each_register(frame, print_register);
    if (column % 4)
        kprintf("\n");
}

void fault_explain(struct trap_frame *frame, vword_t cr2)
{
    console_to_all();
    uintptr_t offset = 0;
    const char *symbol = ksym_lookup(frame->ip, &offset);
    const char *name = exception_name(frame->vector);
    kprintf("\n%sEXCEPTION %zu: %s%s at %p %s+0x%zx\n", colour(RED), (size_t)frame->vector, name,
            colour(PLAIN), (void *)frame->ip, symbol ? symbol : "?", (size_t)offset);

    if (frame->vector == VECTOR_PAGE_FAULT)
        explain_page_fault(frame, cr2);
    else if (frame->vector == VECTOR_DOUBLE_FAULT)
        explain_double_fault(frame, cr2);
    else if (frame->error || frame->vector == VECTOR_GENERAL_PROTECTION)
        explain_selector(frame->error);

    print_registers(frame);
    backtrace(frame->ip, frame->bp);
    verdict_fail("%s at %p", name, (void *)frame->ip);
}
