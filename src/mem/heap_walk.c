/* SPDX-License-Identifier: MIT */
/*
 * heap_walk.c - what the heap holds, found by walking its tiles when somebody asks.
 *
 * Calls that allocate and free keep no sums: that would cost each of them what these few can pay.
 */
#include "heap_block.h"

static void count(struct heap_stats *s, const struct view *v)
{
    size_t bytes = payload_bytes(v->units);
    if (v->state == HEAP_LIVE) {
        s->blocks++;
        s->used += bytes;
        return;
    }
    s->free_blocks++;
    s->free += bytes;
    if (v->state == HEAP_BINNED) {
        s->waiting_blocks++;
        s->waiting += bytes;
    }
    if (bytes > s->largest)
        s->largest = bytes;
}

bool heap_stats(const struct heap *heap, struct heap_stats *out)
{
    struct view v;
    const struct block *b = heap_first(heap);
    *out = heap->stats;
    out->start = heap->low;
    for (; tile_at(heap, b, &v); b = block_at(b, v.units))
        count(out, &v);
    return b == heap_last(heap);
}

struct heap_block heap_shown(const struct heap *h, const struct block *b, const struct view *v)
{
    bool live = v->state == HEAP_LIVE;
    return (struct heap_block){
        .payload = block_payload(b),
        .size = payload_bytes(v->units),
        .requested = live ? live_size(v->fields) : 0,
        .live = live,
        .waiting = v->state == HEAP_BINNED,
        .allocated_by = live ? heap_block_caller(h, b, v) : NULL,
    };
}

bool heap_walk(const struct heap *heap, bool (*visit)(void *ctx, const struct heap_block *),
               void *ctx)
{
    struct view v;
    const struct block *b = heap_first(heap);
    for (; tile_at(heap, b, &v); b = block_at(b, v.units)) {
        struct heap_block out = heap_shown(heap, b, &v);
        if (!visit(ctx, &out))
            return false;
    }
    return b == heap_last(heap);
}
