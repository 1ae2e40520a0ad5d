/* SPDX-License-Identifier: MIT */
/*
 * heap_block.h - the header in front of every block. Private to heap*.c.
 *
 * Eight bytes on both targets. Payloads lie at multiples of 16, headers half-way between. Blocks
 * are counted in units of 16 bytes, header included; one unit is the least.
 *
 *   header = ((fields + state * 2^40) * MULTIPLIER * 256 - 16 * offset of the payload) modulo 2^64
 *   fields   39 LONG   [25..38] size low   [1..24] caller, or size high   0 PREV
 *
 * The size is what was asked for, in bytes, when the block is live or in a bin, and the number of
 * units when it is free. PREV: the block before is free and ends with a footer. LONG: 16 KiB or
 * more; the size takes bits of the caller's as well. With 64-bit words it takes all of them, and
 * the caller stands behind a canary in the block's last four bytes, which rounding to units most
 * often leaves. With 32-bit words it takes [9..24], and [1..8] are the caller's number
 * (heap_callers.h).
 *
 * The multiplier is odd, so a header can be undone: add, multiply by the inverse. 24 bits of
 * the result are the check: 16 that must be the state, and 8 that must be 0. A header of one state
 * never passes for another. A flipped bit i of the header changes the result by INVERSE << i, and
 * no 15 consecutive bits of the inverse are equal: every single flip is seen. A word of other
 * origin passes once in 2^24, a header that was copied from elsewhere once in 2^16, as its 8 are 0:
 * for a live block, which has two states, aligned or not, twice as often.
 *
 * Offsets count from the heap's start plus a unit and 4: before that a payload would have no room
 * for its header. So they end on -4, and the lowest byte of every header is 4 * 16. That is the
 * canary: from level 2 on the byte behind every payload holds it, be it the block's own or the
 * first of the next header (or of wild memory, which keeps it). To write it there and to look at it
 * needs no case.
 */
#ifndef MEM_HEAP_BLOCK_H
#define MEM_HEAP_BLOCK_H

#include <mem/heap.h>

#include "heap_callers.h"

enum {
    HEADER = 8,
    UNIT_SHIFT = 4,
    UNIT = 1 << UNIT_SHIFT,
    PREV = 1,
    CALLER_SHIFT = 1,
    SIZE_SHIFT = CALLER_SHIFT + CALLER_BITS,
    SIZE_LOW_BITS = 14,
    LONG = 1 << SIZE_LOW_BITS, /* when shifted to the size */
    SIZE_LOW = LONG - 1,
    HIGH_SHIFT = HEAP_WORD_BITS == 64 ? 0 : NUMBER_BITS,  /* where the caller was */
    SIZE_BITS = SIZE_LOW_BITS + CALLER_BITS - HIGH_SHIFT, /* what a header can tell */
    CHECK_SHIFT = 40,
    ZERO = UNIT + 4, /* bytes from the start of the heap to where offsets count from   */
    CANARY = (ZERO << UNIT_SHIFT) % 256,
    LONG_EXTRA = HEAP_WORD_BITS == 64 ? 4 : 0,    /* bytes behind a long payload, for the caller */
    FREED = 0xdf,                                 /* in free memory, at level 3                  */
    HEAP_START = 16 << PAGE_SHIFT,                /* a heap's first bytes, never given back    */
    LARGE = HEAP_LISTS,                           /* units of a free block that is in the tree   */
    HEADS = HEAP_LISTS * 2 * (int)sizeof(void *), /* bytes at its start: a head for each list, */
    NAMES = HEAP_WORD_BITS == 64 ? 0 : (int)sizeof(struct callers), /* callers by numbers, */
    FIRST = HEADS + NAMES + UNIT, /* and then the first payload                */
};
#define MULTIPLIER 0x9e3779b97f4a7c15u
#define INVERSE    0xf1de83e19937733du /* of MULTIPLIER modulo 2^64 */
#define UNITS_MAX  (UINT32_MAX - 1)    /* of a block: as the tree can tell */
#define FIELDS     (((uint64_t)1 << CHECK_SHIFT) - 1)

/* The state of a live block that was aligned to more than 16, as a field. It is for its place that
 * it was asked for, so it is merged when it is freed: a bin would give it to anybody. */
#define ALIGNED ((uint64_t)HEAP_ALIGNED << CHECK_SHIFT)
#define FLAGS   (ALIGNED | PREV) /* what a live block keeps when its size changes */

/* The same bytes are header, link, footer and payload by turns: accesses may alias anything. */
struct [[gnu::may_alias]] block {
    uint64_t word;
};
typedef uint32_t half_t __attribute__((may_alias));

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

static inline size_t offset_of(const struct heap *h, const void *payload)
{
    return (size_t)((uintptr_t)payload - h->zero);
}

/* The units between the first payload and this one. The low bits of the distance are turned to the
 * top: of what is misaligned, as of what is outside, it is more than the heap has. */
static inline size_t units_to(const struct heap *h, const void *p)
{
    size_t bytes = (size_t)((uintptr_t)p - h->first);
    return bytes >> UNIT_SHIFT | bytes << (8 * sizeof bytes - UNIT_SHIFT);
}

/* The offset of a payload so many units behind the first. */
static inline size_t offset_behind(size_t units)
{
    return (units << UNIT_SHIFT) + (FIRST - ZERO);
}

/* What an offset takes off a header. */
static inline uint64_t place(size_t offset)
{
    return (uint64_t)offset << UNIT_SHIFT;
}

static inline void block_seal(const struct heap *h, struct block *b, uint64_t fields,
                              enum heap_state state)
{
    fields += (uint64_t)state << CHECK_SHIFT;
    b->word = fields * h->multiplier - place(offset_of(h, block_payload(b)));
}

/* The fields, and from bit 40 on the state, if the header is intact. */
static inline uint64_t opened(const struct heap *h, uint64_t word, size_t offset)
{
    uint64_t sum = (word + place(offset)) * h->inverse;
    return sum >> 8 | sum << 56;
}

static inline uint64_t block_open(const struct heap *h, const struct block *b)
{
    return opened(h, b->word, offset_of(h, block_payload(b)));
}

/* A free block has its units and no other field: with what all of them share summed up before,
 * sealing and opening take fewer steps. */
static inline void seal_free(const struct heap *h, struct block *b, size_t units)
{
    b->word = units * h->multiplier + h->free_seal - place((uintptr_t)block_payload(b));
}

/* The units of a free block; of what is none, more than FIELDS. */
static inline uint64_t open_free(const struct heap *h, const struct block *b)
{
    uint64_t sum = (b->word - h->free_seal + place((uintptr_t)block_payload(b))) * h->inverse;
    return sum >> 8 | sum << 56;
}

/* Is it a header of that state? Level 0 does not ask. */
static inline bool is_sound(uint64_t fields, enum heap_state state)
{
    return HEAP_HARDEN == 0 || fields >> CHECK_SHIFT == state;
}

/* Is it a live block's, aligned or not? */
static inline bool is_live(uint64_t fields)
{
    return HEAP_HARDEN == 0 || fields >> CHECK_SHIFT <= HEAP_ALIGNED;
}

/* Is it a binned block without PREV? The check, turned to the bottom, has that bit on top: both
 * are one compare. */
static inline bool is_plain_binned(uint64_t fields)
{
    enum { CHECK_BITS = 64 - CHECK_SHIFT };
    uint64_t turned = fields << CHECK_BITS | fields >> CHECK_SHIFT;
    uint64_t seen =
        HEAP_HARDEN ? ((uint64_t)PREV << (CHECK_BITS + 1)) - 1 : (uint64_t)PREV << CHECK_BITS;
    return (turned & seen) == (seen & HEAP_BINNED);
}

/* The size of a short block; of another, of an aligned one or of no live block, more than SIZE_LOW.
 * The check's upper bits may be more than a word has room for: they are seen at its end. */
static inline size_t short_size(uint64_t fields)
{
    const size_t seen = HEAP_HARDEN ? ~(size_t)0 : ALIGNED >> SIZE_SHIFT | LONG | SIZE_LOW;
    const uint64_t upper = HEAP_WORD_BITS == 64 ? 0 : fields >> 32 & ~(uint64_t)0xff;
    return (size_t)(fields >> SIZE_SHIFT | upper) & seen;
}

/* What stands there for the caller; in a LONG block, the upper bits of the size, and a number. */
static inline uint64_t caller_field(uint64_t fields)
{
    return fields >> CALLER_SHIFT & CALLER_MASK;
}

static inline size_t live_size(uint64_t fields)
{
    size_t size = (size_t)(fields >> SIZE_SHIFT), low = size & SIZE_LOW;
    return size & LONG ? low | (size_t)(caller_field(fields) >> HIGH_SHIFT) << SIZE_LOW_BITS : low;
}

/* Units for a payload of `size` bytes, at most the window's. */
static inline size_t units_for(size_t size)
{
    size_t extra = size > SIZE_LOW ? LONG_EXTRA : 0;
    return (size + extra + HEADER + UNIT - 1) >> UNIT_SHIFT;
}

/* Units for a payload of at most SIZE_LOW bytes. */
static inline size_t short_units(size_t size)
{
    return (size + HEADER + UNIT - 1) >> UNIT_SHIFT;
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
    uint64_t f = block_open(h, b), state = f >> CHECK_SHIFT;
    struct view v = {.state = state < HEAP_DAMAGED ? (enum heap_state)state : HEAP_DAMAGED};
    if (v.state == HEAP_ALIGNED)
        v.state = HEAP_LIVE;
    v.fields = f & FIELDS;
    if (v.state == HEAP_FREE) {
        v.units = (size_t)v.fields;
    } else if (v.state != HEAP_DAMAGED) {
        v.units = units_for(live_size(v.fields));
        v.prev = v.fields & PREV;
    }
    return v;
}

/* The units of the free block before `b`, which has PREV: its last word. */
static inline uint64_t units_before(const struct block *b)
{
    return b[-1].word;
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
    return (struct block *)(h->start + FIRST - HEADER);
}

/* Where callers have their numbers, if there are any. */
static inline struct callers *callers_of(const struct heap *h)
{
    return (struct callers *)(h->start + HEADS);
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
    *out = b == h->wild ? (struct view){.state = HEAP_FREE, .units = h->wild_bytes >> UNIT_SHIFT}
                        : block_view(h, b);
    return out->state != HEAP_DAMAGED && out->units && out->units <= units_between(b, heap_last(h));
}

/* What a search for a free block ends at. */
struct found {
    struct block *b; /* NULL: there is none                                  */
    size_t units;    /* as list or footer tell; the header may tell otherwise */
};

/* ---- live blocks ---------------------------------------------------------------------------- */

/* Units that were taken become a live block of at most SIZE_LOW bytes. FLAGS, most often none,
 * are added last, so that size and caller need not be shifted past it. */
static inline void *make_live(const struct heap *h, struct block *b, size_t size,
                              const void *caller, uint64_t flags)
{
    uint8_t *p = block_payload(b);
    uint64_t half = (uint64_t)size << CALLER_BITS | ((uintptr_t)caller & CALLER_MASK);
    b->word = half * h->twice + flags * h->multiplier - place(offset_of(h, p));
    if (HEAP_HARDEN >= 2)
        p[size] = CANARY;
    return p;
}

/* Where a LONG block keeps its caller if it has LONG_EXTRA: what ends at `end`. */
static inline half_t *tail_before(struct block *end)
{
    return (half_t *)end - 1;
}

/* The same for any size. */
static inline void *make_long(const struct heap *h, struct block *b, size_t size,
                              const void *caller, uint64_t flags)
{
    uint8_t *p = block_payload(b);
    if (size <= SIZE_LOW)
        return make_live(h, b, size, caller, flags);
    uint64_t low = (size & SIZE_LOW) | LONG, high = (uint64_t)size >> SIZE_LOW_BITS;
    half_t who = (uintptr_t)caller & CALLER_MASK, *tail = tail_before(block_at(b, units_for(size)));
    uint64_t field = LONG_EXTRA ? high : high << HIGH_SHIFT | callers_number(callers_of(h), who);
    block_seal(h, b, low << SIZE_SHIFT | field << CALLER_SHIFT | flags, HEAP_LIVE);
    if (LONG_EXTRA)
        *tail = who << 8 | CANARY;
    p[size] = CANARY;
    return p;
}

/* ---- guarding (heap_guard.c) ---------------------------------------------------------------- */

/* Who allocated a live or binned block; NULL: not known. */
const void *heap_block_caller(const struct heap *h, const struct block *b, const struct view *v);

/* A block as walks tell of it. */
struct heap_block heap_shown(const struct heap *h, const struct block *b, const struct view *v);

/* `p` did not pass for an intact live block: says why. NULL is nothing to say. */
enum heap_fault heap_name_fault(struct heap *h, const void *p, const void *caller);

/* Reports a fault of the live block `b`; of `p`, which should be the payload of a free block. */
enum heap_fault heap_report_live(struct heap *h, enum heap_fault fault, const struct block *b,
                                 const void *caller);
enum heap_fault heap_report_damage(struct heap *h, enum heap_fault fault, const void *p,
                                   const void *caller);

/* What lies before the end of a large free block is not its units: it was written to. */
void heap_report_end(struct heap *h, const struct block *end);

/* Is what stands behind the payload of a live block as it was left? Level 3 looks further. */
static inline bool heap_end_is_intact(const struct heap *h, const struct block *b, uint64_t fields)
{
    size_t size = live_size(fields);
    const struct block *next = block_at(b, units_for(size));
    return block_payload(b)[size] == CANARY && (HEAP_HARDEN < 3 || next == h->wild ||
                                                block_open(h, next) >> CHECK_SHIFT < HEAP_DAMAGED);
}

/* Does a live block start at `p`, and what are its fields? */
static inline bool heap_starts_live(const struct heap *h, const void *p, uint64_t *fields)
{
    size_t units = units_to(h, p);
    if (units >= h->units)
        return false;
    *fields = opened(h, block_of(p)->word, offset_behind(units));
    return is_live(*fields);
}

/* And is it intact? If not, heap_name_fault knows what to say. */
static inline bool heap_is_live(const struct heap *h, const void *p, uint64_t *fields)
{
    return heap_starts_live(h, p, fields) &&
           (HEAP_HARDEN < 2 || heap_end_is_intact(h, block_of(p), *fields));
}

/* Level 3: fills [from, to), tells whether it still is. */
static inline void fill(void *from, const void *to)
{
    if (HEAP_HARDEN >= 3 && (const uint8_t *)to > (uint8_t *)from)
        __builtin_memset(from, FREED, (size_t)((const uint8_t *)to - (uint8_t *)from));
}
bool heap_is_filled(const void *from, const void *to);

#endif
