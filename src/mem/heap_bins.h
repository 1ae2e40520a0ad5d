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
    SINGLE_SIZE_MAX = UNIT - HEADER,
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

/* A block of one unit that waits: is there anything to join it with? */
static inline bool is_single(uint64_t fields)
{
    return fields >> CHECK_SHIFT == HEAP_BINNED && short_size(fields & FIELDS) <= SINGLE_SIZE_MAX;
}

static inline bool can_join(const struct heap *h, const struct block *b, uint64_t fields)
{
    const struct block *next = block_at(b, 1);
    return fields & PREV || space_is_free(h, next) || is_single(block_open(h, next));
}

/* Single units go on waiting where they stand alone: no list would hold them. Those that do join
 * may leave one more behind that can. True: some did. */
static inline bool merge_singles(struct heap *h)
{
    bool merged = false;
    void *before = NULL;
    for (size_t most = h->units; most; most--) { /* a ring must end, too */
        void **at = before ? link_in(before) : &h->bin[1], *p = *at;
        if (offset_of(h, p) >= h->span)
            break;
        uint64_t fields = block_open(h, block_of(p));
        if (!is_single(fields))
            break;
        if (!can_join(h, block_of(p), fields)) {
            before = p;
            continue;
        }
        if (!merge_top(h, at, ANY))
            break;
        merged = true;
        if (before)
            link_to(before, *at);
    }
    return merged;
}

/* Merges all that wait and are intact. */
[[gnu::cold, gnu::noinline]] static void merge_all(struct heap *h)
{
    for (unsigned units = HEAP_BIN_UNITS; units > 1; units--) {
        while (merge_top(h, &h->bin[units], ANY))
            ;
    }
    while (merge_singles(h))
        ;
    (void)heap_space_review(h, 0);
}

#endif
