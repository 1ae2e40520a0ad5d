/* SPDX-License-Identifier: MIT */
/*
 * paging_table.c - page tables as things: taken, linked, counted, taken back; and what every call
 * checks first. Shared by paging.c, paging_change.c and paging_space.c.
 */
#include "paging_table.h"

#include <platform.h>

#include "lib/string.h"

enum { FLUSH_SINGLY = 32 };

struct spot paging_descend(const struct aspace *as, vword_t va, unsigned stop)
{
    pfn_t frame = paddr_pfn(as->root);
    struct spot s = {kmap(frame), LEVELS, level_index(va, LEVELS), frame};
    while (s.level > stop) {
        entry_t e = s.table[s.index];
        if (!(e & ENTRY_PRESENT) || entry_is_leaf(s.level, e))
            break;
        kunmap(s.table);
        s.frame = format_table_pfn(e);
        s.table = kmap(s.frame);
        s.level--;
        s.index = level_index(va, s.level);
    }
    return s;
}

/* ---- the level-1 table in hand ------------------------------------------------------------ */

void leaf_drop(struct aspace *as)
{
    struct paging_leaf *leaf = &as->leaf;
    if (!leaf->table)
        return;
    set_live_count(leaf->table, (unsigned)leaf->live);
    kunmap(leaf->table);
    leaf->table = NULL;
    leaf->entries = 0;
}

void leaf_set_flags(struct aspace *as, unsigned flags)
{
    if (as->leaf.table && flags == as->leaf.flags)
        return;
    as->leaf.flags = flags;
    as->leaf.bits = format_leaf(as->features, 1, PA(0), flags);
}

/* The table of the null page is never in hand: map_page could not tell that page from others. */
void leaf_take(struct aspace *as, vword_t va, const struct spot *s)
{
    struct paging_leaf *leaf = &as->leaf;
    if (va < level_bytes(2))
        return;
    leaf_drop(as);
    leaf_set_flags(as, leaf->flags); /* the features may be others than when they were set */
    leaf->table = s->table;
    leaf->start = va & ~(level_bytes(2) - 1);
    leaf->entries = ENTRIES;
    leaf->live = live_count(s->table);
    leaf->frame = s->frame;
    leaf->refused = ~(vword_t)((1ull << as->features->phys_bits) - 1) | (PAGE_SIZE - 1);
}

void leaf_find(struct aspace *as, vword_t va)
{
    struct spot s = spot_at(as, va);
    spot_done(as, &s);
}

static bool leaf_serves(const struct paging_leaf *leaf, vword_t va)
{
    return leaf->table && va - leaf->start < level_bytes(2);
}

struct spot spot_at(struct aspace *as, vword_t va)
{
    if (leaf_serves(&as->leaf, va))
        return (struct spot){as->leaf.table, 1, level_index(va, 1), as->leaf.frame};
    struct spot s = paging_descend(as, va, 1);
    if (s.level == 1)
        leaf_take(as, va, &s);
    return s;
}

/* ---- arguments ---------------------------------------------------------------------------- */

/* [va, va + bytes): page-aligned, not empty, not the null page, in one canonical half. */
enum mem_err paging_check_virtual(const struct aspace *as, vword_t va, size_t bytes)
{
    if (!bytes)
        return MEM_BAD_ARG;
    if ((va | bytes) & (PAGE_SIZE - 1))
        return MEM_MISALIGNED;
    if (bytes - 1 > ~(vword_t)0 - va)
        return MEM_OUT_OF_RANGE;
    vword_t last = va + (bytes - 1);
    if (!paging_canonical(as, va) || !paging_canonical(as, last))
        return MEM_NOT_CANONICAL;
    if (last > as->last || va < PAGE_SIZE ||
        (va ^ last) >> (as->features->virt_bits - 1) & (LEVELS == 4))
        return MEM_OUT_OF_RANGE;
    return MEM_OK;
}

enum mem_err paging_check_flags(unsigned flags)
{
    return (flags & MAP_WRITE) && (flags & MAP_EXEC) ? MEM_WX : MEM_OK;
}

/* ---- tables ------------------------------------------------------------------------------- */

bool table_take(struct aspace *as, pfn_t *out)
{
    pfn_t frame = as->source.take(as->source.ctx);
    if (pfn_is_none(frame))
        return false;
    void *table = kmap(frame);
    memset(table, 0, PAGE_SIZE);
    kunmap(table);
    as->tables++;
    *out = frame;
    return true;
}

void table_give(struct aspace *as, pfn_t frame)
{
    as->tables--;
    as->source.give(as->source.ctx, frame);
}

/* Frees the tables on the way to va that have become empty, from the lowest up to the first that
 * is in use or pinned. They are unlinked and chained through *gone, for the caller to flush. */
void table_unlink_empty(struct aspace *as, vword_t va, pfn_t *gone)
{
    leaf_drop(as);
    for (unsigned level = 1; level < LEVELS; level++) {
        struct spot s = paging_descend(as, va, level);
        bool empty = s.level == level && live_count(s.table) == 0;
        bool above = s.level > level; /* the table is gone already: look one level up */
        kunmap(s.table);
        if (above)
            continue;
        if (!empty)
            return;

        struct spot parent = paging_descend(as, va, level + 1);
        entry_t e = parent.table[parent.index];
        if (e & ENTRY_PINNED) {
            kunmap(parent.table);
            return;
        }
        pfn_t frame = format_table_pfn(e);
        set_entry(parent.table, parent.index, 0);
        set_live_count(parent.table, live_count(parent.table) - 1);
        kunmap(parent.table);

        entry_t *table = kmap(frame);
        table[0] = (entry_t)gone->v;
        kunmap(table);
        *gone = frame;
    }
}

void table_give_chain(struct aspace *as, pfn_t gone)
{
    while (!pfn_is_none(gone)) {
        entry_t *table = kmap(gone);
        pfn_t next = PFN((vword_t)table[0]);
        kunmap(table);
        table_give(as, gone);
        gone = next;
    }
}

/* A user's page needs U on every level (SDM 3A 4.6), so all tables of a user's space have it. */
bool spot_extend(struct aspace *as, struct spot *s, vword_t va, unsigned level)
{
    while (s->level > level) {
        pfn_t frame;
        if (!table_take(as, &frame))
            return false;
        set_entry(s->table, s->index, format_table(frame, !as->kernel));
        set_live_count(s->table, live_count(s->table) + 1);
        kunmap(s->table);
        *s = (struct spot){kmap(frame), s->level - 1, level_index(va, s->level - 1), frame};
    }
    return true;
}

bool spot_reach(struct aspace *as, struct spot *s, vword_t va, unsigned level)
{
    if (!spot_extend(as, s, va, level))
        return false;
    if (level == 1)
        leaf_take(as, va, s);
    return true;
}

entry_t *table_reach(struct aspace *as, vword_t va, unsigned level)
{
    struct spot s = paging_descend(as, va, level);
    if (spot_extend(as, &s, va, level))
        return s.table;
    kunmap(s.table);
    return NULL;
}

/* Takes back every empty table in the range: after a reservation that failed. */
void table_prune(struct aspace *as, vword_t va, size_t bytes)
{
    pfn_t gone = PFN_NONE;
    while (bytes) {
        table_unlink_empty(as, va, &gone);
        size_t done = within_entry(va, 2, bytes);
        va += done;
        bytes -= done;
    }
    table_give_chain(as, gone);
}

/* ---- flushing ----------------------------------------------------------------------------- */

void paging_flush(struct aspace *as, vword_t va, size_t bytes)
{
    size_t pages = bytes >> PAGE_SHIFT;
    if (pages > FLUSH_SINGLY) {
        as->flushes++;
        platform_flush_all();
        return;
    }
    for (size_t i = 0; i < pages; i++) {
        as->flushes++;
        platform_flush_page(VA(va + (i << PAGE_SHIFT)));
    }
}
