/* SPDX-License-Identifier: MIT */
/*
 * heap.c - first fit by address with split and merge, behind bins and lists of small blocks.
 *
 * The held part of the window is tiled by blocks of whole units of 16 bytes, each with a header of
 * eight (heap_block.h). A small block that is freed goes into the bin of its exact size, unmerged,
 * and the next request of that size takes it: neither touches a neighbour. When the bins are full,
 * and for all larger or aligned blocks, freeing merges (heap_space.c). What is free is found again
 * by size up to a page (heap_lists.c), and by address above (heap_tree.c).
 *
 * Bins are granted half of what the heap grows by while half of it is live: no more than was live
 * at once, so blocks of sizes that nobody asks for any more cannot fill a heap again and again.
 * Each time it grows for a request one of them is merged, if what comes of it is small; when the
 * owner refuses, all are, before the call gives up. When the last live block is freed all the heap
 * is free, whatever waits: that is forgotten, and what the heap has grown by goes back to the
 * owner. H3 tells without a step on the common ways: bins are full by then, and what a free does
 * when they are begins with that question.
 *
 * What is promised of places: a request of more than a page (4096 bytes) gets the lowest free block
 * that is large enough, at its front. A smaller one gets, up to 1096 bytes, the block of its size
 * that was freed last, if it waits in its bin; else the smallest free block of at most a page that
 * is large enough; else the lowest of the others. When there is none, the memory behind all blocks.
 * An aligned request gets the lowest block that would do wherever it stood; before that a small one
 * of just its size, and when there is none, the lowest that may do, if they happen to be aligned.
 * A search for a block that bins take leaves up to CARVE more of its size, from behind it, in the
 * bin.
 *
 *   H1  blocks and wild memory tile the heap, and every header is intact.
 *   H2  the bins hold exactly the blocks in the state BINNED, each in the bin of its size.
 *   H3  it is known how many units wait in bins, by `room`, and how many are taken, by blocks that
 *       are live or wait, by `beyond`. No more wait than may, and OVERDRAFT; and once the heap has
 *       grown, fewer may than are taken.
 *   S1 to S4 in heap_space.c, L1, L2 in heap_lists.c, T1 to T4 in heap_tree.c: see heap_check.
 *
 * What is caught, by HEAP_HARDEN:
 *
 *   0   pointers that are misaligned or outside the heap
 *   1   + every free of what is no live block, and every header that was overwritten, when its
 *         block is freed, resized, given out or merged with; a word of other origin passes for a
 *         header once in 2^23 (a copied header in 2^15), one of another state or with one bit
 *         flipped never. Links of free blocks that do not agree with their neighbours
 *   2   + overruns by one byte on, when the block is freed or resized: a canary behind the payload
 *   3   + the header behind every block that is freed; freed memory is filled, and the fill is
 *         checked when it is given out again: writes after free. Costs grow with the block
 *
 * A call costs 51, 53, 54 instructions at levels 0 to 2 (seven recorded programs, x86_64), and some
 * thousands at level 3.
 *
 * Bounds. A call on a bin or on wild memory has no loop. The longest calls are these; L is the
 * number of the tree's levels (heap_tree.c): 3 in a heap of 2 MiB, 4 in 16 MiB, 5 in 128 MiB, 6 in
 * 1 GiB, 10 in 1 TiB.
 *
 *   to free      entry 20, the blocks on both sides looked at and joined 190; one of them leaves
 *                the tree, 30 L, and one that was loose comes into it, 32 + 12 L:     242 + 42 L
 *                or the other grows there:                                            280 + 42 L
 *                or is wild memory, and goes to the owner:                            312 + 34 L
 *                bins full: MERGE_BINS of them looked into, so for another:           85 more
 *                or little is taken: what may wait is counted anew, 120 more, and when memory
 *                went to the owner once more:                                         170 more
 *                no other block is live: both sides looked at, bins and the first record of the
 *                tree cleared, 560 and 64 bytes, and its levels taken away:           560 + 14 L
 *   to allocate  entry 40, a search and those that are loose 65 + 26 L, its block looked at and
 *                taken out of the tree 55 + 30 L, a rest of it into a list 60:        220 + 56 L
 *                a small one, no list has a block 60, CARVE more of its size 35:      310 + 56 L
 *                no list has a block 120, MERGE_BINS blocks that wait looked at and one merged in
 *                lists alone 305, growth 202 beside the owner's, a record 10, a level 25:    692
 *   aligned      as to allocate, but what is skipped goes into a list:                278 + 56 L
 *                to more than a page: it is large, and one that was loose gets there: 304 + 66 L
 *                two searches in vain, growth as above, what is skipped:              452 + 38 L
 *
 * So 700 are enough for each of them in a heap of up to 1 GiB. In 8 GiB a request that is aligned
 * to more than a page may take 766; in 1 TiB it is 964, a small one 870. Measured: up to 657 in
 * recorded programs, and in 1 GiB, in heaps built so that one call walks all of its ways and
 * changes each fork on them, 523 to free, 683 when little is taken, 642 to free the last one, 550
 * and 637 to allocate, 607 and 698 aligned, 683 and, aligned, 677 grown (with HAVE_CMOV: a level
 * costs 7 more without). Exceptions: growth by more than 1 MiB, ten more for each 256 KiB;
 * heap_trim, and a call that the owner refuses memory for (all bins are merged); heap_realloc where
 * it moves, which is both and a copy; reports, which walk the tiles to say what is wrong.
 */
#include "heap_bins.h"

enum {
    SMALL_SIZE_MAX = (LARGE - 1) * UNIT - HEADER, /* more is looked for in the tree        */
    CARVE = 2, /* blocks that a search leaves in the bin, beside the one asked for */
};

/* ---- allocating ----------------------------------------------------------------------------- */

/* The owner refuses: all that waits in bins is merged. */
[[gnu::cold, gnu::noinline]] static struct piece take_merged(struct heap *h, size_t align,
                                                             size_t units)
{
    merge_all(h);
    size_t front = skip_for(h->wild, align);
    (void)heap_space_grow(h, front + units); /* merging may have given memory back */
    struct piece p = space_search(h, align, units);
    return p.b ? p : skip_wild(h, front, take_wild(h, front + units));
}

/* Nothing else fits: from wild memory, behind units that are skipped; the owner is asked for it. */
static inline struct piece grow(struct heap *h, size_t align, size_t front, size_t units)
{
    return heap_space_grow(h, front + units) ? skip_wild(h, front, take_held(h, front + units))
                                             : take_merged(h, align, units);
}

/* What was to be given out is damaged. */
[[gnu::cold, gnu::noinline]] static void *refuse_block(struct heap *h, const void *p,
                                                       enum heap_fault fault, const void *caller)
{
    heap_report_damage(h, fault, p, caller);
    return refuse(h);
}

/* Any size that can fit: the piece that was found becomes a block. */
static inline void *alloc_piece(struct heap *h, struct piece p, size_t size, const void *caller)
{
    if (!p.b)
        return refuse(h);
    if (p.fault)
        return refuse_block(h, block_payload(p.b), p.fault, caller);
    return make_long(h, p.b, size, caller, p.flags);
}

/* The ways to a block, from the last resort to the first. Each ends in the next one by a jump, and
 * what it does not need itself it does not keep. */
[[gnu::noinline]] static void *alloc_grown(struct heap *h, size_t size, const void *caller)
{
    merge_one(h, LARGE); /* so that bins are not kept at the price of growth for long */
    return alloc_piece(h, grow(h, HEAP_ALIGN, 0, units_for(size)), size, caller);
}

[[gnu::noinline]] static void *alloc_wild(struct heap *h, size_t size, const void *caller)
{
    struct piece p = take_wild(h, units_for(size));
    return p.b ? alloc_piece(h, p, size, caller) : alloc_grown(h, size, caller);
}

/*
 * Behind a block that a bin could take, up to CARVE more of its size wait in their bin from now on,
 * so that not every one of a run pays for a search: as many as there is room for, in what is left
 * of the free block and in the bins.
 */
static inline size_t count_more(const struct heap *h, size_t rest, size_t size)
{
    if (size > BIN_SIZE_MAX)
        return 0;
    ptrdiff_t units = (ptrdiff_t)short_units(size);
    ptrdiff_t most = h->room < (ptrdiff_t)rest ? h->room : (ptrdiff_t)rest;
    size_t count = CARVE;
    for (ptrdiff_t need = CARVE * units; count && need > most; count--)
        need -= units;
    return count;
}

static inline void carve(struct heap *h, struct block *b, size_t count, size_t size)
{
    size_t units = short_units(size);
    void **bin = bin_for(h, size), *top = *bin;
    for (h->room -= (ptrdiff_t)(count * units); count; count--, b = block_at(b, units)) {
        block_seal(h, b, (uint64_t)size << SIZE_SHIFT, HEAP_BINNED);
        top = link_to(block_payload(b), top);
        fill(link_in(top) + 1, block_at(b, units));
    }
    *bin = top;
}

/* A small one from a block that was found, in a list or the tree, and up to CARVE more. */
[[gnu::always_inline]] static inline void *alloc_run(struct heap *h, struct found f, bool listed,
                                                     size_t size, const void *caller)
{
    enum heap_fault fault = listed ? look_at_listed(h, f) : look_at_large(h, f);
    if (fault)
        return refuse_block(h, block_payload(f.b), fault, caller);
    size_t units = short_units(size), more = count_more(h, f.units - units, size);
    note_taken(h, units + more * units);
    if (listed)
        cut_listed(h, f.b, f.units, units + more * units);
    else
        cut_large(h, f.b, f.units, units + more * units);
    if (more)
        carve(h, block_at(f.b, units), more, size);
    return make_live(h, f.b, size, caller, 0);
}

/* When no list has a block. */
[[gnu::noinline]] static void *alloc_treed(struct heap *h, size_t size, const void *caller)
{
    struct found f = find_large(h, short_units(size));
    return f.b ? alloc_run(h, f, false, size, caller) : alloc_wild(h, size, caller);
}

/* Up to a page, SMALL_SIZE_MAX. */
[[gnu::noinline]] static void *alloc_listed(struct heap *h, size_t size, const void *caller)
{
    size_t units = short_units(size);
    if (units << UNIT_SHIFT > h->below)
        return alloc_wild(h, size, caller);
    struct found f = list_find(h, units);
    return f.b ? alloc_run(h, f, true, size, caller) : alloc_treed(h, size, caller);
}

/* Above: always from the tree. */
[[gnu::noinline]] static void *alloc_searched(struct heap *h, size_t size, const void *caller)
{
    struct found f = find_large(h, units_for(size));
    if (!f.b)
        return alloc_wild(h, size, caller);
    return alloc_piece(h, take_from(h, f, 0, units_for(size), true), size, caller);
}

/* When there is something in them that could do. */
[[gnu::noinline]] static void *alloc_large(struct heap *h, size_t size, const void *caller)
{
    if (!can_fit(h, size))
        return refuse(h);
    return units_for(size) << UNIT_SHIFT > h->below ? alloc_wild(h, size, caller)
                                                    : alloc_searched(h, size, caller);
}

/* The bin has nothing that could be a block, but `top`: from wild memory, when no listed block can
 * be large enough. */
[[gnu::noinline]] static void *alloc_unbinned(struct heap *h, size_t size, const void *caller,
                                              const void *top, size_t units)
{
    size_t bytes = units << UNIT_SHIFT;
    if (top)
        return refuse_block(h, top, HEAP_WRITE_AFTER_FREE, caller);
    if (HEAP_HARDEN >= 3 || bytes <= h->below || bytes > h->wild_bytes)
        return alloc_listed(h, size, caller);
    return make_live(h, cut_wild(h, units), size, caller, 0);
}

/* From the bin, with all questions asked: the block stands behind a free one, or is damaged. */
[[gnu::noinline]] static void *alloc_binned(struct heap *h, size_t size, const void *caller)
{
    void **bin = bin_for(h, size), *p = *bin;
    struct block *b = block_of(p);
    uint64_t fields = block_open(h, b);
    if (!is_sound(fields, HEAP_BINNED))
        return refuse_block(h, p, HEAP_BAD_HEADER, caller);
    if (!leads_on(h, p, short_units(size)) ||
        !is_clean(link_in(p) + 1, block_at(b, short_units(size))))
        return refuse_block(h, p, HEAP_WRITE_AFTER_FREE, caller);
    *bin = next_in(p);
    h->room += (ptrdiff_t)short_units(size);
    return make_live(h, b, size, caller, fields & PREV);
}

void *heap_alloc(struct heap *h, size_t size, const void *caller)
{
    if (size - 1 >= BIN_SIZE_MAX)
        return size - 1 < SMALL_SIZE_MAX ? alloc_listed(h, size, caller)
                                         : alloc_large(h, size, caller);
    size_t units = short_units(size);
    void *p = h->bin[units];
    size_t offset = offset_of(h, p);
    if (offset >= h->span)
        return alloc_unbinned(h, size, caller, p, units);
    struct block *b = block_of(p);
    if (HEAP_HARDEN >= 3 || !is_plain_binned(opened(h, b->word, offset)))
        return alloc_binned(h, size, caller);
    h->bin[units] = *link_in(p);
    h->room += (ptrdiff_t)units;
    return make_live(h, b, size, caller, 0);
}

[[gnu::always_inline]] static inline void *alloc_aligned(struct heap *h, size_t align, size_t size,
                                                         const void *caller, bool large)
{
    size_t units = large ? units_for(size) : short_units(size);
    struct found f = find_aligned(h, align, units, large);
    struct piece p = f.b ? take_from(h, f, skip_for(f.b, align), units, large)
                         : grow(h, align, skip_for(h->wild, align), units);
    p.flags |= ALIGNED;
    return alloc_piece(h, p, size, caller);
}

[[gnu::noinline]] static void *alloc_aligned_small(struct heap *h, size_t align, size_t size,
                                                   const void *caller)
{
    return alloc_aligned(h, align, size, caller, false);
}

[[gnu::noinline, gnu::flatten]] static void *alloc_aligned_large(struct heap *h, size_t align,
                                                                 size_t size, const void *caller)
{
    return alloc_aligned(h, align, size, caller, true);
}

void *heap_alloc_aligned(struct heap *h, size_t align, size_t size, const void *caller)
{
    if (!can_fit(h, size) || align - 1 >= h->align_max || align & (align - 1))
        return refuse(h);
    if (align <= HEAP_ALIGN)
        return heap_alloc(h, size, caller);
    return size > SMALL_SIZE_MAX ? alloc_aligned_large(h, align, size, caller)
                                 : alloc_aligned_small(h, align, size, caller);
}

/* ---- freeing -------------------------------------------------------------------------------- */

/* So little is taken without it that it may be the last. */
[[gnu::noinline]] static enum heap_fault free_few(struct heap *h, struct block *b, size_t units,
                                                  bool prev, const void *caller)
{
    size_t withheld = h->withheld;
    note_given(h, units);
    bool last = heap_space_review(h, 0), forget = last && HEAP_HARDEN < 3;
    note_taken(h, units); /* not yet given */
    enum heap_fault fault = heap_space_release(h, b, units, prev, forget ? 0 : ANY);
    if (forget && fault == TOO_MUCH) {
        seal_free(h, b, 0); /* never again taken for a live one */
        heap_space_empty(h);
        return HEAP_OK;
    }
    if (fault) {
        withhold(h, withheld); /* as before */
        return heap_report_live(h, fault, b, caller);
    }
    if (last)
        heap_trim(h); /* what was written to shows when it is given out again */
    return HEAP_OK;
}

/* No block that a bin takes: it is large, or none at all, or its bin is full. */
[[gnu::noinline]] static enum heap_fault free_merged(struct heap *h, void *p, const void *caller,
                                                     uint64_t fields)
{
    struct block *b = block_of(p);
    if (!is_live(fields) || (HEAP_HARDEN >= 2 && !heap_end_is_intact(h, b, fields)))
        return heap_name_fault(h, p, caller);
    size_t units = units_for(live_size(fields));
    if (h->beyond < (ptrdiff_t)units)
        return free_few(h, b, units, fields & PREV, caller);
    struct around around;
    enum heap_fault fault = look_around(h, b, units, fields & PREV, &around);
    if (fault)
        return heap_report_live(h, fault, b, caller);
    note_given(h, units);
    return join(h, b, units, around);
}

/* Puts a live block of so many units into its bin; the room for it is taken. */
static inline enum heap_fault push(struct heap *h, void *p, size_t units)
{
    struct block *b = block_of(p);
    b->word += h->to_binned;
    h->bin[units] = link_to(p, h->bin[units]);
    fill(link_in(p) + 1, block_at(b, units));
    return HEAP_OK;
}

/* The bins are full: room is made by merging another block, which has waited longer; when that was
 * smaller once too often, or nothing else is live, this one. */
[[gnu::noinline]] static enum heap_fault free_over_full(struct heap *h, void *p, const void *caller,
                                                        uint64_t fields, size_t units)
{
    size_t withheld = h->withheld;
    bool last = false;
    if (h->beyond < 0 || withheld)
        last = heap_space_review(h, units);
    if (!last && h->room >= -OVERDRAFT) {
        if (h->room < 0)
            merge_one(h, ANY);
        if (h->beyond < 0)
            (void)heap_space_review(h, 0);
        return push(h, p, units);
    }
    h->room += (ptrdiff_t)units;
    enum heap_fault fault = free_merged(h, p, caller, fields);
    if (fault)
        withhold(h, withheld); /* as before */
    return fault;
}

enum heap_fault heap_free(struct heap *h, void *p, const void *caller)
{
    size_t before = units_to(h, p);
    if (before >= h->units)
        return heap_name_fault(h, p, caller);
    struct block *b = block_of(p); /* only now: before the heap there is nothing */
    uint64_t fields = opened(h, b->word, offset_behind(before));
    size_t size = short_size(fields);
    if (size > BIN_SIZE_MAX)
        return free_merged(h, p, caller, fields);
    if (HEAP_HARDEN >= 3 ? !heap_end_is_intact(h, b, fields)
                         : HEAP_HARDEN == 2 && ((uint8_t *)p)[size] != CANARY)
        return heap_name_fault(h, p, caller);
    size_t units = short_units(size);
    h->room -= (ptrdiff_t)units;
    return h->room < 0 ? free_over_full(h, p, caller, fields, units) : push(h, p, units);
}

[[gnu::cold]] void heap_trim(struct heap *h)
{
    merge_all(h);
    heap_space_trim(h, 0);
}
