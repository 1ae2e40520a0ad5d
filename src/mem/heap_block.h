/* SPDX-License-Identifier: MIT */
/*
 * heap_block.h - the header in front of every block. Private to heap*.c.
 *
 * Eight bytes on both targets. Payloads lie at multiples of 16, headers half-way between. Blocks
 * are counted in units of 16 bytes, header included; one unit is the least.
 *
 *   header = fields * MULTIPLIER + address of the payload + key of the state      (modulo 2^64)
 *   fields   [40..63] 0   [16..39] caller, or size high   15 PREV   14 LONG   [0..13] size low
 *
 * The size is what was asked for, in bytes, when the block is live or in a bin, and the number of
 * units when it is free. PREV: the block before is free and ends with a footer. LONG: 16 KiB or
 * more; the caller stands in the last eight bytes of the block and the size takes all 38 bits.
 *
 * The multiplier is odd, so a header can be undone: subtract, multiply by the inverse. Bits 40 to
 * 63 of the result are the check. The keys of two states differ by a multiple of MULTIPLIER << 40:
 * a header of one state never passes for another. A flipped bit i of the header changes the fields
 * by INVERSE << i, and no 24 consecutive bits of the inverse are equal: every single flip is seen.
 * A word of other origin passes once in 2^24.
 */
#ifndef MEM_HEAP_BLOCK_H
#define MEM_HEAP_BLOCK_H

#include <mem/heap.h>

enum {
    WIDE = sizeof(void *) == 8,
    HEADER = 8,
    UNIT_SHIFT = 4,
    UNIT = 1 << UNIT_SHIFT,
    SIZE_LOW_BITS = 14,
    LONG = 1 << 14,
    PREV = 1 << 15,
    SIZE_LOW = LONG - 1,
    CALLER_SHIFT = 16,
    CALLER_BITS = 24,
    CHECK_SHIFT = 40,
    LONG_EXTRA = 9, /* a canary and the caller's word behind a long payload */
    CANARY = 0xc5,  /* in the byte behind the payload, from level 2 on      */
    FREED = 0xdf,   /* in free memory, at level 3                           */
    HEAP_START = 16 << PAGE_SHIFT, /* a heap's first bytes, never given back */
};
#define MULTIPLIER  0x9e3779b97f4a7c15u
#define FIELDS      (((uint64_t)1 << CHECK_SHIFT) - 1)
#define CALLER_MASK (((uint64_t)1 << CALLER_BITS) - 1)

/* The same bytes are header, link, footer and payload by turns: accesses may alias anything. */
struct [[gnu::may_alias]] block {
    uint64_t word;
};
typedef uint64_t word_t __attribute__((may_alias));

static inline uint8_t *block_payload(const struct block *b)
{
    return (uint8_t *)b + HEADER;
}

static inline struct block *block_of(const void *payload)
{
    return (struct block *)((uint8_t *)payload - HEADER);
}

static inline struct block *block_at(const struct block *b, size_t units)
{
    return (struct block *)((uint8_t *)b + (units << UNIT_SHIFT));
}

static inline struct block *block_back(const struct block *b, size_t units)
{
    return (struct block *)((uint8_t *)b - (units << UNIT_SHIFT));
}

static inline size_t units_between(const struct block *b, const struct block *end)
{
    return (size_t)((const uint8_t *)end - (const uint8_t *)b) >> UNIT_SHIFT;
}

static inline size_t payload_bytes(size_t units)
{
    return (units << UNIT_SHIFT) - HEADER;
}

/* ---- sealing -------------------------------------------------------------------------------- */

static inline void block_seal(const struct heap *h, struct block *b, uint64_t fields,
                              enum heap_state state)
{
    uint64_t sum = fields * h->multiplier;
    sum += h->key[state];
    b->word = sum + (uintptr_t)block_payload(b);
}

/* The fields, if the header is intact and of that state: else something of 2^40 or more. */
static inline uint64_t block_open(const struct heap *h, const struct block *b,
                                  enum heap_state state)
{
    return (b->word - h->key[state] - (uintptr_t)block_payload(b)) * h->inverse;
}

static inline bool is_sound(uint64_t fields)
{
    return HEAP_HARDEN == 0 || fields >> CHECK_SHIFT == 0;
}

static inline uint64_t size_field(uint64_t size)
{
    return (size & SIZE_LOW) | size >> SIZE_LOW_BITS << CALLER_SHIFT;
}

static inline uint64_t long_size(uint64_t fields)
{
    return (fields & SIZE_LOW) | fields >> CALLER_SHIFT << SIZE_LOW_BITS;
}

static inline size_t live_size(uint64_t fields)
{
    return (size_t)(fields & LONG ? long_size(fields) : fields & SIZE_LOW);
}

/* Units for a payload of `size` bytes, at most the window's. */
static inline size_t units_for(size_t size)
{
    size_t extra = size > SIZE_LOW ? LONG_EXTRA : 0;
    return (size + extra + HEADER + UNIT - 1) >> UNIT_SHIFT;
}

/* A header as a walk sees it; state HEAP_DAMAGED when it is none. */
struct view {
    enum heap_state state;
    bool prev; /* the block before is free */
    size_t units;
    uint64_t fields;
};

static inline struct view block_view(const struct heap *h, const struct block *b)
{
    uint64_t f = block_open(h, b, HEAP_DAMAGED);
    struct view v = {.state = (enum heap_state)(f >> CHECK_SHIFT)};
    v.fields = f & FIELDS;
    v.prev = v.fields & PREV;
    if (v.state == HEAP_FREE)
        v = (struct view){.state = HEAP_FREE, .units = (size_t)v.fields};
    else if (v.state == HEAP_LIVE || v.state == HEAP_BINNED)
        v.units = units_for(live_size(v.fields));
    else
        v.state = HEAP_DAMAGED;
    return v;
}

/* The block in front of `b`, which has PREV: its last word is a footer. */
static inline size_t units_before(const struct block *b)
{
    return (size_t)(b[-1].word >> 8);
}

/* A header seals a sum: PREV alone can be changed without opening it. */
static inline void set_prev(const struct heap *h, struct block *b)
{
    b->word += h->multiplier * PREV;
}

static inline void clear_prev(const struct heap *h, struct block *b)
{
    b->word -= h->multiplier * PREV;
}

/* ---- places --------------------------------------------------------------------------------- */

static inline struct block *heap_first(const struct heap *h)
{
    return (struct block *)(h->start + UNIT - HEADER);
}

/* The header at the end: live, of size 0, never freed. */
static inline struct block *heap_last(const struct heap *h)
{
    return (struct block *)(h->top - HEADER);
}

/* One tile for walks, wild memory among them; false at the end or at damage. */
static inline bool tile_at(const struct heap *h, const struct block *b, struct view *out)
{
    if (b >= heap_last(h))
        return false;
    *out = b == h->wild ? (struct view){.state = HEAP_FREE, .units = h->wild_units}
                        : block_view(h, b);
    return out->state != HEAP_DAMAGED && out->units && out->units <= units_between(b, heap_last(h));
}

/* ---- guarding (heap_guard.c) ---------------------------------------------------------------- */

/* Who allocated a live or binned block; NULL: not known. */
const void *block_caller(const struct heap *h, const struct block *b, const struct view *v);

/* `p` did not pass for a live block: says why. NULL is nothing to say. */
enum heap_fault heap_name_fault(struct heap *h, const void *p, const void *caller);

/* Reports a fault of the live block `b`, of memory at `b` that is not live. */
enum heap_fault heap_report_live(struct heap *h, enum heap_fault fault, const struct block *b,
                                 const void *caller);
enum heap_fault heap_report_damage(struct heap *h, enum heap_fault fault, const struct block *b,
                                   const void *caller);

/* The live block that starts at `p`, and its fields; or NULL, a report, and *fault. */
struct block *heap_check_live(struct heap *h, const void *p, const void *caller, uint64_t *fields,
                              enum heap_fault *fault);

/* Is there a header of some state, or wild memory, which has none? */
static inline bool is_header(const struct heap *h, const struct block *b)
{
    return block_open(h, b, HEAP_DAMAGED) >> CHECK_SHIFT < HEAP_STATES || b == h->wild;
}

/* Level 2: is what stands behind the payload of a live block as it was left? */
static inline bool heap_end_is_intact(const struct heap *h, const struct block *b, uint64_t fields)
{
    size_t size = live_size(fields);
    if ((fields & LONG || (size + HEADER) % UNIT) &&
        (HEAP_HARDEN < 3 || block_payload(b)[size] != CANARY))
        return block_payload(b)[size] == CANARY;
    return is_header(h, block_at(b, units_for(size)));
}

/* Level 3: fills [from, to), tells whether it still is. */
static inline void fill(void *from, const void *to)
{
    if (HEAP_HARDEN >= 3 && (const uint8_t *)to > (uint8_t *)from)
        __builtin_memset(from, FREED, (size_t)((const uint8_t *)to - (uint8_t *)from));
}
bool heap_is_filled(const void *from, const void *to);

/* ---- free blocks and space (heap_space.c) --------------------------------------------------- */

/* Free memory for a block, which has PREV or not. */
struct piece {
    struct block *b; /* NULL: nothing fits, or a fault was found and reported */
    uint64_t prev;
};
struct piece space_take(struct heap *h, size_t align, size_t units, const void *caller,
                        enum heap_fault *fault);

/* The same, from the memory at the end. */
struct piece space_take_wild(struct heap *h, size_t align, size_t units, const void *caller,
                             enum heap_fault *fault);

/* Asks the owner for memory, so that `units` can be taken; `little`: and no more. */
bool space_grow(struct heap *h, size_t units, bool little);

/*
 * Makes these units free memory and joins them with what is free around them. PREV or not is for
 * the caller to know. Looks first: what is wrong there, if anything, and then nothing has changed.
 */
enum heap_fault space_release(struct heap *h, struct block *b, size_t units, bool prev);

/* Gives wild memory back, but for `keep` bytes and what the heap started with. */
void space_trim(struct heap *h, size_t keep);

/* Takes `more` units behind the block, from the free memory there; false: there is too little. */
bool space_extend(struct heap *h, struct block *b, size_t units, size_t more);

/* The first memory of a new heap. */
bool space_start(struct heap *h, size_t bytes);

#endif
