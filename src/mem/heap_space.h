/* SPDX-License-Identifier: MIT */
/*
 * heap_space.h - taking units of free memory. Private to heap*.c; heap_space.c has the essay and
 * what is rare. What most calls end in stands here, to be inlined.
 */
#ifndef MEM_HEAP_SPACE_H
#define MEM_HEAP_SPACE_H

#include "heap_lists.h"
#include "heap_tree.h"

#define ANY (~(size_t)0) /* more units than there are */
enum {
    SHARE_LOG = 1,                  /* half of the heap may wait in bins at best, */
    OVERDRAFT = 4 * HEAP_BIN_UNITS, /* and so many units more for a while;     */
    ENOUGH = OVERDRAFT + 1,         /* with so many more, some block is live   */
};

/* Free memory for a block, and its FLAGS; or what is wrong with it. */
struct piece {
    struct block *b; /* NULL: nothing fits */
    uint64_t flags;
    enum heap_fault fault; /* then nothing has changed */
};

/* What every call that cannot be done ends in. */
static inline void *refuse(struct heap *h)
{
    h->stats.refused++;
    return NULL;
}

/* Is it a size that can fit at all, and that a header can tell? */
static inline bool can_fit(const struct heap *h, size_t size)
{
    return size - 1 < h->largest;
}

/* Level 3: was free memory written to? */
static inline bool is_clean(const void *from, const void *to)
{
    return HEAP_HARDEN < 3 || heap_is_filled(from, to);
}

/* Units that may wait in bins. */
static inline size_t space_share(const struct heap *h)
{
    return h->granted - h->withheld;
}

/* Units of blocks that are live or wait in bins. */
static inline size_t space_taken(const struct heap *h)
{
    return (size_t)(h->beyond + ENOUGH) + space_share(h);
}

/* Units of blocks that are live. */
static inline size_t space_live(const struct heap *h)
{
    return (size_t)(h->beyond + ENOUGH + h->room);
}

/* More of them are taken, or less. */
static inline void note_taken(struct heap *h, size_t units)
{
    h->beyond += (ptrdiff_t)units;
}

static inline void note_given(struct heap *h, size_t units)
{
    h->beyond -= (ptrdiff_t)units;
}

/* So many units more may wait in bins, or less. */
static inline void raise_share(struct heap *h, ptrdiff_t units)
{
    h->room += units;
    h->beyond -= units;
}

/* Of what is granted, all but so many may wait; or, modulo the word, more than it. */
static inline void withhold(struct heap *h, size_t units)
{
    raise_share(h, (ptrdiff_t)(h->withheld - units));
    h->withheld = units;
}

/* ---- free blocks, small and large ------------------------------------------------------------ */

/* Do those that would have to change without it agree that it is there? */
static inline bool is_kept(const struct heap *h, const struct block *b, size_t units)
{
    return units < LARGE ? list_keeps(h, b, units) : tree_keeps(h, block_at(b, units), units);
}

/* Behind that a free block holds nothing, up to its footer. */
static inline void *free_from(const struct block *b, size_t units)
{
    return block_payload(b) + (units < LARGE && units >= LEAST ? sizeof(struct links) : 0);
}

/* Level 3: is it as it was freed? */
static inline bool is_untouched(const struct block *b, size_t units)
{
    return is_clean(free_from(b, units), block_at(b, units) - 1);
}

/* Writes its header and footer. */
static inline void mark_free(struct heap *h, struct block *b, size_t units)
{
    seal_free(h, b, units);
    block_at(b, units)[-1].word = units;
}

/* Free memory becomes a free block. The header behind it is the caller's. */
static inline void add_small(struct heap *h, struct block *b, size_t units)
{
    mark_free(h, b, units);
    list_insert(h, b, units);
}

static inline void add_free(struct heap *h, struct block *b, size_t units)
{
    if (units < LARGE) {
        add_small(h, b, units);
    } else {
        mark_free(h, b, units);
        tree_insert(h, block_at(b, units), units);
    }
}

static inline void remove_free(struct heap *h, struct block *b, size_t units)
{
    if (units < LARGE)
        list_remove(h, b, units);
    else
        tree_shrink(h, block_at(b, units), 0);
}

/* Takes units off the front of a listed block of `has`; what is left of it stays free. */
static inline void cut_listed(struct heap *h, struct block *b, size_t has, size_t units)
{
    struct block *rest = block_at(b, units);
    list_remove(h, b, has);
    if (has > units)
        add_small(h, rest, has - units);
    else
        clear_prev(h, rest);
}

/* The same of a large one. While its rest is large, it stays where it is in the tree. */
static inline void cut_large(struct heap *h, struct block *b, size_t has, size_t units)
{
    struct block *rest = block_at(b, units);
    size_t left = has - units;
    if (left >= LARGE) {
        mark_free(h, rest, left);
        tree_shrink(h, block_at(b, has), left);
        return;
    }
    tree_shrink(h, block_at(b, has), 0);
    if (left)
        add_small(h, rest, left);
    else
        clear_prev(h, rest);
}

static inline void cut_front(struct heap *h, struct block *b, size_t has, size_t units)
{
    if (has < LARGE)
        cut_listed(h, b, has, units);
    else
        cut_large(h, b, has, units);
}

/* None of them has more bytes, header included. */
static inline void raise_below(struct heap *h, size_t units)
{
    if (units << UNIT_SHIFT > h->below)
        h->below = units << UNIT_SHIFT;
}

/* A large one of so many units, which may be there. */
static inline struct found find_large(struct heap *h, size_t units)
{
    struct found f = heap_tree_find(h, units);
    if (!f.b)
        h->below = (units - 1) << UNIT_SHIFT;
    return f;
}

/* Any of at least so many. */
static inline struct found find_free(struct heap *h, size_t units)
{
    struct found f = {0};
    if (units << UNIT_SHIFT > h->below)
        return f;
    if (units < LARGE)
        f = list_find(h, units);
    return f.b ? f : find_large(h, units);
}

/* ---- wild memory ---------------------------------------------------------------------------- */

/* Wild memory starts at `b`, before the last header. What looks like a header there is none of a
 * live block, and its lowest byte is a canary. */
static inline void set_wild(struct heap *h, struct block *b)
{
    h->wild = b;
    h->wild_bytes = (size_t)((uint8_t *)heap_last(h) - (uint8_t *)b);
    seal_free(h, b, 0);
}

static inline struct block *cut_wild(struct heap *h, size_t units)
{
    struct block *b = h->wild;
    h->wild = block_at(b, units);
    h->wild_bytes -= units << UNIT_SHIFT;
    note_taken(h, units);
    return b;
}

/* Units that are there. */
static inline struct piece take_held(struct heap *h, size_t units)
{
    struct block *b = h->wild;
    if (!is_clean(block_payload(b), block_at(b, units)))
        return (struct piece){.b = b, .fault = HEAP_WRITE_AFTER_FREE};
    return (struct piece){.b = cut_wild(h, units)};
}

static inline struct piece take_wild(struct heap *h, size_t units)
{
    return units << UNIT_SHIFT > h->wild_bytes ? (struct piece){0} : take_held(h, units);
}

/* ---- taking --------------------------------------------------------------------------------- */

/* Units to skip at `b` so that the payload is aligned. */
static inline size_t skip_for(const struct block *b, size_t align)
{
    uintptr_t payload = (uintptr_t)block_payload(b);
    return (size_t)((((payload + align - 1) & ~(align - 1)) - payload) >> UNIT_SHIFT);
}

/* A block that was found in a list: what is wrong with it? */
static inline enum heap_fault look_at_listed(const struct heap *h, struct found f)
{
    if (HEAP_HARDEN && open_free(h, f.b) != f.units)
        return HEAP_BAD_HEADER;
    return list_keeps(h, f.b, f.units) && is_untouched(f.b, f.units) ? HEAP_OK
                                                                     : HEAP_WRITE_AFTER_FREE;
}

/* The same of a large one, of which the search has seen that the tree knows it. */
static inline enum heap_fault look_at_large(const struct heap *h, struct found f)
{
    if (HEAP_HARDEN && open_free(h, f.b) != f.units)
        return HEAP_BAD_HEADER;
    return is_untouched(f.b, f.units) ? HEAP_OK : HEAP_WRITE_AFTER_FREE;
}

/* Cuts `units` out of a free block, which may be known to be large, `front` units behind its start;
 * the rest of it stays free. */
[[gnu::always_inline]] static inline struct piece take_from(struct heap *h, struct found f,
                                                            size_t front, size_t units, bool large)
{
    large = large || f.units >= LARGE;
    enum heap_fault fault = large ? look_at_large(h, f) : look_at_listed(h, f);
    if (fault)
        return (struct piece){.b = f.b, .fault = fault};
    note_taken(h, units);
    if (large)
        cut_large(h, f.b, f.units, front + units);
    else
        cut_listed(h, f.b, f.units, front + units);
    if (!front)
        return (struct piece){.b = f.b};
    add_free(h, f.b, front);
    return (struct piece){.b = block_at(f.b, front), .flags = PREV};
}

static inline bool does_for(struct found f, size_t align, size_t units)
{
    return f.b && skip_for(f.b, align) + units <= f.units;
}

/* A small one of that size, if it is aligned; else the first that must do; when there is none, the
 * first that may, if it does. So the tree is searched once. */
[[gnu::always_inline]] static inline struct found find_aligned(struct heap *h, size_t align,
                                                               size_t units, bool large)
{
    size_t surely = units + (align >> UNIT_SHIFT) - 1;
    struct found f = {0};
    if (!large) {
        f = list_find(h, units);
        if (does_for(f, align, units))
            return f;
        f = find_free(h, surely);
    } else if (surely << UNIT_SHIFT <= h->below) {
        f = find_large(h, surely);
    }
    if (f.b)
        return f;
    f = heap_tree_find(h, large ? units : LARGE);
    return does_for(f, align, units) ? f : (struct found){0};
}

/* From a free block. */
static inline struct piece space_search(struct heap *h, size_t align, size_t units)
{
    struct found f =
        align <= HEAP_ALIGN ? find_free(h, units) : find_aligned(h, align, units, units >= LARGE);
    return f.b ? take_from(h, f, skip_for(f.b, align), units, false) : (struct piece){0};
}

/* Wild memory was taken, and so many units of it are skipped: they stay free. */
[[gnu::always_inline]] static inline struct piece skip_wild(struct heap *h, size_t front,
                                                            struct piece p)
{
    if (!front || !p.b || p.fault)
        return p;
    note_given(h, front);
    add_free(h, p.b, front);
    raise_below(h, front);
    return (struct piece){.b = block_at(p.b, front), .flags = PREV};
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

static inline uint8_t *page_start(const uint8_t *at)
{
    return (uint8_t *)((uintptr_t)at & ~(uintptr_t)(PAGE_SIZE - 1));
}

/* The top of a new heap, below which nothing is given back: less of a window that has no more. */
static inline uint8_t *first_top(const struct heap *h)
{
    return page_start(h->start) + (h->stats.window < HEAP_START ? 2 * PAGE_SIZE : HEAP_START);
}

static inline bool space_has_grown(const struct heap *h)
{
    return h->top > first_top(h);
}

/* Asks the owner for memory, so that `units` can be taken from wild memory. */
bool heap_space_grow(struct heap *h, size_t units);

/*
 * Works out anew what may wait in bins: what is granted, but not all that is taken, once there is
 * memory to give back. So the bins are full when the last live block comes to one. A block of
 * `comes` units does just now, and is counted as waiting by `room` already; it is not reason enough
 * for more to wait. True: there is such memory, and no block is live.
 */
bool heap_space_review(struct heap *h, size_t comes);

/* Gives wild memory back, but for `keep` bytes and what the heap started with. */
void heap_space_trim(struct heap *h, size_t keep);

/* Is that free memory, if it is no damaged header? */
static inline bool space_is_free(const struct heap *h, const struct block *b)
{
    return b == h->wild || block_open(h, b) >> CHECK_SHIFT == HEAP_FREE;
}

/* Takes `more` units behind the block, from the free memory there; false: there is too little. */
bool heap_space_extend(struct heap *h, struct block *b, size_t units, size_t more);

/* The first memory of a new heap, never given back. */
bool heap_space_start(struct heap *h);

#endif
