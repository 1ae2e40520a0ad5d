/* SPDX-License-Identifier: MIT */
/*
 * kmap.c - a window of page-table slots at the top of the address space.
 *
 *   W1  a slot's entry is present exactly when its bit in `busy` is set.
 *   W2  odd slots are never used: an overrun of a mapped page faults.
 *   W3  a slot that is not busy has no translation in the TLB: kunmap flushes.
 *
 * Finding a slot is one bit scan a word. Interrupts are off while a slot changes hands, so a
 * handler may use the window too; it must give back what it took before it returns.
 */
#include <mem/kmap.h>

#include <platform.h>

#include "paging_format.h"

enum { SLOTS_MAX = 512, WORD_BITS = 32 }; /* usable slots: half of 1024 */

static struct window {
    vword_t window;
    entry_t *table;
    unsigned slots;
    uint32_t busy[SLOTS_MAX / WORD_BITS];
    const void *caller[SLOTS_MAX];
    struct kmap_stats stats;
} kmaps;

void physmap_init(vaddr_t window, void *table, size_t entries)
{
    unsigned slots = (unsigned)entries / 2;
    kmaps = (struct window){
        .window = window.v, .table = table, .slots = slots, .stats = {.slots = slots}};
}

static vaddr_t slot_address(unsigned slot)
{
    return VA(kmaps.window + ((vword_t)slot << (PAGE_SHIFT + 1)));
}

static unsigned find_slot(void)
{
    for (unsigned word = 0; word < kmaps.slots / WORD_BITS; word++) {
        if (~kmaps.busy[word])
            return word * WORD_BITS + (unsigned)__builtin_ctz(~kmaps.busy[word]);
    }
    platform_panic("W1: all %u kmap slots are in use; the oldest was taken at %p", kmaps.slots,
                   kmaps.caller[0]);
}

void *kmap(pfn_t frame)
{
    vword_t irq = platform_irq_save();
    unsigned slot = find_slot();
    kmaps.busy[slot / WORD_BITS] |= 1u << slot % WORD_BITS;
    kmaps.caller[slot] = __builtin_return_address(0);
    kmaps.table[2 * slot] = ((entry_t)frame.v << PAGE_SHIFT) | ENTRY_PRESENT | ENTRY_WRITE |
                            ENTRY_ACCESSED | ENTRY_DIRTY;
    if (++kmaps.stats.live > kmaps.stats.peak)
        kmaps.stats.peak = kmaps.stats.live;
    platform_irq_restore(irq);
    return vaddr_ptr(slot_address(slot));
}

static bool is_busy(vword_t offset, unsigned *slot)
{
    *slot = (unsigned)(offset >> (PAGE_SHIFT + 1));
    return !(offset >> PAGE_SHIFT & 1) && *slot < kmaps.slots &&
           kmaps.busy[*slot / WORD_BITS] >> *slot % WORD_BITS & 1;
}

void kunmap(const void *ptr)
{
    vword_t irq = platform_irq_save();
    unsigned slot;
    bool held = is_busy(ptr_vaddr(ptr).v - kmaps.window, &slot);
    if (held) {
        kmaps.table[2 * slot] = 0;
        platform_flush_page(slot_address(slot));
        kmaps.busy[slot / WORD_BITS] &= ~(1u << slot % WORD_BITS);
        kmaps.stats.live--;
    } else {
        kmaps.stats.refused++;
    }
    platform_irq_restore(irq);
    if (!held)
        platform_complain("kunmap of %p, which is not mapped in the window, from %p", ptr,
                          __builtin_return_address(0));
}

void kmap_stats(struct kmap_stats *out)
{
    *out = kmaps.stats;
}

void kmap_each_live(void (*report)(unsigned slot, pfn_t frame, const void *caller, void *ctx),
                    void *ctx)
{
    for (unsigned slot = 0; slot < kmaps.slots; slot++) {
        if (kmaps.busy[slot / WORD_BITS] >> slot % WORD_BITS & 1)
            report(slot, PFN(kmaps.table[2 * slot] >> PAGE_SHIFT), kmaps.caller[slot], ctx);
    }
}
