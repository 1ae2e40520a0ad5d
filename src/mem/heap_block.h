/* SPDX-License-Identifier: MIT */
/*
 * heap_block.h - the header in front of every block. Private to heap*.c.
 *
 *   x86_64, 16 bytes   word 0: check:21 live:1 slack:6 units:36     word 1: caller:28 previous:36
 *   i386, 8 bytes      word 0: check:7 live:1 slack:6 previous:25 units:25
 *
 * units: of 16 bytes, header and payload together. previous: units of the block before, 0 for the
 * first. slack: payload bytes that were not asked for. check: a salted hash of the rest and of the
 * header's own address. Payloads lie at multiples of 16: headers do on x86_64, and half-way
 * between on i386. Windows of 2^36 units (1 TiB) and 2^25 units (512 MiB) can be described.
 */
#ifndef MEM_HEAP_BLOCK_H
#define MEM_HEAP_BLOCK_H

#include <mem/heap.h>

enum {
    WIDE = sizeof(void *) == 8,
    HEADER = WIDE ? 16 : 8,
    UNIT_SHIFT = 4,
    UNIT = 1 << UNIT_SHIFT,
    UNITS_MIN = 2, /* a free block's payload must hold a tree node */
    UNIT_BITS = WIDE ? 36 : 25,
    SLACK_SHIFT = WIDE ? 36 : 50,
    SLACK_BITS = 6, /* at most 39: a leftover unit, and the least payload less one byte */
    LIVE_SHIFT = WIDE ? 42 : 56,
    CHECK_SHIFT = WIDE ? 43 : 57,
    PREVIOUS_WORD = WIDE ? 1 : 0,
    PREVIOUS_SHIFT = WIDE ? 0 : 25,
    CALLER_SHIFT = 36,
    CALLER_BITS = WIDE ? 28 : 0,
};
#define UNIT_MASK (((uint64_t)1 << UNIT_BITS) - 1)

/* The same bytes are header, tree node and payload by turns: accesses may alias anything. */
struct [[gnu::may_alias]] block {
    uint64_t word[HEADER / 8];
};

static inline uint64_t block_units(const struct block *b)
{
    return b->word[0] & UNIT_MASK;
}

static inline uint64_t block_previous(const struct block *b)
{
    return b->word[PREVIOUS_WORD] >> PREVIOUS_SHIFT & UNIT_MASK;
}

static inline bool block_is_live(const struct block *b)
{
    return b->word[0] >> LIVE_SHIFT & 1;
}

static inline size_t block_slack(const struct block *b)
{
    return (size_t)(b->word[0] >> SLACK_SHIFT) & ((1u << SLACK_BITS) - 1);
}

static inline size_t block_payload_bytes(const struct block *b)
{
    return (size_t)(block_units(b) << UNIT_SHIFT) - HEADER;
}

static inline void *block_payload(const struct block *b)
{
    return (uint8_t *)b + HEADER;
}

static inline struct block *block_of(const void *payload)
{
    return (struct block *)((uint8_t *)payload - HEADER);
}

static inline struct block *block_after(const struct block *b)
{
    return (struct block *)((uint8_t *)b + (size_t)(block_units(b) << UNIT_SHIFT));
}

static inline struct block *block_before(const struct block *b)
{
    return (struct block *)((uint8_t *)b - (size_t)(block_previous(b) << UNIT_SHIFT));
}

/* The sentinel at the end: live, no units, never freed. */
static inline struct block *heap_first(const struct heap *h)
{
    return (struct block *)(h->start + UNIT - HEADER);
}

static inline struct block *heap_last(const struct heap *h)
{
    return (struct block *)(h->top - HEADER);
}

/* What the check field should hold: a multiplicative hash, top bits. */
static inline uint64_t block_check(const struct heap *h, const struct block *b)
{
    uint64_t x = b->word[0] & (((uint64_t)1 << CHECK_SHIFT) - 1);
    x ^= WIDE ? b->word[PREVIOUS_WORD] * 0x9e3779b97f4a7c15u : 0;
    x ^= (uint64_t)(uintptr_t)b ^ h->secret;
    return x * 0xd6e8feb86659fd93u >> CHECK_SHIFT;
}

static inline bool block_is_intact(const struct heap *h, const struct block *b)
{
    return HEAP_HARDEN == 0 || b->word[0] >> CHECK_SHIFT == block_check(h, b);
}

static inline void block_seal(const struct heap *h, struct block *b)
{
    b->word[0] &= ((uint64_t)1 << CHECK_SHIFT) - 1;
    b->word[0] |= block_check(h, b) << CHECK_SHIFT;
}

/* ---- guarding (heap_guard.c) ---------------------------------------------------------------- */

enum {
    CANARY = 0xc5, /* in the payload bytes that were not asked for, from level 2 on  */
    FREED = 0xdf,  /* in free memory, at level 3                                     */
    NODE = 16,     /* bytes of a free payload that belong to the tree                */
};

/* Who allocated a live block; NULL where the header has no room for it. */
const void *block_caller(const struct heap *h, const struct block *b);

/* The live block whose payload starts at `p`; or NULL, a report, and *fault. */
struct block *heap_check_live(struct heap *h, const void *p, const void *caller,
                              enum heap_fault *fault);

/* May this free block be given out? Reports if its header or its fill was overwritten. */
bool heap_free_block_is_sound(struct heap *h, struct block *b, const void *caller);

/* ---- the tree of free blocks (heap_tree.c) -------------------------------------------------- */

/* Adds a free block, whose header is written. */
void tree_insert(struct heap *h, struct block *b);

/* Takes it out. */
void tree_remove(struct heap *h, struct block *b);

/* The header of the free block `old` now stands at `now`, no other free block between them. */
void tree_move(struct heap *h, struct block *old, struct block *now);

/* The block changed size where it stands. */
void tree_resize(struct heap *h, struct block *b);

/* The free block of at least `units` at the lowest address; NULL: there is none. */
struct block *tree_first_fit(const struct heap *h, uint64_t units);

/* Units of the largest free block, 0 when there is none. */
uint64_t tree_largest(const struct heap *h);

/* True when the tree is ordered, balanced and its maxima are right; *count: nodes. */
bool tree_holds(const struct heap *h, size_t *count);

#endif
