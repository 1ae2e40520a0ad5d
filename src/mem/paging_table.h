/* SPDX-License-Identifier: MIT */
/*
 * paging_table.h - one page table in hand: its entries, its live count, the way down to it.
 * Private to paging*.c.
 */
#ifndef MEM_PAGING_TABLE_H
#define MEM_PAGING_TABLE_H

#include <mem/kmap.h>

#include "paging_format.h"

/* Where a descent ended: `table` is kmapped (kunmap it), at `level`, holding entry `index`. */
struct spot {
    entry_t *table;
    unsigned level, index;
};

/*
 * A table's live count, 0 to 1024, lies in our three bits of its first four entries: no memory
 * elsewhere, no scan, and it moves with the table.
 */
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

static inline entry_t table_entry(pfn_t table, unsigned index)
{
    entry_t *entries = kmap(table);
    entry_t e = entries[index];
    kunmap(entries);
    return e;
}

/* Down to `stop`, or to the leaf or the absent entry above it. */
struct spot paging_descend(const struct aspace *as, vword_t va, unsigned stop);

/* Bits above the virtual width all equal? */
static inline bool paging_canonical(const struct aspace *as, vword_t va)
{
    unsigned shift = as->features->virt_bits - 1;
    vword_t high = va >> shift;
    return as->features->virt_bits >= 8 * sizeof va || high == 0 || high == ~(vword_t)0 >> shift;
}

/* ---- checks that every call begins with, in the order that paging.c states ------------------ */

/* [va, va + bytes): page-aligned, not empty, not the null page, in one canonical half. */
enum mem_err paging_check_virtual(const struct aspace *as, vword_t va, size_t bytes);
enum mem_err paging_check_flags(unsigned flags);

/* ---- tables --------------------------------------------------------------------------------- */

/* A zeroed table from the frame source; false: there is none. */
bool table_take(struct aspace *as, pfn_t *out);
void table_give(struct aspace *as, pfn_t frame);

/* True when entries on the way to va must carry the user bit (SDM 3A 4.6). */
bool paging_is_user(const struct aspace *as, vword_t va);

/*
 * The table that holds va's entry of `level`, kmapped, made with all above it. NULL: no frame;
 * what was made on the way is empty, and the caller prunes it.
 */
entry_t *table_reach(struct aspace *as, vword_t va, unsigned level);

/*
 * Unlinks the tables on the way to va that have become empty, up to the first that is in use or
 * pinned, and chains them through *gone: flush, then table_give_chain.
 */
void table_unlink_empty(struct aspace *as, vword_t va, pfn_t *gone);
void table_give_chain(struct aspace *as, pfn_t gone);

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

/* How many entries of spot's table, from its index on, the next `left` bytes use. */
static inline unsigned run_length(const struct spot *s, size_t left)
{
    size_t whole = (left + (level_bytes(s->level) - 1)) >> level_shift(s->level);
    return (unsigned)least(whole, ENTRIES - s->index);
}

#endif
