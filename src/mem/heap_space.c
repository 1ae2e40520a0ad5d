/* SPDX-License-Identifier: MIT */
/*
 * heap_space.c - from which free memory a block is cut, and what becomes of it when it is free.
 *
 * Free memory is of two kinds. What lies behind the last block, up to the top, is `wild`: it has no
 * header, and blocks are cut from its front by moving one pointer. All else is in the index, by
 * address. A request takes the lowest block of the index that is large enough, and from wild when
 * there is none; as wild is the highest, that is first fit. `below` is never less than the largest
 * block in the index: a request for more goes to wild without a search.
 *
 * A block of the index is cut from its end, so that its start stays where the index has it. It is in
 * hand then, and is cut again, without a search, for requests of no less than what it was found for:
 * below it there was nothing for them. (What was freed below since then is found by the next search.)
 *
 *   S1  no free block has a free neighbour, and none of them is a neighbour of wild.
 *   S2  no block in the index has more than `below` units.
 *   S3  a block has PREV exactly when the block before it is in the index.
 *   S4  wild reaches to the sentinel, a header of a live block of no size at the top.
 *
 * A call that fails has changed nothing: what can refuse comes first, then the steps that cannot.
 *
 * Bounds. To take is one search and one change of the index (two when aligned); to give back looks
 * at two neighbours and makes at most two changes. Growing adds one node of the index for each
 * 4 MiB, 73 words to clear; shrinking clears a byte for each 8 KiB: less than the owner does.
 */
#include "heap_index.h"

enum {
    STEP_MIN = 4 << PAGE_SHIFT, /* growth: a 128th of what is held, between these    */
    STEP_MAX = 64 << PAGE_SHIFT,
    KEEP = 16 << PAGE_SHIFT, /* and an eighth of what is used stay of a free tail of twice that */
    ALIGNED_TRIES = 3,
};

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

/* Is an indexed block what the index says? Else it was written to while free. */
static bool is_free_block(const struct heap *h, const struct block *b, size_t units)
{
    uint64_t f = block_open(h, b, HEAP_FREE);
    return HEAP_HARDEN == 0 || f == units;
}

/* ---- wild memory ---------------------------------------------------------------------------- */

static void set_wild(struct heap *h, struct block *b)
{
    h->wild = b;
    h->wild_units = units_between(b, heap_last(h));
    fill(b, b + 1);
}

static struct block *cut_wild(struct heap *h, size_t units)
{
    struct block *b = h->wild;
    h->wild = block_at(b, units);
    h->wild_units -= units;
    return b;
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

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
    index_extend(h, held, held + bytes);
    return true;
}

static void let_go(struct heap *h, size_t bytes)
{
    size_t held = (size_t)(h->top - h->start);
    index_cut(h, held, held - bytes);
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
}

static size_t step(const struct heap *h)
{
    size_t part = whole_pages(h->stats.mapped >> 7);
    return part < STEP_MIN ? STEP_MIN : part > STEP_MAX ? STEP_MAX : part;
}

/* Whole steps first; when the owner refuses, just what is needed. */
static bool hold_for(struct heap *h, size_t need, bool little, size_t *got)
{
    size_t room = (size_t)(h->limit - h->top), extra = little ? PAGE_SIZE : step(h);
    size_t tries[] = {need + extra - PAGE_SIZE, need};
    for (unsigned i = 0; i < 2; i++) {
        *got = tries[i];
        if (*got <= room && hold(h, *got))
            return true;
    }
    return false;
}

bool space_grow(struct heap *h, size_t units, bool little)
{
    struct block *end = heap_last(h);
    size_t had = h->wild_units, got;
    if (had >= units)
        return true;
    if (units - had > (size_t)(h->limit - h->top) >> UNIT_SHIFT ||
        !hold_for(h, whole_pages((units - had) << UNIT_SHIFT), little, &got))
        return false;
    block_seal(h, heap_last(h), 0, HEAP_LIVE);
    set_wild(h, h->wild);
    h->stats.grown++;
    fill(end, heap_last(h));
    return true;
}

void space_trim(struct heap *h, size_t keep)
{
    size_t used = (size_t)((uint8_t *)h->wild + HEADER - h->start);
    size_t bytes = whole_pages(used + keep), held = (size_t)(h->top - h->start);
    if (bytes < HEAP_START)
        bytes = HEAP_START;
    if (bytes >= held)
        return;
    block_seal(h, (struct block *)(h->start + bytes - HEADER), 0, HEAP_LIVE);
    let_go(h, held - bytes);
    h->wild_units = units_between(h->wild, heap_last(h));
}

bool space_start(struct heap *h, size_t bytes)
{
    h->top = h->start;
    if (!hold(h, bytes))
        return false;
    h->base = h->start + UNIT;
    h->span = (bytes >> UNIT_SHIFT) - 1;
    block_seal(h, heap_last(h), 0, HEAP_LIVE);
    set_wild(h, heap_first(h));
    fill(h->wild, heap_last(h));
    return true;
}

/* ---- taking --------------------------------------------------------------------------------- */


/* Level 3: was free memory written to? */
static bool is_clean(const void *from, const void *to)
{
    return HEAP_HARDEN < 3 || heap_is_filled(from, to);
}

/* Is the indexed block what the index says, and as it was left? Else a fault is reported. */
static bool is_sound_block(struct heap *h, const struct block *b, const void *caller,
                           enum heap_fault *fault)
{
    size_t units = linked_units(b);
    if (!is_free_block(h, b, units))
        *fault = heap_report_damage(h, HEAP_BAD_HEADER, b, caller);
    else if (!is_clean(link_of(b) + 1, block_at(b, units) - 1))
        *fault = heap_report_damage(h, HEAP_WRITE_AFTER_FREE, b, caller);
    return *fault == HEAP_OK;
}

/* Takes the end of an indexed block: its start stays where the index has it. */
static struct piece cut_indexed(struct heap *h, struct block *b, size_t units)
{
    size_t all = linked_units(b);
    clear_prev(h, block_at(b, all));
    if (all == units) {
        index_remove(h, b);
        return (struct piece){b, 0};
    }
    if (b != h->hand) {
        h->hand = b;
        h->hand_units = all;
        h->hand_least = units;
    }
    index_cut_hand(h, b, all - units);
    return (struct piece){block_at(b, all - units), PREV};
}

static struct piece take_wild(struct heap *h, size_t units, const void *caller,
                              enum heap_fault *fault)
{
    if (is_clean(block_payload(h->wild), block_at(h->wild, units)))
        return (struct piece){cut_wild(h, units), 0};
    *fault = heap_report_damage(h, HEAP_WRITE_AFTER_FREE, h->wild, caller);
    return (struct piece){0};
}

static inline struct piece take_plain(struct heap *h, size_t units, const void *caller,
                                      enum heap_fault *fault)
{
    if (units <= h->below) {
        struct block *b = h->hand;
        if (!b || linked_units(b) < units || units < h->hand_least) {
            if (b)
                index_settle(h);
            b = index_first_fit(h, units);
        }
        if (b && is_sound_block(h, b, caller, fault))
            return cut_indexed(h, b, units);
        if (b)
            return (struct piece){0};
        if (units < EXACT) /* else the search may have missed some */
            h->below = units - 1;
    }
    return units <= h->wild_units ? take_wild(h, units, caller, fault) : (struct piece){0};
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
    for (unsigned i = 0; b && i < ALIGNED_TRIES; i++) {
        if (skip_for(b, align) + units <= linked_units(b))
            return b;
        b = index_next_fit(h, b, units);
    }
    return index_first_fit(h, units + (align >> UNIT_SHIFT));
}

static void add_free(struct heap *h, struct block *b, size_t units)
{
    index_insert(h, b, units);
    if (units > h->below)
        h->below = units;
}

/* What is before the aligned place stays, what is behind it becomes another free block. */
static struct piece cut_middle(struct heap *h, struct block *b, size_t front, size_t units)
{
    size_t all = linked_units(b), rest = all - front - units;
    struct block *behind = block_at(b, front + units);
    if (front)
        index_shrink(h, b, front);
    else
        index_remove(h, b);
    if (rest)
        index_insert(h, behind, rest);
    else
        clear_prev(h, behind);
    return (struct piece){block_at(b, front), front ? PREV : 0};
}

struct piece space_take_wild(struct heap *h, size_t align, size_t units, const void *caller,
                             enum heap_fault *fault)
{
    size_t front = skip_for(h->wild, align);
    if (front + units > h->wild_units)
        return (struct piece){0};
    struct piece p = take_wild(h, front + units, caller, fault);
    if (!p.b || !front)
        return p;
    add_free(h, p.b, front);
    return (struct piece){block_at(p.b, front), PREV};
}

[[gnu::noinline]] static struct piece take_aligned(struct heap *h, size_t align, size_t units,
                                                   const void *caller, enum heap_fault *fault)
{
    if (h->hand)
        index_settle(h);
    struct block *b = units <= h->below ? aligned_fit(h, align, units) : NULL;
    if (!b)
        return space_take_wild(h, align, units, caller, fault);
    if (!is_sound_block(h, b, caller, fault))
        return (struct piece){0};
    return cut_middle(h, b, skip_for(b, align), units);
}

struct piece space_take(struct heap *h, size_t align, size_t units, const void *caller,
                        enum heap_fault *fault)
{
    return align > HEAP_ALIGN ? take_aligned(h, align, units, caller, fault)
                              : take_plain(h, units, caller, fault);
}

/* The free blocks before and behind a block, 0: there is none. */
struct around {
    size_t prev_units, next_units;
};

/* ---- giving back ---------------------------------------------------------------------------- */

static inline enum heap_fault look_around(struct heap *h, const struct block *b, size_t units, bool prev,
                           struct around *out)
{
    struct block *next = block_at(b, units);
    *out = (struct around){0};
    if (next != h->wild) {
        uint64_t f = block_open(h, next, HEAP_DAMAGED);
        if (f >> CHECK_SHIFT == HEAP_FREE) {
            out->next_units = (size_t)(f & FIELDS);
            if (linked_units(next) != out->next_units)
                return HEAP_WRITE_AFTER_FREE;
        } else if (HEAP_HARDEN && f >> CHECK_SHIFT >= HEAP_STATES) {
            return HEAP_OVERRUN;
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

/* The freed units and what is free before them become wild. */
static inline void join_wild(struct heap *h, struct block *b, size_t units, const struct around *a)
{
    struct block *end = block_at(b, units);
    fill(a->prev_units ? b - 1 : b, end + 1);
    if (a->prev_units) {
        b = block_back(b, a->prev_units);
        index_remove(h, b);
        fill(b, b + 2);
    }
    h->wild_units += units_between(b, h->wild);
    h->wild = b;
    size_t keep = KEEP + ((size_t)((uint8_t *)h->wild - h->start) >> 3);
    if (h->wild_units << UNIT_SHIFT >= 2 * keep) /* the distance stops a loop from thrashing */
        space_trim(h, keep);
}

static inline void join_index(struct heap *h, struct block *b, size_t units, const struct around *a)
{
    struct block *from = block_back(b, a->prev_units), *next = block_at(b, units);
    size_t all = a->prev_units + units + a->next_units;
    if (!a->next_units)
        set_prev(h, next);
    if (a->prev_units) {
        if (a->next_units)
            index_remove(h, next);
        index_grow(h, from, all);
    } else if (a->next_units) {
        index_move(h, next, b, all);
    } else {
        index_insert(h, b, units);
    }
    struct block *link = from + 1, *footer = block_at(from, all) - 1;
    fill(a->prev_units && b - 1 > link ? b - 1 : (b == from ? b + 2 : b),
         a->next_units && next + 2 < footer ? next + 2 : footer);
    if (all > h->below)
        h->below = all;
}

enum heap_fault space_release(struct heap *h, struct block *b, size_t units, bool prev)
{
    struct around around;
    enum heap_fault fault = look_around(h, b, units, prev, &around);
    if (fault)
        return fault;
    block_seal(h, b, 0, HEAP_FREE); /* never again taken for a live one */
    if (block_at(b, units) == h->wild)
        join_wild(h, b, units, &around);
    else
        join_index(h, b, units, &around);
    return HEAP_OK;
}

bool space_extend(struct heap *h, struct block *b, size_t units, size_t more)
{
    struct block *end = block_at(b, units);
    struct around around, *a = &around;
    if (look_around(h, b, units, false, a))
        return false; /* the copy will find what is wrong */
    if (end == h->wild) {
        if (more > h->wild_units)
            return false;
        cut_wild(h, more);
        fill(h->wild, h->wild + 1);
        return true;
    }
    if (a->next_units < more)
        return false;
    size_t rest = a->next_units - more;
    if (rest) {
        index_move(h, end, block_at(end, more), rest);
    } else {
        index_remove(h, end);
        clear_prev(h, block_at(end, more));
    }
    return true;
}
