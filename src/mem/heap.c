/* SPDX-License-Identifier: MIT */
/*
 * heap.c - address-ordered first fit with split and merge, behind bins of blocks freed lately.
 *
 * The held part of the window is tiled by blocks of whole units of 16 bytes, each with a header of
 * eight (heap_block.h). A small block that is freed goes into the bin of its exact size, unmerged,
 * and the next request of that size takes it: neither touches a neighbour or the index. When a bin
 * is full, and for large blocks, freeing merges at once (heap_space.c), and what is free is found
 * again through an index by address (heap_index.c). When nothing fits, the heap grows, and a few
 * binned blocks are merged each time, so that bins are not kept at the price of growth for long;
 * when the owner refuses, all of them are merged before the call gives up.
 *
 *   H1  blocks and wild memory tile the heap, and every header is intact.
 *   H2  the bins hold exactly the blocks in the state BINNED, each in the bin of its size.
 *   S1 to S4 in heap_space.c, I1 to I4 in heap_index.c; heap_check looks at all of them.
 *
 * What is caught, by HEAP_HARDEN:
 *
 *   0   pointers that are misaligned or outside the heap
 *   1   + every free of what is no live block, and every header that was overwritten, when its block
 *         is freed, resized, given out or merged with; a word of other origin passes for a header
 *         once in 2^24, one of another state or with one bit flipped never
 *   2   + overruns by one byte on, when the block is freed or resized: a canary behind the payload,
 *         or, when the payload fills the block, the header behind it. About seven instructions
 *   3   + the header behind every block that is freed; freed memory is filled, and the fill is
 *         checked when it is given out again: writes after free. Costs as much as the memory is long
 *
 * A call costs 82, 86, 93 instructions at levels 0 to 2 (geometric mean of seven recorded programs,
 * x86_64), and some thousands at level 3.
 *
 * Bounds. A call on a bin, or one that is cut from wild memory or from the block in hand, has no loop.
 * Any other is at most two searches, one growth and FLUSH merges, each with its change of the index,
 * and one more change for what was in hand; none of these depends on how many blocks there are beyond
 * the eight levels of the index. The sum is 2800 instructions in the worst call measured. The
 * exceptions are heap_trim, a call that the owner refuses memory for (all bins are merged, HEAP_SLOTS
 * blocks at most), copying by heap_realloc, and reports, which walk the tiles to say what is wrong.
 */
#include "heap_index.h"

enum {
    BIN_SIZE_MAX = HEAP_BIN_UNITS * UNIT - HEADER, /* bytes; more never waits in a bin    */
    BIN_ROOM = 9600,     /* a bin of n units holds that / n^2 blocks, but         */
    BIN_ROOM_MAX = 104,  /* no more than these and at least one                   */
    FLUSH_BINS = 16,     /* bins that one call looks into for blocks to merge     */
    FLUSH = 2,           /* blocks that it merges                                 */
};
#define ALIGN_MAX ((size_t)1 << 30)
#define INVERSE   0xf1de83e19937733du /* of MULTIPLIER modulo 2^64 */
_Static_assert((uint64_t)MULTIPLIER * INVERSE == 1, "a header must open to what was sealed");

/* ---- live blocks ---------------------------------------------------------------------------- */

static inline uint64_t short_fields(size_t size, const void *caller)
{
    uint64_t top = (uint64_t)(uintptr_t)caller << (64 - CALLER_BITS);
    return size | top >> (64 - CALLER_BITS - CALLER_SHIFT);
}

/* A block in hand becomes live. */
static inline void *make_live(struct heap *h, struct block *b, size_t size, const void *caller,
                              uint64_t prev)
{
    uint8_t *p = block_payload(b);
    block_seal(h, b, short_fields(size, caller) | prev, HEAP_LIVE);
    if (HEAP_HARDEN >= 2 && (size + HEADER) % UNIT)
        p[size] = CANARY;
    return p;
}

static void *make_long(struct heap *h, struct block *b, size_t size, const void *caller,
                       uint64_t prev)
{
    uint8_t *p = block_payload(b);
    if (size <= SIZE_LOW)
        return make_live(h, b, size, caller, prev);
    block_seal(h, b, size_field(size) | LONG | prev, HEAP_LIVE);
    block_at(b, units_for(size))[-1].word = (uintptr_t)caller;
    p[size] = CANARY;
    return p;
}

/* ---- bins ----------------------------------------------------------------------------------- */

static void make_bins(struct heap *h)
{
    void **slot = h->slot;
    for (size_t units = 0; units <= HEAP_BIN_UNITS; units++) {
        size_t room = units ? BIN_ROOM / (units * units) : 0;
        room = room > BIN_ROOM_MAX ? BIN_ROOM_MAX : room ? room : 1;
        *slot = NULL;
        h->bin[units] = (struct heap_bin){slot, slot + room};
        slot += room + 1;
    }
}

/* The bin for blocks of that size in bytes. */
static inline struct heap_bin *bin_for(struct heap *h, size_t size)
{
    return &h->bin[(size + HEADER + UNIT - 1) / UNIT];
}

/* Merges the block on top of a bin; false: it is damaged, or there is none. */
static bool merge_top(struct heap *h, struct heap_bin *bin)
{
    if (!*bin->top)
        return false;
    struct block *b = block_of(*bin->top);
    uint64_t fields = block_open(h, b, HEAP_BINNED);
    if (!is_sound(fields) || space_release(h, b, units_for(live_size(fields)), fields & PREV))
        return false; /* there is damage around it */
    bin->top--;
    return true;
}

/* Empties up to `count` slots of the bins, large blocks first. */
static bool flush(struct heap *h, unsigned count, unsigned bins)
{
    unsigned done = 0;
    for (unsigned i = 0; i < bins && done < count; i++) {
        while (done < count && merge_top(h, &h->bin[h->flush_next]))
            done++;
        if (done < count)
            h->flush_next = h->flush_next ? h->flush_next - 1 : HEAP_BIN_UNITS;
    }
    return done;
}

/* ---- allocating ----------------------------------------------------------------------------- */

static void *refuse(struct heap *h)
{
    h->stats.refused++;
    return NULL;
}

/* Is it a size that can fit at all? */
static inline bool can_fit(const struct heap *h, size_t size)
{
    return size && size <= h->stats.window - 2 * UNIT;
}

/*
 * Nothing fits: the owner is asked, for little as long as bins have something to merge; a few
 * blocks of them are merged now, so that the next request may find a place. Only when the owner
 * refuses, all are.
 */
static struct piece find(struct heap *h, size_t align, size_t units, const void *caller)
{
    enum heap_fault fault = HEAP_OK;
    struct piece p = space_take(h, align, units, caller, &fault);
    if (p.b || fault)
        return p;
    bool merged = flush(h, FLUSH, FLUSH_BINS);
    if (space_grow(h, units + (align >> UNIT_SHIFT), merged))
        return space_take_wild(h, align, units, caller, &fault);
    flush(h, HEAP_SLOTS, HEAP_BIN_UNITS + 1);
    return space_take(h, align, units, caller, &fault);
}

[[gnu::noinline]] static void *bad_bin(struct heap *h, struct block *b, enum heap_fault fault,
                                       const void *caller)
{
    heap_report_damage(h, fault, b, caller);
    return refuse(h);
}

[[gnu::noinline]] static void *alloc_slowly(struct heap *h, size_t size, const void *caller)
{
    struct piece p = can_fit(h, size) ? find(h, HEAP_ALIGN, units_for(size), caller) : (struct piece){0};
    return p.b ? make_long(h, p.b, size, caller, p.prev) : refuse(h);
}

/* Up to SIZE_LOW, and neither a bin nor what is in hand serves: the index is searched. */
[[gnu::noinline]] static void *alloc_searched(struct heap *h, size_t size, const void *caller)
{
    enum heap_fault fault = HEAP_OK;
    size_t units = (size + HEADER + UNIT - 1) >> UNIT_SHIFT;
    struct piece p = space_take(h, HEAP_ALIGN, units, caller, &fault);
    if (p.b)
        return make_live(h, p.b, size, caller, p.prev);
    return fault ? refuse(h) : alloc_slowly(h, size, caller);
}

/* The same before the hand was asked. */
[[gnu::noinline]] static void *alloc_indexed(struct heap *h, size_t size, const void *caller)
{
    struct block *b = index_cut_again(h, (size + HEADER + UNIT - 1) >> UNIT_SHIFT);
    return b ? make_live(h, b, size, caller, PREV) : alloc_searched(h, size, caller);
}

/* The bin of its size is empty: from wild memory, when nothing in the index can be large enough. */
static inline void *alloc_unbinned(struct heap *h, size_t size, const void *caller)
{
    size_t units = (size + HEADER + UNIT - 1) >> UNIT_SHIFT;
    struct block *b = h->wild;
    if (HEAP_HARDEN >= 3 || units <= h->below || units > h->wild_units)
        return alloc_indexed(h, size, caller);
    h->wild = block_at(b, units);
    h->wild_units -= units;
    return make_live(h, b, size, caller, 0);
}

void *heap_alloc(struct heap *h, size_t size, const void *caller)
{
    if (size - 1 >= BIN_SIZE_MAX)
        return size - 1 < SIZE_LOW ? alloc_indexed(h, size, caller) : alloc_slowly(h, size, caller);
    struct heap_bin *bin = bin_for(h, size);
    void *p = *bin->top;
    if (!p)
        return alloc_unbinned(h, size, caller);
    struct block *b = block_of(p);
    uint64_t fields = block_open(h, b, HEAP_BINNED);
    if (!is_sound(fields))
        return bad_bin(h, b, HEAP_BAD_HEADER, caller);
    if (HEAP_HARDEN >= 3 && !heap_is_filled(p, block_at(b, units_for(size))))
        return bad_bin(h, b, HEAP_WRITE_AFTER_FREE, caller);
    bin->top--;
    return make_live(h, b, size, caller, fields & PREV);
}

void *heap_alloc_aligned(struct heap *h, size_t align, size_t size, const void *caller)
{
    if (!align || align & (align - 1) || align > ALIGN_MAX)
        return refuse(h);
    if (align <= HEAP_ALIGN)
        return heap_alloc(h, size, caller);
    if (!can_fit(h, size) || align > h->stats.window)
        return refuse(h);
    struct piece p = find(h, align, units_for(size), caller);
    return p.b ? make_long(h, p.b, size, caller, p.prev) : refuse(h);
}

/* ---- freeing -------------------------------------------------------------------------------- */

/* Where `p` is, in units from the first payload; span or more if it can be no block. */
static inline size_t place_of(const struct heap *h, const void *p)
{
    size_t offset = (size_t)((uintptr_t)p - (uintptr_t)h->base);
    return offset >> UNIT_SHIFT | offset << (8 * sizeof offset - UNIT_SHIFT);
}

/* Merges a live block at once: it is large, or its bin is full. */
[[gnu::noinline]] static enum heap_fault free_slowly(struct heap *h, struct block *b,
                                                     uint64_t fields, const void *caller)
{
    if (HEAP_HARDEN >= 2 && !heap_end_is_intact(h, b, fields))
        return heap_report_live(h, HEAP_OVERRUN, b, caller);
    enum heap_fault fault = space_release(h, b, units_for(live_size(fields)), fields & PREV);
    return fault ? heap_report_live(h, fault, b, caller) : HEAP_OK;
}

/* Puts a live block of at most BIN_SIZE_MAX bytes into its bin. */
static inline enum heap_fault free_to_bin(struct heap *h, struct block *b, uint64_t fields,
                                          const void *caller)
{
    size_t size = fields & SIZE_LOW;
    struct heap_bin *bin = bin_for(h, size);
    void **top = bin->top;
    if (top == bin->end)
        return free_slowly(h, b, fields, caller);
    b->word += h->to_binned;
    *++top = block_payload(b);
    bin->top = top;
    fill(block_payload(b), block_at(b, units_for(size)));
    return HEAP_OK;
}

/* The same when there is no canary, for the payload fills the block: is there a header behind it? */
[[gnu::noinline]] static enum heap_fault free_filled(struct heap *h, struct block *b,
                                                     uint64_t fields, const void *caller)
{
    const struct block *next = block_at(b, units_for(fields & SIZE_LOW));
    if (HEAP_HARDEN >= 3 ? !heap_end_is_intact(h, b, fields) : !is_header(h, next))
        return heap_report_live(h, HEAP_OVERRUN, b, caller);
    return free_to_bin(h, b, fields, caller);
}

enum heap_fault heap_free(struct heap *h, void *p, const void *caller)
{
    if (place_of(h, p) >= h->span)
        return heap_name_fault(h, p, caller);
    struct block *b = block_of(p);
    uint64_t fields = block_open(h, b, HEAP_LIVE);
    if (!is_sound(fields))
        return heap_name_fault(h, p, caller);
    size_t size = fields & (LONG | SIZE_LOW);
    if (size > BIN_SIZE_MAX)
        return free_slowly(h, b, fields, caller);
    if (HEAP_HARDEN >= 3 || (HEAP_HARDEN == 2 && (size + HEADER) % UNIT == 0))
        return free_filled(h, b, fields, caller);
    if (HEAP_HARDEN == 2 && ((uint8_t *)p)[size] != CANARY)
        return heap_report_live(h, HEAP_OVERRUN, b, caller);
    return free_to_bin(h, b, fields, caller);
}

/* ---- resizing ------------------------------------------------------------------------------- */

/* Resizes where it stands; false: there is too little room behind it, or damage. */
static bool resize_in_place(struct heap *h, struct block *b, uint64_t fields, size_t size,
                            const void *caller)
{
    size_t now = units_for(live_size(fields)), units = units_for(size);
    if (units > now && !space_extend(h, b, now, units - now))
        return false;
    if (units < now && space_release(h, block_at(b, units), now - units, false))
        return false;
    make_long(h, b, size, caller, fields & PREV);
    return true;
}

void *heap_realloc(struct heap *h, void *block, size_t size, const void *caller)
{
    enum heap_fault fault;
    uint64_t fields;
    if (!block)
        return heap_alloc(h, size, caller);
    struct block *b = can_fit(h, size) ? heap_check_live(h, block, caller, &fields, &fault) : NULL;
    if (!b)
        return refuse(h);
    if (resize_in_place(h, b, fields, size, caller))
        return block;
    void *moved = heap_alloc(h, size, caller);
    if (!moved)
        return NULL;
    size_t had = live_size(fields);
    __builtin_memcpy(moved, block, had < size ? had : size);
    fault = heap_free(h, block, caller);
    return moved;
}

size_t heap_usable_size(struct heap *h, const void *block)
{
    enum heap_fault fault;
    uint64_t fields;
    const void *caller = __builtin_return_address(0);
    return block && heap_check_live(h, block, caller, &fields, &fault) ? live_size(fields) : 0;
}

void heap_trim(struct heap *h)
{
    flush(h, HEAP_SLOTS, HEAP_BIN_UNITS + 1);
    space_trim(h, 0);
}

/* ---- the instance --------------------------------------------------------------------------- */

/* Splits the window: memory from its start, index nodes at its end. */
static void lay_out(struct heap *h, uint8_t *window, size_t bytes)
{
    const size_t most = (size_t)HEAP_CHUNKS << HEAP_CHUNK_SHIFT;
    size_t used = bytes > most ? most : bytes;
    size_t index = (index_bytes(used) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    h->start = window;
    h->index = window + used - index;
    h->limit = h->index;
    h->stats.window = used;
}

static void make_keys(struct heap *h)
{
    uint64_t secret = (uint64_t)(uintptr_t)h * 0x9fb21c651e98df25u;
    h->multiplier = MULTIPLIER;
    h->inverse = INVERSE;
    for (unsigned s = 0; s < HEAP_STATES; s++)
        h->key[s] = secret + ((uint64_t)s << CHECK_SHIFT) * MULTIPLIER;
    h->to_binned = h->key[HEAP_BINNED] - h->key[HEAP_LIVE];
}

enum mem_err heap_init(struct heap *heap, void *window, size_t bytes, const struct heap_ops *ops)
{
    if (heap->start)
        return MEM_ALREADY_INIT;
    if (!ops || !ops->grow || !ops->shrink)
        return MEM_BAD_ARG;
    if (((uintptr_t)window | bytes) & (PAGE_SIZE - 1))
        return MEM_MISALIGNED;
    if (bytes < 2 * PAGE_SIZE)
        return MEM_BAD_ARG;
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    __builtin_memset(heap, 0, sizeof *heap);
    heap->ops = *ops;
    heap->caller_base = WIDE ? caller & ~(uintptr_t)CALLER_MASK : 0;
    lay_out(heap, window, bytes);
    make_keys(heap);
    make_bins(heap);
    size_t room = (size_t)(heap->limit - heap->start);
    if (!space_start(heap, room < HEAP_START ? PAGE_SIZE : HEAP_START)) {
        heap->start = NULL;
        return MEM_NO_FRAME;
    }
    return MEM_OK;
}
