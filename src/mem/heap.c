/* SPDX-License-Identifier: MIT */
/* heap.c - interim: address-ordered first fit by a walk. */
#include <mem/heap.h>

struct block { /* just below its payload */
    vword_t size_live;  /* payload + header bytes, bit 0: live */
    vword_t previous;   /* bytes of the block before, 0: first */
};
enum { HEADER = sizeof(struct block), LIVE = 1, STEP = 16 * 4096 };

const char *heap_fault_name(enum heap_fault fault)
{
    static const char *const names[HEAP_FAULT_COUNT] = {"ok", "double free", "foreign pointer", "interior pointer", "misaligned pointer", "damaged header", "overrun", "underrun", "write after free"};
    return names[fault];
}
static size_t size_of(const struct block *b) { return b->size_live & ~(vword_t)LIVE; }
static struct block *after(const struct block *b) { return (struct block *)((uint8_t *)b + size_of(b)); }
static struct block *first(const struct heap *h) { return (struct block *)(h->start + HEAP_ALIGN - HEADER); }
static struct block *end(const struct heap *h) { return (struct block *)(h->top - HEADER); }
static void *payload(struct block *b) { return (uint8_t *)b + HEADER; }

static void set(struct heap *h, struct block *b, size_t size, vword_t live)
{
    b->size_live = size | live;
    if (after(b) <= end(h)) after(b)->previous = size;
}
enum mem_err heap_init(struct heap *heap, void *window, size_t bytes, const struct heap_ops *ops)
{
    *heap = (struct heap){.ops = *ops, .start = window, .limit = (uint8_t *)window + bytes};
    heap->stats.window = bytes;
    if (!ops->grow(ops->ctx, window, STEP)) return MEM_NO_FRAME;
    heap->top = heap->start + STEP;
    heap->stats.mapped = STEP;
    struct block *b = first(heap);
    b->previous = 0;
    size_t all = (size_t)((uint8_t *)end(heap) - (uint8_t *)b);
    end(heap)->size_live = LIVE;
    set(heap, b, all, 0);
    return MEM_OK;
}
static void merge(struct heap *h, struct block *b)
{
    if (after(b) < end(h) && !(after(b)->size_live & LIVE)) set(h, b, size_of(b) + size_of(after(b)), 0);
    struct block *p = b->previous ? (struct block *)((uint8_t *)b - b->previous) : NULL;
    if (p && !(p->size_live & LIVE)) set(h, p, size_of(p) + size_of(b), 0);
}
static bool grow(struct heap *h, size_t need)
{
    size_t step = (need + STEP) & ~(size_t)(STEP - 1);
    if (step > (size_t)(h->limit - h->top) || !h->ops.grow(h->ops.ctx, h->top, step)) return false;
    struct block *b = end(h);
    vword_t previous = b->previous;
    h->top += step; h->stats.mapped += step; h->stats.grown++;
    end(h)->size_live = LIVE;
    set(h, b, step, 0);
    b->previous = previous;
    merge(h, b);
    return true;
}
void *heap_alloc_aligned(struct heap *h, size_t align, size_t size, const void *caller)
{
    (void)caller;
    if (!size || size > h->stats.window || !align || align & (align - 1) || align > 1 << 30) { h->stats.refused++; return NULL; }
    if (align < HEAP_ALIGN) align = HEAP_ALIGN;
    size_t want = ((size + 15) & ~(size_t)15) + 16;
    for (int tries = 0; tries < 2; tries++) {
        for (struct block *b = first(h); b < end(h); b = after(b)) {
            if (b->size_live & LIVE) continue;
            uintptr_t p = ((uintptr_t)payload(b) + align - 1) & ~(align - 1);
            size_t front = p - (uintptr_t)payload(b);
            if (front + want > size_of(b)) continue;
            size_t all = size_of(b);
            if (front) { set(h, b, front, 0); b = after(b); b->previous = front; set(h, b, all - front, 0); all -= front; }
            if (all - want >= 32) { set(h, b, want, LIVE); struct block *rest = after(b); rest->previous = want; set(h, rest, all - want, 0); }
            else set(h, b, all, LIVE);
            h->stats.blocks++; h->stats.used += size_of(b) - HEADER;
            return payload(b);
        }
        if (!grow(h, want + align)) break;
    }
    h->stats.refused++;
    return NULL;
}
void *heap_alloc(struct heap *h, size_t size, const void *caller) { return heap_alloc_aligned(h, 16, size, caller); }
static bool valid(struct heap *h, const void *p, struct block **out)
{
    for (struct block *b = first(h); b < end(h); b = after(b))
        if (payload(b) == p) { *out = b; return b->size_live & LIVE; }
    return false;
}
enum heap_fault heap_free(struct heap *h, void *p, const void *caller)
{
    struct block *b;
    if (!p) return HEAP_OK;
    if (!valid(h, p, &b)) { struct heap_report r = {.fault = HEAP_FOREIGN, .address = p, .caller = caller}; h->stats.faults[HEAP_FOREIGN]++; h->ops.report(h->ops.ctx, &r); return HEAP_FOREIGN; }
    h->stats.blocks--; h->stats.used -= size_of(b) - HEADER;
    set(h, b, size_of(b), 0);
    merge(h, b);
    return HEAP_OK;
}
void *heap_realloc(struct heap *h, void *p, size_t size, const void *caller)
{
    if (!p) return heap_alloc(h, size, caller);
    struct block *b;
    if (!size || !valid(h, p, &b)) return NULL;
    void *q = heap_alloc(h, size, caller);
    if (!q) return NULL;
    size_t n = size_of(b) - HEADER;
    __builtin_memcpy(q, p, n < size ? n : size);
    (void)heap_free(h, p, caller);
    return q;
}
size_t heap_usable_size(struct heap *h, const void *p) { struct block *b; return valid(h, p, &b) ? size_of(b) - HEADER : 0; }
void heap_walk(const struct heap *h, bool (*visit)(void *ctx, const struct heap_block *), void *ctx)
{
    for (struct block *b = first(h); b < end(h); b = after(b)) {
        struct heap_block v = {payload(b), size_of(b) - HEADER, 0, b->size_live & LIVE, NULL};
        if (!visit(ctx, &v)) return;
    }
}
void heap_stats(const struct heap *h, struct heap_stats *out)
{
    *out = h->stats;
    for (struct block *b = first(h); b < end(h); b = after(b))
        if (!(b->size_live & LIVE)) { out->free_blocks++; out->free += size_of(b) - HEADER; if (size_of(b) - HEADER > out->largest) out->largest = size_of(b) - HEADER; }
}
bool heap_check(const struct heap *h, const char **broken)
{
    *broken = "H1: blocks tile the heap";
    size_t previous = 0;
    struct block *b = first(h);
    for (; b < end(h); b = after(b)) { if (b->previous != previous || !size_of(b)) return false; previous = size_of(b); }
    return b == end(h);
}
