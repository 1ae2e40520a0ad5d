/* SPDX-License-Identifier: MIT */
/*
 * heap_tree.c - the large free blocks: a tree by address that knows the largest block on each side.
 *
 * A request takes the lowest block that is large enough. From the top it goes to the lower side of
 * every fork, if the largest block there will do, and else to the upper one: no step is in vain,
 * and no block is looked at that is not the answer.
 *
 * The tree is a crit-bit tree. Blocks are its leaves. A fork parts its leaves by the highest bit in
 * which their addresses differ; what is below it agrees in all bits above. So its shape depends on
 * the addresses alone, it is never balanced, and a way down has one fork for a bit of an address
 * at most. An address is that of the node at a block's end: it does not change when the block is
 * cut at its front, as first fit does, nor when what is freed before it joins it.
 *
 *   a large free block   | header | ... free ... | node | header of the next
 *   its node             | fork, leaf, two sides of the fork, the largest on each, bit, footer |
 *
 * n leaves need n - 1 forks, so each block brings one, and one of them is without: `forkless`. The
 * fork of a block stands somewhere above its leaf, never elsewhere. When a block leaves, the fork
 * right above its leaf is no longer needed: the block's own fork moves there. A fork and a leaf
 * each have one hook, by which they hang at one side of a fork above: two hooks that lead to each
 * other. Above all is `tree`, at the heap's start: a fork with one side, which hangs nowhere.
 *
 * The block that was added last is `loose`: not in the tree yet, but known by its address and its
 * size. It goes into the tree when the next one comes, and most blocks are taken or joined before
 * that: 56 to 99 of 100 in recorded programs.
 *
 *   T1  what a side of a fork leads to leads back to that side.
 *   T2  leaves stand by address; a fork has the highest bit in which the last leaf before its
 * border and the first behind it differ; every block but the forkless one has its fork in use. T3
 * of a fork's side `most` tells the largest block. T4  the loose block is free, has `loose_units`,
 * and is not in the tree.
 *
 * Damage. A node is free memory, and may have been overwritten. A hook is followed when it leads to
 * where one can be, and trusted when that leads back (T1): so a way down ends, as nothing hangs at
 * two sides. What does not lead back is reported as written to after it was freed. A search then
 * takes from elsewhere, and a block whose place cannot be found stays out of the tree: lost, but
 * harmless. Before a block is removed or resized all that changes at once is looked at.
 *
 * Bounds. D, the forks on a way, is at most the bits in which pages of the heap differ: 17 in a
 * window of 512 MiB, 28 in one of 1 TiB. To search takes one way down, to add one down and part of
 * one up, to remove or resize part of one up: until a fork knew it already.
 */
#include "heap_tree.h"

/* ---- links ---------------------------------------------------------------------------------- */

enum { PAIR = 2 * sizeof(struct hook) }; /* the hooks of a node begin at multiples of it */

static inline void tie(struct hook *a, struct hook *b)
{
    a->other = b;
    b->other = a;
}

static inline bool is_leaf(const struct hook *k)
{
    return (uintptr_t)k & sizeof(struct hook);
}

static inline struct node *fork_with(const struct hook *k)
{
    return (struct node *)k;
}

static inline struct node *leaf_with(const struct hook *k)
{
    return (struct node *)(k - 1);
}

/* The fork with such a side. */
static inline struct node *node_above(const struct hook *side)
{
    return (struct node *)(((uintptr_t)side & ~(uintptr_t)(PAIR - 1)) - PAIR);
}

/* Units of the largest block on that side of a fork. */
typedef size_t most_t __attribute__((may_alias, aligned(1)));
static inline most_t *most_on(struct hook *side)
{
    return (most_t *)(side + 2);
}

/* What `k` leads to does not lead back. */
[[gnu::cold, gnu::noinline]] static void *lose_way(struct heap *h, const struct hook *k)
{
    heap_report_node(h, k);
    return NULL;
}

/* ---- changes -------------------------------------------------------------------------------- */

static inline size_t largest_below(const struct node *n)
{
    return n->most[0] > n->most[1] ? n->most[0] : n->most[1];
}

/* On a fork's side is another largest block: so may it be for all forks above. */
static void settle(struct heap *h, struct hook *side, size_t units)
{
    while (*most_on(side) != units) {
        *most_on(side) = units;
        struct node *n = node_above(side);
        if (HEAP_HARDEN ? !is_tied(h, &n->fork) : n == h->tree) {
            if (n != h->tree)
                lose_way(h, &n->fork);
            return;
        }
        units = largest_below(n);
        side = n->fork.other;
    }
}

static inline uintptr_t highest_bit(uintptr_t word)
{
    return (uintptr_t)1 << ((HEAP_WORD_BITS - 1) ^ __builtin_clzl(word));
}

/* The fork of x comes between `side` and what hangs there, and parts it from x. */
static inline void fork_at(struct heap *h, struct node *x, size_t units, uintptr_t bit,
                           struct hook *side)
{
    bool mine = ((uintptr_t)x & bit) != 0;
    size_t most = *most_on(side);
    x->bit = bit;
    tie(&x->below[!mine], side->other);
    x->most[!mine] = most;
    tie(&x->below[mine], &x->leaf);
    x->most[mine] = units;
    tie(&x->fork, side);
    if (units > most)
        settle(h, side, units);
}

[[gnu::noinline]] static void plant_first(struct heap *h, struct node *x, size_t units)
{
    h->forkless = x;
    tie(&h->tree->below[0], &x->leaf);
    h->tree->most[0] = units;
}

void tree_plant(struct heap *h, struct node *x, size_t units)
{
    struct hook *side = &h->tree->below[0], *k = side->other;
    if (!k) {
        plant_first(h, x, units);
        return;
    }
    for (; is_tied(h, side); k = side->other) {
        if (is_leaf(k)) {
            uintptr_t bit = highest_bit((uintptr_t)x ^ (uintptr_t)leaf_with(k));
            while (node_above(side)->bit < bit)
                side = node_above(side)->fork.other;
            fork_at(h, x, units, bit, side);
            return;
        }
        struct node *n = fork_with(k);
        side = &n->below[((uintptr_t)x & n->bit) != 0];
    }
    lose_way(h, side);
}

/* The fork of x is needed where it is: it moves into another block. */
static inline void move_fork(const struct node *x, struct node *to)
{
    to->bit = x->bit;
    to->most[0] = x->most[0];
    to->most[1] = x->most[1];
    tie(&to->below[0], x->below[0].other);
    tie(&to->below[1], x->below[1].other);
    tie(&to->fork, x->fork.other);
}

void tree_uproot(struct heap *h, struct node *x)
{
    struct hook *side = x->leaf.other;
    struct node *n = node_above(side);
    if (n == h->tree) {
        side->other = NULL;
        n->most[0] = 0;
        return;
    }
    struct hook *other = &n->below[side == &n->below[0]], *over = n->fork.other;
    size_t left = *most_on(other);
    tie(other->other, over);
    if (x == h->forkless) {
        h->forkless = n;
    } else if (x != n) {
        move_fork(x, n);
        if (node_above(over) == x)
            over = &n->below[over == &x->below[1]];
    }
    settle(h, over, left);
}

void tree_regrow(struct heap *h, struct node *x, size_t units)
{
    settle(h, x->leaf.other, units);
}

bool tree_keeps(const struct heap *h, const struct node *x)
{
    if (HEAP_HARDEN == 0 || x == h->loose)
        return true;
    if (!tree_knows(h, x))
        return false;
    const struct hook *side = x->leaf.other;
    const struct node *n = node_above(side);
    if (n == h->tree)
        return true;
    return is_tied(h, &n->fork) && is_tied(h, &n->below[side == &n->below[0]]) &&
           (x == n || x == h->forkless ||
            (is_tied(h, &x->fork) && is_tied(h, &x->below[0]) && is_tied(h, &x->below[1])));
}

/* ---- searching ------------------------------------------------------------------------------ */

/* The block of a leaf; NULL: its footer is damaged. */
static inline struct block *block_with(struct heap *h, const struct node *n)
{
    struct block *end = (struct block *)(n + 1);
    if (n->units > units_between(heap_first(h), end))
        return lose_way(h, &n->leaf);
    return block_back(end, (size_t)n->units);
}

struct block *tree_lowest(struct heap *h, size_t units)
{
    struct hook *side = &h->tree->below[0];
    while (is_tied(h, side)) {
        struct hook *k = side->other;
        if (is_leaf(k))
            return block_with(h, leaf_with(k));
        struct node *n = fork_with(k);
        side = &n->below[n->most[0] < units];
    }
    return lose_way(h, side);
}

/* ---- the whole ------------------------------------------------------------------------------ */

void tree_start(struct heap *h)
{
    *h->tree = (struct node){.bit = ~(uintptr_t)0};
}

/* A walk over the leaves. */
struct walk {
    const struct hook *side;        /* what hangs there is entered next */
    const struct node *leaf, *last; /* where it is, and was             */
    uintptr_t bit;                  /* of the fork whose border lies between the two */
};

/* Down to the first leaf: T1. */
static bool walk_down(const struct heap *h, struct walk *w)
{
    while (is_hook(h, w->side->other) && w->side->other->other == w->side) {
        const struct hook *k = w->side->other;
        if (is_leaf(k)) {
            w->leaf = leaf_with(k);
            return true;
        }
        w->side = &fork_with(k)->below[0];
    }
    return false;
}

/* T2 and T3 for a leaf. */
static bool leaf_holds(const struct heap *h, const struct walk *w)
{
    const struct node *x = w->leaf;
    const struct block *end = (const struct block *)(x + 1);
    if (x->units < LARGE || x->units > units_between(heap_first(h), end))
        return false;
    uintptr_t differ = (uintptr_t)x ^ (uintptr_t)w->last;
    return open_free(h, block_back(end, (size_t)x->units)) == x->units &&
           *most_on((struct hook *)w->side) == x->units && x != h->loose &&
           (!w->last || (x > w->last && highest_bit(differ) == w->bit)) &&
           (x == h->forkless || (is_hook(h, x->fork.other) && x->fork.other->other == &x->fork));
}

/* Up to where there is more behind: T3. *done: there is nothing. */
static bool walk_up(const struct heap *h, struct walk *w, bool *done)
{
    const struct node *n = node_above(w->side);
    for (; w->side == &n->below[1]; n = node_above(w->side)) {
        w->side = n->fork.other;
        if (*most_on((struct hook *)w->side) != largest_below(n))
            return false;
    }
    *done = n == h->tree;
    w->bit = n->bit;
    w->side = &n->below[1];
    return true;
}

static bool loose_holds(const struct heap *h, size_t *count)
{
    if (!h->loose_units)
        return !h->loose;
    ++*count;
    const struct block *end = (const struct block *)(h->loose + 1);
    return h->loose_units >= LARGE && is_hook(h, &h->loose->leaf) &&
           h->loose_units <= units_between(heap_first(h), end) &&
           open_free(h, block_back(end, h->loose_units)) == h->loose_units;
}

bool tree_holds(const struct heap *h, size_t *count)
{
    struct walk w = {.side = &h->tree->below[0]};
    bool done = !w.side->other && !h->tree->most[0];
    while (!done) {
        if (!walk_down(h, &w) || !leaf_holds(h, &w))
            return false;
        ++*count;
        w.last = w.leaf;
        if (!walk_up(h, &w, &done))
            return false;
    }
    return loose_holds(h, count);
}
