/* SPDX-License-Identifier: MIT */
/* heap_check.c - the invariants of heap.c, as code. */
#include "heap_block.h"

struct totals {
    size_t used, free, blocks, free_blocks;
};

static void add(struct totals *t, const struct block *b)
{
    size_t bytes = block_payload_bytes(b);
    if (block_is_live(b)) {
        t->blocks++;
        t->used += bytes;
    } else {
        t->free_blocks++;
        t->free += bytes;
    }
}

static bool tiles_hold(const struct heap *h, struct totals *t, const char **broken)
{
    uint64_t previous = 0;
    bool before_is_free = false;
    const struct block *b = heap_first(h);
    for (; b < heap_last(h); b = block_after(b)) {
        *broken = "H4: every header is intact";
        if (!block_is_intact(h, b))
            return false;
        *broken = "H1: blocks tile the heap and know the block before";
        if (block_previous(b) != previous || block_units(b) < UNITS_MIN)
            return false;
        *broken = "H2: no two free blocks are neighbours";
        if (before_is_free && !block_is_live(b))
            return false;
        before_is_free = !block_is_live(b);
        previous = block_units(b);
        add(t, b);
    }
    *broken = "H1: the last tile ends at the sentinel";
    return b == heap_last(h) && block_is_intact(h, b) && block_is_live(b) &&
           block_previous(b) == previous;
}

bool heap_check(const struct heap *heap, const char **broken)
{
    struct totals t = {0};
    size_t nodes;
    if (!tiles_hold(heap, &t, broken))
        return false;
    *broken = "H3: the tree holds exactly the free blocks, ordered and balanced";
    if (!tree_holds(heap, &nodes) || nodes != t.free_blocks)
        return false;
    *broken = "H5: the counts are what the tiles add up to";
    return heap->stats.used == t.used && heap->stats.free == t.free &&
           heap->stats.blocks == t.blocks && heap->stats.free_blocks == t.free_blocks;
}
