/* SPDX-License-Identifier: MIT */
/* physmap_kmap.c - the kmap window: its one page table is part of the kernel image, for good. */
#include "physmap.h"

#include <mem/kmap.h>

#include "layout.h"

extern uint8_t kmap_table[]; /* entry32.asm, entry64.asm */

const struct physmap physmap = {
    .name = "kmap window",
    .start = KMAP_START,
    .bytes = (vword_t)KMAP_SLOTS * PAGE_SIZE,
};

void physmap_start(void)
{
    physmap_init(VA(KMAP_START), kmap_table, KMAP_SLOTS);
}

enum mem_err physmap_build(struct aspace *as, const struct bootmap *map, paddr_t text,
                           paddr_t text_end)
{
    (void)map;
    (void)text;
    (void)text_end;
    return paging_adopt(as, VA(KMAP_START), paddr_pfn(PA((vword_t)kmap_table - KERNEL_OFFSET)));
}
