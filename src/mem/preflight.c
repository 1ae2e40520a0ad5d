/* SPDX-License-Identifier: MIT */
/*
 * preflight.c - a software walk of tables that are not loaded yet.
 *
 * It asks what the hardware would (SDM 3A 4.3, 4.5, 4.6), through paging_walk, with the features
 * that are switched on and not those that the CPU could have: NX while EFER.NXE is clear is a
 * reserved bit, PS while CR4.PSE is clear is nothing at all. And it adds the questions that the
 * hardware cannot ask: is this the frame that we meant, is this table a table's frame, does the
 * TLB still hold something else?
 *
 * Each need is checked in the order in which the CPU would stumble: the tables on the way, the
 * bits that must be zero, presence, the frame, the permissions, the TLB. The first that is wrong
 * is the answer.
 */
#include <mem/preflight.h>

#include "paging_format.h"

enum { BIT_P = 0, BIT_W = 1, BIT_U = 2, BIT_PS = 7, BIT_NX = 63 };

/* The tables as the CPU will see them, and the verdict so far. */
struct view {
    const struct preflight *flight;
    struct paging_features on; /* what the CPU has AND the control registers allow */
    struct aspace tables;      /* the new tables, seen with `on`                   */
    struct aspace loaded;
    struct preflight_refusal *r;
};

static bool refuse(struct view *v, enum preflight_reason reason, unsigned step, unsigned bit)
{
    struct preflight_refusal *r = v->r;
    r->reason = reason;
    r->step = step;
    r->bit = bit;
    r->index = r->walk.steps ? level_index(r->walk.va.v, r->walk.step[step].level) : 0;
    return false;
}

static unsigned highest_bit(entry_t bits)
{
    return 8 * sizeof bits - 1 - (unsigned)__builtin_clzl((unsigned long)bits);
}

/* ---- the way ------------------------------------------------------------------------------ */

static bool tables_are_ours(struct view *v)
{
    const struct preflight *f = v->flight;
    for (unsigned i = 0; f->tenant && i < v->r->walk.steps; i++) {
        v->r->tenant = f->tenant(f->ctx, paddr_pfn(v->r->walk.step[i].entry_pa));
        if (v->r->tenant)
            return refuse(v, PREFLIGHT_FOREIGN_TABLE, i, 0);
    }
    return true;
}

/* Only i386 has a switch for large pages; where it is off, our walk has gone on, as the CPU would.
 */
static bool large_pages_are_on(struct view *v)
{
    for (unsigned i = 0; i + 1 < v->r->walk.steps; i++) {
        if (v->r->walk.step[i].entry & ENTRY_LARGE)
            return refuse(v, PREFLIGHT_PS_WITHOUT_PSE, i, BIT_PS);
    }
    return true;
}

static bool reserved_bits_are_zero(struct view *v)
{
    const struct walk *w = &v->r->walk;
    if (!w->reserved_bit)
        return true;
    const struct walk_step *last = &w->step[w->steps - 1];
    unsigned bit = highest_bit(format_reserved_bits(&v->on, last->level, (entry_t)last->entry));
    bool nx = bit == BIT_NX && v->flight->as->features->nx;
    return refuse(v, nx ? PREFLIGHT_NX_WITHOUT_NXE : PREFLIGHT_RESERVED_BIT, w->steps - 1, bit);
}

static bool way_is_sound(struct view *v)
{
    if (!v->r->walk.canonical)
        return refuse(v, PREFLIGHT_NOT_CANONICAL, 0, 0);
    return large_pages_are_on(v) && tables_are_ours(v) && reserved_bits_are_zero(v);
}

/* ---- where it leads ----------------------------------------------------------------------- */

/* Does the top-level entry `by` places on lead to where this one should? */
static bool lies_beside(struct view *v, paddr_t pa, int by)
{
    unsigned index = level_index(v->r->walk.va.v, LEVELS) + (unsigned)by;
    vword_t bits = (vword_t)(ENTRIES - 1) << level_shift(LEVELS);
    vword_t other = (v->r->walk.va.v & ~bits) | (vword_t)index << level_shift(LEVELS);
    struct walk w;
    if (index >= ENTRIES)
        return false;
    paging_walk(&v->tables, VA(other), &w);
    v->r->beside = index;
    return w.mapped && w.pa.v == pa.v;
}

static bool is_mapped(struct view *v, paddr_t pa)
{
    const struct walk *w = &v->r->walk;
    if (w->mapped)
        return true;
    bool beside = w->steps == 1 && (lies_beside(v, pa, 1) || lies_beside(v, pa, -1));
    return refuse(v, beside ? PREFLIGHT_ONE_ENTRY_OFF : PREFLIGHT_NOT_MAPPED, w->steps - 1, BIT_P);
}

static bool leads_to(struct view *v, paddr_t pa)
{
    v->r->meant = pa;
    if (v->r->walk.pa.v == pa.v)
        return true;
    return refuse(v, PREFLIGHT_WRONG_FRAME, v->r->walk.steps - 1, 0);
}

/* ---- what it allows ----------------------------------------------------------------------- */

static const struct permission {
    unsigned flag, bit;
    enum preflight_reason missing, excess;
} permissions[] = {
    {MAP_WRITE, BIT_W, PREFLIGHT_NOT_WRITABLE, PREFLIGHT_WRITABLE},
    {MAP_EXEC, BIT_NX, PREFLIGHT_NOT_EXECUTABLE, PREFLIGHT_EXECUTABLE},
    {MAP_USER, BIT_U, PREFLIGHT_NOT_USER, PREFLIGHT_USER},
};

/* The highest level that takes `flag` away; as the walk's flags are without it, there is one. */
static unsigned step_without(const struct view *v, unsigned flag)
{
    const struct walk_step *s = v->r->walk.step;
    while (format_flags(&v->on, s->level, (entry_t)s->entry) & flag)
        s++;
    return (unsigned)(s - v->r->walk.step);
}

static bool allows(struct view *v, unsigned must, unsigned never)
{
    for (size_t i = 0; i < sizeof permissions / sizeof permissions[0]; i++) {
        const struct permission *p = &permissions[i];
        bool there = v->r->walk.flags & p->flag;
        if (must & p->flag && !there)
            return refuse(v, p->missing, step_without(v, p->flag), p->bit);
        if (never & p->flag && there)
            return refuse(v, p->excess, v->r->walk.steps - 1, p->bit);
    }
    return true;
}

/* A CR3 load keeps global translations (SDM 3A 4.10.4.1): those must say the same as before. */
static bool is_fresh(struct view *v)
{
    unsigned same = MAP_WRITE | MAP_EXEC | MAP_USER;
    struct walk old;
    if (v->flight->flushes || !v->flight->controls.pge || !v->flight->loaded.v)
        return true;
    paging_walk(&v->loaded, v->r->walk.va, &old);
    if (!old.mapped || !(old.flags & MAP_GLOBAL))
        return true;
    v->r->stale = old.pa;
    if (old.pa.v == v->r->walk.pa.v && !((old.flags ^ v->r->walk.flags) & same))
        return true;
    return refuse(v, PREFLIGHT_STALE, v->r->walk.steps - 1, 0);
}

/* ---- needs -------------------------------------------------------------------------------- */

static bool page_is_met(struct view *v, const struct preflight_need *need, size_t offset)
{
    paddr_t pa = paddr_add(need->pa, offset);
    unsigned never = need->never | (need->flags & MAP_USER ? 0 : MAP_USER);
    switch (need->kind) {
    case NEED_ABSENT:
        if (!v->r->walk.mapped)
            return true;
        return refuse(v, PREFLIGHT_MAPPED, v->r->walk.steps - 1, BIT_P);
    case NEED_TOP_ENTRY:
        if (!(v->r->walk.step[0].entry & ENTRY_PRESENT))
            return refuse(v, PREFLIGHT_NO_TOP_ENTRY, 0, BIT_P);
        return way_is_sound(v);
    default:
        return way_is_sound(v) && is_mapped(v, pa) && leads_to(v, pa) &&
               allows(v, need->flags, never) && is_fresh(v);
    }
}

static bool need_is_met(struct view *v, const struct preflight_need *need)
{
    size_t unit = need->kind == NEED_TOP_ENTRY ? level_bytes(LEVELS) : PAGE_SIZE;
    v->r->what = need->what;
    for (size_t offset = 0; offset < need->bytes;
         offset += unit - ((need->va.v + offset) & (unit - 1))) {
        paging_walk(&v->tables, vaddr_add(need->va, offset), &v->r->walk);
        if (!page_is_met(v, need, offset))
            return false;
    }
    return true;
}

/* CR3 and the control registers, before any walk. */
static enum preflight_reason root_and_controls(const struct preflight *f)
{
    if (f->as->root.v & (PAGE_SIZE - 1))
        return PREFLIGHT_ROOT_MISALIGNED;
    if (f->as->root.v >> f->as->features->phys_bits)
        return PREFLIGHT_ROOT_TOO_HIGH;
    if (f->controls.pae != (LEVELS > 2))
        return LEVELS > 2 ? PREFLIGHT_PAE_CLEAR : PREFLIGHT_PAE_SET;
    return f->as->features->wp && !f->controls.wp ? PREFLIGHT_WP_CLEAR : PREFLIGHT_FINE;
}

bool paging_preflight(const struct preflight *flight, struct preflight_refusal *refusal)
{
    *refusal = (struct preflight_refusal){.what = "top-level table", .meant = flight->as->root};
    refusal->reason = root_and_controls(flight);
    if (refusal->reason != PREFLIGHT_FINE)
        return false;

    struct view v = {.flight = flight,
                     .on = *flight->as->features,
                     .tables = *flight->as,
                     .loaded = *flight->as,
                     .r = refusal};
    v.on.nx = v.on.nx && flight->controls.nxe;
    v.on.pse = v.on.pse && (flight->controls.pse || LEVELS > 2);
    v.on.pge = v.on.pge && flight->controls.pge;
    v.tables.features = v.loaded.features = &v.on;
    v.loaded.root = flight->loaded;
    for (size_t i = 0; i < flight->count; i++) {
        if (!need_is_met(&v, &flight->needs[i]))
            return false;
    }
    return true;
}
