/* SPDX-License-Identifier: MIT */
/*
 * paging_walk.c - reading the tables: one address, or all of them. Changes nothing.
 *
 * Effective permissions follow SDM 3A 4.6: write and user must be allowed on every level, and one
 * NX on any level forbids execution.
 */
#include <mem/paging.h>

#include "paging_table.h"

/* What two levels allow together; the cache type is the leaf's alone. */
static unsigned combine(unsigned above, unsigned entry)
{
    unsigned must = MAP_WRITE | MAP_USER | MAP_EXEC;
    return (entry & ~must) | (above & entry & must);
}

/* Without PSE, i386 ignores the PS bit and walks on. */
static bool ends_here(const struct aspace *as, unsigned level, entry_t e)
{
    return level == 1 || (e & ENTRY_LARGE && (LEVELS > 2 || as->features->pse));
}

static void note_step(struct walk *out, unsigned level, paddr_t table, unsigned index, entry_t e)
{
    out->step[out->steps] = (struct walk_step){level, paddr_add(table, index * sizeof e), e};
    out->deciding = out->steps++;
}

static void note_leaf(struct walk *out, unsigned level, entry_t e)
{
    vword_t inside = out->va.v & (level_bytes(level) - 1);
    out->mapped = true;
    out->pa = paddr_add(format_leaf_pa(level, e), inside);
    out->page_bytes = level_bytes(level);
    out->accessed = e & ENTRY_ACCESSED;
    out->dirty = e & ENTRY_DIRTY;
}

/* The first step that takes away what the leaf itself would allow; else the leaf decides. */
static void note_decision(const struct aspace *as, struct walk *out)
{
    unsigned must = MAP_WRITE | MAP_USER | MAP_EXEC;
    unsigned allowed = must;
    for (unsigned i = out->steps; i-- > 0;) {
        const struct walk_step *s = &out->step[i];
        unsigned lets = format_flags(as->features, s->level, (entry_t)s->entry) & must;
        if (i + 1 == out->steps)
            allowed = lets;
        else if (allowed & ~lets)
            out->deciding = i;
    }
}

void paging_walk(const struct aspace *as, vaddr_t va, struct walk *out)
{
    *out = (struct walk){.va = va, .canonical = paging_canonical(as, va.v)};
    if (!out->canonical)
        return;

    unsigned flags = MAP_WRITE | MAP_USER | MAP_EXEC;
    paddr_t table = as->root;
    for (unsigned level = LEVELS;; level--) { /* to level 1, which ends every walk */
        unsigned index = level_index(va.v, level);
        entry_t e = table_entry(paddr_pfn(table), index);
        note_step(out, level, table, index, e);
        if (!(e & ENTRY_PRESENT))
            return;
        out->reserved_bit = format_reserved(as->features, level, e);
        if (out->reserved_bit)
            return;
        flags = combine(flags, format_flags(as->features, level, e));
        if (ends_here(as, level, e)) {
            note_leaf(out, level, e);
            break;
        }
        table = pfn_paddr(format_table_pfn(e));
    }
    out->flags = flags;
    note_decision(as, out);
}

enum mem_err translate(const struct aspace *as, vaddr_t va, paddr_t *pa)
{
    if (!paging_canonical(as, va.v))
        return MEM_NOT_CANONICAL;
    struct spot s = paging_descend(as, va.v, 1);
    entry_t e = s.table[s.index];
    kunmap(s.table);
    if (!(e & ENTRY_PRESENT))
        return MEM_NOT_MAPPED;
    *pa = paddr_add(format_leaf_pa(s.level, e), va.v & (level_bytes(s.level) - 1));
    return MEM_OK;
}

/* ---- all of them -------------------------------------------------------------------------- */

struct visitor {
    bool (*visit)(void *ctx, const struct map_stretch *);
    void *ctx;
    struct map_stretch now; /* bytes 0: none open */
    bool stopped;
};

static bool continues(const struct map_stretch *a, const struct map_stretch *b)
{
    return a->bytes && a->va.v + (vword_t)a->bytes == b->va.v && a->pa.v + a->bytes == b->pa.v &&
           a->page_bytes == b->page_bytes && a->flags == b->flags && a->accessed == b->accessed &&
           a->dirty == b->dirty;
}

static void close_stretch(struct visitor *v)
{
    if (v->now.bytes && !v->stopped)
        v->stopped = !v->visit(v->ctx, &v->now);
    v->now.bytes = 0;
}

static void add_page(struct visitor *v, const struct map_stretch *page)
{
    if (continues(&v->now, page)) {
        v->now.bytes += page->bytes;
        return;
    }
    close_stretch(v);
    v->now = *page;
}

/* Flags that the levels above `level` let through on the way to va. */
static unsigned let_through(const struct aspace *as, vword_t va, unsigned level)
{
    unsigned flags = MAP_WRITE | MAP_USER | MAP_EXEC;
    for (unsigned at = LEVELS; at > level; at--) {
        struct spot s = paging_descend(as, va, at);
        flags = combine(flags, format_flags(as->features, at, s.table[s.index]));
        kunmap(s.table);
    }
    return flags;
}

/* The first address that is not on the page at va; 0 when it wraps. Jumps the canonical hole. */
static vword_t step_over(const struct aspace *as, vword_t va, unsigned level)
{
    vword_t next = (va & ~(level_bytes(level) - 1)) + level_bytes(level);
    if (next && !paging_canonical(as, next))
        next = ~(vword_t)0 << (as->features->virt_bits - 1);
    return next;
}

/* The run of entries in one table from va on; returns where to go on, 0 at the end. */
static vword_t visit_table(const struct aspace *as, vword_t va, vword_t last, struct visitor *v)
{
    struct spot s = paging_descend(as, va, 1);
    unsigned above = let_through(as, va, s.level);
    for (; s.index < ENTRIES && !v->stopped; s.index++) {
        entry_t e = s.table[s.index];
        bool present = e & ENTRY_PRESENT;
        if (present && !entry_is_leaf(s.level, e))
            break; /* a table among large pages */
        if (present) {
            struct map_stretch page = {
                .va = VA(va & ~(level_bytes(s.level) - 1)),
                .bytes = level_bytes(s.level),
                .pa = format_leaf_pa(s.level, e),
                .page_bytes = level_bytes(s.level),
                .flags = combine(above, format_flags(as->features, s.level, e)),
                .accessed = e & ENTRY_ACCESSED,
                .dirty = e & ENTRY_DIRTY,
            };
            add_page(v, &page);
        }
        va = step_over(as, va, s.level);
        if (!va || va > last)
            break;
    }
    kunmap(s.table);
    return va > last ? 0 : va;
}

void paging_visit(const struct aspace *as, vaddr_t from, vaddr_t to_last,
                  bool (*visit)(void *ctx, const struct map_stretch *), void *ctx)
{
    struct visitor v = {.visit = visit, .ctx = ctx};
    vword_t va = from.v;
    do {
        va = visit_table(as, va, to_last.v, &v);
    } while (va && !v.stopped);
    close_stretch(&v);
}
