/* SPDX-License-Identifier: MIT */
/* heap_check.c - the invariants of heap.c, heap_guard.c, heap_space.c, heap_lists.c and
 * heap_tree.c, as code. Reads only. */
#include "heap_space.h"

struct totals {
    size_t small, large, binned;
    size_t taken, waiting; /* units of blocks in use or in bins, and of those in bins */
};

/* A tile, its forerunner, and what they must agree on. */
static bool tile_holds(const struct heap *h, const struct block *b, const struct view *v,
                       const struct view *last, const char **broken)
{
    bool free = v->state == HEAP_FREE, after_free = last->state == HEAP_FREE;
    *broken = "S1: no free block has a free neighbour";
    if (free && after_free)
        return false;
    if (b == h->wild)
        return true;
    *broken = "S2: no free block has more than `below` bytes";
    if (free && v->units >= LEAST && v->units << UNIT_SHIFT > h->below)
        return false;
    *broken = "S3: PREV says that the block before is free";
    if (v->prev != after_free)
        return false;
    *broken = "L1: a free block ends with its units";
    return !free || units_before(block_at(b, v->units)) == v->units;
}

/* What nobody may write to is as the heap left it, as far as the level looks. */
static bool is_as_left(const struct heap *h, const struct block *b, const struct view *v,
                       const char **broken)
{
    *broken = "G1: behind the payload of every live block stands its canary";
    if (v->state == HEAP_LIVE)
        return HEAP_HARDEN < 2 || heap_end_is_intact(h, b, v->fields);
    *broken = "G2: free memory is filled";
    if (v->state == HEAP_BINNED)
        return is_clean(block_payload(b) + sizeof(void *), block_at(b, v->units));
    return b == h->wild ? is_clean(block_payload(b), heap_last(h)) : is_untouched(b, v->units);
}

/* *at: the tile that does not hold, or the last one before a damaged header. */
static bool tiles_hold(const struct heap *h, struct totals *t, const char **broken,
                       const struct block **at)
{
    struct view v, last = {.state = HEAP_LIVE};
    const struct block *b = heap_first(h), *end = heap_last(h);
    for (; tile_at(h, b, &v); b = block_at(b, v.units), last = v) {
        *at = b;
        if (!tile_holds(h, b, &v, &last, broken) || !is_as_left(h, b, &v, broken))
            return false;
        bool free = v.state == HEAP_FREE && b != h->wild;
        t->small += free && v.units >= LEAST && v.units < LARGE;
        t->large += free && v.units >= LARGE;
        t->binned += v.state == HEAP_BINNED;
        t->waiting += v.state == HEAP_BINNED ? v.units : 0;
        t->taken += v.state == HEAP_FREE ? 0 : v.units;
    }
    *broken = "H1: intact blocks tile the heap, up to the wild memory";
    v = block_view(h, end);
    return b == end && v.state == HEAP_LIVE && !live_size(v.fields) && !v.prev && h->wild <= end &&
           units_between(h->wild, end) << UNIT_SHIFT == h->wild_bytes;
}

static bool in_heap(const struct heap *h, const struct block *b)
{
    return b >= heap_first(h) && b < heap_last(h) && (uintptr_t)block_payload(b) % UNIT == 0;
}

static bool bins_hold(const struct heap *h, size_t *count)
{
    for (size_t units = 1; units <= HEAP_BIN_UNITS; units++) {
        size_t most = (size_t)(h->top - h->start) / UNIT; /* a ring must end, too */
        for (const void *p = h->bin[units]; p; p = next_in(p), ++*count) {
            if (!most-- || !in_heap(h, block_of(p)))
                return false;
            struct view v = block_view(h, block_of(p));
            if (v.state != HEAP_BINNED || v.units != units)
                return false;
        }
    }
    return true;
}

/* Bins that might hold all that is taken would not be full when the last live block comes. */
static bool counts_hold(const struct heap *h, const struct totals *t)
{
    size_t share = space_share(h);
    return h->granted <= h->units >> SHARE_LOG && t->taken == space_taken(h) &&
           t->waiting == share - (size_t)h->room && h->room >= -OVERDRAFT &&
           (h->beyond > -ENOUGH || !space_has_grown(h));
}

static bool all_holds(const struct heap *h, const char **broken, const struct block **at)
{
    struct totals t = {0}, found = {0};
    if (!tiles_hold(h, &t, broken, at))
        return false;
    *at = NULL;
    *broken = "H2: the bins hold exactly the binned blocks, each in the bin of its size";
    if (!bins_hold(h, &found.binned) || found.binned != t.binned)
        return false;
    *broken = "H3: it is known how much is taken, and how much of it waits in bins";
    if (!counts_hold(h, &t))
        return false;
    *broken = "L1, L2: the lists hold exactly the small free blocks, each in the list of its size";
    if (!heap_lists_hold(h, &found.small) || found.small != t.small)
        return false;
    *broken = "T1 to T4: the tree holds exactly the large free blocks, by address";
    return heap_tree_holds(h, &found.large) && found.large == t.large;
}

bool heap_check(const struct heap *heap, const char **broken)
{
    const struct block *at;
    return all_holds(heap, broken, &at);
}

bool heap_check_where(const struct heap *heap, const char **broken, struct heap_block *where)
{
    const struct block *at = NULL;
    struct view v;
    bool holds = all_holds(heap, broken, &at);
    *where = (struct heap_block){0};
    if (at) {
        (void)tile_at(heap, at, &v); /* it is: it was walked over */
        *where = heap_shown(heap, at, &v);
    }
    return holds;
}
