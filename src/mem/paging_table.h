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

/* Down to `stop`, or to the leaf or the absent entry above it. */
struct spot paging_descend(const struct aspace *as, vword_t va, unsigned stop);

#endif
