/* SPDX-License-Identifier: MIT */
/*
 * heap_index.h - the free blocks by address and size. Private to heap*.c; heap_index.c has the essay.
 * What every call that changes the index does stands here, to be inlined.
 */
#ifndef MEM_HEAP_INDEX_H
#define MEM_HEAP_INDEX_H

#include "heap_block.h"

enum {
    REGION_SHIFT = 10,
    REGION_UNITS = 1 << (REGION_SHIFT - UNIT_SHIFT),
    CHUNK_REGIONS = 1 << (HEAP_CHUNK_SHIFT - REGION_SHIFT),
    GROUPS = CHUNK_REGIONS / 8,
    EXACT = 128, /* classes below are numbers of units */
    CLASS_MAX = 255,
    LINK_BITS = 8, /* of a link word: the next block's unit in the region plus one, 0 at the end */
    FURTHER = 2, /* large blocks that turned out too small before a class more is asked for */
};
#define LINK_MASK (((uint64_t)1 << LINK_BITS) - 1)
#define EVERY     0x0101010101010101u
#define HIGHS     0x8080808080808080u

struct group {
    uint64_t classes; /* of eight regions                                         */
    uint8_t first[8]; /* unit of the first free block of each, plus one; 0: none  */
};

struct node {
    uint64_t upper[HEAP_UPPER];
    struct group group[GROUPS];
};

/* ---- classes and words ---------------------------------------------------------------------- */

static inline unsigned class_of(size_t units)
{
    if (units < EXACT)
        return (unsigned)units;
    unsigned log = 8 * sizeof(long) - 1 - (unsigned)__builtin_clzl(units);
    unsigned class = EXACT + (log - 7) * 8 + (unsigned)(units >> (log - 3) & 7);
    return class < CLASS_MAX ? class : CLASS_MAX;
}

/* The high bit of every byte of `word` that is `class` or more; `low` is class & 127 in each. */
static inline uint64_t at_least(uint64_t word, uint64_t low, bool high)
{
    uint64_t differs = (word | HIGHS) - low;
    return (high ? differs & word : differs | word) & HIGHS;
}

static inline unsigned first_byte(uint64_t highs)
{
    if (WIDE || (uint32_t)highs)
        return (unsigned)__builtin_ctzl((unsigned long)highs) >> 3;
    return 4 + ((unsigned)__builtin_ctzl((unsigned long)(highs >> 32)) >> 3);
}

static inline unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static inline unsigned largest_byte(const uint64_t *word)
{
    const uint8_t *at = (const uint8_t *)word;
    unsigned a = larger(at[0], at[1]), b = larger(at[2], at[3]);
    unsigned c = larger(at[4], at[5]), d = larger(at[6], at[7]);
    return larger(larger(a, b), larger(c, d));
}

static inline uint8_t *byte_of(uint64_t *words, size_t i)
{
    return (uint8_t *)words + i;
}

/* ---- places --------------------------------------------------------------------------------- */

static inline size_t offset_of(const struct heap *h, const struct block *b)
{
    return (size_t)(block_payload(b) - h->start);
}

static inline struct node *node_at(const struct heap *h, size_t chunk)
{
    return (struct node *)(h->index + chunk * sizeof(struct node));
}

/* A region, by its two bytes and where it starts; `number` counts in the chunk. */
struct region {
    size_t chunk, number;
    struct node *node;
    struct group *group;
};

static inline struct region region_of(const struct heap *h, const struct block *b)
{
    size_t offset = offset_of(h, b);
    struct region r = {.chunk = offset >> HEAP_CHUNK_SHIFT};
    r.number = offset >> REGION_SHIFT & (CHUNK_REGIONS - 1);
    r.node = node_at(h, r.chunk);
    r.group = &r.node->group[r.number >> 3];
    return r;
}

static inline unsigned unit_in_region(const struct heap *h, const struct block *b)
{
    return (unsigned)(offset_of(h, b) >> UNIT_SHIFT) & (REGION_UNITS - 1);
}

static inline struct block *block_in(const struct heap *h, const struct region *r, size_t unit)
{
    size_t offset = (r->chunk << HEAP_CHUNK_SHIFT) + (r->number << REGION_SHIFT);
    return block_of(h->start + offset + (unit << UNIT_SHIFT));
}

static inline word_t *link_of(const struct block *b)
{
    return (word_t *)block_payload(b);
}

static inline size_t linked_units(const struct block *b)
{
    return (size_t)(*link_of(b) >> LINK_BITS);
}

/* ---- a region's list ------------------------------------------------------------------------ */

/* Where the list says which block comes at or behind `unit`: in the head or in a link. */
static inline uint8_t *link_before(const struct heap *h, const struct region *r, unsigned unit)
{
    uint8_t *link = &r->group->first[r->number & 7];
    for (unsigned i = 0; i < REGION_UNITS && *link && *link <= unit; i++)
        link = (uint8_t *)link_of(block_in(h, r, *link - 1u));
    return link;
}

static inline void write_free(struct heap *h, struct block *b, size_t units, uint64_t next)
{
    uint64_t word = (uint64_t)units << LINK_BITS;
    block_seal(h, b, units, HEAP_FREE);
    block_at(b, units)[-1].word = word;
    *link_of(b) = word | next;
}

/* The bytes above the region's rise to a class, or may fall from one that it had. */
void index_raise(struct heap *h, const struct region *r, unsigned class);
void index_lower(struct heap *h, const struct region *r, unsigned class);

static inline uint8_t *class_byte(const struct region *r)
{
    return byte_of(&r->group->classes, r->number & 7);
}

/* What the eight regions around have at most, as the byte above says. */
static inline uint8_t *group_byte(const struct region *r)
{
    return byte_of(r->node->upper, HEAP_UPPER - 1 + (r->number >> 3));
}

/* The region has a block of these units, new or grown. */
static inline void region_gains(struct heap *h, const struct region *r, size_t units)
{
    unsigned class = class_of(units);
    if (class <= *class_byte(r))
        return;
    *class_byte(r) = (uint8_t)class;
    if (*group_byte(r) < class)
        index_raise(h, r, class);
}

static inline size_t largest_in(const struct heap *h, const struct region *r)
{
    size_t most = 0, next = r->group->first[r->number & 7];
    for (unsigned i = 0; i < REGION_UNITS && next; i++) {
        uint64_t link = *link_of(block_in(h, r, next - 1));
        most = (size_t)(link >> LINK_BITS) > most ? (size_t)(link >> LINK_BITS) : most;
        next = link & LINK_MASK;
    }
    return most;
}

static inline bool region_has_hand(const struct heap *h, const struct region *r)
{
    return h->hand && block_in(h, r, unit_in_region(h, h->hand)) == h->hand;
}

/* The region had a block of these units, and has less now. Its new class counts the block in hand
 * for what that has left. */
static inline void region_loses(struct heap *h, const struct region *r, size_t units)
{
    unsigned class = class_of(units);
    if (class != *class_byte(r))
        return;
    unsigned now = r->group->first[r->number & 7] ? class_of(largest_in(h, r)) : 0;
    if (now == class)
        return;
    *class_byte(r) = (uint8_t)now;
    if (region_has_hand(h, r))
        h->hand_units = linked_units(h->hand);
    if (*group_byte(r) == class)
        index_lower(h, r, class);
}

/* A group under a zero byte, and a region of class 0, hold nothing yet, whatever is written there. */
static inline void freshen(const struct region *r)
{
    if (!*group_byte(r))
        r->group->classes = 0;
    if (!*class_byte(r))
        r->group->first[r->number & 7] = 0;
}

/* ---- changes -------------------------------------------------------------------------------- */

/* Adds a free block: writes its header, link and footer. */
static inline void index_insert(struct heap *h, struct block *b, size_t units)
{
    struct region r = region_of(h, b);
    unsigned unit = unit_in_region(h, b);
    freshen(&r);
    uint8_t *link = link_before(h, &r, unit);
    write_free(h, b, units, *link);
    *link = (uint8_t)(unit + 1);
    region_gains(h, &r, units);
}

/* Nothing is in hand any more: the region's class becomes true. */
void index_settle(struct heap *h);

static inline void settle_for(struct heap *h, const struct block *b)
{
    if (b == h->hand)
        index_settle(h);
}

/* The block in hand has less units now: its region's class, and all above, wait for index_settle. */
static inline void index_cut_hand(struct heap *h, struct block *b, size_t units)
{
    write_free(h, b, units, *link_of(b) & LINK_MASK);
}

/* Cuts a block, which has PREV, from the end of what is in hand; NULL: a search could find another
 * place, or nothing would be left, or it is damaged. Level 3 looks at more and does not come here. */
static inline struct block *index_cut_again(struct heap *h, size_t units)
{
    struct block *b = h->hand;
    if (HEAP_HARDEN >= 3 || !b || units < h->hand_least)
        return NULL;
    size_t all = linked_units(b);
    if (all <= units || (HEAP_HARDEN && block_open(h, b, HEAP_FREE) != all))
        return NULL;
    clear_prev(h, block_at(b, all));
    index_cut_hand(h, b, all - units);
    return block_at(b, all - units);
}

/* Takes it out. */
static inline void index_remove(struct heap *h, struct block *b)
{
    settle_for(h, b);
    struct region r = region_of(h, b);
    uint64_t link = *link_of(b);
    *link_before(h, &r, unit_in_region(h, b)) = (uint8_t)link;
    region_loses(h, &r, (size_t)(link >> LINK_BITS));
}

/* A free block has more units now. */
static inline void index_grow(struct heap *h, struct block *b, size_t units)
{
    struct region r = region_of(h, b);
    write_free(h, b, units, *link_of(b) & LINK_MASK);
    region_gains(h, &r, units);
    if (b == h->hand && units > h->hand_units)
        h->hand_units = units;
}

/* Or less. */
static inline void index_shrink(struct heap *h, struct block *b, size_t units)
{
    settle_for(h, b);
    struct region r = region_of(h, b);
    uint64_t link = *link_of(b);
    write_free(h, b, units, link & LINK_MASK);
    region_loses(h, &r, (size_t)(link >> LINK_BITS));
}

/* `now` takes the place of `old`: no other free block starts between them. */
static inline void index_move(struct heap *h, struct block *old, struct block *now, size_t units)
{
    settle_for(h, old);
    struct region r = region_of(h, old);
    uint64_t link = *link_of(old);
    size_t had = (size_t)(link >> LINK_BITS);
    if (offset_of(h, old) >> REGION_SHIFT != offset_of(h, now) >> REGION_SHIFT) {
        index_insert(h, now, units); /* its footer may be old's link */
        *link_before(h, &r, unit_in_region(h, old)) = (uint8_t)link;
        region_loses(h, &r, had);
        return;
    }
    *link_before(h, &r, unit_in_region(h, old)) = (uint8_t)(unit_in_region(h, now) + 1);
    write_free(h, now, units, link & LINK_MASK);
    if (units > had)
        region_gains(h, &r, units);
    else
        region_loses(h, &r, had);
}

/* ---- searching ------------------------------------------------------------------------------ */

/* The free block of at least `units` at the lowest address; NULL: there is none, or see the essay. */
struct block *index_first_fit(const struct heap *h, size_t units);

/* The next one behind `after`. */
struct block *index_next_fit(const struct heap *h, const struct block *after, size_t units);

/* ---- size ----------------------------------------------------------------------------------- */

/* Bytes of index that a heap of so many bytes needs. */
size_t index_bytes(size_t bytes);

/* The heap grew, or is about to shrink; the index is mapped for both sizes. */
void index_extend(struct heap *h, size_t from, size_t to);
void index_cut(struct heap *h, size_t from, size_t to);

/* True when every free block is found in its place; *count: blocks. */
bool index_holds(const struct heap *h, size_t *count);

#endif
