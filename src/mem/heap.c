/* SPDX-License-Identifier: MIT */
/*
 * heap.c - address-ordered first fit: blocks side by side, split when taken, merged when freed.
 *
 * The held part of the window is tiled by blocks, each with a header that knows its own size and
 * its neighbour's (heap_block.h); free blocks are also nodes of a balanced tree by address
 * (heap_tree.c), so that the lowest one that fits is found in one descent. Every call walks a
 * constant number of paths of at most 52 nodes, whatever the heap holds.
 *
 *   H1  blocks tile [first, last) without gap or overlap; block_previous names the block before.
 *   H2  no two free blocks are neighbours.
 *   H3  the tree holds exactly the free blocks.
 *   H4  every header is intact: its check matches.
 *   H5  stats.used, free, blocks and free_blocks are what the tiles add up to.
 *
 * What is caught, by HEAP_HARDEN (a free of what is no live block is caught at 1 and above by the
 * header's check; a wrong address would have to hold a valid hash of itself):
 *
 *   0   misaligned pointers and pointers outside the heap
 *   1   + double and interior frees, forged and overwritten headers of the block itself
 *   2   + the neighbours' headers must agree, and bytes behind the size asked for are checked when
 *         the block is freed: overruns by one byte on
 *   3   + freed memory is filled, and the fill is checked when it is given out again: writes after
 *         free
 */
#include "heap_block.h"

enum {
    STEP = 16 << PAGE_SHIFT, /* growth: as much as this, so that the owner is not asked often */
};
#define ALIGN_MAX ((size_t)1 << 30)

/* ---- headers -------------------------------------------------------------------------------- */

struct description {
    uint64_t units, previous;
    bool live;
    size_t slack;
    uintptr_t caller;
};

static void describe(const struct heap *h, struct block *b, struct description d)
{
    uint64_t caller = (uint64_t)d.caller & (((uint64_t)1 << CALLER_BITS) - 1);
    b->word[0] = d.units | (uint64_t)d.live << LIVE_SHIFT | (uint64_t)d.slack << SLACK_SHIFT;
    if (WIDE)
        b->word[PREVIOUS_WORD] = d.previous | caller << CALLER_SHIFT;
    else
        b->word[0] |= d.previous << PREVIOUS_SHIFT;
    block_seal(h, b);
}

static void set_previous(const struct heap *h, struct block *b, uint64_t previous)
{
    b->word[PREVIOUS_WORD] &= ~(UNIT_MASK << PREVIOUS_SHIFT);
    b->word[PREVIOUS_WORD] |= previous << PREVIOUS_SHIFT;
    block_seal(h, b);
}

/* ---- level 3: memory that is free stays as it was left -------------------------------------- */

static void fill_free(struct block *b)
{
    if (HEAP_HARDEN >= 3)
        __builtin_memset((uint8_t *)block_payload(b) + NODE, FREED, block_payload_bytes(b) - NODE);
}

/* ---- free blocks ---------------------------------------------------------------------------- */

static void count_free(struct heap *h, const struct block *b, size_t sign)
{
    h->stats.free_blocks += sign;
    h->stats.free += sign * block_payload_bytes(b);
}
#define ONE_MORE ((size_t)1)
#define ONE_LESS (~(size_t)0)

/* [b, b + units) becomes one free block, merged with free neighbours. Returns the merged block. */
static struct block *make_free(struct heap *h, struct block *b, uint64_t units, uint64_t previous)
{
    struct block *after = (struct block *)((uint8_t *)b + (size_t)(units << UNIT_SHIFT));
    struct block *before =
        previous ? (struct block *)((uint8_t *)b - (size_t)(previous << UNIT_SHIFT)) : NULL;
    bool join_after = !block_is_live(after), join_before = before && !block_is_live(before);
    if (join_after) {
        count_free(h, after, ONE_LESS);
        units += block_units(after);
        if (join_before)
            tree_remove(h, after);
    }
    if (join_before) {
        count_free(h, before, ONE_LESS);
        describe(h, before,
                 (struct description){.units = units + block_units(before),
                                      .previous = block_previous(before)});
        b = before;
        tree_resize(h, b);
    } else {
        describe(h, b, (struct description){.units = units, .previous = previous});
        if (join_after)
            tree_move(h, after, b);
        else
            tree_insert(h, b);
    }
    set_previous(h, block_after(b), block_units(b));
    count_free(h, b, ONE_MORE);
    fill_free(b);
    return b;
}

/* Takes `units` off the front of free block `b`; what is left stays free, if it can be a block. */
static void take_front(struct heap *h, struct block *b, uint64_t units)
{
    uint64_t all = block_units(b);
    count_free(h, b, ONE_LESS);
    if (all - units < UNITS_MIN) {
        tree_remove(h, b);
        return;
    }
    struct block *rest = (struct block *)((uint8_t *)b + (size_t)(units << UNIT_SHIFT));
    describe(h, rest, (struct description){.units = all - units, .previous = units});
    tree_move(h, b, rest);
    set_previous(h, block_after(rest), all - units);
    count_free(h, rest, ONE_MORE);
    describe(h, b, (struct description){.units = units, .previous = block_previous(b)});
}

/* A block in hand, out of the tree, becomes live for `size` bytes. */
static void *make_live(struct heap *h, struct block *b, size_t size, const void *caller)
{
    size_t bytes = block_payload_bytes(b);
    describe(h, b,
             (struct description){.units = block_units(b),
                                  .previous = block_previous(b),
                                  .live = true,
                                  .slack = bytes - size,
                                  .caller = (uintptr_t)caller});
    if (HEAP_HARDEN >= 2)
        __builtin_memset((uint8_t *)block_payload(b) + size, CANARY, bytes - size);
    h->stats.blocks++;
    h->stats.used += bytes;
    return block_payload(b);
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

/* The old sentinel becomes the header of the new memory. */
static void extend(struct heap *h, size_t bytes)
{
    struct block *b = heap_last(h);
    uint64_t previous = block_previous(b), units = bytes >> UNIT_SHIFT;
    h->top += bytes;
    h->stats.mapped += bytes;
    h->stats.grown++;
    describe(h, heap_last(h), (struct description){.live = true, .previous = units});
    make_free(h, b, units, previous);
}

/* Whole steps first; when the owner refuses, just what is needed. */
static bool grow(struct heap *h, uint64_t units)
{
    size_t room = (size_t)(h->limit - h->top);
    if (units > room >> UNIT_SHIFT)
        return false;
    size_t need = ((size_t)(units << UNIT_SHIFT) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    size_t step = (need + STEP - 1) & ~(size_t)(STEP - 1);
    size_t tries[] = {step, need};
    for (unsigned i = 0; i < 2; i++) {
        if (tries[i] >= need && tries[i] <= room && h->ops.grow(h->ops.ctx, h->top, tries[i])) {
            extend(h, tries[i]);
            return true;
        }
    }
    return false;
}

/* A free tail of two steps or more is cut to one: the distance keeps a loop from thrashing. */
static void shrink(struct heap *h, struct block *b)
{
    if (block_after(b) != heap_last(h) || block_units(b) << UNIT_SHIFT < 2 * STEP)
        return;
    uintptr_t keep = ((uintptr_t)b + STEP + PAGE_SIZE - 1) & ~(uintptr_t)(PAGE_SIZE - 1);
    size_t bytes = (size_t)((uintptr_t)h->top - keep);
    uint64_t units = block_units(b) - (bytes >> UNIT_SHIFT);
    count_free(h, b, ONE_LESS);
    h->top -= bytes;
    h->stats.mapped -= bytes;
    h->stats.shrunk++;
    describe(h, b, (struct description){.units = units, .previous = block_previous(b)});
    describe(h, heap_last(h), (struct description){.live = true, .previous = units});
    tree_resize(h, b);
    count_free(h, b, ONE_MORE);
    h->ops.shrink(h->ops.ctx, h->top, bytes);
}

/* ---- the calls ------------------------------------------------------------------------------ */

enum mem_err heap_init(struct heap *heap, void *window, size_t bytes, const struct heap_ops *ops)
{
    if (heap->start)
        return MEM_ALREADY_INIT;
    if (!ops || !ops->grow || !ops->shrink || bytes < PAGE_SIZE ||
        (bytes >> UNIT_SHIFT) - 1 > UNIT_MASK)
        return MEM_BAD_ARG;
    if (((uintptr_t)window | bytes) & (PAGE_SIZE - 1))
        return MEM_MISALIGNED;
    size_t first = bytes < STEP ? PAGE_SIZE : STEP;
    if (!ops->grow(ops->ctx, window, first))
        return MEM_NO_FRAME;

    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    *heap = (struct heap){
        .ops = *ops,
        .start = window,
        .top = (uint8_t *)window + first,
        .limit = (uint8_t *)window + bytes,
        .secret = (uint64_t)(uintptr_t)heap * 0x9fb21c651e98df25u,
        .caller_base = WIDE ? caller >> CALLER_BITS % 64 << CALLER_BITS % 64 : 0,
        .stats = {.window = bytes, .mapped = first},
    };
    uint64_t units = (first >> UNIT_SHIFT) - 1;
    describe(heap, heap_last(heap), (struct description){.live = true, .previous = units});
    make_free(heap, heap_first(heap), units, 0);
    return MEM_OK;
}

/* Units for a payload of `size` bytes; 0: it can never fit. */
static uint64_t units_for(const struct heap *h, size_t size)
{
    if (!size || size > h->stats.window)
        return 0;
    uint64_t units = ((uint64_t)size + HEADER + UNIT - 1) >> UNIT_SHIFT;
    return units < UNITS_MIN ? UNITS_MIN : units;
}

static void *refuse(struct heap *h)
{
    h->stats.refused++;
    return NULL;
}

/* The lowest free block of that many units, growing when there is none. */
static struct block *find(struct heap *h, uint64_t units)
{
    struct block *b = tree_first_fit(h, units);
    if (!b && grow(h, units))
        b = tree_first_fit(h, units);
    return b;
}

void *heap_alloc(struct heap *heap, size_t size, const void *caller)
{
    uint64_t units = units_for(heap, size);
    struct block *b = units ? find(heap, units) : NULL;
    if (!b || !heap_free_block_is_sound(heap, b, caller))
        return refuse(heap);
    take_front(heap, b, units);
    return make_live(heap, b, size, caller);
}

/* Gives the units in front of an aligned payload back as a free block of their own. */
static struct block *cut_front(struct heap *h, struct block *b, uint64_t front)
{
    uint64_t units = block_units(b), previous = block_previous(b);
    struct block *aligned = (struct block *)((uint8_t *)b + (size_t)(front << UNIT_SHIFT));
    describe(h, aligned,
             (struct description){.units = units - front, .previous = front, .live = true});
    set_previous(h, block_after(aligned), units - front);
    make_free(h, b, front, previous);
    return aligned;
}

/* Units to skip so that the payload is aligned and what is skipped can be a block. */
static uint64_t skip_for(const struct block *b, size_t align)
{
    uintptr_t payload = (uintptr_t)block_payload(b);
    uintptr_t at = (payload + align - 1) & ~(align - 1);
    while (at != payload && at - payload < UNITS_MIN * UNIT)
        at += align;
    return (at - payload) >> UNIT_SHIFT;
}

void *heap_alloc_aligned(struct heap *heap, size_t align, size_t size, const void *caller)
{
    if (!align || align & (align - 1) || align > ALIGN_MAX)
        return refuse(heap);
    if (align <= HEAP_ALIGN)
        return heap_alloc(heap, size, caller);
    uint64_t units = units_for(heap, size), extra = (align >> UNIT_SHIFT) + UNITS_MIN;
    struct block *b = units ? find(heap, units + extra) : NULL;
    if (!b || !heap_free_block_is_sound(heap, b, caller))
        return refuse(heap);

    uint64_t front = skip_for(b, align);
    take_front(heap, b, front + units);
    if (front)
        b = cut_front(heap, b, front);
    return make_live(heap, b, size, caller);
}

enum heap_fault heap_free(struct heap *heap, void *block, const void *caller)
{
    enum heap_fault fault;
    if (!block)
        return HEAP_OK;
    struct block *b = heap_check_live(heap, block, caller, &fault);
    if (!b)
        return fault;
    heap->stats.blocks--;
    heap->stats.used -= block_payload_bytes(b);
    shrink(heap, make_free(heap, b, block_units(b), block_previous(b)));
    return HEAP_OK;
}

/* Resizes where it stands, if the block and a free neighbour behind it are enough. */
static bool resize_in_place(struct heap *h, struct block *b, uint64_t units, size_t size,
                            const void *caller)
{
    struct block *after = block_after(b);
    uint64_t all = block_units(b), previous = block_previous(b);
    bool absorb = !block_is_live(after);
    if (all + (absorb ? block_units(after) : 0) < units)
        return false;
    h->stats.blocks--;
    h->stats.used -= block_payload_bytes(b);
    if (absorb) {
        count_free(h, after, ONE_LESS);
        tree_remove(h, after);
        all += block_units(after);
    }
    uint64_t rest = all - units < UNITS_MIN ? 0 : all - units;
    describe(h, b, (struct description){.units = all - rest, .previous = previous, .live = true});
    if (rest)
        make_free(h, block_after(b), rest, all - rest);
    else
        set_previous(h, block_after(b), all);
    make_live(h, b, size, caller);
    return true;
}

void *heap_realloc(struct heap *heap, void *block, size_t size, const void *caller)
{
    enum heap_fault fault;
    if (!block)
        return heap_alloc(heap, size, caller);
    uint64_t units = units_for(heap, size);
    struct block *b = units ? heap_check_live(heap, block, caller, &fault) : NULL;
    if (!b)
        return refuse(heap);
    if (resize_in_place(heap, b, units, size, caller))
        return block;
    void *moved = heap_alloc(heap, size, caller);
    if (!moved)
        return NULL;
    __builtin_memcpy(moved, block, block_payload_bytes(b) - block_slack(b));
    fault = heap_free(heap, block, caller);
    return moved;
}

size_t heap_usable_size(struct heap *heap, const void *block)
{
    enum heap_fault fault;
    struct block *b =
        block ? heap_check_live(heap, block, __builtin_return_address(0), &fault) : NULL;
    if (!b)
        return 0;
    return HEAP_HARDEN >= 2 ? block_payload_bytes(b) - block_slack(b) : block_payload_bytes(b);
}

void heap_stats(const struct heap *heap, struct heap_stats *out)
{
    uint64_t largest = tree_largest(heap);
    *out = heap->stats;
    out->largest = largest ? (size_t)(largest << UNIT_SHIFT) - HEADER : 0;
}

void heap_walk(const struct heap *heap, bool (*visit)(void *ctx, const struct heap_block *),
               void *ctx)
{
    for (const struct block *b = heap_first(heap); b < heap_last(heap); b = block_after(b)) {
        struct heap_block out = {
            .payload = block_payload(b),
            .size = block_payload_bytes(b),
            .requested = block_is_live(b) ? block_payload_bytes(b) - block_slack(b) : 0,
            .live = block_is_live(b),
            .allocated_by = block_caller(heap, b),
        };
        if (!block_units(b) || !visit(ctx, &out))
            return;
    }
}
