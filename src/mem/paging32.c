/* SPDX-License-Identifier: MIT */
/*
 * paging32.c - 32-bit entries, two levels, no PAE (SDM 3A 4.3).
 *
 *   PDE, PS = 1   31..22 frame | 21..13 zero (PSE-36 is not used) | 12 PAT | ours | G PS D A PCD
 * PWT U W P PDE, PS = 0   31..12 table                                            | ours | pin - -
 * A PCD PWT U W P PTE           31..12 frame                                            | ours | G
 * PAT D A PCD PWT U W P
 *
 * There is no execute-disable bit: everything that is mapped can be executed.
 */
#include "paging_format.h"

bool format_has_large(const struct paging_features *f, unsigned level)
{
    return level == 2 && f->pse;
}

entry_t format_leaf(const struct paging_features *f, unsigned level, paddr_t pa, unsigned flags)
{
    return (entry_t)pa.v | ENTRY_PRESENT | (flags & MAP_WRITE ? ENTRY_WRITE : 0) |
           (flags & MAP_USER ? ENTRY_USER : 0) | (flags & MAP_GLOBAL && f->pge ? ENTRY_GLOBAL : 0) |
           (level > 1 ? ENTRY_LARGE : 0) | entry_cache_bits(f, level, flags);
}

entry_t format_table(pfn_t table, bool user)
{
    return (entry_t)table.v << PAGE_SHIFT | ENTRY_PRESENT | ENTRY_WRITE | (user ? ENTRY_USER : 0);
}

unsigned format_flags(const struct paging_features *f, unsigned level, entry_t e)
{
    unsigned flags = MAP_EXEC | (e & ENTRY_WRITE ? MAP_WRITE : 0) | (e & ENTRY_USER ? MAP_USER : 0);
    if (entry_is_leaf(level, e))
        flags |= (e & ENTRY_GLOBAL && f->pge ? MAP_GLOBAL : 0) | entry_cache_type(f, level, e);
    return flags;
}

entry_t format_reserved_bits(const struct paging_features *f, unsigned level, entry_t e)
{
    if (level == 1)
        return f->pat ? 0 : e & ENTRY_PAT_4K;
    if (!(e & ENTRY_LARGE) || !f->pse)
        return 0; /* without PSE the bit is ignored */
    return e & (0x003fe000 | (f->pat ? 0 : ENTRY_PAT_LARGE));
}
