/* SPDX-License-Identifier: MIT */
/*
 * museum_frames.c - mistakes about where things lie in physical memory.
 *
 * Every bit of these entries is as it should be; the address in them is not.
 */
#include <mem/kmap.h>

#include "layout.h"
#include "lib/string.h"
#include "mem/paging_format.h"
#include "museum_exhibit.h"

enum { LINKED_AT = 1 << 20 };

extern uint8_t boot_mbi[]; /* entry32.asm, entry64.asm */
extern uint32_t boot_mbi_address;
extern uint8_t kernel_text_start[], kernel_data_end[];

/* An array of entries is aligned to an entry, unless somebody says otherwise. */
static void plant_misaligned(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    void *root = kmap(paddr_pfn(k->aspace.root));
    memcpy(museum_yard + PAGE_SIZE / 2, root, PAGE_SIZE);
    kunmap(root);
    k->aspace.root = paddr_add(museum_yard_pa(), PAGE_SIZE / 2);
}
const struct exhibit misaligned_root = {"misaligned table",
                                        "the top-level table is an array without aligned(4096)",
                                        plant_misaligned, NULL};

static void plant_wrong_base(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    for (vaddr_t va = ptr_vaddr(kernel_text_start); va.v < ptr_vaddr(kernel_data_end).v;
         va = vaddr_add(va, PAGE_SIZE)) {
        vword_t e = entry_on_the_way(&k->aspace, va, MUSEUM_LEAF);
        if (e & ENTRY_PRESENT)
            spoil(&k->aspace, va, MUSEUM_LEAF, e - LINKED_AT, ~(vword_t)0);
    }
}
const struct exhibit wrong_base = {"wrong physical base",
                                   "the image is mapped from 0, and was loaded at 1 MiB",
                                   plant_wrong_base, NULL};

/* The image's table goes where the boot information lies, which is then read once more. */
static void plant_overwritten(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    pfn_t frame = paddr_pfn(PA(boot_mbi_address));
    void *there = kmap(frame);
    memcpy(there, boot_mbi, PAGE_SIZE);
    kunmap(there);
    vaddr_t text = ptr_vaddr(kernel_text_start);
    vword_t was = (vword_t)pfn_paddr(format_table_pfn(entry_on_the_way(&k->aspace, text, 2))).v;
    spoil(&k->aspace, text, 2, (vword_t)pfn_paddr(frame).v, was);
}
const struct exhibit overwritten_table = {
    "table overwritten", "the boot information was not reserved, and a table was put in its frame",
    plant_overwritten, NULL};
