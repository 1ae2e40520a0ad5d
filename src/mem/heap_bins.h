/* SPDX-License-Identifier: MIT */
/*
 * heap_bins.h - the bins of small blocks that wait unmerged, and how they are merged after all.
 * Private to heap.c, which has the essay.
 */
#ifndef MEM_HEAP_BINS_H
#define MEM_HEAP_BINS_H

#include "heap_join.h"

enum {
    BIN_SIZE_MAX = HEAP_BIN_UNITS * UNIT - HEADER, /* bytes; more never waits in a bin */
    MERGE_BINS = 4, /* bins that one call looks into for a block to merge */
};

/* The bin for blocks of that size in bytes. */
static inline void **bin_for(struct heap *h, size_t size)
{
    return &h->bin[short_units(size)];
}

/* Puts a binned block before the one that was on top of the bin, if there was one. */
static inline void *link_to(void *payload, void *top)
{
    *link_in(payload) = HEAP_HARDEN >= 3 && !top ? BIN_END : top;
    return payload;
}

/* Level 3: does a block that is first in its bin lead to one of as many units? */
static inline bool leads_on(const struct heap *h, void *payload, size_t units)
{
    void *next = next_in(payload);
    if (HEAP_HARDEN < 3 || *link_in(payload) == BIN_END)
        return true;
    uintptr_t behind = (uintptr_t)next - h->first;
    if (behind >= h->units << UNIT_SHIFT || behind % UNIT)
        return false;
    struct view v = block_view(h, block_of(next));
    return v.state == HEAP_BINNED && v.units == units;
}

/* Merges the block on top of a bin into less than `below` units; false: it is damaged, there is
 * none, or too much is free around it. */
static inline bool merge_top(struct heap *h, void **bin, size_t below)
{
    void *p = *bin;
    if (offset_of(h, p) >= h->span)
        return false;
    struct block *b = block_of(p);
    void *next = next_in(p);
    uint64_t fields = block_open(h, b);
    size_t units = short_units((size_t)(fields >> SIZE_SHIFT) & SIZE_LOW);
    if (!is_sound(fields, HEAP_BINNED) || !leads_on(h, p, units) ||
        !is_clean(link_in(p) + 1, block_at(b, units)) ||
        heap_space_release(h, b, units, fields & PREV, below))
        return false;
    *bin = next;
    h->room += (ptrdiff_t)units;
    return true;
}

static inline size_t bin_after(size_t bin)
{
    return bin ? bin - 1 : HEAP_BIN_UNITS;
}

/* Does so with one block that waits, the first in the next few bins, if it can; large ones come
 * first. One is looked at, no more. */
static inline void merge_one(struct heap *h, size_t below)
{
    size_t bin = h->merge_next;
    for (unsigned i = 1; i < MERGE_BINS && !h->bin[bin]; i++)
        bin = bin_after(bin);
    h->merge_next = merge_top(h, &h->bin[bin], below) ? bin : bin_after(bin);
}

/* Merges all that wait and are intact. */
[[gnu::cold, gnu::noinline]] static void merge_all(struct heap *h)
{
    for (unsigned units = HEAP_BIN_UNITS; units; units--) {
        while (merge_top(h, &h->bin[units], ANY))
            ;
    }
    (void)heap_space_review(h);
}

#endif
