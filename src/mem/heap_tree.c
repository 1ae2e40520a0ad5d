/* SPDX-License-Identifier: MIT */
/*
 * heap_tree.c - the large free blocks: a tree over the heap's pages that knows the largest block
 * on each side.
 *
 * A request takes the lowest block that is large enough. From the top it goes to the lowest side of
 * each fork whose largest block will do: no step is in vain, and no block is looked at that is not
 * the answer.
 *
 * Two large blocks never end in the same page, as each has more than one. So a page is a place for
 * one: a fork of level 1 knows, of eight pages, how many units the block has that ends there. A
 * fork of level n knows the largest of eight forks of level n - 1. There are as many levels as the
 * heap has need of, and its largest block of all is `most`. Ends are known rather than starts, as
 * first fit cuts blocks at their front.
 *
 * Forks stand before the heap's start, where no block is, and are held as the heap is: it grows
 * upwards, they grow downwards. What is known of 64 pages is one record of 384 bytes, 6 a page:
 *
 *   low                                                   start                              top
 *   | ... record 2 | record 1 | record 0 | heads of lists | blocks ...      | wild memory ... |
 *   a record:      | level 1, for 8 x 8 pages | level 2 | upper | where in the pages blocks end |
 *
 * Level 3 is over eight records, and stands in the first of them as its `upper`; level 4 is over 64
 * and stands in the second, level 5 in the third: never two in one. So there must be LEVELS - 2
 * records more than the heap has pages for. From a fork of level n to the one above it is a record
 * towards `low`, and from there towards the start as many times 8^(n - 2) records as its side says.
 *
 * The blocks that were added last, HEAP_LOOSE of them, are `loose`: not in the tree yet, but known
 * by their ends and units. When another one comes, the next of them in turn goes into the tree.
 * Most blocks are taken or joined again before that.
 *
 * New records are held as memory is found. Of each, 64 bytes are cleared, the forks above its
 * pages: while they know nothing of eight pages, nobody asks these, and the first block clears
 * them.
 *
 *   T1  a page knows the units of a block exactly when a large free block that is not loose ends
 *       there; and then where. Of eight pages without such a block it may know anything.
 *   T2  each side of a fork above knows the largest block on it, `most` that of all.
 *   T3  a loose block is large and free.
 *   T4  behind the last page that is held, and where no page is, forks know no blocks.
 *
 * Damage. What stands here is no block's neighbour. A stray write may reach it all the same, so a
 * way down is followed no further than the heap has pages, and what it ends at must be as large as
 * was asked for, and agree with the block's last word. What does not is reported, and the search
 * takes from elsewhere.
 *
 * Bounds. There are 2 levels up to 256 KiB, and one more for each eight times as much: 4 up to
 * 16 MiB, 6 up to 1 GiB, 10 in 1 TiB. A search looks at one fork of each; when a block comes, goes
 * or changes, so does its page's way up, until a fork knew it already.
 */
#include "heap_tree.h"

/* ---- forks ---------------------------------------------------------------------------------- */

/* The fork above one whose side there it is. Level 2 has a place for that as well, where no fork
 * is: a record behind its own. */
static inline struct fork *above(struct fork *f, size_t side, size_t step)
{
    return (struct fork *)((uint8_t *)f + side * step - sizeof(struct record));
}

/* On the way down steps are negative, and end before this one. */
#define LAST_STEP (-(ptrdiff_t)(sizeof(struct record) >> SIDES_LOG))

/* The fork of eight pages of a record. */
static inline struct fork *pages_fork(struct record *r, size_t eight)
{
    return (struct fork *)&r->most[eight * SIDES];
}

/* As two instructions, where the builder says that the processor has them: compilers take three,
 * and load *b first. */
static inline uint32_t larger(uint32_t a, const uint32_t *b)
{
#ifdef HAVE_CMOV
    __asm__("cmpl %1, %0\n\tcmovb %1, %0" : "+r"(a) : "m"(*b) : "cc");
    return a;
#else
    return a > *b ? a : *b;
#endif
}

static inline uint32_t largest_on(const struct fork *f)
{
    uint32_t most = f->most[0];
#pragma GCC unroll 8
    for (unsigned i = 1; i < SIDES; i++)
        most = larger(most, &f->most[i]);
    return most;
}

/* ---- changes -------------------------------------------------------------------------------- */

/* On a side is a larger block. False: the fork knew one. */
static inline bool raise(uint32_t *side, uint32_t most)
{
    if (*side >= most)
        return false;
    *side = most;
    return true;
}

void heap_tree_raise(struct heap *h, const struct block *end, size_t units)
{
    size_t place = place_of(h, end), page = place / PAGE_UNITS;
    struct record *r = record_at(h, page >> RECORD_LOG);
    r->end[page % RECORD_PAGES] = (uint8_t)place;
    uint32_t *at = most_at(r, page), most = most_of(units);
    page >>= SIDES_LOG;
    uint32_t had = r->eights.most[page % SIDES];
    if (!had) {
        *pages_fork(r, page % SIDES) = (struct fork){0};
    } else if (had >= most) {
        *at = most;
        return;
    }
    *at = r->eights.most[page % SIDES] = most;
    struct fork *f = &r[1].upper;
    size_t step = sizeof *r;
    for (unsigned n = h->levels - LEVELS_MIN; n; n--, step <<= SIDES_LOG) {
        size_t side = (page >>= SIDES_LOG) % SIDES;
        f = above(f, side, step);
        if (!raise(&f->most[side], most))
            return;
    }
    (void)raise(&h->most, most);
}

/* At a fork on a side, the largest block may no longer have `had` units. False: that changes
 * nothing, or another one was larger. */
static inline bool lower(uint32_t *side, const struct fork *there, uint32_t had)
{
    if (*side != had)
        return false;
    *side = largest_on(there);
    return *side != had;
}

void heap_tree_lower(struct heap *h, const struct block *end, uint32_t most)
{
    size_t page = place_of(h, end) / PAGE_UNITS;
    struct record *r = record_at(h, page >> RECORD_LOG);
    uint32_t had = *most_at(r, page);
    *most_at(r, page) = most;
    page >>= SIDES_LOG;
    if (!lower(&r->eights.most[page % SIDES], pages_fork(r, page % SIDES), had))
        return;
    const struct fork *there = &r->eights;
    struct fork *f = &r[1].upper;
    size_t step = sizeof *r;
    for (unsigned n = h->levels - LEVELS_MIN; n; n--, step <<= SIDES_LOG) {
        size_t side = (page >>= SIDES_LOG) % SIDES;
        f = above(f, side, step);
        if (!lower(&f->most[side], there, had))
            return;
        there = f;
    }
    (void)lower(&h->most, there, had);
}

/* ---- searching ------------------------------------------------------------------------------ */

/* The first side with so large a block, or the last. */
static inline size_t side_with(const struct fork *f, uint32_t least)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < SIDES - 1; i++) {
        if (f->most[i] >= least)
            return i;
    }
    return SIDES - 1;
}

/* A fork leads to no such block: it was written to. */
[[gnu::cold, gnu::noinline]] static struct found lose_way(struct heap *h, const struct record *r)
{
    heap_report_damage(h, HEAP_BAD_HEADER, r, NULL);
    return (struct found){0};
}

/* The block of at least `least` units that ends in that page of a record. */
static inline struct found block_in(struct heap *h, struct record *r, size_t page, uint32_t least)
{
    struct block *end = end_in(h, r, page);
    uint32_t most = *most_at(r, page);
    size_t before = units_between(heap_first(h), end);
    if (HEAP_HARDEN && (most < least || before >= h->units))
        return lose_way(h, r);
    uint64_t units = units_before(end);
    if (HEAP_HARDEN && (units > before || most_of((size_t)units) != most))
        return heap_report_end(h, end), (struct found){0};
    return (struct found){.b = block_back(end, (size_t)units), .units = (size_t)units};
}

/* The lowest in the tree of at least `units`, which there is; no block: damage hides it. */
static inline struct found lowest_in_tree(struct heap *h, size_t units)
{
    uint32_t least = (uint32_t)units; /* `most` is not less */
    ptrdiff_t at = h->peak, least_at = h->low - h->start + (ptrdiff_t)sizeof(struct record);
    for (ptrdiff_t step = h->peak_step; step != LAST_STEP; step >>= SIDES_LOG) {
        struct record *r = (struct record *)(h->start + at);
        size_t side = side_with(&r->upper, least);
        __asm__("" : "+r"(side)); /* one multiplication, not a way for each side */
        at += (ptrdiff_t)side * step + (ptrdiff_t)sizeof(struct record);
        if (HEAP_HARDEN && at < least_at)
            return lose_way(h, r);
    }
    struct record *r = (struct record *)(h->start + at) - 1;
    size_t i = (size_t)-at / sizeof *r, eight = side_with(&r->eights, least);
    size_t page = eight * SIDES + side_with(pages_fork(r, eight), least);
    return block_in(h, r, i * RECORD_PAGES + page, least);
}

struct found heap_tree_find(struct heap *h, size_t units)
{
    struct found f = {0};
    if (h->most >= units)
        f = lowest_in_tree(h, units);
    uintptr_t last = (uintptr_t)f.b + (f.units << UNIT_SHIFT) - 1; /* none: behind all */
#pragma GCC unroll 4
    for (unsigned i = 0; i < HEAP_LOOSE; i++) {
        struct loose l = h->loose[i];
        if (l.units >= units && (uintptr_t)l.end <= last) {
            f = (struct found){.b = block_back(l.end, l.units), .units = l.units};
            last = (uintptr_t)l.end;
        }
    }
    return f;
}

/* ---- its memory ----------------------------------------------------------------------------- */

void heap_tree_start(struct heap *h)
{
    h->levels = LEVELS_MIN;
    h->peak = 0;
    h->peak_step = LAST_STEP;
}

/* A record knows of no block. */
static inline void clear(struct record *r)
{
    r->eights = r->upper = (struct fork){0};
}

void heap_tree_empty(struct heap *h)
{
    for (size_t i = 0; i < h->records; i++)
        clear(record_at(h, i));
    __builtin_memset(h->loose, 0, sizeof h->loose);
    h->most = 0;
}

/* What the highest fork knows is what the first side of the one above it does. */
static void add_level(struct heap *h)
{
    record_at(h, h->levels++ - LEVELS_MIN)->upper.most[0] = h->most;
    h->peak -= (ptrdiff_t)sizeof(struct record);
    h->peak_step *= SIDES;
}

static void drop_level(struct heap *h)
{
    record_at(h, --h->levels - LEVELS_MIN)->upper.most[0] = 0;
    h->peak += (ptrdiff_t)sizeof(struct record);
    h->peak_step >>= SIDES_LOG;
}

/* Records behind those that were needed before know nothing yet. */
void heap_tree_cover(struct heap *h, size_t records, unsigned levels)
{
    size_t had = h->records + h->levels, need = records + levels;
    struct record *r = record_at(h, had - LEVELS_MIN);
    for (size_t i = had; i < need; i++)
        clear(r--);
    while (h->levels < levels)
        add_level(h);
    while (h->levels > levels)
        drop_level(h);
    h->records = records;
}
