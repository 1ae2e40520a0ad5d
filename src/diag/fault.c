/* SPDX-License-Identifier: MIT */
/*
 * fault.c - says in words what an exception means.
 *
 * A page fault gets a sentence from two sources: the error code, which says what was tried
 * (SDM 3A 4.7), and our own walk, which says which entry forbids it; explain.c has the words.
 * Everything else gets its name and its error code decoded. Works before our page tables are up
 * (then without the walk), and on the double-fault stack.
 */
#include "diag/fault.h"

#include "arch/control.h"
#include "arch/cpu.h"
#include "diag/console.h"
#include "diag/explain.h"
#include "diag/ksyms.h"
#include "diag/ubsan.h"
#include "diag/verdict.h"
#include "kernel.h"
#include "kernel_space.h"
#include "lib/fmt.h"
#include "lib/string.h"

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

static enum access what_was_tried(vword_t error)
{
    if (error & FAULT_FETCH)
        return ACCESS_EXECUTE;
    return error & FAULT_WRITE ? ACCESS_WRITE : ACCESS_READ;
}

static const char *access_verb(enum access access)
{
    static const char *const verbs[ACCESS_COUNT] = {"read from", "write to", "execute", "use"};
    return verbs[access];
}

/* The entry that forbids it; what CR4 adds to the tables (SMEP, SMAP) when they do not. */
static struct denial why_denied(const struct walk *w, vword_t error)
{
    struct denial d = explain_denial(w, what_was_tried(error));
    if (!d.bit && error & FAULT_USER)
        d = explain_denial(w, ACCESS_USER);
    if (d.bit || !(w->flags & MAP_USER) || error & FAULT_USER)
        return d;
    return (struct denial){
        NULL, "CR4",
        error & FAULT_FETCH
            ? "the page is a user page (SMEP): CR4 keeps the kernel from executing it"
            : "the page is a user page (SMAP): CR4 keeps the kernel from touching it"};
}

static void print_walk(const struct walk *w)
{
    for (unsigned i = 0; i < w->steps; i++) {
        struct step_text note = explain_step(w, i);
        kprintf("    %-5s at 0x%09llx holds 0x%016llx%s%s\n", explain_level(w->step[i].level),
                (unsigned long long)w->step[i].entry_pa.v, (unsigned long long)w->step[i].entry,
                note.text[0] ? "  <- " : "", note.text);
    }
}

/* An access that failed: one sentence, a clause a line; what usually causes it; and the walk. */
static void tell(const char *who, const char *verb, vaddr_t va, const char *place, vword_t error)
{
    kprintf("  %s tried to %s %p from %s;\n", who, verb, (void *)va.v, place);
    kprintf("  that address belongs to %s", explain_owner(va).text);
    if (!kernel_space_live()) {
        kprintf(".\n");
        return;
    }
    struct walk w;
    struct aspace loaded = kernel_space_loaded();
    paging_walk(&loaded, va, &w);
    struct denial d = why_denied(&w, error);
    if (d.bit)
        kprintf(",\n  and %s.\n", explain_denial_text(&d).text);
    else
        kprintf(",\n  and the tables allow it now: they changed since, or the TLB is stale.\n");
    kprintf("  Usual cause: %s.\n", explain_cause(va, what_was_tried(error), &w));
    print_walk(&w);
}

static void explain_page_fault(const struct trap_frame *frame, vword_t cr2)
{
    vword_t error = frame->error;
    struct place_text place = explain_place(frame->ip);
    if (error & FAULT_FETCH) /* it is there already: who called is the question */
        explain_caller(VA(trap_sp(frame)), &place);
    tell(error & FAULT_USER ? "user code" : "the kernel", access_verb(what_was_tried(error)),
         VA(cr2), place.text, error);
    kprintf("  error code 0x%zx: %s, %s, %s%s\n", (size_t)error,
            error & FAULT_PRESENT ? "page present" : "page not present",
            error & FAULT_FETCH   ? "fetch"
            : error & FAULT_WRITE ? "write"
                                  : "read",
            error & FAULT_USER ? "user" : "supervisor",
            error & FAULT_RESERVED ? ", reserved bit set" : "");
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
    vword_t sp = trap_sp(frame);
    kprintf("  a second exception came while the first was being delivered, for want of a stack\n"
            "  stack pointer %p, CR2 %p\n",
            (void *)sp, (void *)cr2);
    tell("the kernel", "push onto its stack at", VA(sp - sizeof sp), explain_place(frame->ip).text,
         FAULT_WRITE);
}

/*
 * An address that is not canonical raises #GP with error code 0, not #PF, and CR2 keeps what it was
 * (SDM 1 3.3.7.1): the registers are where to look for it.
 */
static unsigned strangers;

static void name_stranger(const char *name, vword_t value)
{
    struct walk w;
    paging_walk(&kernel.aspace, VA(value), &w);
    if (w.canonical || strcmp(name, "eflags") == 0 || strcmp(name, "rflags") == 0)
        return;
    strangers++;
    kprintf("  %s holds %p, which is no address: it is not canonical;\n", name, (void *)value);
}

static void explain_protection(const struct trap_frame *frame)
{
    explain_selector(frame->error);
    if (frame->error || !kernel_space_live())
        return;
    strangers = 0;
    trap_each_register(frame, name_stranger);
    if (strangers)
        kprintf("  the kernel most likely tried to use it from %s.\n"
                "  Usual cause: a pointer that was overwritten, or never set.\n",
                explain_place(frame->ip).text);
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

void fault_found(const char *finder, vword_t ip, vword_t bp, const char *format, ...)
{
    static char sentence[400];
    struct place_text function = explain_function(ip);
    va_list args;
    interrupts_off();
    console_to_all();
    va_start(args, format);
    vfmt(sentence, sizeof sentence, format, args);
    va_end(args);
    kprintf("\n%s%s:%s function %s: %s\n", colour(RED), finder, colour(PLAIN), function.text,
            sentence);
    backtrace(ip, bp);
    verdict_fail("%s: function %s", finder, function.text);
}

void fault_explain(struct trap_frame *frame, vword_t cr2)
{
    static unsigned explaining;
    console_to_all();
    uintptr_t offset = 0;
    const char *symbol = ksym_lookup(frame->ip, &offset);
    const char *name = exception_name(frame->vector);
    kprintf("\n%sEXCEPTION %zu: %s%s at %p %s+0x%zx\n", colour(RED), (size_t)frame->vector, name,
            colour(PLAIN), (void *)frame->ip, symbol ? symbol : "?", (size_t)offset);
    if (explaining++)
        verdict_fail("%s at %p while an exception was being explained", name, (void *)frame->ip);

    if (frame->vector == VECTOR_PAGE_FAULT)
        explain_page_fault(frame, cr2);
    else if (frame->vector == VECTOR_DOUBLE_FAULT)
        explain_double_fault(frame, cr2);
    else if (frame->vector == VECTOR_GENERAL_PROTECTION)
        explain_protection(frame);
    else if (frame->vector == VECTOR_INVALID_OPCODE)
        ubsan_explain(frame);
    else if (frame->error)
        explain_selector(frame->error);

    print_registers(frame);
    backtrace(frame->ip, frame->bp);
    verdict_fail("%s at %p", name, (void *)frame->ip);
}
