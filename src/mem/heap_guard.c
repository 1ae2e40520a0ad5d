/* SPDX-License-Identifier: MIT */
/*
 * heap_guard.c - how the heap names what is wrong with a pointer or a block.
 *
 * Nothing here changes the heap, but for the count of faults: a call that is refused leaves all as
 * it was. Only reports walk the tiles, so their cost grows with the heap; good calls never do.
 *
 *   G1  from level 2 on: the byte behind the payload of every live block is a canary.
 *   G2  at level 3: free memory holds nothing but the fill, and what the heap needs to find it.
 */
#include "heap_block.h"

const char *heap_fault_name(enum heap_fault fault)
{
    static const char *const names[HEAP_FAULT_COUNT] = {
        "no fault",         "double free",        "foreign pointer",
        "interior pointer", "misaligned pointer", "damaged header",
        "overrun",          "underrun",           "write after free",
    };
    return (unsigned)fault < HEAP_FAULT_COUNT ? names[fault] : "unknown fault";
}

bool heap_is_filled(const void *from, const void *to)
{
    for (const uint8_t *at = from; at < (const uint8_t *)to; at++) {
        if (*at != FREED)
            return false;
    }
    return true;
}

/* The lower bits of who allocated a LONG block; 0: not known. */
static uintptr_t long_caller(const struct heap *h, const struct block *b, const struct view *v)
{
    return LONG_EXTRA ? *tail_before(block_at(b, v->units)) >> 8
                      : callers_name(callers_of(h), caller_field(v->fields) % CALLERS);
}

const void *heap_block_caller(const struct heap *h, const struct block *b, const struct view *v)
{
    if (v->state == HEAP_FREE)
        return NULL;
    bool is_long = v->fields >> SIZE_SHIFT & LONG;
    uintptr_t low = is_long ? long_caller(h, b, v) : (uintptr_t)caller_field(v->fields);
    return low ? (const void *)(h->caller_base + low) : NULL;
}

/* ---- reports -------------------------------------------------------------------------------- */

static enum heap_fault report(struct heap *h, enum heap_fault fault, const void *address,
                              const struct block *b, const struct view *v, const void *caller)
{
    struct heap_report r = {.fault = fault, .address = address, .caller = caller};
    if (b) {
        r.block = block_payload(b);
        r.live = v->state == HEAP_LIVE;
        r.size = v->state == HEAP_FREE ? payload_bytes(v->units) : live_size(v->fields);
        r.allocated_by = heap_block_caller(h, b, v);
    }
    h->stats.faults[fault]++;
    if (h->ops.report)
        h->ops.report(h->ops.ctx, &r);
    return fault;
}

enum heap_fault heap_report_live(struct heap *h, enum heap_fault fault, const struct block *b,
                                 const void *caller)
{
    struct view v = block_view(h, b);
    return report(h, fault, block_payload(b), b, &v, caller);
}

/* The tile that holds `address`; NULL when it is damaged or lies behind damage. */
static const struct block *tile_of(const struct heap *h, const void *address, struct view *v)
{
    const struct block *b = heap_first(h);
    for (; tile_at(h, b, v); b = block_at(b, v->units)) {
        if ((const uint8_t *)address < (const uint8_t *)block_at(b, v->units))
            return b;
    }
    return NULL;
}

/* The last intact tile that ends before `address`, as it may have been overrun; NULL: there is
 * none. */
static const struct block *tile_before(const struct heap *h, const void *address, struct view *v)
{
    struct view next;
    const struct block *before = NULL, *b = heap_first(h);
    for (; tile_at(h, b, &next); b = block_at(b, next.units)) {
        if ((const uint8_t *)address < (const uint8_t *)block_at(b, next.units))
            break;
        before = b;
        *v = next;
    }
    return before;
}

static bool is_outside(const struct heap *h, const void *p)
{
    return (const uint8_t *)p < block_payload(heap_first(h)) ||
           (const uint8_t *)p >= (uint8_t *)heap_last(h);
}

/* What stands before `p` is no header. */
static enum heap_fault report_bad_header(struct heap *h, const void *p, const void *caller)
{
    struct view v;
    const struct block *before = is_outside(h, p) ? NULL : tile_before(h, p, &v);
    return report(h, HEAP_BAD_HEADER, p, before, &v, caller);
}

enum heap_fault heap_report_damage(struct heap *h, enum heap_fault fault, const void *p,
                                   const void *caller)
{
    struct view v;
    if (fault == HEAP_BAD_HEADER)
        return report_bad_header(h, p, caller);
    bool known = !is_outside(h, p) && tile_at(h, block_of(p), &v);
    return report(h, fault, p, known ? block_of(p) : NULL, &v, caller);
}

void heap_report_end(struct heap *h, const struct block *end)
{
    struct view v;
    const struct block *tile = tile_of(h, end - 1, &v);
    (void)report(h, HEAP_WRITE_AFTER_FREE, end - 1, tile, &v, NULL);
}

/* Does a live block start at `p`? The tiles know; if damage hides them, its header says so. */
static bool is_live_start(const struct heap *h, const void *p, const struct block *tile,
                          const struct view *v)
{
    uint64_t fields;
    return tile ? tile == block_of(p) && v->state == HEAP_LIVE : heap_starts_live(h, p, &fields);
}

enum heap_fault heap_name_fault(struct heap *h, const void *p, const void *caller)
{
    struct view v;
    if (!p)
        return HEAP_OK;
    if (is_outside(h, p))
        return report(h, HEAP_FOREIGN, p, NULL, NULL, caller);
    const struct block *tile = tile_of(h, p, &v);
    if (is_live_start(h, p, tile, &v))
        return heap_report_live(h, HEAP_OVERRUN, block_of(p), caller);
    if ((uintptr_t)p % HEAP_ALIGN)
        return report(h, HEAP_MISALIGNED, p, tile, &v, caller);
    if (!tile)
        return report_bad_header(h, p, caller);
    if (v.state != HEAP_LIVE)
        return report(h, HEAP_DOUBLE_FREE, p, tile, &v, caller);
    return report(h, HEAP_INTERIOR, p, tile, &v, caller);
}
