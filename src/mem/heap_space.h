/* SPDX-License-Identifier: MIT */
/*
 * heap_space.h - taking units of free memory and giving them back. Private to heap*.c; heap_space.c
 * has the essay and what is rare. What most calls end in stands here, to be inlined.
 */
#ifndef MEM_HEAP_SPACE_H
#define MEM_HEAP_SPACE_H

#include "heap_lists.h"

/* Free memory for a block, which has PREV or not; or what is wrong with it. */
struct piece {
    struct block *b; /* NULL: nothing fits */
    uint64_t prev;
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

/* ---- wild memory ---------------------------------------------------------------------------- */

/* Wild memory starts at `b`, before the last header. What looks like a header there is none of a
 * live block, and its lowest byte is a canary. */
static inline void set_wild(struct heap *h, struct block *b)
{
    h->wild = b;
    h->wild_bytes = (size_t)((uint8_t *)heap_last(h) - (uint8_t *)b);
    seal_free(h, b, 0);
}

static inline struct block *cut_wild(struct heap *h, size_t bytes)
{
    struct block *b = h->wild;
    h->wild = (struct block *)((uint8_t *)b + bytes);
    h->wild_bytes -= bytes;
    return b;
}

static inline struct piece take_wild(struct heap *h, size_t units)
{
    struct block *b = h->wild;
    if (units << UNIT_SHIFT > h->wild_bytes)
        return (struct piece){0};
    if (!is_clean(block_payload(b), block_at(b, units)))
        return (struct piece){.b = b, .fault = HEAP_WRITE_AFTER_FREE};
    return (struct piece){.b = cut_wild(h, units << UNIT_SHIFT)};
}

/* ---- taking --------------------------------------------------------------------------------- */

/* Takes a listed block of at least so many units out of its list; what is wrong with it. */
static inline enum heap_fault detach(struct heap *h, struct block *b, size_t least, size_t *units)
{
    uint64_t has = open_free(h, b);
    *units = (size_t)has;
    if (has < least || has > h->units)
        return HEAP_BAD_HEADER;
    if (!is_linked(h, b) || !is_clean(past_links(b, *units), block_at(b, *units) - 1))
        return HEAP_WRITE_AFTER_FREE;
    list_remove(h, b);
    return HEAP_OK;
}

/* What is left at the end of a block that was detached is free still. */
static inline void leave(struct heap *h, struct block *b, size_t units)
{
    if (units)
        list_insert_rest(h, b, units);
    else
        clear_prev(h, b);
}

/* Cuts `units` out of a listed block, `front` units behind its start; the rest of it stays free. */
static inline struct piece take_from(struct heap *h, struct block *b, size_t front, size_t units)
{
    size_t has;
    enum heap_fault fault = detach(h, b, front + units, &has);
    if (fault)
        return (struct piece){.b = b, .fault = fault};
    if (front)
        list_insert_rest(h, b, front);
    leave(h, block_at(b, front + units), has - front - units);
    return (struct piece){.b = block_at(b, front), .prev = front ? PREV : 0};
}

/* From the lists, or from wild memory; and from wild memory alone. */
struct piece space_take(struct heap *h, size_t align, size_t units);
struct piece space_take_wild(struct heap *h, size_t align, size_t units);

/* ---- growing and shrinking ------------------------------------------------------------------ */

/* Asks the owner for memory, so that `units` can be taken from wild memory. */
bool space_grow(struct heap *h, size_t units);

/* Gives wild memory back, but for `keep` bytes and what the heap started with. */
void space_trim(struct heap *h, size_t keep);

/* Is that free memory, if it is no damaged header? */
static inline bool space_is_free(const struct heap *h, const struct block *b)
{
    return b == h->wild || block_open(h, b) >> CHECK_SHIFT == HEAP_FREE;
}

/* Takes `more` units behind the block, from the free memory there; false: there is too little. */
bool space_extend(struct heap *h, struct block *b, size_t units, size_t more);

/* The first memory of a new heap. */
bool space_start(struct heap *h, size_t bytes);

/* ---- giving back ---------------------------------------------------------------------------- */

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

static inline enum heap_fault look_behind(const struct heap *h, const struct block *next,
                                          struct around *out)
{
    uint64_t fields = block_open(h, next), state = fields >> CHECK_SHIFT;
    if (state != HEAP_FREE)
        return HEAP_HARDEN && state >= HEAP_DAMAGED ? HEAP_OVERRUN : HEAP_OK;
    out->next_units = (size_t)(fields & FIELDS);
    return is_kept(h, next, out->next_units) ? HEAP_OK : HEAP_WRITE_AFTER_FREE;
}

static inline enum heap_fault look_around(const struct heap *h, const struct block *b, size_t units,
                                          bool prev, struct around *out)
{
    const struct block *next = block_at(b, units);
    *out = (struct around){0};
    enum heap_fault fault = next == h->wild ? HEAP_OK : look_behind(h, next, out);
    return fault || !prev ? fault : look_before(h, b, out);
}

/* Takes the free block before `b` out of its list, if there is one, and joins the two. */
static inline struct block *join_prev(struct heap *h, struct block *b, struct around a)
{
    if (!a.prev_units)
        return b;
    struct block *prev = block_back(b, a.prev_units);
    list_drop(h, prev, a.prev_units);
    seal_free(h, b, 0); /* never again taken for a live one */
    fill(b - 1, b + 1);
    return prev;
}

/* The freed units and what is free before them become wild. */
enum heap_fault space_join_wild(struct heap *h, struct block *b, size_t units, struct around a);

static inline enum heap_fault join_listed(struct heap *h, struct block *b, size_t units,
                                          struct around a)
{
    struct block *next = block_at(b, units);
    if (a.next_units)
        list_drop(h, next, a.next_units);
    else
        set_prev(h, next);
    fill(block_payload(b), a.next_units ? past_links(next, a.next_units) : next);
    b = join_prev(h, b, a);
    list_insert(h, b, a.prev_units + units + a.next_units);
    return HEAP_OK;
}

/* Joins these units with what was found free around them; never fails. */
static inline enum heap_fault join(struct heap *h, struct block *b, size_t units, struct around a)
{
    return block_at(b, units) == h->wild ? space_join_wild(h, b, units, a)
                                         : join_listed(h, b, units, a);
}

/*
 * Makes these units free memory and joins them with what is free around them. PREV or not is for
 * the caller to know. Looks first: what is wrong there, if anything, and then nothing has changed.
 */
enum heap_fault space_release(struct heap *h, struct block *b, size_t units, bool prev);

#endif
