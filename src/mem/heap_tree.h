/* SPDX-License-Identifier: MIT */
/*
 * heap_tree.h - the large free blocks by address. Private to heap*.c; heap_tree.c has the essay,
 * and all that has a loop.
 */
#ifndef MEM_HEAP_TREE_H
#define MEM_HEAP_TREE_H

#include "heap_block.h"

enum {
    SIDES_LOG = 3,
    SIDES = 1 << SIDES_LOG, /* of a fork                                  */
    LEVELS_MIN = 2,         /* of forks; those of a record know its pages */
    RECORD_LOG = LEVELS_MIN * SIDES_LOG,
    RECORD_PAGES = 1 << RECORD_LOG,
    RECORD_BYTES = RECORD_PAGES << PAGE_SHIFT,
    PAGE_UNITS = PAGE_SIZE / UNIT,
};

/* Units of the largest block on each side, 0: there is none. */
struct [[gnu::may_alias]] fork {
    uint32_t most[SIDES];
};

/* What is known of RECORD_PAGES pages. */
struct [[gnu::may_alias]] record {
    uint32_t most[RECORD_PAGES]; /* forks of level 1: sides are pages                  */
    struct fork eights;          /* of level 2: sides are eight pages each             */
    struct fork upper;           /* of a higher level, over this record and more       */
    uint8_t end[RECORD_PAGES];   /* in which unit of its page the block ends           */
};

/* The records of the first pages are next to the heap's start, before it. */
static inline struct record *record_at(const struct heap *h, size_t i)
{
    return (struct record *)h->start - 1 - i;
}

/* Where a block ends: units behind the start. Behind the last of them comes the next header. */
static inline size_t place_of(const struct heap *h, const struct block *end)
{
    return (size_t)((uintptr_t)end - (uintptr_t)h->start) >> UNIT_SHIFT;
}

static inline uint32_t *most_at(struct record *r, size_t page)
{
    return &r->most[page % RECORD_PAGES];
}

/* What its fork of level 2 knows of it and the seven beside it. */
static inline uint32_t *eight_at(struct record *r, size_t page)
{
    return &r->eights.most[page / SIDES % SIDES];
}

/* The end of the block that ends in that page. */
static inline struct block *end_in(const struct heap *h, const struct record *r, size_t page)
{
    size_t place = page * PAGE_UNITS + r->end[page % RECORD_PAGES];
    return (struct block *)((uintptr_t)h->start + (place << UNIT_SHIFT) +
                            HEADER); /* if there is such */
}

/* Units as forks tell them: more than any request can have, UNITS_MAX, are all the same. */
static inline uint32_t most_of(size_t units)
{
    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

/* ---- changes -------------------------------------------------------------------------------- */

/* In the tree a block comes, or has become larger; has become smaller, or, with 0 units, goes. */
void heap_tree_raise(struct heap *h, const struct block *end, size_t units);
void heap_tree_lower(struct heap *h, const struct block *end, uint32_t most);

/* Which of the loose blocks ends there, or, with NULL, where there is room for one; HEAP_LOOSE:
 * none. */
static inline unsigned loose_at(const struct heap *h, const struct block *end)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < HEAP_LOOSE; i++) {
        if (h->loose[i].end == end)
            return i;
    }
    return HEAP_LOOSE;
}

/* Adds a block, which is loose; the next in turn of those that were goes into the tree for it. */
static inline void tree_insert(struct heap *h, struct block *end, size_t units)
{
    unsigned i = loose_at(h, NULL);
    bool room = i < HEAP_LOOSE;
    struct loose *l = &h->loose[room ? i : h->turn++ % HEAP_LOOSE], settled = *l;
    *l = (struct loose){end, units};
    if (!room)
        heap_tree_raise(h, settled.end, settled.units);
}

/* One that tree_keeps has become larger at its front. */
static inline void tree_grow(struct heap *h, const struct block *end, size_t units)
{
    unsigned i = loose_at(h, end);
    if (i < HEAP_LOOSE)
        h->loose[i].units = units;
    else
        heap_tree_raise(h, end, units);
}

/* Has become smaller; with 0 units, goes. */
static inline void tree_shrink(struct heap *h, const struct block *end, size_t units)
{
    unsigned i = loose_at(h, end);
    if (i == HEAP_LOOSE) {
        heap_tree_lower(h, end, most_of(units));
        return;
    }
    h->loose[i].units = units;
    if (!units)
        h->loose[i].end = NULL;
}

/* Is a block of so many units known to end there, which is in the heap? Level 0 does not ask. */
static inline bool tree_keeps(const struct heap *h, const struct block *end, size_t units)
{
    if (HEAP_HARDEN == 0)
        return true;
    unsigned i = loose_at(h, end);
    if (i < HEAP_LOOSE)
        return h->loose[i].units == units;
    size_t place = place_of(h, end), page = place / PAGE_UNITS;
    struct record *r = record_at(h, page >> RECORD_LOG);
    uint32_t most = most_of(units);
    return *eight_at(r, page) >= most && *most_at(r, page) == most &&
           r->end[page % RECORD_PAGES] == (uint8_t)place;
}

/* ---- searching ------------------------------------------------------------------------------ */

/* The lowest of at least `units`; no block: there is none, or damage hides it. */
struct found heap_tree_find(struct heap *h, size_t units);

/* ---- its memory ----------------------------------------------------------------------------- */

/* Records for so many bytes from the start on. */
static inline size_t tree_records(size_t bytes)
{
    return (bytes - 1) / RECORD_BYTES + 1;
}

/* Levels for so many records, one more for each three bits of the last one's number; not less than
 * `least`. */
static inline unsigned tree_levels(size_t records, unsigned least)
{
    for (size_t n = (records - 1) >> (least - LEVELS_MIN) * SIDES_LOG; n; n >>= SIDES_LOG)
        least++;
    return least;
}

static inline size_t tree_bytes(size_t records, unsigned levels)
{
    return (records + levels - LEVELS_MIN) * sizeof(struct record);
}

/* The tree of a heap that has a start, but no records yet. */
void heap_tree_start(struct heap *h);

/* The heap has so many records now, for which there is memory. */
void heap_tree_cover(struct heap *h, size_t records, unsigned levels);

/* There are no blocks, and as many records as at first. */
void heap_tree_empty(struct heap *h);

/* True when T1 to T4 hold; *count: blocks. */
bool heap_tree_holds(const struct heap *h, size_t *count);

#endif
