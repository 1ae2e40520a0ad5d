/* SPDX-License-Identifier: MIT */
/*
 * heap_space.h - taking units of free memory and giving them back. Private to heap*.c; heap_space.c
 * has the essay and what is rare. What most calls end in stands here, to be inlined.
 */
#ifndef MEM_HEAP_SPACE_H
#define MEM_HEAP_SPACE_H

#include "heap_lists.h"

/* Free memory for a block, which has PREV or not. */
struct piece {
    struct block *b; /* NULL: nothing fits, or ... */
    uint64_t prev;
    enum heap_fault fault; /* ... was found and reported */
};

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
    block_seal(h, b, 0, HEAP_FREE);
}

static inline struct block *cut_wild(struct heap *h, size_t bytes)
{
    struct block *b = h->wild;
    h->wild = (struct block *)((uint8_t *)b + bytes);
    h->wild_bytes -= bytes;
    return b;
}

static inline struct piece take_wild(struct heap *h, size_t units, const void *caller)
{
    struct block *b = h->wild;
    if (units << UNIT_SHIFT > h->wild_bytes)
        return (struct piece){0};
    if (!is_clean(block_payload(b), block_at(b, units)))
        return (struct piece){
            .fault = heap_report_damage(h, HEAP_WRITE_AFTER_FREE, block_payload(b), caller)};
    return (struct piece){.b = cut_wild(h, units << UNIT_SHIFT)};
}

/* ---- taking --------------------------------------------------------------------------------- */

static inline enum heap_fault free_fault(const struct heap *h, const struct block *b,
                                         uint64_t fields, size_t least)
{
    size_t units = (size_t)(fields & FIELDS);
    if (!is_sound(fields, HEAP_FREE) || units < least)
        return HEAP_BAD_HEADER;
    bool sound = is_linked(h, b) && is_clean(b + 2, block_at(b, units) - 1);
    return sound ? HEAP_OK : HEAP_WRITE_AFTER_FREE;
}

/* Cuts `units` out of a listed block, `front` units behind its start; the rest of it stays free. */
static inline struct piece take_from(struct heap *h, struct block *b, size_t front, size_t units,
                                     const void *caller)
{
    uint64_t fields = block_open(h, b);
    enum heap_fault fault = free_fault(h, b, fields, front + units);
    if (fault)
        return (struct piece){.fault = heap_report_damage(h, fault, block_payload(b), caller)};
    size_t rest = (size_t)(fields & FIELDS) - front - units;
    struct block *behind = block_at(b, front + units);
    list_remove(h, b);
    if (front)
        list_insert(h, b, front);
    if (rest)
        list_insert(h, behind, rest);
    else
        clear_prev(h, behind);
    return (struct piece){.b = block_at(b, front), .prev = front ? PREV : 0};
}

/* From the lists, or from wild memory. */
static inline struct piece take(struct heap *h, size_t units, const void *caller)
{
    struct block *b = list_find(h, units);
    return b ? take_from(h, b, 0, units, caller) : take_wild(h, units, caller);
}

/* The same at an alignment; and from wild memory alone. */
struct piece space_take(struct heap *h, size_t align, size_t units, const void *caller);
struct piece space_take_wild(struct heap *h, size_t align, size_t units, const void *caller);

/* ---- growing and shrinking ------------------------------------------------------------------ */

/* Asks the owner for memory, so that `units` can be taken from wild memory. */
bool space_grow(struct heap *h, size_t units);

/* Gives wild memory back, but for `keep` bytes and what the heap started with. */
void space_trim(struct heap *h, size_t keep);

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
    size_t units = units_before(b);
    if (units > units_between(heap_first(h), b))
        return HEAP_UNDERRUN;
    const struct block *prev = block_back(b, units);
    uint64_t expected = (uint64_t)HEAP_FREE << CHECK_SHIFT | units;
    out->prev_units = units;
    return HEAP_HARDEN && (block_open(h, prev) != expected || !is_linked(h, prev)) ? HEAP_UNDERRUN
                                                                                   : HEAP_OK;
}

static inline enum heap_fault look_behind(const struct heap *h, const struct block *next,
                                          struct around *out)
{
    uint64_t fields = block_open(h, next), state = fields >> CHECK_SHIFT;
    if (state != HEAP_FREE)
        return HEAP_HARDEN && state >= HEAP_DAMAGED ? HEAP_OVERRUN : HEAP_OK;
    out->next_units = (size_t)(fields & FIELDS);
    return is_linked(h, next) ? HEAP_OK : HEAP_WRITE_AFTER_FREE;
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
static inline struct block *join_prev(struct heap *h, struct block *b, const struct around *a)
{
    if (!a->prev_units)
        return b;
    struct block *prev = block_back(b, a->prev_units);
    list_remove(h, prev);
    block_seal(h, b, 0, HEAP_FREE); /* never again taken for a live one */
    fill(b - 1, b + 1);
    return prev;
}

/* The freed units and what is free before them become wild. */
void space_join_wild(struct heap *h, struct block *b, size_t units, const struct around *a);

static inline void join_listed(struct heap *h, struct block *b, size_t units,
                               const struct around *a)
{
    struct block *next = block_at(b, units);
    if (a->next_units)
        list_remove(h, next);
    else
        set_prev(h, next);
    fill(block_payload(b), a->next_units ? next + 2 : next);
    b = join_prev(h, b, a);
    list_insert(h, b, a->prev_units + units + a->next_units);
}

/*
 * Makes these units free memory and joins them with what is free around them. PREV or not is for
 * the caller to know. Looks first: what is wrong there, if anything, and then nothing has changed.
 */
static inline enum heap_fault release(struct heap *h, struct block *b, size_t units, bool prev)
{
    struct around around;
    enum heap_fault fault = look_around(h, b, units, prev, &around);
    if (fault)
        return fault;
    if (block_at(b, units) == h->wild)
        space_join_wild(h, b, units, &around);
    else
        join_listed(h, b, units, &around);
    return HEAP_OK;
}

/* The same, for calls that are rare. */
enum heap_fault space_release(struct heap *h, struct block *b, size_t units, bool prev);

#endif
