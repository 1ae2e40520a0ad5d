/* SPDX-License-Identifier: MIT */
/*
 * heap_tree.h - the large free blocks by address. Private to heap*.c; heap_tree.c has the essay,
 * and all that changes the tree. What most calls need of it stands here, to be inlined.
 */
#ifndef MEM_HEAP_TREE_H
#define MEM_HEAP_TREE_H

#include "heap_block.h"

enum {
    SIDES_LOG = 2,
    SIDES = 1 << SIDES_LOG, /* of a fork */
};

/* A link: what hangs at a side of a fork, and the side it hangs at, lead to each other. One that
 * was overwritten may lead anywhere in the heap, so both are packed: no address is wrong. */
struct hook {
    struct side *at;
} __attribute__((packed, may_alias));
struct side {
    struct hook *below;
} __attribute__((packed, may_alias));

/* Near the end of a large free block, at a multiple of NODE: a fork and a leaf of the tree. */
struct node {
    struct hook fork;        /* leads nowhere when the fork is not in use                 */
    struct side side[SIDES]; /* of the fork                                               */
    size_t most[SIDES];      /* units of the largest block on each of them, 0 for nothing */
    uintptr_t base;          /* what all addresses below have in common, and              */
    size_t shift;            /* where the bits begin that tell on which side one is       */
    size_t count;            /* sides at which something hangs                            */
    struct hook leaf;
    struct block *end; /* of the block */
} __attribute__((packed, may_alias));
enum { FORK = __builtin_offsetof(struct node, leaf) }; /* bytes of it are the fork */

/* The links of forks that are not in use, a ring through the topmost node, are two of their sides.
 * Of the topmost the first side is all there is to a tree; it hangs at the second itself, where
 * nothing is ever larger, so that a way up needs no case for its end. */
enum { OWN = 1, NEXT, LAST };

_Static_assert(sizeof(struct node) <= NODE, "what is in a node can be masked to its start");
_Static_assert(LARGE *UNIT > 4 * NODE, "a large block has room for a node");

static inline struct node *node_around(uintptr_t address)
{
    return (struct node *)(address & ~(uintptr_t)(NODE - 1));
}

static inline struct node *node_with(const void *part)
{
    return node_around((uintptr_t)part);
}

/* The node of a block that ends there. Between it and the footer lies less than another one. */
static inline struct node *node_before(const struct block *end)
{
    return node_around((uintptr_t)end - HEADER - sizeof(struct node));
}

static inline struct node *node_of(const struct block *b, size_t units)
{
    return node_before(block_at(b, units));
}

/* ---- links ---------------------------------------------------------------------------------- */

/* Can it be looked at without leaving the heap? */
static inline bool is_near(const struct heap *h, const void *link)
{
    return (size_t)((uintptr_t)link - (uintptr_t)h->tree) < h->tree_reach;
}

/* Does it hang where it says? Level 0 does not ask. */
static inline bool is_hung(const struct heap *h, const struct hook *k)
{
    return HEAP_HARDEN == 0 || (is_near(h, k->at) && k->at->below == k);
}

/* A node begins with its fork, then comes its leaf. What was overwritten may be neither. */
static inline bool is_fork(const struct hook *k)
{
    return (uintptr_t)k % NODE == 0;
}

static inline bool is_leaf(const struct hook *k)
{
    return (uintptr_t)k % NODE == FORK;
}

/* Units of the largest block on that side of a fork. */
typedef size_t most_t __attribute__((may_alias, aligned(1)));
static inline most_t *most_on(const struct side *s)
{
    return (most_t *)(s + SIDES);
}

static inline size_t largest_below(const struct node *n)
{
    size_t most = n->most[0];
#pragma GCC unroll 8
    for (unsigned i = 1; i < SIDES; i++)
        most = n->most[i] > most ? n->most[i] : most;
    return most;
}

/* The number of the side of a fork on which an address is; SIDES or more: it is not below it. */
static inline uintptr_t side_for(const struct node *n, uintptr_t address)
{
    return (address ^ n->base) >> n->shift;
}

/* ---- spare forks ---------------------------------------------------------------------------- */

/* A ring through the topmost node. */
static inline struct node *next_spare(const struct node *n)
{
    return (struct node *)n->side[NEXT].below;
}

static inline struct node *last_spare(const struct node *n)
{
    return (struct node *)n->side[LAST].below;
}

/* Do the next one and the one before agree? */
static inline bool is_spare(const struct heap *h, const struct node *n)
{
    const struct node *next = next_spare(n), *last = last_spare(n);
    return is_near(h, next) && is_near(h, last) && last_spare(next) == n && next_spare(last) == n;
}

/* ---- changes -------------------------------------------------------------------------------- */

/* What the calls below do to a block that is not the loose one. */
void tree_plant(struct heap *h, struct block *end, size_t units);
void tree_uproot(struct heap *h, struct node *x, bool searched);
void tree_raise(struct heap *h, struct node *x, size_t units);
void tree_lower(struct heap *h, struct node *x, size_t units, bool searched);

/* Adds a block. The one that was loose until now goes into the tree. */
static inline void tree_insert(struct heap *h, struct block *end, size_t units)
{
    struct block *was = h->loose_end;
    size_t had = h->loose_units;
    h->loose = node_before(end);
    h->loose_end = end;
    h->loose_units = units;
    if (had)
        tree_plant(h, was, had);
}

/* Takes a block out, which tree_keeps. */
static inline void tree_remove(struct heap *h, struct node *x, bool searched)
{
    if (x != h->loose) {
        tree_uproot(h, x, searched);
        return;
    }
    h->loose = NULL;
    h->loose_units = 0;
}

/* A block that tree_knows has become larger at its front; has become smaller. */
static inline void tree_grow(struct heap *h, struct node *x, size_t units)
{
    if (x == h->loose)
        h->loose_units = units;
    else
        tree_raise(h, x, units);
}

static inline void tree_shrink(struct heap *h, struct node *x, size_t units, bool searched)
{
    if (x == h->loose)
        h->loose_units = units;
    else
        tree_lower(h, x, units, searched);
}

/* Does the place where its leaf hangs agree? Then it can be resized. Level 0 does not ask. */
static inline bool tree_knows(const struct heap *h, const struct node *x)
{
    return HEAP_HARDEN == 0 || x == h->loose || (is_near(h, &x->leaf) && is_hung(h, &x->leaf));
}

/* And what its fork hangs at, or the spares beside it? Then it can be removed. */
bool tree_spares(const struct heap *h, const struct node *x);

static inline bool tree_keeps(const struct heap *h, const struct node *x)
{
    return tree_knows(h, x) && tree_spares(h, x);
}

/* ---- searching ------------------------------------------------------------------------------ */

/* The lowest in the tree of at least `units`, which there is; no block: damage hides it. */
struct found tree_lowest(struct heap *h, size_t units);

/* The lowest of all. */
static inline struct found tree_find(struct heap *h, size_t units)
{
    struct found f = {0};
    if (h->tree->most[0] >= units)
        f = tree_lowest(h, units);
    if (h->loose_units < units)
        return f;
    struct block *loose = block_back(h->loose_end, h->loose_units);
    if (f.b && f.b < loose)
        return f;
    return (struct found){.b = loose, .units = h->loose_units};
}

/* There are none. */
void tree_start(struct heap *h);

/* True when T1 to T4 hold; *count: blocks. */
bool tree_holds(const struct heap *h, size_t *count);

#endif
