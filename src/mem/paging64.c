/* SPDX-License-Identifier: MIT */
/*
 * paging64.c - 64-bit entries, four levels (SDM 3A 4.5).
 *
 *   leaf, level 1      63 NX | 51..12 frame             | ours | G PAT D A PCD PWT U W P
 *   leaf, level 2, 3   63 NX | 51..21 or 51..30 | 12 PAT | ours | G  PS D A PCD PWT U W P
 *   table pointer      63 NX | 51..12 table             | ours | pin - - A PCD PWT U W P
 */
#include "paging_format.h"

#define NX ((entry_t)1 << 63)

bool format_has_large(const struct paging_features *f, unsigned level)
{
    return level == 2 || (level == 3 && f->gib_pages);
}

entry_t format_leaf(const struct paging_features *f, unsigned level, paddr_t pa, unsigned flags)
{
    return (entry_t)pa.v | ENTRY_PRESENT | (flags & MAP_WRITE ? ENTRY_WRITE : 0) |
           (flags & MAP_USER ? ENTRY_USER : 0) | (flags & MAP_GLOBAL && f->pge ? ENTRY_GLOBAL : 0) |
           (level > 1 ? ENTRY_LARGE : 0) | (!(flags & MAP_EXEC) && f->nx ? NX : 0) |
           entry_cache_bits(f, level, flags);
}

entry_t format_table(pfn_t table, bool user)
{
    return (entry_t)table.v << PAGE_SHIFT | ENTRY_PRESENT | ENTRY_WRITE | (user ? ENTRY_USER : 0);
}

unsigned format_flags(const struct paging_features *f, unsigned level, entry_t e)
{
    unsigned flags = (e & NX && f->nx ? 0 : MAP_EXEC) | (e & ENTRY_WRITE ? MAP_WRITE : 0) |
                     (e & ENTRY_USER ? MAP_USER : 0);
    if (entry_is_leaf(level, e))
        flags |= (e & ENTRY_GLOBAL && f->pge ? MAP_GLOBAL : 0) | entry_cache_type(f, level, e);
    return flags;
}

/* Bits from the physical width to 51, NX where there is none, PS where there are no such pages. */
entry_t format_reserved_bits(const struct paging_features *f, unsigned level, entry_t e)
{
    entry_t too_high = e & ENTRY_ADDRESS & ~(((entry_t)1 << f->phys_bits) - 1);
    entry_t bits = too_high | (f->nx ? 0 : e & NX);
    if (bits || level == 1 || !(e & ENTRY_LARGE))
        return bits;
    if (!format_has_large(f, level))
        return ENTRY_LARGE;
    entry_t below = level_bytes(level) - 1;
    return e & ENTRY_ADDRESS & below & ~ENTRY_PAT_LARGE;
}
