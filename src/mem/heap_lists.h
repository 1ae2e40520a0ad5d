/* SPDX-License-Identifier: MIT */
/*
 * heap_lists.h - the free blocks by size. Private to heap*.c; heap_lists.c has the essay and what
 * looks at the whole. What every call that changes a list does stands here, to be inlined.
 */
#ifndef MEM_HEAP_LISTS_H
#define MEM_HEAP_LISTS_H

#include "heap_block.h"

enum {
    EXACT = 128,   /* classes below are numbers of units                           */
    EXACT_LOG = 7, /* its logarithm                                                */
    PART_LOG = 2,  /* of the classes in each doubling above it                     */
    LEAST = 2,     /* units of a listed block: there is room for links             */
    TRIES = 4,     /* blocks of a class that does not tell all that are looked at  */
    UNITS_LOG = HEAP_WORD_BITS == 64 ? 36 : 28, /* of the units of the largest heap */
};

/* In a free block behind its header, and for each list at the heap's start: the list is a ring. One
 * that was overwritten may lead anywhere in the heap, so it is packed: no address is wrong. */
struct links {
    struct links *next, *prev;
} __attribute__((packed, may_alias));
_Static_assert(HEADS == HEAP_CLASSES * sizeof(struct links), "the head of a list is its links");

/* The class of sizes of 2^log units and the part above that; `lead`: the part, and a bit before. */
#define CLASS(log, lead) (EXACT + (((log) - EXACT_LOG - 1) << PART_LOG) + (lead))
_Static_assert(CLASS(UNITS_LOG, 1 << PART_LOG) <= HEAP_CLASSES,
               "no block is too large for the last of them");

static inline unsigned class_of(size_t units)
{
    if (units < EXACT)
        return (unsigned)units;
    unsigned log = (HEAP_WORD_BITS - 1) ^ (unsigned)__builtin_clzl(units);
    return CLASS(log, (unsigned)(units >> (log - PART_LOG)));
}

/* ---- links ---------------------------------------------------------------------------------- */

static inline struct links *head_of(const struct heap *h, unsigned class)
{
    return (struct links *)h->start + class;
}

static inline struct links *links_of(const struct block *b)
{
    return (struct links *)block_payload(b);
}

static inline struct block *first_in(const struct heap *h, unsigned class)
{
    return block_of(head_of(h, class)->next);
}

/* Can it be followed without leaving the heap? */
static inline bool is_link(const struct heap *h, const struct links *l)
{
    return (size_t)((uintptr_t)l - (uintptr_t)h->start) < h->reach;
}

/* May it lead to a block? Before a head there need not be a header. */
static inline bool is_block_link(const struct heap *h, const struct links *l)
{
    return is_link(h, l) && l >= head_of(h, HEAP_CLASSES);
}

/* Do the neighbours in its list agree that it is there? Level 0 does not ask. */
static inline bool is_linked(const struct heap *h, const struct block *b)
{
    const struct links *l = links_of(b);
    return HEAP_HARDEN == 0 ||
           (is_link(h, l->next) && is_link(h, l->prev) && l->next->prev == l && l->prev->next == l);
}

/* The same of any free block: a single unit is in no list. */
static inline bool is_kept(const struct heap *h, const struct block *b, size_t units)
{
    return units < LEAST || is_linked(h, b);
}

/* Where a free block's header and links end. */
static inline const void *past_links(const struct block *b, size_t units)
{
    return units < LEAST ? (const void *)(b + 2) : links_of(b) + 1;
}

static inline void mark_filled(struct heap *h, unsigned class)
{
    h->filled[class / HEAP_WORD_BITS] |= 1ul << class % HEAP_WORD_BITS;
}

static inline void mark_empty(struct heap *h, unsigned class)
{
    h->filled[class / HEAP_WORD_BITS] &= ~(1ul << class % HEAP_WORD_BITS);
}

/* ---- changes -------------------------------------------------------------------------------- */

/* Adds what is left of a listed block: writes its header, footer and links. A single unit is left
 * alone until it is merged. The header behind it is the caller's. */
static inline void list_insert_rest(struct heap *h, struct block *b, size_t units)
{
    seal_free(h, b, units);
    block_at(b, units)[-1].word = units;
    if (units < LEAST)
        return;
    unsigned class = class_of(units);
    struct links *head = head_of(h, class), *l = links_of(b), *next = head->next;
    l->next = next;
    next->prev = l;
    l->prev = head;
    head->next = l;
    if (next == head)
        mark_filled(h, class);
}

/* Adds any free block. */
static inline void list_insert(struct heap *h, struct block *b, size_t units)
{
    list_insert_rest(h, b, units);
    if (units << UNIT_SHIFT > h->below)
        h->below = units << UNIT_SHIFT;
}

/* Takes a block out, which is_linked. The ring is empty when both neighbours are its head. */
static inline void list_remove(struct heap *h, struct block *b)
{
    struct links l = *links_of(b);
    l.next->prev = l.prev;
    l.prev->next = l.next;
    if (l.next == l.prev)
        mark_empty(h, (unsigned)(l.next - head_of(h, 0)));
}

/* The same of any free block. */
static inline void list_drop(struct heap *h, struct block *b, size_t units)
{
    if (units >= LEAST)
        list_remove(h, b);
}

/* ---- searching ------------------------------------------------------------------------------ */

/* The class that is filled, from this one on; HEAP_CLASSES: none. */
static inline unsigned next_filled(const struct heap *h, unsigned class)
{
    unsigned i = class / HEAP_WORD_BITS;
    unsigned long word = h->filled[i] & ~0ul << class % HEAP_WORD_BITS;
    while (!word) {
        if (++i == HEAP_CLASSES / HEAP_WORD_BITS)
            return HEAP_CLASSES;
        word = h->filled[i];
    }
    return i * HEAP_WORD_BITS + (unsigned)__builtin_ctzl(word);
}

/* A free block of at least `units`; NULL: there is none, or see the essay. */
struct block *list_find_large(struct heap *h, size_t units);

static inline struct block *list_find_exact(struct heap *h, size_t units)
{
    if (units << UNIT_SHIFT > h->below)
        return NULL;
    unsigned class = next_filled(h, (unsigned)units);
    if (class < HEAP_CLASSES)
        return first_in(h, class);
    h->below = (units - 1) << UNIT_SHIFT;
    return NULL;
}

static inline struct block *list_find(struct heap *h, size_t units)
{
    if (units < EXACT)
        return list_find_exact(h, units);
    return units << UNIT_SHIFT <= h->below ? list_find_large(h, units) : NULL;
}

/* The same for an aligned payload: `align` is larger than a unit. */
struct block *list_find_aligned(struct heap *h, size_t align, size_t units);

/* Units to skip at `b` so that the payload is aligned. */
static inline size_t skip_for(const struct block *b, size_t align)
{
    uintptr_t payload = (uintptr_t)block_payload(b);
    return (size_t)((((payload + align - 1) & ~(align - 1)) - payload) >> UNIT_SHIFT);
}

/* All lists are empty. */
void lists_start(struct heap *h);

/* True when every list is a ring of free blocks of its class; *count: blocks. */
bool lists_hold(const struct heap *h, size_t *count);

#endif
