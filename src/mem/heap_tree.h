/* SPDX-License-Identifier: MIT */
/*
 * heap_tree.h - the large free blocks by address. Private to heap*.c; heap_tree.c has the essay,
 * and all that changes the tree. What most calls need of it stands here, to be inlined.
 */
#ifndef MEM_HEAP_TREE_H
#define MEM_HEAP_TREE_H

#include "heap_block.h"

/* Half of a link: two hooks lead to each other. One that was overwritten may lead anywhere in the
 * heap, so it is packed: no address is wrong. */
struct hook {
    struct hook *other;
} __attribute__((packed, may_alias));

/* The end of a large free block: a fork and a leaf of the tree, and the footer. */
struct node {
    struct hook fork, leaf; /* what the fork hangs at, what the leaf hangs at            */
    struct hook below[2];   /* of the fork: what hangs on it, before and behind its border */
    size_t most[2];         /* and units of the largest block on either side             */
    uintptr_t bit;          /* the highest in which addresses on the two sides differ    */
    uintptr_t unused;       /* nodes begin at multiples of 16                            */
    uint64_t units;         /* the block's footer                                        */
} __attribute__((packed, may_alias));

_Static_assert(sizeof(struct node) % UNIT == UNIT - HEADER, "blocks end half-way between units");
_Static_assert(LARGE *UNIT > 2 * (int)sizeof(struct node), "a large block has room for a node");
_Static_assert(TOP >= (int)sizeof(struct node), "and the heap's start for the topmost");

static inline struct node *node_of(const struct block *b, size_t units)
{
    return (struct node *)block_at(b, units) - 1;
}

/* ---- links ---------------------------------------------------------------------------------- */

/* Can it be followed without leaving the heap? */
static inline bool is_hook(const struct heap *h, const struct hook *k)
{
    return (size_t)((uintptr_t)k - (uintptr_t)h->tree) < h->hook_reach;
}

/* Does it lead to one that leads back? Level 0 does not ask. */
static inline bool is_tied(const struct heap *h, const struct hook *k)
{
    return HEAP_HARDEN == 0 || (is_hook(h, k->other) && k->other->other == k);
}

/* ---- changes -------------------------------------------------------------------------------- */

/* What the calls below do to a block that is not the loose one. */
void tree_plant(struct heap *h, struct node *x, size_t units);
void tree_uproot(struct heap *h, struct node *x);
void tree_regrow(struct heap *h, struct node *x, size_t units);

/* Adds a block. The one that was loose until now goes into the tree. */
static inline void tree_insert(struct heap *h, struct node *x, size_t units)
{
    struct node *was = h->loose;
    size_t had = h->loose_units;
    h->loose = x;
    h->loose_units = units;
    if (had)
        tree_plant(h, was, had);
}

/* Takes a block out, which tree_keeps. */
static inline void tree_remove(struct heap *h, struct node *x)
{
    if (x != h->loose) {
        tree_uproot(h, x);
        return;
    }
    h->loose = NULL;
    h->loose_units = 0;
}

/* A block that tree_keeps has another start. */
static inline void tree_resize(struct heap *h, struct node *x, size_t units)
{
    if (x == h->loose)
        h->loose_units = units;
    else
        tree_regrow(h, x, units);
}

/* Does what the leaf hangs at agree? Then it can be resized. Level 0 does not ask. */
static inline bool tree_knows(const struct heap *h, const struct node *x)
{
    return HEAP_HARDEN == 0 || x == h->loose || (is_hook(h, &x->leaf) && is_tied(h, &x->leaf));
}

/* And do all nodes that change when it is removed? */
bool tree_keeps(const struct heap *h, const struct node *x);

/* ---- searching ------------------------------------------------------------------------------ */

/* The lowest in the tree of at least `units`, which there is; NULL: damage hides it. */
struct block *tree_lowest(struct heap *h, size_t units);

/* The lowest of all. */
static inline struct block *tree_find(struct heap *h, size_t units)
{
    struct block *loose = NULL, *b = NULL;
    if (h->loose_units >= units)
        loose = block_back((struct block *)(h->loose + 1), h->loose_units);
    if (h->tree->most[0] >= units)
        b = tree_lowest(h, units);
    return b && (!loose || b < loose) ? b : loose;
}

/* There are none. */
void tree_start(struct heap *h);

/* True when T1 to T4 hold; *count: blocks. */
bool tree_holds(const struct heap *h, size_t *count);

#endif
