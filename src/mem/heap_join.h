/* SPDX-License-Identifier: MIT */
/*
 * heap_join.h - giving units back: what is free around them is looked at, then joined with them.
 * Private to heap*.c; heap_space.c has the essay and what is rare.
 */
#ifndef MEM_HEAP_JOIN_H
#define MEM_HEAP_JOIN_H

#include "heap_space.h"

/* The free blocks before and behind a block, 0: there is none. */
struct around {
    size_t prev_units, next_units;
};

static inline enum heap_fault look_before(const struct heap *h, const struct block *b,
                                          struct around *out)
{
    uint64_t word = units_before(b);
    size_t units = (size_t)word;
    if (word > units_between(heap_first(h), b))
        return HEAP_UNDERRUN;
    const struct block *prev = block_back(b, units);
    out->prev_units = units;
    return HEAP_HARDEN && (open_free(h, prev) != units || !is_kept(h, prev, units)) ? HEAP_UNDERRUN
                                                                                    : HEAP_OK;
}

/* Is that where a free block of so many units ends, and one in use begins, which knows it? Its
 * header may be forged, and tell of more. */
static inline bool ends_free(const struct heap *h, const struct block *b, size_t units)
{
    const struct block *end = block_at(b, units);
    if (HEAP_HARDEN == 0)
        return true;
    if (units >= units_between(b, h->wild) || units_before(end) != units)
        return false;
    uint64_t fields = block_open(h, end);
    return fields & PREV && fields >> CHECK_SHIFT < HEAP_FREE;
}

[[gnu::always_inline]] static inline enum heap_fault
look_behind(const struct heap *h, const struct block *next, struct around *out)
{
    uint64_t fields = block_open(h, next), state = fields >> CHECK_SHIFT;
    if (state != HEAP_FREE)
        return HEAP_HARDEN && state >= HEAP_DAMAGED ? HEAP_OVERRUN : HEAP_OK;
    size_t units = out->next_units = (size_t)(fields & FIELDS);
    return ends_free(h, next, units) && is_kept(h, next, units) ? HEAP_OK : HEAP_WRITE_AFTER_FREE;
}

[[gnu::always_inline]] static inline enum heap_fault look_around(const struct heap *h,
                                                                 const struct block *b,
                                                                 size_t units, bool prev,
                                                                 struct around *out)
{
    const struct block *next = block_at(b, units);
    *out = (struct around){0};
    enum heap_fault fault = next == h->wild ? HEAP_OK : look_behind(h, next, out);
    return fault || !prev ? fault : look_before(h, b, out);
}

/* Joins `b` with the free block before it, if there is one. */
static inline struct block *join_prev(struct heap *h, struct block *b, struct around a)
{
    if (!a.prev_units)
        return b;
    struct block *prev = block_back(b, a.prev_units);
    remove_free(h, prev, a.prev_units);
    seal_free(h, b, 0); /* never again taken for a live one */
    fill(block_payload(prev), free_from(prev, a.prev_units));
    fill(b - 1, b + 1);
    return prev;
}

/* The freed units and what is free before them become wild. */
enum heap_fault heap_space_join_wild(struct heap *h, struct block *b, size_t units,
                                     struct around a);

/* A large block behind them grows at its front, and stays where it is in the tree: first, so that
 * what the forks above both know need not change twice. */
static inline enum heap_fault join_free(struct heap *h, struct block *b, size_t units,
                                        struct around a)
{
    struct block *next = block_at(b, units);
    size_t all = a.prev_units + units + a.next_units;
    if (!a.next_units)
        set_prev(h, next);
    else if (a.next_units < LARGE)
        list_remove(h, next, a.next_units);
    else
        tree_grow(h, block_at(next, a.next_units), all);
    fill(block_payload(b), a.next_units ? free_from(next, a.next_units) : next);
    b = join_prev(h, b, a);
    raise_below(h, all);
    if (a.next_units < LARGE)
        add_free(h, b, all);
    else
        mark_free(h, b, all);
    return HEAP_OK;
}

/* Joins these units, which were noted as given, with what was found free around them; never
 * fails. */
static inline enum heap_fault join(struct heap *h, struct block *b, size_t units, struct around a)
{
    return block_at(b, units) == h->wild ? heap_space_join_wild(h, b, units, a)
                                         : join_free(h, b, units, a);
}

/* No block is live: all blocks are forgotten, and the heap is as large as it was at first. */
void heap_space_empty(struct heap *h);

/*
 * Makes these units free memory and joins them with what is free around them, to less than `below`
 * units. PREV or not is for the caller to know. TOO_MUCH: there would be more, so with 0 it only
 * looks; that, or what is wrong there: then nothing has changed.
 */
#define TOO_MUCH HEAP_FAULT_COUNT
enum heap_fault heap_space_release(struct heap *h, struct block *b, size_t units, bool prev,
                                   size_t below);

#endif
