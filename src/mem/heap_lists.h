/* SPDX-License-Identifier: MIT */
/*
 * heap_lists.h - the small free blocks by size. Private to heap*.c; heap_lists.c has the essay and
 * what looks at the whole. What every call that changes a list does stands here, to be inlined; and
 * how blocks in bins, which are stacks, lead to each other.
 */
#ifndef MEM_HEAP_LISTS_H
#define MEM_HEAP_LISTS_H

#include "heap_block.h"

enum { LEAST = 2 }; /* units of a listed block: there is room for links */

/* In a free block behind its header, and for each list at the heap's start: the list is a ring. One
 * that was overwritten may lead anywhere in the heap, so it is packed: no address is wrong. */
struct links {
    struct links *next, *prev;
} __attribute__((packed, may_alias));
_Static_assert(HEADS == HEAP_LISTS * sizeof(struct links), "the head of a list is its links");

/* ---- links ---------------------------------------------------------------------------------- */

static inline struct links *head_of(const struct heap *h, size_t units)
{
    return (struct links *)h->start + units;
}

static inline struct links *links_of(const struct block *b)
{
    return (struct links *)block_payload(b);
}

static inline struct block *first_in(const struct heap *h, size_t units)
{
    return block_of(head_of(h, units)->next);
}

/* Can it be followed without leaving the heap? */
static inline bool is_link(const struct heap *h, const struct links *l)
{
    return (size_t)((uintptr_t)l - (uintptr_t)h->start) < h->reach;
}

/* May it lead to a block? Before a head there need not be a header. */
static inline bool is_block_link(const struct heap *h, const struct links *l)
{
    return is_link(h, l) && l >= head_of(h, HEAP_LISTS);
}

/* Neighbours are the same when they are the list's head. */
static inline bool are_neighbours(const struct heap *h, const struct links *l, size_t units)
{
    return l->next == head_of(h, units) || l->next != l->prev;
}

/* Do the neighbours in its list agree that it is there? Level 0 does not ask. */
static inline bool list_keeps(const struct heap *h, const struct block *b, size_t units)
{
    const struct links *l = links_of(b);
    return HEAP_HARDEN == 0 || units < LEAST ||
           (is_link(h, l->next) && is_link(h, l->prev) && l->next->prev == l &&
            l->prev->next == l && are_neighbours(h, l, units));
}

static inline bool is_filled(const struct heap *h, size_t units)
{
    return h->filled[units / HEAP_WORD_BITS] >> units % HEAP_WORD_BITS & 1;
}

static inline void mark_filled(struct heap *h, size_t units)
{
    h->filled[units / HEAP_WORD_BITS] |= 1ul << units % HEAP_WORD_BITS;
}

static inline void mark_empty(struct heap *h, size_t units)
{
    h->filled[units / HEAP_WORD_BITS] &= ~(1ul << units % HEAP_WORD_BITS);
}

/* ---- changes -------------------------------------------------------------------------------- */

/* Adds a free block, whose header and footer are written. A single unit is left alone until it is
 * merged. The head of an empty list holds nothing. */
static inline void list_insert(struct heap *h, struct block *b, size_t units)
{
    if (units < LEAST)
        return;
    struct links *head = head_of(h, units), *l = links_of(b);
    struct links *next = head->next;
    if (!is_filled(h, units)) {
        mark_filled(h, units);
        next = head;
    }
    l->next = next;
    next->prev = l;
    l->prev = head;
    head->next = l;
}

/* Takes a block out that list_keeps. The ring is empty when both neighbours are its head. */
static inline void list_remove(struct heap *h, struct block *b, size_t units)
{
    if (units < LEAST)
        return;
    struct links l = *links_of(b);
    l.next->prev = l.prev;
    l.prev->next = l.next;
    if (l.next == l.prev)
        mark_empty(h, units);
}

/* The first block of the fewest units, but at least so many. */
static inline struct found list_find(const struct heap *h, size_t units)
{
    size_t i = units / HEAP_WORD_BITS;
    unsigned long word = h->filled[i] & ~0ul << units % HEAP_WORD_BITS;
    while (!word) {
        if (++i == HEAP_LISTS / HEAP_WORD_BITS + 1)
            return (struct found){0};
        word = h->filled[i];
    }
    i = i * HEAP_WORD_BITS + (size_t)__builtin_ctzl(word);
    return (struct found){.b = first_in(h, i), .units = i};
}

/* The most units of a block in them, 0: there is none. */
static inline size_t list_largest(const struct heap *h)
{
#pragma GCC unroll 9
    for (size_t i = HEAP_LISTS / HEAP_WORD_BITS + 1; i--;) {
        if (h->filled[i])
            return (i + 1) * HEAP_WORD_BITS - 1 - (size_t)__builtin_clzl(h->filled[i]);
    }
    return 0;
}

/* ---- bins ----------------------------------------------------------------------------------- */

/* A binned block's payload starts with the next one's address. */
static inline void **link_in(const void *payload)
{
    return (void **)payload;
}

/* Or, in the last one, with NULL; at level 3 with the fill, so that a NULL written there is seen.
 */
#define BIN_END (HEAP_HARDEN >= 3 ? (void *)(UINTPTR_MAX / UINT8_MAX * FREED) : NULL)

/* The next one's payload; NULL: this is the last. */
static inline void *next_in(const void *payload)
{
    void *next = *link_in(payload);
    return HEAP_HARDEN >= 3 && next == BIN_END ? NULL : next;
}

/* True when every list is a ring of free blocks of its units; *count: blocks. */
bool heap_lists_hold(const struct heap *h, size_t *count);

#endif
