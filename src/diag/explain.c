/* SPDX-License-Identifier: MIT */
/*
 * explain.c - whose an address is, which bit of which entry forbids what, and how one gets there.
 *
 * An access is allowed when every entry on the way allows it (SDM 3A 4.6), so the first one from
 * the top that does not is the one to name: clearing W in a PDE forbids writing whatever the PTE
 * says. Stacks come before sections when an owner is sought: they lie inside the kernel image.
 */
#include "diag/explain.h"

#include "arch/cpu.h"
#include "diag/klines.h"
#include "diag/ksyms.h"
#include "kernel.h"
#include "kernel_space.h"
#include "layout.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "physmap.h"

#define BIT_PRESENT (1ull << 0) /* the same in every entry of both formats (SDM 3A 4.3, 4.5) */
#define BIT_WRITE   (1ull << 1)
#define BIT_USER    (1ull << 2)
#define BIT_NX      (1ull << 63)

struct place_text explain_place(vword_t ip)
{
    struct place_text t;
    struct kline line;
    uintptr_t offset = 0;
    const char *name = ksym_lookup(ip, &offset);
    if (!name)
        fmt(t.text, sizeof t.text, "%p", (void *)ip);
    else if (kline_lookup(ip, &line))
        fmt(t.text, sizeof t.text, "%s+0x%zx (%s:%u)", name, (size_t)offset, line.file, line.line);
    else
        fmt(t.text, sizeof t.text, "%s+0x%zx", name, (size_t)offset);
    return t;
}

struct place_text explain_function(vword_t ip)
{
    struct place_text t;
    struct kline line;
    uintptr_t offset = 0;
    const char *name = ksym_lookup(ip, &offset);
    if (name && kline_lookup(ip, &line))
        fmt(t.text, sizeof t.text, "%s at %s:%u", name, line.file, line.line);
    else
        fmt(t.text, sizeof t.text, "%s at %p", name ? name : "?", (void *)ip);
    return t;
}

/* ---- whose ---------------------------------------------------------------------------------- */

enum stack_part { NO_STACK, STACK_GUARD, STACK_ITSELF };

static enum stack_part which_stack(vaddr_t va, const struct cpu_stack **out)
{
    size_t count;
    const struct cpu_stack *stacks = cpu_stacks(&count);
    for (size_t i = 0; i < count; i++) {
        *out = &stacks[i];
        if (va.v - stacks[i].guard.v < PAGE_SIZE)
            return STACK_GUARD;
        if (va.v - stacks[i].bottom.v < stacks[i].top.v - stacks[i].bottom.v)
            return STACK_ITSELF;
    }
    return NO_STACK;
}

bool explain_caller(vaddr_t sp, struct place_text *out)
{
    const struct cpu_stack *stack;
    uintptr_t offset;
    if (sp.v % sizeof(vword_t) || which_stack(sp, &stack) != STACK_ITSELF)
        return false;
    vword_t back = *(const vword_t *)vaddr_ptr(sp);
    if (!ksym_lookup(back, &offset))
        return false;
    *out = explain_place(back - 1);
    return true;
}

struct block_search {
    vword_t va;
    struct heap_block found;
};

static bool search_block(void *ctx, const struct heap_block *b)
{
    struct block_search *s = ctx;
    if ((vword_t)b->payload > s->va)
        return false;
    s->found = *b;
    return true;
}

struct heap_block explain_block(vaddr_t va)
{
    struct block_search s = {.va = va.v};
    heap_walk(&kernel.heap, search_block, &s);
    return s.found;
}

static bool in_heap(vaddr_t va)
{
    return va.v - (vword_t)HEAP_START < (vword_t)HEAP_BYTES;
}

static void heap_owner(vaddr_t va, char *text, size_t bytes)
{
    struct heap_stats stats;
    bool whole = heap_stats(&kernel.heap, &stats);
    if (va.v - (vword_t)stats.start >= stats.mapped) {
        fmt(text, bytes, "the heap's window, at a page that the heap does not hold now");
        return;
    }
    struct heap_block b = explain_block(va);
    vword_t offset = va.v - (vword_t)b.payload;
    if (!whole && b.payload && offset >= b.size + 8)
        fmt(text, bytes, "the heap, behind a damaged header: nobody knows");
    else if (!b.payload || offset >= b.size)
        fmt(text, bytes, "the heap, its own bookkeeping");
    else
        fmt(text, bytes, "the heap, byte %zu of a %s block of %zu bytes at %p", (size_t)offset,
            b.live ? "live" : "freed", b.size, b.payload);
}

static void physmap_owner(vaddr_t va, char *text, size_t bytes)
{
    if (!physmap.shows_all) {
        fmt(text, bytes, "the %s, slot %zu", physmap.name,
            (size_t)((va.v - physmap.start) >> PAGE_SHIFT));
        return;
    }
    paddr_t pa = PA(va.v - physmap.start);
    fmt(text, bytes, "the %s of physical 0x%llx%s", physmap.name, (unsigned long long)pa.v,
        pmm_free_frames(&kernel.pmm) && pmm_is_free(&kernel.pmm, paddr_pfn(pa)) ? ", a free frame"
                                                                                : "");
}

static void image_owner(vaddr_t va, char *text, size_t bytes)
{
    const char *region = kernel_region_name(va);
    uintptr_t offset;
    if (ksym_lookup(va.v, &offset))
        fmt(text, bytes, "%s, %s", region, explain_place(va.v).text);
    else
        fmt(text, bytes, "%s", region);
}

static bool is_canonical(vaddr_t va)
{
    struct walk w;
    paging_walk(&kernel.aspace, va, &w);
    return w.canonical;
}

struct owner_text explain_owner(vaddr_t va)
{
    struct owner_text t;
    const struct cpu_stack *stack;
    enum stack_part part = which_stack(va, &stack);
    if (part == STACK_GUARD)
        fmt(t.text, sizeof t.text, "the guard page of the %s", stack->name);
    else if (part == STACK_ITSELF)
        fmt(t.text, sizeof t.text, "the %s, %zu bytes below its top", stack->name,
            (size_t)(stack->top.v - va.v));
    else if (va.v < PAGE_SIZE)
        fmt(t.text, sizeof t.text, "the null page, which is never mapped");
    else if (kernel_space_live() && !is_canonical(va))
        fmt(t.text, sizeof t.text, "nobody: no such address exists");
    else if (kernel_space_live() && in_heap(va))
        heap_owner(va, t.text, sizeof t.text);
    else if (kernel_space_live() && va.v - physmap.start < physmap.bytes)
        physmap_owner(va, t.text, sizeof t.text);
    else if (va.v - (vword_t)MMIO_START < (vword_t)MMIO_BYTES)
        fmt(t.text, sizeof t.text, "device memory (%s)", kernel_region_name(va));
    else
        image_owner(va, t.text, sizeof t.text);
    return t;
}

/* ---- what forbids it ------------------------------------------------------------------------ */

const char *explain_level(unsigned level)
{
    static const char *const names[] = {"?", "PTE", "PDE", "PDPTE", "PML4E"};
    return names[level < 5 ? level : 0];
}

static const struct {
    const char *name, *meaning;
    uint64_t bit;
    bool forbids_when; /* set */
} rights[ACCESS_COUNT] = {
    [ACCESS_READ] = {"P", "nothing is mapped there", BIT_PRESENT, false},
    [ACCESS_WRITE] = {"W", "the page is read-only", BIT_WRITE, false},
    [ACCESS_EXECUTE] = {"NX", "the page is no-execute: it holds data", BIT_NX, true},
    [ACCESS_USER] = {"U", "the page is for the kernel only", BIT_USER, false},
};

static bool forbids(const struct walk_step *s, enum access access)
{
    return !(s->entry & rights[access].bit) != rights[access].forbids_when;
}

struct denial explain_denial(const struct walk *w, enum access access)
{
    if (!w->canonical)
        return (struct denial){NULL, "address", "it is not canonical: bits 63 to 47 must be equal"};
    const struct walk_step *last = &w->step[w->steps - 1];
    if (w->reserved_bit)
        return (struct denial){last, "reserved", "any access through such an entry faults"};
    if (!w->mapped)
        return (struct denial){last, "P", rights[ACCESS_READ].meaning};
    for (unsigned i = 0; access != ACCESS_READ && i < w->steps; i++) {
        if (forbids(&w->step[i], access))
            return (struct denial){&w->step[i], rights[access].name, rights[access].meaning};
    }
    return (struct denial){0};
}

static const char *bit_state(const char *bit)
{
    if (strcmp(bit, "reserved") == 0)
        return "a reserved bit set";
    return strcmp(bit, "NX") == 0 ? "NX set"
           : bit[0] == 'P'        ? "P clear"
           : bit[0] == 'W'        ? "W clear"
                                  : "U clear";
}

struct denial_text explain_denial_text(const struct denial *d)
{
    struct denial_text t;
    if (!d->bit)
        fmt(t.text, sizeof t.text, "no entry forbids it");
    else if (!d->step)
        fmt(t.text, sizeof t.text, "%s", d->meaning);
    else
        fmt(t.text, sizeof t.text, "the %s at 0x%08llx has %s: %s", explain_level(d->step->level),
            (unsigned long long)d->step->entry_pa.v, bit_state(d->bit), d->meaning);
    return t;
}

/* Of a step, what it is the first to take away. */
struct step_text explain_step(const struct walk *w, unsigned index)
{
    static const char *const what[ACCESS_COUNT] = {"", "W clear: no writing",
                                                   "NX set: no execution", "U clear: kernel only"};
    struct step_text t = {""};
    struct denial read = explain_denial(w, ACCESS_READ);
    if (read.bit && read.step == &w->step[index])
        fmt(t.text, sizeof t.text, "%s: %s", bit_state(read.bit), read.meaning);
    for (enum access a = ACCESS_WRITE; !read.bit && a < ACCESS_COUNT; a++) {
        struct denial d = explain_denial(w, a);
        size_t used = strlen(t.text);
        if (d.step == &w->step[index])
            fmt(t.text + used, sizeof t.text - used, "%s%s", used ? "; " : "", what[a]);
    }
    return t;
}

/* ---- how one gets there --------------------------------------------------------------------- */

static const char *cause_unmapped(vaddr_t va)
{
    if (in_heap(va))
        return "use after free of a block whose pages were given back, or an index far beyond a "
               "block";
    if (va.v < (vword_t)USER_END)
        return "a user pointer that was never mapped, or a number or a freed pointer used as an "
               "address";
    if (va.v - physmap.start < physmap.bytes)
        return "a physical address that is no RAM, or one that was never mapped";
    return "a wild pointer, or memory that was unmapped while somebody still used it";
}

const char *explain_cause(vaddr_t va, enum access access, const struct walk *w)
{
    const struct cpu_stack *stack;
    if (which_stack(va, &stack) == STACK_GUARD)
        return "stack overflow: recursion without an end, or a large array on the stack";
    if (va.v < PAGE_SIZE)
        return "a NULL pointer was followed; the address is the offset of the field that was meant";
    if (!w->canonical)
        return "a pointer that was overwritten, or never set";
    if (w->reserved_bit)
        return "a damaged page table, or one made for a CPU with other features";
    if (!w->mapped)
        return cause_unmapped(va);
    if (access == ACCESS_EXECUTE)
        return "a call through a function pointer that was overwritten or never set, or a smashed "
               "return address";
    if (access == ACCESS_WRITE && !(w->flags & MAP_WRITE))
        return "a write through a wild pointer or a cast that lost const, or an overrun from "
               "before";
    return "a translation that the TLB kept after the tables changed, or a race with that change";
}
