/* SPDX-License-Identifier: MIT */
/*
 * heap_tree.c - the large free blocks: a tree by address that knows the largest block on each side.
 *
 * A request takes the lowest block that is large enough. From the top it goes to the lower side of
 * every fork, if the largest block there will do, and else to the upper one: no step is in vain,
 * and no block is looked at that is not the answer.
 *
 * The tree is a crit-bit tree, by two bits at a time. Blocks are its leaves. A fork has four sides
 * and parts its leaves by the highest two bits, of bits 2n and 2n + 1, in which their addresses
 * differ; what is below it agrees in all bits above, its `base`. So its shape depends on the
 * addresses alone, and it is never balanced. An address is that of the node near a block's end: it
 * does not change when the block is cut at its front, as first fit does, nor when what is freed
 * before it joins it.
 *
 *   a large free block   | header | ... free ... | node | less than a node | footer | next header
 *   its node             | fork, its four sides, the largest on each | leaf | end of the block |
 *
 * Nodes begin at multiples of their size, so what points into one leads to all of it. Forks have
 * two sides in use at least, so fewer are needed than there are leaves: each block brings one, and
 * those that are not in use are a ring of spares. The fork of a block stands anywhere; when the
 * block leaves, a spare one takes its place. A fork and a leaf each have a hook, by which they hang
 * at a side of a fork above: hook and side lead to each other. Above all is `tree`, at the heap's
 * start: a fork with one side.
 *
 * The block that was added last is `loose`: not in the tree yet, but known by its end and its size.
 * It goes into the tree when the next one comes, and most blocks are taken or joined before that:
 * 56 to 99 of 100 in recorded programs.
 *
 *   T1  what hangs at a side leads back to that side.
 *   T2  a leaf, and the base of a fork, is on the side of the fork above that its bits tell, and
 *       forks tell lower bits than those above; at least two sides of each are in use; the spares
 *       are all forks but those.
 *   T3  of each side `most` tells the largest block.
 *   T4  the loose block is free, has `loose_units`, and is not in the tree.
 *
 * Damage. A node is free memory, and may have been overwritten. A link is followed when it leads to
 * where one can be, and trusted when that leads back (T1): so a way down ends, as nothing hangs at
 * two sides. What does not lead back is reported as written to after it was freed. A search then
 * takes from elsewhere, and what hangs where no way leads stays out of reach: lost, but harmless.
 * Before a block is removed or resized its own links are looked at; of other nodes each when it
 * changes, and what does not agree is left as it is. A way that a search has come down is sound:
 * nothing that changes it comes between.
 *
 * Bounds. D, the forks on a way, is at most half the bits in which pages of the heap differ, as two
 * large blocks never end in the same page: 8 in 256 MiB, 9 in 1 GiB, 14 in 1 TiB. To search takes
 * one way down, to add one down and part of one up, to remove or resize part of one up: until a
 * fork knew it already.
 */
#include "heap_tree.h"

/* ---- links ---------------------------------------------------------------------------------- */

static inline void tie(struct side *s, struct hook *k)
{
    s->below = k;
    k->at = s;
}

/* Does what hangs there hang there? */
static inline bool is_held(const struct heap *h, const struct side *s)
{
    return HEAP_HARDEN == 0 || (is_near(h, s->below) && s->below->at == s);
}

/* A link does not lead back. */
[[gnu::cold, gnu::noinline]] static void *lose_way(struct heap *h, const void *link)
{
    heap_report_node(h, link);
    return NULL;
}

/* ---- spare forks ---------------------------------------------------------------------------- */

static inline void link_spares(struct node *n, struct node *next)
{
    n->side[NEXT].below = &next->fork;
    next->side[LAST].below = &n->fork;
}

static inline void add_spare(struct heap *h, struct node *n)
{
    n->fork.at = NULL;
    link_spares(n, next_spare(h->tree));
    link_spares(h->tree, n);
}

static inline void remove_spare(const struct node *n)
{
    link_spares(last_spare(n), next_spare(n));
}

/* ---- changes -------------------------------------------------------------------------------- */

/* On a fork's side is a larger block: so may it be for all forks above. */
static void raise(struct heap *h, struct side *s, size_t units)
{
    while (*most_on(s) < units) {
        const struct node *n = node_with(s);
        *most_on(s) = units;
        if (!is_hung(h, &n->fork)) {
            lose_way(h, n);
            return;
        }
        s = n->fork.at;
    }
}

/* On a fork's side is another largest block, no larger one. A search that came down here has seen
 * that the way up is sound. */
static inline void lower(struct heap *h, struct side *s, size_t units, bool searched)
{
    while (*most_on(s) != units) {
        const struct node *n = node_with(s);
        *most_on(s) = units;
        if (!searched && !is_hung(h, &n->fork)) {
            lose_way(h, n);
            return;
        }
        units = largest_below(n);
        s = n->fork.at;
    }
}

void tree_raise(struct heap *h, struct node *x, size_t units)
{
    raise(h, x->leaf.at, units);
}

void tree_lower(struct heap *h, struct node *x, size_t units, bool searched)
{
    if (searched)
        lower(h, x->leaf.at, units, true);
    else
        lower(h, x->leaf.at, units, false);
}

static inline unsigned highest_bit(uintptr_t word)
{
    return (HEAP_WORD_BITS - 1) ^ (unsigned)__builtin_clzl(word);
}

/* The fork of x comes between `s` and what hangs there, at the address `other`, and parts x from
 * it. */
static void fork_at(struct heap *h, struct node *x, size_t units, struct side *s, uintptr_t other)
{
    uintptr_t address = (uintptr_t)x;
    x->shift = highest_bit(address ^ other) & ~(unsigned)(SIDES_LOG - 1);
    x->base = (address >> x->shift & ~(uintptr_t)(SIDES - 1)) << x->shift;
    x->count = 2;
    for (unsigned i = 0; i < SIDES; i++) {
        x->side[i].below = NULL;
        x->most[i] = 0;
    }
    uintptr_t its = side_for(x, other);
    tie(&x->side[its], s->below);
    x->most[its] = *most_on(s);
    tie(s, &x->fork);
    its = side_for(x, address);
    tie(&x->side[its], &x->leaf);
    raise(h, &x->side[its], units);
}

void tree_plant(struct heap *h, struct block *end, size_t units)
{
    struct node *x = node_before(end);
    struct side *s = &h->tree->side[0];
    x->end = end;
    while (s->below) {
        struct node *n = node_with(s->below);
        bool fork = is_fork(s->below);
        bool known = is_held(h, s) && n != x && (!fork || n->shift < HEAP_WORD_BITS);
        if (!known) {
            lose_way(h, s);
            return;
        }
        if (!fork) {
            fork_at(h, x, units, s, (uintptr_t)n);
            return;
        }
        uintptr_t its = side_for(n, (uintptr_t)x);
        if (its >= SIDES) {
            fork_at(h, x, units, s, n->base);
            return;
        }
        s = &n->side[its];
    }
    tie(s, &x->leaf);
    node_with(s)->count++;
    add_spare(h, x);
    raise(h, s, units);
}

/* The fork of x is needed where it is: it moves into another block. What does not hang there where
 * it should stays as it is. */
static void move_fork(struct heap *h, struct node *x, struct node *to)
{
    __builtin_memcpy(to, x, FORK);
#pragma GCC unroll 8
    for (unsigned i = 0; i < SIDES; i++) {
        struct side *s = &x->side[i];
        if (s->below && is_held(h, s))
            s->below->at = &to->side[i];
        else if (s->below)
            lose_way(h, s);
    }
    tie(x->fork.at, &to->fork);
}

/* A fork with one side left is not needed: what hangs there hangs where the fork did. False: a link
 * does not lead back, and nothing has changed. */
static inline bool skip_fork(struct heap *h, struct node *n)
{
    uintptr_t only = 0;
#pragma GCC unroll 8
    for (unsigned i = 0; i < SIDES; i++)
        only |= (uintptr_t)n->side[i].below;
    struct hook *k = (struct hook *)only;
    bool known = HEAP_HARDEN == 0 || (is_hung(h, &n->fork) && is_near(h, k) && is_hung(h, k));
    if (!known)
        return lose_way(h, n);
    tie(n->fork.at, k);
    return true;
}

/* A fork that is not in use any more; NULL: there is none, or a link does not lead back. */
static inline struct node *take_spare(struct heap *h)
{
    struct node *n = next_spare(h->tree);
    if (HEAP_HARDEN && (n == h->tree || !is_spare(h, n)))
        return lose_way(h, n);
    remove_spare(n);
    return n;
}

/* A block whose fork is in use leaves: another fork takes its place; NULL: all below it is lost. */
static void replace_fork(struct heap *h, struct node *x, struct node *by)
{
    if (by)
        move_fork(h, x, by);
    else
        x->fork.at->below = NULL;
}

void tree_uproot(struct heap *h, struct node *x, bool searched)
{
    struct side *s = x->leaf.at;
    struct node *n = node_with(s);
    s->below = NULL;
    if (searched)
        lower(h, s, 0, true);
    else
        lower(h, s, 0, false);
    bool skipped = --n->count == 1 && skip_fork(h, n);
    if (skipped && n == x)
        return;
    if (x->fork.at) {
        replace_fork(h, x, skipped ? n : take_spare(h));
        return;
    }
    remove_spare(x);
    if (skipped)
        add_spare(h, n);
}

bool tree_spares(const struct heap *h, const struct node *x)
{
    if (HEAP_HARDEN == 0 || x == h->loose)
        return true;
    return x->fork.at ? is_hung(h, &x->fork) : is_spare(h, x);
}

/* ---- searching ------------------------------------------------------------------------------ */

static struct found find_nothing(struct heap *h, const void *link)
{
    lose_way(h, link);
    return (struct found){0};
}

/* The block of a leaf, if node and footer agree that it is one. Where there can be a leaf, its node
 * and what lies behind it are in the heap. */
static inline struct found block_with(struct heap *h, const struct node *n)
{
    struct block *end = n->end;
    if (node_before(end) != n || end[-1].word > units_between(heap_first(h), end))
        return find_nothing(h, n);
    size_t units = (size_t)end[-1].word;
    return (struct found){.b = block_back(end, units), .units = units};
}

/* The first side with so large a block, or the last. */
static inline const struct side *side_with(const struct node *n, size_t units)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < SIDES - 1; i++) {
        if (n->most[i] >= units)
            return &n->side[i];
    }
    return &n->side[SIDES - 1];
}

struct found tree_lowest(struct heap *h, size_t units)
{
    const struct side *s = &h->tree->side[0];
    for (; is_held(h, s); s = side_with((const struct node *)s->below, units)) {
        if (!is_fork(s->below))
            return is_leaf(s->below) ? block_with(h, node_with(s->below)) : find_nothing(h, s);
    }
    return find_nothing(h, s);
}

/* ---- the start ------------------------------------------------------------------------------ */

void tree_start(struct heap *h)
{
    *h->tree = (struct node){.shift = HEAP_WORD_BITS};
    tie(&h->tree->side[OWN], &h->tree->fork);
    h->tree->most[OWN] = ~(size_t)0;
    link_spares(h->tree, h->tree);
}
