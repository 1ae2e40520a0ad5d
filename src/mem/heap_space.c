/* SPDX-License-Identifier: MIT */
/*
 * heap_space.c - from which free memory a block is cut, and what becomes of it when it is free.
 *
 * Free memory is of two kinds. What lies behind the last block, up to the top, is `wild`: it has no
 * header, and blocks are cut from its front by moving one pointer. All else are free blocks, in
 * lists by size up to a page, in a tree by address above. A request takes one of those, and from
 * wild when none is large enough. `below` is never less than the largest of them: a request for
 * more goes to wild without a search. Blocks are cut from the front of a free one; what is left
 * stays free.
 *
 *   S1  no free block has a free neighbour, and none of them is a neighbour of wild.
 *   S2  no free block of two units or more has more than `below` bytes.
 *   S3  a block has PREV exactly when the block before it is free, and not wild.
 *   S4  wild reaches to the sentinel, a header of a live block of no size at the top.
 *
 * A call that fails has changed nothing: what can refuse comes first, then the steps that cannot.
 *
 * Bounds. To take is one search, and two changes of lists and tree (three when aligned); to give
 * back looks at two neighbours and makes three changes at most. Only the tree has loops.
 */
#include "heap_join.h"

enum {
    STEP_MIN = 2 << PAGE_SHIFT, /* growth: a 128th of what is held, between these    */
    STEP_MAX = 32 << PAGE_SHIFT,
    KEEP = 16 << PAGE_SHIFT, /* and an eighth of what is used stay of a free tail of twice that */
};

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

/* From here on memory is needed for a tree of so many records. */
static uint8_t *low_for(const struct heap *h, size_t records, unsigned levels)
{
    return page_start(h->start - tree_bytes(records, levels));
}

static size_t records_up_to(const struct heap *h, const uint8_t *top)
{
    return tree_records((size_t)(top - h->start));
}

/* More may wait when the heap has grown by some bytes, if half of it is live or about to be. But no
 * more than now while more does than was granted, or little is taken, and a unit less than that (of
 * nothing: -1). */
static inline void raise_share_for(struct heap *h, size_t bytes)
{
    ptrdiff_t units = (ptrdiff_t)(bytes >> (UNIT_SHIFT + SHARE_LOG)), all = h->beyond + OVERDRAFT;
    if (space_live(h) + ((size_t)units << SHARE_LOG) < h->units >> SHARE_LOG)
        units = 0;
    h->granted += (size_t)units;
    if (h->beyond >= units && (ptrdiff_t)h->withheld >= 0) {
        raise_share(h, units);
        return;
    }
    if (all < 0) {
        raise_share(h, all);
        units -= all;
    }
    h->withheld += (size_t)units;
}

/* What waits already may wait, but for OVERDRAFT, though the heap has become smaller. */
[[gnu::noinline]] bool heap_space_review(struct heap *h, size_t comes)
{
    size_t taken = space_taken(h), waits = space_share(h) - (size_t)h->room - comes;
    size_t share = h->granted;
    bool grown = space_has_grown(h);
    if (waits > share + OVERDRAFT)
        share = waits - OVERDRAFT;
    if (grown && share >= taken)
        share = taken ? taken - 1 : 0;
    withhold(h, h->granted - share);
    return grown && waits + comes == taken;
}

/* Nothing is taken. */
static void count_nothing(struct heap *h)
{
    h->withheld = 0;
    h->granted = h->units >> SHARE_LOG;
    h->room = (ptrdiff_t)space_share(h);
    h->beyond = -h->room - ENOUGH;
}

/* More bytes are held at the top, or less. */
static inline void move_top(struct heap *h, ptrdiff_t bytes)
{
    h->top += bytes;
    h->span += (size_t)bytes;
    h->reach += (size_t)bytes;
    h->units += (size_t)(bytes >> UNIT_SHIFT);
    h->stats.mapped += (size_t)bytes;
}

static void move_low(struct heap *h, uint8_t *low)
{
    h->stats.mapped += (size_t)(h->low - low);
    h->low = low;
}

/* The tree's memory for more records than there are; false: the owner refuses. */
static inline bool hold_low(struct heap *h, size_t records, unsigned levels)
{
    uint8_t *low = low_for(h, records, levels);
    if (low >= h->low)
        return true;
    if (!h->ops.grow(h->ops.ctx, low, (size_t)(h->low - low)))
        return false;
    move_low(h, low);
    return true;
}

/* What those that there are have no need of goes back. */
[[gnu::cold, gnu::noinline]] static void trim_low(struct heap *h)
{
    uint8_t *was = h->low, *low = low_for(h, h->records, h->levels);
    if (low == was)
        return;
    move_low(h, low);
    h->ops.shrink(h->ops.ctx, was, (size_t)(low - was));
}

/* The tree's memory first: it goes back when the blocks' is refused. */
[[gnu::always_inline]] static inline bool hold(struct heap *h, size_t bytes)
{
    size_t records = records_up_to(h, h->top + bytes);
    unsigned levels = tree_levels(records, h->levels);
    bool more = records > h->records;
    if (more && !hold_low(h, records, levels))
        return false;
    if (!h->ops.grow(h->ops.ctx, h->top, bytes)) {
        if (more)
            trim_low(h);
        return false;
    }
    move_top(h, (ptrdiff_t)bytes);
    raise_share_for(h, bytes);
    if (more)
        heap_tree_cover(h, records, levels);
    if (h->top > h->highest) {
        h->highest = h->top;
        h->stats.most = h->stats.mapped;
    }
    return true;
}

static void let_go(struct heap *h, size_t bytes)
{
    move_top(h, -(ptrdiff_t)bytes);
    h->ops.shrink(h->ops.ctx, h->top, bytes);
    size_t records = records_up_to(h, h->top);
    heap_tree_cover(h, records, tree_levels(records, LEVELS_MIN));
    trim_low(h);
    h->stats.shrunk++;
}

/* The header at the end moves: where it was, nothing may be taken for a live block. */
static void forget_last(const struct heap *h, struct block *last)
{
    seal_free(h, last, 0);
}

/* Bytes to ask for at best: a part of what is held more than the need, or, up to where the top
 * ever was, a long step. */
static size_t step(const struct heap *h, size_t need)
{
    size_t part = whole_pages(h->stats.mapped >> 7), again = (size_t)(h->highest - h->top);
    part = part < STEP_MIN ? STEP_MIN : part > STEP_MAX ? STEP_MAX : part;
    again = again > need + STEP_MAX ? need + STEP_MAX : again;
    part += need - PAGE_SIZE;
    return again > part ? again : part;
}

/* Whole steps first; when there is no room for one, or the owner refuses, just what is needed, for
 * which there is room. */
static inline bool hold_for(struct heap *h, size_t need)
{
    size_t bytes = step(h, need);
    if (bytes > (size_t)(h->limit - h->top))
        bytes = need;
    while (!hold(h, bytes)) {
        if (bytes == need)
            return false;
        bytes = need;
    }
    return true;
}

bool heap_space_grow(struct heap *h, size_t units)
{
    struct block *end = heap_last(h);
    size_t had = h->wild_bytes, bytes = units << UNIT_SHIFT;
    if (had >= bytes)
        return true;
    if (bytes - had > (size_t)(h->limit - h->top) || !hold_for(h, whole_pages(bytes - had)))
        return false;
    forget_last(h, end);
    fill(end, heap_last(h));
    block_seal(h, heap_last(h), 0, HEAP_LIVE);
    h->wild_bytes += (size_t)((uint8_t *)heap_last(h) - (uint8_t *)end);
    h->stats.grown++;
    return true;
}

/* Bytes that it gave back. */
static inline size_t trim(struct heap *h, size_t keep)
{
    uint8_t *end = page_start((uint8_t *)h->wild + HEADER + keep + PAGE_SIZE - 1),
            *least = first_top(h);
    if (end < least)
        end = least;
    if (end >= h->top)
        return 0;
    size_t bytes = (size_t)(h->top - end);
    forget_last(h, heap_last(h));
    block_seal(h, (struct block *)(end - HEADER), 0, HEAP_LIVE);
    let_go(h, bytes);
    h->wild_bytes = (size_t)((uint8_t *)heap_last(h) - (uint8_t *)h->wild);
    return bytes;
}

void heap_space_trim(struct heap *h, size_t keep)
{
    bool few = h->beyond < 0;
    (void)trim(h, keep);
    ptrdiff_t less = (ptrdiff_t)(h->granted - (h->units >> SHARE_LOG));
    if (less > 0) {
        raise_share(h, -less);
        h->granted -= (size_t)less;
    }
    if (few || h->room < -OVERDRAFT)
        (void)heap_space_review(h, 0);
}

[[gnu::cold]] bool heap_space_start(struct heap *h)
{
    h->low = h->top = page_start(h->start);
    h->span = (size_t)0 - (h->zero - (uintptr_t)h->top);
    h->units = (size_t)0 - (h->first - (uintptr_t)h->top) / UNIT;
    h->reach = (size_t)(h->top - h->start) - sizeof(struct links);
    if (!hold(h, (size_t)(first_top(h) - h->top)))
        return false;
    count_nothing(h);
    __builtin_memset(callers_of(h), 0, NAMES);
    fill(heap_first(h), heap_last(h));
    block_seal(h, heap_last(h), 0, HEAP_LIVE);
    set_wild(h, heap_first(h));
    return true;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/* The tree and all else that is known of free memory is forgotten, and the memory is wild. */
void heap_space_empty(struct heap *h)
{
    __builtin_memset(h->bin, 0, sizeof h->bin);
    __builtin_memset(h->filled, 0, sizeof h->filled);
    h->below = 0;
    set_wild(h, heap_first(h));
    (void)trim(h, 0);
    heap_tree_empty(h);
    count_nothing(h);
}

/* The largest free block became wild memory: how large the others are is looked up, so that nobody
 * searches them in vain. Less than UINT32_MAX units, so `most` tells of all of the largest. */
[[gnu::noinline]] static void lower_below(struct heap *h)
{
    size_t units = h->most;
#pragma GCC unroll 4
    for (unsigned i = 0; i < HEAP_LOOSE; i++) {
        if (h->loose[i].units > units)
            units = h->loose[i].units;
    }
    h->below = (units ? units : list_largest(h)) << UNIT_SHIFT;
}

enum heap_fault heap_space_join_wild(struct heap *h, struct block *b, size_t units, struct around a)
{
    fill(block_payload(b), block_at(b, units));
    if (h->wild != heap_last(h)) /* else there was no wild memory, and the last header stays */
        fill(h->wild, h->wild + 1);
    b = join_prev(h, b, a);
    set_wild(h, b);
    size_t keep = KEEP + ((size_t)((uint8_t *)h->wild - h->start) >> 3);
    if (h->wild_bytes >= 2 * keep) /* the distance stops a loop from thrashing */
        heap_space_trim(h, keep);
    else if (a.prev_units >= LARGE && a.prev_units << UNIT_SHIFT >= h->below &&
             a.prev_units < UINT32_MAX)
        lower_below(h);
    return HEAP_OK;
}

enum heap_fault heap_space_release(struct heap *h, struct block *b, size_t units, bool prev,
                                   size_t below)
{
    struct around around;
    enum heap_fault fault = look_around(h, b, units, prev, &around);
    if (fault)
        return fault;
    if (around.prev_units + units + around.next_units >= below)
        return TOO_MUCH;
    note_given(h, units);
    return join(h, b, units, around);
}

bool heap_space_extend(struct heap *h, struct block *b, size_t units, size_t more)
{
    struct block *end = block_at(b, units);
    struct around a;
    if (look_around(h, b, units, false, &a))
        return false; /* the copy will find what is wrong */
    if (end == h->wild) {
        if (more << UNIT_SHIFT > h->wild_bytes ||
            !is_clean(block_payload(end), block_at(end, more)))
            return false;
        cut_wild(h, more);
        return true;
    }
    if (a.next_units < more || !is_untouched(end, a.next_units))
        return false;
    note_taken(h, more);
    cut_front(h, end, a.next_units, more);
    return true;
}
