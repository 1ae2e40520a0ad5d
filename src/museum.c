/* SPDX-License-Identifier: MIT */
/*
 * museum.c - the catalogue of broken bring-ups; make BREAK=n (n from 1) chooses.
 *
 * The kernel builds its page tables as always, and then one mistake is planted in them, or in what
 * is about to happen to them. The preflight should name it. With PREFLIGHT=0 nobody looks, the
 * tables are loaded, and `visit` does the first thing that runs into the mistake, unless the CPU
 * does so by itself. docs/museum.md shows what came of each.
 *
 * For tests, the words break=n and preflight=0 on the command line choose again.
 */
#include "museum.h"

#include <mem/kmap.h>

#include "cmdline.h"
#include "diag/console.h"
#include "diag/verdict.h"
#include "layout.h"
#include "mem/paging_format.h"
#include "museum_exhibit.h"

static const struct exhibit *const catalogue[] = {
    &misaligned_root,            /* 1 */
    &identity_missing,           /* 2 */
    &stack_unmapped,             /* 3 */
    &gdt_unmapped,               /* 4 */
    &idt_unmapped,               /* 5 */
    &trap_entries_unmapped,      /* 6 */
    &fault_stack_unmapped,       /* 7 */
    &console_unmapped,           /* 8 */
    &large_page_without_leave,   /* 9 */
    &permission_without_control, /* 10 */
    &pae_mixed_up,               /* 11 */
    &upper_level_read_only,      /* 12 */
    &upper_level_not_user,       /* 13 */
    &one_entry_off,              /* 14 */
    &wrong_base,                 /* 15 */
    &overwritten_table,          /* 16 */
    &reserved_bit,               /* 17 */
    &stale_entry,                /* 18 */
    &writable_text,              /* 19 */
    &window_unmapped,            /* 20 */
    &user_text,                  /* 21 */
    &guard_mapped,               /* 22 */
    &heap_entry_missing,         /* 23 */
};
enum { EXHIBITS = sizeof catalogue / sizeof catalogue[0] };

uint8_t museum_yard[3 * 4096] __attribute__((aligned(4096)));
static const struct exhibit *shown;

paddr_t museum_yard_pa(void)
{
    return PA(ptr_vaddr(museum_yard).v - KERNEL_OFFSET);
}

void museum_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kprintf("museum: nothing stopped it: ");
    kvprintf(format, args);
    kprintf("\n");
    va_end(args);
}

/* ---- tools -------------------------------------------------------------------------------- */

/* The step of a walk at `level`; NULL: the walk ended above it. */
static const struct walk_step *step_at(const struct walk *w, unsigned level)
{
    for (unsigned i = 0; i < w->steps; i++) {
        if (w->step[i].level == level || (level == MUSEUM_LEAF && i + 1 == w->steps))
            return &w->step[i];
    }
    return NULL;
}

void spoil(const struct aspace *as, vaddr_t va, unsigned level, vword_t set, vword_t clear)
{
    struct walk w;
    paging_walk(as, va, &w);
    const struct walk_step *s = step_at(&w, level);
    if (!s)
        verdict_fail("museum: there is no level %u entry for %p to spoil", level, (void *)va.v);
    entry_t *table = kmap(paddr_pfn(s->entry_pa));
    entry_t *e = &table[level_index(va.v, s->level)];
    *e = (*e & ~clear) | set;
    kunmap(table);
}

void spoil_pages(const struct aspace *as, vaddr_t start, vaddr_t end, vword_t set, vword_t clear)
{
    for (vaddr_t va = start; va.v < end.v; va = vaddr_add(va, PAGE_SIZE)) {
        paddr_t pa;
        if (translate(as, va, &pa) == MEM_OK)
            spoil(as, va, MUSEUM_LEAF, set, clear);
    }
}

vword_t entry_on_the_way(const struct aspace *as, vaddr_t va, unsigned level)
{
    struct walk w;
    paging_walk(as, va, &w);
    const struct walk_step *s = step_at(&w, level);
    return s ? (vword_t)s->entry : 0;
}

/* ---- the tour ----------------------------------------------------------------------------- */

void museum_plant(struct kernel *k, struct switch_plan *plan)
{
    unsigned n = BREAK, check = plan->check;
    cmdline_number(k->cmdline, "break", &n);
    cmdline_number(k->cmdline, "preflight", &check);
    plan->check = check != 0;
    if (n < 1 || n > EXHIBITS)
        verdict_fail("museum: there is no exhibit %u; BREAK=1 to BREAK=%u", n, EXHIBITS);
    shown = catalogue[n - 1];
    kprintf("%s  museum%s  exhibit %u, %s: %s%s\n", colour(YELLOW), colour(PLAIN), n, shown->name,
            shown->mistake, plan->check ? "" : "; no preflight");
    shown->plant(k, plan);
}

void museum_visit(void)
{
    kprintf("museum: the tables are loaded\n");
    if (shown->visit)
        shown->visit();
}
