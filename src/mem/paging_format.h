/* SPDX-License-Identifier: MIT */
/*
 * paging_format.h - what a page-table entry looks like; paging32.c and paging64.c implement it.
 *
 * An entry is one machine word on both targets, so the geometry follows from its size: 1024
 * entries and two levels, or 512 and four (SDM 3A 4.3, 4.5). Level 1 holds 4 KiB pages.
 * Bits 9 to 11 are ours in every entry, present or not; bit 8 too in an entry that points to a
 * table.
 */
#ifndef MEM_PAGING_FORMAT_H
#define MEM_PAGING_FORMAT_H

#include <mem/paging.h>

typedef vword_t entry_t;

enum {
    ENTRY_LOG2 = sizeof(entry_t) == 4 ? 2 : 3,
    INDEX_BITS = PAGE_SHIFT - ENTRY_LOG2,
    ENTRIES = 1 << INDEX_BITS,
    LEVELS = sizeof(entry_t) == 4 ? 2 : 4,
};

#define ENTRY_PRESENT   ((entry_t)1 << 0)
#define ENTRY_WRITE     ((entry_t)1 << 1)
#define ENTRY_USER      ((entry_t)1 << 2)
#define ENTRY_PWT       ((entry_t)1 << 3)
#define ENTRY_PCD       ((entry_t)1 << 4)
#define ENTRY_ACCESSED  ((entry_t)1 << 5)
#define ENTRY_DIRTY     ((entry_t)1 << 6)
#define ENTRY_LARGE     ((entry_t)1 << 7) /* PS, above level 1  */
#define ENTRY_PAT_4K    ((entry_t)1 << 7) /* PAT, at level 1    */
#define ENTRY_GLOBAL    ((entry_t)1 << 8) /* in a leaf          */
#define ENTRY_PINNED    ((entry_t)1 << 8) /* in a table pointer: ours (ignored by the CPU) */
#define ENTRY_OURS      ((entry_t)7 << 9) /* three bits of the table's live count           */
#define ENTRY_PAT_LARGE ((entry_t)1 << 12)

#define ENTRY_ADDRESS   ((entry_t)((1ull << 52) - PAGE_SIZE)) /* on i386: all that an entry has */

/* Bytes that one entry of a level covers; 2^32 of i386's root do not fit a word, so level <=
 * LEVELS. */
static inline unsigned level_shift(unsigned level)
{
    return PAGE_SHIFT + (level - 1) * INDEX_BITS;
}

static inline vword_t level_bytes(unsigned level)
{
    return (vword_t)1 << level_shift(level);
}

static inline unsigned level_index(vword_t va, unsigned level)
{
    return (va >> level_shift(level)) & (ENTRIES - 1);
}

static inline bool entry_is_leaf(unsigned level, entry_t e)
{
    return level == 1 || (e & ENTRY_LARGE);
}

/* Cache type -> PAT PCD PWT (PAGING_PAT_VALUE in paging.h). Without PAT, WC becomes UC. */
static inline entry_t entry_cache_bits(const struct paging_features *f, unsigned level,
                                       unsigned flags)
{
    entry_t pat = level == 1 ? ENTRY_PAT_4K : ENTRY_PAT_LARGE;
    switch (flags & MAP_CACHE_MASK) {
    case MAP_CACHE_WT:
        return ENTRY_PWT;
    case MAP_CACHE_UC:
        return ENTRY_PCD | ENTRY_PWT;
    case MAP_CACHE_WC:
        return f->pat ? pat : ENTRY_PCD | ENTRY_PWT;
    default:
        return 0;
    }
}

/* And back. The upper half of the PAT differs from the lower in its first entry alone. */
static inline unsigned entry_cache_type(const struct paging_features *f, unsigned level, entry_t e)
{
    entry_t pat = level == 1 ? ENTRY_PAT_4K : ENTRY_PAT_LARGE;
    if (f->pat && (e & (pat | ENTRY_PCD | ENTRY_PWT)) == pat)
        return MAP_CACHE_WC;
    if (e & ENTRY_PCD)
        return MAP_CACHE_UC;
    return e & ENTRY_PWT ? MAP_CACHE_WT : MAP_CACHE_WB;
}

/* A leaf at `level`; `flags` are checked already. */
entry_t format_leaf(const struct paging_features *f, unsigned level, paddr_t pa, unsigned flags);

/* An entry that points to a table. */
entry_t format_table(pfn_t table, bool user);

static inline paddr_t format_leaf_pa(unsigned level, entry_t e)
{
    return PA(e & ENTRY_ADDRESS & ~(level_bytes(level) - 1));
}

static inline pfn_t format_table_pfn(entry_t e)
{
    return PFN((e & ENTRY_ADDRESS) >> PAGE_SHIFT);
}

/* What the entry allows by itself: in a table pointer, what it lets through. */
unsigned format_flags(const struct paging_features *f, unsigned level, entry_t e);

/* The bits that are set although this CPU requires them to be zero (SDM 3A tables 4-4 to 4-20). */
entry_t format_reserved_bits(const struct paging_features *f, unsigned level, entry_t e);

static inline bool format_reserved(const struct paging_features *f, unsigned level, entry_t e)
{
    return format_reserved_bits(f, level, e) != 0;
}

/* Can a page of this level exist on this CPU? */
bool format_has_large(const struct paging_features *f, unsigned level);

#endif
