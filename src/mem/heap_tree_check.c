/* SPDX-License-Identifier: MIT */
/* heap_tree_check.c - T1 to T4 of heap_tree.c, as code. Reads only. */
#include "heap_tree.h"

/* A walk over the leaves. */
struct walk {
    struct side *at; /* NULL: at the end */
    size_t leaves, forks;
};

/* The first side from `s` on at which something hangs; NULL: there is none. */
static struct side *side_from(struct node *n, struct side *s)
{
    while (s < n->side + SIDES && !s->below)
        s++;
    return s < n->side + SIDES ? s : NULL;
}

/* T2: is an address on that side of that fork? */
static bool is_on(const struct heap *h, const struct side *s, uintptr_t address)
{
    const struct node *n = node_with(s);
    return n == h->tree || side_for(n, address) == (uintptr_t)(s - n->side);
}

static bool fork_holds(const struct heap *h, const struct walk *w, const struct node *n)
{
    size_t sides = 0;
    for (unsigned i = 0; i < SIDES; i++)
        sides += n->side[i].below != NULL;
    return sides >= 2 && sides == n->count && n->shift < node_with(w->at)->shift &&
           n->shift % SIDES_LOG == 0 &&
           n->base == n->base >> n->shift >> SIDES_LOG << SIDES_LOG << n->shift &&
           is_on(h, w->at, n->base);
}

static bool leaf_holds(const struct heap *h, const struct walk *w, const struct node *x)
{
    const struct block *end = x->end;
    if (node_before(end) != x || end[-1].word < LARGE ||
        end[-1].word > units_between(heap_first(h), end))
        return false;
    size_t units = (size_t)end[-1].word;
    return open_free(h, block_back(end, units)) == units && *most_on(w->at) == units &&
           x != h->loose && is_on(h, w->at, (uintptr_t)x);
}

/* Down to the first leaf: T1. */
static bool walk_down(const struct heap *h, struct walk *w)
{
    while (is_near(h, w->at->below) && w->at->below->at == w->at) {
        struct node *n = node_with(w->at->below);
        if (!is_fork(w->at->below)) {
            w->leaves++;
            return is_leaf(w->at->below) && leaf_holds(h, w, n);
        }
        w->forks++;
        if (!fork_holds(h, w, n))
            return false;
        w->at = side_from(n, n->side); /* which fork_holds knows to be there */
    }
    return false;
}

/* Up to where there is more behind: T3. */
static bool walk_up(const struct heap *h, struct walk *w)
{
    struct node *n = node_with(w->at);
    struct side *s = side_from(n, w->at + 1);
    while (!s) { /* the topmost has one, its own */
        w->at = n->fork.at;
        if (*most_on(w->at) != largest_below(n))
            return false;
        n = node_with(w->at);
        s = side_from(n, w->at + 1);
    }
    w->at = n == h->tree ? NULL : s;
    return true;
}

/* The forks of all blocks that are not in use are in the ring, and nothing else. */
static bool spares_hold(const struct heap *h, size_t spares)
{
    const struct node *n = h->tree;
    while (is_spare(h, n) && next_spare(n) != h->tree) {
        n = next_spare(n);
        if (n->fork.at || !spares--)
            return false;
    }
    return is_spare(h, n) && !spares;
}

static bool loose_holds(const struct heap *h, size_t *count)
{
    if (!h->loose_units)
        return !h->loose;
    ++*count;
    const struct block *end = h->loose_end;
    return h->loose_units >= LARGE && h->loose == node_before(end) && is_near(h, &h->loose->leaf) &&
           h->loose_units <= units_between(heap_first(h), end) &&
           open_free(h, block_back(end, h->loose_units)) == h->loose_units;
}

/* The topmost hangs at its own side, where nothing is ever larger. */
static bool top_holds(const struct heap *h)
{
    const struct side *own = &h->tree->side[OWN];
    return h->tree->fork.at == own && own->below == &h->tree->fork && !~*most_on(own);
}

bool tree_holds(const struct heap *h, size_t *count)
{
    struct walk w = {.at = &h->tree->side[0]};
    if (!w.at->below)
        w.at = h->tree->most[0] ? w.at : NULL;
    while (w.at) {
        if (!walk_down(h, &w) || !walk_up(h, &w))
            return false;
    }
    *count += w.leaves;
    return top_holds(h) && spares_hold(h, w.leaves - w.forks) && loose_holds(h, count);
}
