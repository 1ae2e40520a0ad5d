/* SPDX-License-Identifier: MIT */
/*
 * paging_table.h - one page table in hand: its entries, its live count, the way down to it.
 * Private to paging*.c.
 */
#ifndef MEM_PAGING_TABLE_H
#define MEM_PAGING_TABLE_H

#include <mem/kmap.h>

#include "paging_format.h"

/* Where a descent ended: `table` is kmapped, at `level`, holding entry `index`. */
struct spot {
    entry_t *table;
    unsigned level, index;
    pfn_t frame; /* of the table */
};

/*
 * A table's live count, 0 to 1024, lies in our three bits of its first four entries: no memory
 * elsewhere, no scan, and it moves with the table. While a level-1 table is in hand (as->leaf), its
 * count is there instead: one instruction to change, and written to the table once.
 */
enum { COUNT_ENTRIES = 4 };

static inline unsigned live_count(const entry_t *t)
{
    return (unsigned)((t[0] >> 9 & 7) | (t[1] >> 9 & 7) << 3 | (t[2] >> 9 & 7) << 6 |
                      (t[3] >> 9 & 7) << 9);
}

static inline void set_live_count(entry_t *t, unsigned count)
{
    for (unsigned i = 0; i < 4; i++)
        t[i] = (t[i] & ~ENTRY_OURS) | (entry_t)(count >> 3 * i & 7) << 9;
}

/* Writes an entry and leaves our bits of it alone. */
static inline void set_entry(entry_t *t, unsigned index, entry_t e)
{
    t[index] = (t[index] & ENTRY_OURS) | (e & ~ENTRY_OURS);
}

/* `count` entries from e on, each `step` above the one before; 0 and 0 clear them. */
static inline void write_entries(entry_t *t, unsigned index, unsigned count, entry_t e,
                                 entry_t step)
{
    for (; count && index < COUNT_ENTRIES; index++, count--, e += step)
        set_entry(t, index, e);
    entry_t *at = t + index;
    for (; count >= 8; count -= 8, at += 8) {
        at[0] = e, e += step;
        at[1] = e, e += step;
        at[2] = e, e += step;
        at[3] = e, e += step;
        at[4] = e, e += step;
        at[5] = e, e += step;
        at[6] = e, e += step;
        at[7] = e, e += step;
    }
    for (; count; count--, e += step)
        *at++ = e;
}

static inline entry_t table_entry(pfn_t table, unsigned index)
{
    entry_t *entries = kmap(table);
    entry_t e = entries[index];
    kunmap(entries);
    return e;
}

/* Down to `stop`, or to the leaf or the absent entry above it. The caller kunmaps s.table. */
struct spot paging_descend(const struct aspace *as, vword_t va, unsigned stop);

/* ---- the level-1 table in hand --------------------------------------------------------------- */

/* Pages of so many bytes; what is no multiple of a page becomes a huge number. */
static inline vword_t in_pages(vword_t bytes)
{
    return bytes >> PAGE_SHIFT | bytes << (8 * sizeof bytes - PAGE_SHIFT);
}

/* Which entry of it serves va: below leaf->entries only if va is page-aligned and one does. */
static inline vword_t leaf_index(const struct paging_leaf *leaf, vword_t va)
{
    return in_pages(va - leaf->start);
}

static inline bool leaf_covers(const struct paging_leaf *leaf, vword_t va, size_t bytes)
{
    vword_t index = leaf_index(leaf, va);
    return index < leaf->entries && in_pages(bytes) - 1 < leaf->entries - index;
}

/* Takes the level-1 table that serves va in hand, if there is one. */
void leaf_find(struct aspace *as, vword_t va);

/* Lets it go: the count into the table, the pointer back. Before any table goes away. */
void leaf_drop(struct aspace *as);

/* Takes the level-1 table of s, which serves va, in hand: it is kmapped until leaf_drop. */
void leaf_take(struct aspace *as, vword_t va, const struct spot *s);

/* What map_page has to know of pages with these flags, checked already. */
void leaf_set_flags(struct aspace *as, unsigned flags);

/*
 * As paging_descend to level 1, but a level-1 table stays in hand for the next time. Give the spot
 * to spot_done.
 */
struct spot spot_at(struct aspace *as, vword_t va);

static inline bool spot_in_hand(const struct aspace *as, const struct spot *s)
{
    return s->level == 1 && as->leaf.table == s->table;
}

static inline void spot_done(const struct aspace *as, const struct spot *s)
{
    if (!spot_in_hand(as, s))
        kunmap(s->table);
}

static inline unsigned spot_live(const struct aspace *as, const struct spot *s)
{
    return spot_in_hand(as, s) ? (unsigned)as->leaf.live : live_count(s->table);
}

static inline void spot_set_live(struct aspace *as, const struct spot *s, unsigned count)
{
    if (spot_in_hand(as, s))
        as->leaf.live = count;
    else
        set_live_count(s->table, count);
}

/* Bits above the virtual width all equal? */
static inline bool paging_canonical(const struct aspace *as, vword_t va)
{
    unsigned unused = 8 * sizeof va - as->features->virt_bits;
    return (vword_t)((intptr_t)(va << unused) >> unused) == va;
}

/* ---- checks that every call begins with, in the order that paging.c states ------------------ */

/* [va, va + bytes): page-aligned, not empty, not the null page, in one canonical half. */
enum mem_err paging_check_virtual(const struct aspace *as, vword_t va, size_t bytes);
enum mem_err paging_check_flags(unsigned flags);

/* ---- tables --------------------------------------------------------------------------------- */

/* A zeroed table from the frame source; false: there is none. */
bool table_take(struct aspace *as, pfn_t *out);
void table_give(struct aspace *as, pfn_t frame);

/*
 * Goes on from s down to `level`, making the tables that are missing. False: no frame; what was
 * made on the way is empty, and the caller prunes it. s.table is kmapped either way.
 */
bool spot_extend(struct aspace *as, struct spot *s, vword_t va, unsigned level);

/* The same from spot_at: a level-1 table is then in hand. */
bool spot_reach(struct aspace *as, struct spot *s, vword_t va, unsigned level);

/* The table that holds va's entry of `level`, kmapped, made with all above it; NULL: no frame. */
entry_t *table_reach(struct aspace *as, vword_t va, unsigned level);

/*
 * Unlinks the tables on the way to va that have become empty, up to the first that is in use or
 * pinned, and chains them through *gone: flush, then table_give_chain.
 */
void table_unlink_empty(struct aspace *as, vword_t va, pfn_t *gone);
void table_give_chain(struct aspace *as, pfn_t gone);

/* map_page and unmap_page when the table in hand, or what it knows, does not do. */
enum mem_err map_page_elsewhere(struct aspace *as, vaddr_t va, paddr_t pa, unsigned flags);
enum mem_err unmap_page_elsewhere(struct aspace *as, vaddr_t va, paddr_t *pa);

/* Takes back every empty table in the range: after a reservation that failed. */
void table_prune(struct aspace *as, vword_t va, size_t bytes);

/* One flush for a range: singly up to 32 pages, else everything. */
void paging_flush(struct aspace *as, vword_t va, size_t bytes);

/* ---- runs of entries ------------------------------------------------------------------------ */

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes from va to the end of what one entry of `level` covers, at most `left`. */
static inline size_t within_entry(vword_t va, unsigned level, size_t left)
{
    vword_t unit = level_bytes(level);
    return least(unit - (va & (unit - 1)), left);
}

/* Entries of spot's table, from its index on, that [va, va + left) touches. */
static inline unsigned run_length(const struct spot *s, vword_t va, size_t left)
{
    unsigned room = ENTRIES - s->index;
    vword_t inside = va & (level_bytes(s->level) - 1);
    size_t whole = ((left - 1 + inside) >> level_shift(s->level)) + 1; /* va + left wraps not */
    return (unsigned)least(whole, room);
}

/* Bytes from va to the end of the entry `run - 1` further on, at most `left`. */
static inline size_t run_bytes(const struct spot *s, vword_t va, unsigned run, size_t left)
{
    size_t first = within_entry(va, s->level, left);
    return run < 2 ? first : least(first + ((size_t)(run - 1) << level_shift(s->level)), left);
}

/* How many of `count` entries come before the first whose bits in `mask` are not `wanted`: all of
 * them or none. */
static inline unsigned same_run(const entry_t *t, unsigned count, entry_t mask, entry_t wanted)
{
    const entry_t *at = t, *end = t + count;
    for (; end - at >= 8; at += 8) {
        entry_t any = at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7];
        entry_t all = at[0] & at[1] & at[2] & at[3] & at[4] & at[5] & at[6] & at[7];
        if (((wanted ? all : any) & mask) != wanted)
            break;
    }
    while (at < end && (*at & mask) == wanted)
        at++;
    return (unsigned)(at - t);
}

#endif
