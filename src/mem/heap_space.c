/* SPDX-License-Identifier: MIT */
/*
 * heap_space.c - from which free memory a block is cut, and what becomes of it when it is free.
 *
 * One free block, `carve`, is not in the index: blocks are cut from its front by moving it, without
 * a search, as long as no free block at a lower address is large enough. `below` remembers that: it
 * is never less than the largest indexed block under carve, so a request for more than `below` has
 * its first fit in carve. When a search finds a better place with much room, carve moves there.
 *
 *   S1  no free block has a free neighbour, and none of them is a neighbour of carve.
 *   S2  every indexed block below carve has at most `below` units.
 *   S3  a block has PREV exactly when the block before it is in the index.
 *   S4  carve has no header; the memory around it knows nothing of it.
 *
 * A call that fails has changed nothing: what can refuse comes first, then the steps that cannot.
 */
#include "heap_index.h"

enum {
    STEP_MIN = 4 << PAGE_SHIFT, /* growth: a 64th of what is held, between these    */
    STEP_MAX = 64 << PAGE_SHIFT,
    KEEP = 16 << PAGE_SHIFT, /* of a free tail of twice that, so much stays          */
    ALIGNED_TRIES = 4,
    PIECE = 256, /* units that carve takes of wild, if there are so many */
    SPREAD = 4,              /* carve moves to a block of so many times the request  */
};

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

/* Is an indexed block what the index says? Else it was written to while free. */
static bool is_free_block(const struct heap *h, const struct block *b, size_t units)
{
    uint64_t f = block_open(h, b, HEAP_FREE);
    return HEAP_HARDEN == 0 || (f >> CHECK_SHIFT == 0 && long_size(f) == units);
}

static inline size_t linked_units(const struct block *b)
{
    return (size_t)(*(const word_t *)block_payload(b) >> 8);
}

/* ---- bare memory: carve and wild ------------------------------------------------------------ */

static inline size_t wild_units(const struct heap *h)
{
    return units_between(h->wild, heap_last(h));
}

static inline void set_wild(struct heap *h, struct block *b)
{
    h->wild = b;
    fill(b, b + 1);
}

/* Puts carve away: back to wild, if that is where it came from, or into the index. */
static void retire_carve(struct heap *h)
{
    if (carve_end(h) == h->wild) {
        set_wild(h, h->carve);
    } else if (h->carve_units && !bins_put(h, h->carve, h->carve_units, 0)) {
        set_prev(h, carve_end(h));
        index_insert(h, h->carve, h->carve_units);
    }
    h->carve_units = 0;
}

/* Gives carve a piece of wild, that is at least `units` with what it has there. */
static void carve_wild(struct heap *h, size_t units)
{
    if (carve_end(h) != h->wild) {
        retire_carve(h);
        h->carve = h->wild;
        h->below = h->span; /* not known */
    }
    size_t piece = units - h->carve_units, room = wild_units(h);
    if (piece < PIECE)
        piece = PIECE < room ? PIECE : room;
    h->carve_units += piece;
    set_wild(h, block_at(h->wild, piece));
}

static struct block *cut_carve(struct heap *h, size_t units)
{
    struct block *b = h->carve;
    h->carve = block_at(b, units);
    h->carve_units -= units;
    return b;
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

static size_t chunks_of(size_t bytes)
{
    return (bytes + ((size_t)1 << HEAP_CHUNK_SHIFT) - 1) >> HEAP_CHUNK_SHIFT;
}

/* Index first, then memory; the index goes back when the memory is refused. */
static bool hold(struct heap *h, size_t bytes)
{
    size_t held = (size_t)(h->top - h->start);
    size_t more = whole_pages(index_bytes(held + bytes));
    more = more > h->index_held ? more - h->index_held : 0;
    if (more && !h->ops.grow(h->ops.ctx, h->index + h->index_held, more))
        return false;
    if (!h->ops.grow(h->ops.ctx, h->top, bytes)) {
        if (more)
            h->ops.shrink(h->ops.ctx, h->index + h->index_held, more);
        return false;
    }
    h->index_held += more;
    h->top += bytes;
    h->span += bytes >> UNIT_SHIFT;
    h->stats.mapped += bytes + more;
    index_reach(h, chunks_of(held), chunks_of(held + bytes));
    return true;
}

static void let_go(struct heap *h, size_t bytes)
{
    h->top -= bytes;
    h->span -= bytes >> UNIT_SHIFT;
    h->ops.shrink(h->ops.ctx, h->top, bytes);
    size_t keep = whole_pages(index_bytes((size_t)(h->top - h->start)));
    size_t less = h->index_held - keep;
    h->index_held = keep;
    if (less)
        h->ops.shrink(h->ops.ctx, h->index + keep, less);
    h->stats.mapped -= bytes + less;
    h->stats.shrunk++;
    size_t chunks = chunks_of((size_t)(h->top - h->start));
    index_reach(h, chunks, chunks);
}

static size_t step(const struct heap *h)
{
    size_t part = whole_pages(h->stats.mapped >> 6);
    return part < STEP_MIN ? STEP_MIN : part > STEP_MAX ? STEP_MAX : part;
}

/* Whole steps first; when the owner refuses, just what is needed. */
static bool hold_for(struct heap *h, size_t need, size_t *got)
{
    size_t room = (size_t)(h->limit - h->top), extra = step(h);
    size_t tries[] = {need + extra - PAGE_SIZE, need};
    for (unsigned i = 0; i < 2; i++) {
        *got = tries[i];
        if (*got <= room && hold(h, *got))
            return true;
    }
    return false;
}

bool space_grow(struct heap *h, size_t units)
{
    struct block *end = heap_last(h);
    size_t had = wild_units(h) + (carve_end(h) == h->wild ? h->carve_units : 0), got;
    if (units - had > (size_t)(h->limit - h->top) >> UNIT_SHIFT ||
        !hold_for(h, whole_pages((units - had) << UNIT_SHIFT), &got))
        return false;
    block_seal(h, heap_last(h), 0, HEAP_LIVE);
    h->stats.grown++;
    fill(end, heap_last(h));
    return true;
}

/* Much wild memory is cut; what it may keep stops a loop from growing and shrinking in turns. */
static void trim(struct heap *h)
{
    size_t bare = wild_units(h) + (carve_end(h) == h->wild ? h->carve_units : 0);
    if (bare << UNIT_SHIFT < 2 * KEEP)
        return;
    if (carve_end(h) == h->wild)
        retire_carve(h);
    uint8_t *top = h->start + whole_pages((size_t)((uint8_t *)h->wild - h->start) + KEEP);
    block_seal(h, (struct block *)(top - HEADER), 0, HEAP_LIVE);
    let_go(h, (size_t)(h->top - top));
}

bool space_start(struct heap *h, size_t bytes)
{
    h->top = h->start;
    if (!hold(h, bytes))
        return false;
    h->base = h->start + UNIT;
    h->span = (bytes >> UNIT_SHIFT) - 1;
    h->carve = h->wild = heap_first(h);
    block_seal(h, heap_last(h), 0, HEAP_LIVE);
    fill(h->wild, heap_last(h));
    return true;
}

/* ---- taking --------------------------------------------------------------------------------- */


/* Takes the front of an indexed block; a rest that promises more of it is carved from now on. */
static struct block *cut_indexed(struct heap *h, struct block *b, size_t units)
{
    size_t all = linked_units(b), rest = all - units;
    struct block *behind = block_at(b, units), *end = block_at(b, all);
    if (!rest) {
        index_remove(h, b, all);
        clear_prev(h, end);
    } else if (rest < SPREAD * units && b < h->carve && bins_put(h, behind, rest, 0)) {
        index_remove(h, b, all);
        clear_prev(h, end);
        fill(behind + 1, end);
    } else if (rest < SPREAD * units && b < h->carve && carve_end(h) != h->wild) {
        index_replace(h, b, all, behind, rest);
    } else {
        index_remove(h, b, all);
        clear_prev(h, end);
        fill(end - 1, end);
        retire_carve(h);
        h->carve = behind;
        h->carve_units = rest;
        h->below = units - 1;
    }
    return b;
}

/* Level 3: was free memory written to? `link` and `footer` bytes of it are not its own. */
static bool is_clean(const struct block *b, size_t units, size_t link, size_t footer)
{
    return HEAP_HARDEN < 3 ||
           heap_is_filled(block_payload(b) + link, (uint8_t *)block_at(b, units) - footer);
}

static struct block *take_carve(struct heap *h, size_t units, const void *caller,
                                enum heap_fault *fault)
{
    if (is_clean(h->carve, units, 0, 0))
        return cut_carve(h, units);
    *fault = heap_report_damage(h, HEAP_WRITE_AFTER_FREE, h->carve, caller);
    return NULL;
}

static struct block *take_indexed(struct heap *h, struct block *b, size_t units,
                                  const void *caller, enum heap_fault *fault)
{
    size_t all = linked_units(b);
    if (!is_free_block(h, b, all))
        *fault = heap_report_damage(h, HEAP_BAD_HEADER, b, caller);
    else if (!is_clean(b, units, sizeof(word_t), all == units ? sizeof(word_t) : 0))
        *fault = heap_report_damage(h, HEAP_WRITE_AFTER_FREE, b, caller);
    else
        return cut_indexed(h, b, units);
    return NULL;
}

struct block *space_take(struct heap *h, size_t units, const void *caller, enum heap_fault *fault)
{
    bool carve_fits = units <= h->carve_units;
    if (carve_fits && units > h->below)
        return take_carve(h, units, caller, fault);
    struct block *b = index_first_fit(h, units);
    if (b && (!carve_fits || b < h->carve))
        return take_indexed(h, b, units, caller, fault);
    if (!carve_fits) {
        size_t more = carve_end(h) == h->wild ? h->carve_units : 0;
        if (units > more + wild_units(h))
            return NULL;
        carve_wild(h, units);
    }
    h->below = units - 1;
    return take_carve(h, units, caller, fault);
}

/* ---- taking at an alignment ----------------------------------------------------------------- */

/* Units to skip at `b` so that the payload is aligned. */
static size_t skip_for(const struct block *b, size_t align)
{
    uintptr_t payload = (uintptr_t)block_payload(b);
    return (size_t)((((payload + align - 1) & ~(align - 1)) - payload) >> UNIT_SHIFT);
}

/* An indexed block where an aligned one fits, among the first few that are large enough. */
static struct block *aligned_fit(const struct heap *h, size_t align, size_t units)
{
    struct block *b = index_first_fit(h, units);
    for (unsigned i = 1; b && i < ALIGNED_TRIES; i++) {
        if (skip_for(b, align) + units <= linked_units(b))
            return b;
        b = index_next_fit(h, b, units);
    }
    if (b && skip_for(b, align) + units <= linked_units(b))
        return b;
    return index_first_fit(h, units + (align >> UNIT_SHIFT));
}

/* The first of the units just taken at `b` go back, so that what is left is aligned. */
static struct block *skip_front(struct heap *h, struct block *b, size_t front, bool *prev)
{
    *prev = front;
    if (!front)
        return b;
    fill(block_payload(b), block_at(b, front));
    *prev = !bins_put(h, b, front, 0);
    if (!*prev)
        return block_at(b, front);
    index_insert(h, b, front);
    if (b < h->carve && front > h->below)
        h->below = front;
    return block_at(b, front);
}

struct block *space_take_aligned(struct heap *h, size_t align, size_t units, const void *caller,
                                 bool *prev, enum heap_fault *fault)
{
    size_t front = skip_for(h->carve, align);
    bool carve_fits = front + units <= h->carve_units;
    struct block *b = carve_fits && units > h->below ? NULL : aligned_fit(h, align, units);
    if (b && (!carve_fits || b < h->carve)) {
        front = skip_for(b, align);
        b = take_indexed(h, b, front + units, caller, fault);
        h->below = h->span; /* large enough blocks were passed over */
        return b ? skip_front(h, b, front, prev) : NULL;
    }
    if (!carve_fits) {
        struct block *from = carve_end(h) == h->wild ? h->carve : h->wild;
        front = skip_for(from, align);
        if (front + units > units_between(from, heap_last(h)))
            return NULL;
        carve_wild(h, front + units);
    }
    b = take_carve(h, front + units, caller, fault);
    return b ? skip_front(h, b, front, prev) : NULL;
}

/* ---- giving back ---------------------------------------------------------------------------- */

enum heap_fault space_look(struct heap *h, const struct block *b, size_t units, bool prev,
                           struct around *out)
{
    struct block *next = block_at(b, units);
    *out = (struct around){0};
    if (!bare_units(h, next)) {
        struct view v = block_view(h, next);
        if (v.state == HEAP_DAMAGED)
            return HEAP_OVERRUN;
        if (v.state == HEAP_FREE) {
            if (linked_units(next) != v.units)
                return HEAP_WRITE_AFTER_FREE;
            out->next_units = v.units;
        }
    }
    if (prev) {
        out->prev_units = units_before(b);
        if (out->prev_units > units_between(heap_first(h), b) ||
            !is_free_block(h, block_back(b, out->prev_units), out->prev_units))
            return HEAP_UNDERRUN;
    }
    return HEAP_OK;
}

/* What is free joins carve or wild, if it touches them. */
static bool join_bare(struct heap *h, struct block *b, size_t units, const struct around *a)
{
    struct block *from = block_back(b, a->prev_units), *end = block_at(b, units + a->next_units);
    bool wild = end == h->wild, front = h->carve_units && end == h->carve;
    bool back = h->carve_units && from == carve_end(h);
    if (!wild && !front && !back)
        return false;
    if (a->prev_units)
        index_remove(h, from, a->prev_units);
    if (a->next_units) {
        index_remove(h, block_at(b, units), a->next_units);
        clear_prev(h, end);
    }
    fill(from, a->prev_units ? from + 2 : from + 1);
    fill(a->prev_units ? b - 1 : b, block_at(b, units));
    fill(a->next_units ? end - 1 : end, front || wild ? end + 1 : end);
    if (a->next_units)
        fill(block_at(b, units), block_at(b, units) + 2);
    if (wild)
        h->wild = from;
    else if (front)
        h->carve = from;
    if (!wild)
        h->carve_units += a->prev_units + units + a->next_units;
    return true;
}

static void join_index(struct heap *h, struct block *b, size_t units, const struct around *a)
{
    struct block *from = block_back(b, a->prev_units), *next = block_at(b, units);
    size_t all = a->prev_units + units + a->next_units;
    if (!a->next_units)
        set_prev(h, next);
    if (a->prev_units) {
        if (a->next_units)
            index_remove(h, next, a->next_units);
        index_replace(h, from, a->prev_units, from, all);
    } else if (a->next_units) {
        index_replace(h, next, a->next_units, b, all);
    } else {
        index_insert(h, b, units);
    }
    fill(a->prev_units ? b - 1 : b + 2, a->next_units ? next + 2 : next - 1);
    if (b < h->carve && all > h->below)
        h->below = all;
}

void space_free(struct heap *h, struct block *b, size_t units, const struct around *a)
{
    if (!join_bare(h, b, units, a))
        join_index(h, b, units, a);
    else
        trim(h);
}

bool space_extend(struct heap *h, struct block *end, size_t more, const struct around *a)
{
    if (end == h->carve && h->carve_units) {
        if (more > h->carve_units && more <= bare_units(h, end))
            carve_wild(h, more);
        return more <= h->carve_units && cut_carve(h, more);
    }
    if (end == h->wild) {
        if (more > wild_units(h))
            return false;
        set_wild(h, block_at(end, more));
        return true;
    }
    if (a->next_units < more)
        return false;
    size_t rest = a->next_units - more;
    if (rest) {
        index_replace(h, end, a->next_units, block_at(end, more), rest);
    } else {
        index_remove(h, end, a->next_units);
        clear_prev(h, block_at(end, more));
    }
    return true;
}
