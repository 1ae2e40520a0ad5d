/* SPDX-License-Identifier: MIT */
/*
 * heap_tree.c - the free blocks as an AVL tree by address, each node knowing the largest block
 * below it.
 *
 * First fit is one descent: left as long as something there is large enough. The tree's height is
 * at most 1.44 log2(n + 2) (Knuth, TAOCP 3, 6.2.3), 52 for the largest window, and every call
 * walks one path down and back: that bounds the worst case. Nodes lie in the payloads of the free
 * blocks, 16 bytes each, so the index needs no memory of its own.
 *
 *   A1  in-order is address order.
 *   A2  the heights of two siblings differ by at most one.
 *   A3  max is the largest number of units in the subtree.
 */
#include "heap_block.h"

enum { HEIGHT_MAX = 54, LINK_BITS = 36, MAX_LOW_BITS = 28, HEIGHT_SHIFT = 44 };
#define LINK_MASK (((uint64_t)1 << LINK_BITS) - 1)

/* Links are header addresses in units from the heap's start, plus one; 0 is "none". */
struct [[gnu::may_alias]] node {
    uint64_t a; /* max, low 28 bits | left:36                    */
    uint64_t b; /* height:20 | max, high 8 bits | right:36       */
};

typedef uint64_t link_t;

/* The way down: nodes, and which child was taken. */
struct path {
    link_t node[HEIGHT_MAX];
    bool right[HEIGHT_MAX];
    unsigned depth;
    bool replaced;  /* the node at `place` stands in for one that was removed: everything up to */
    unsigned place; /* there must be linked anew, changed or not                               */
};

static struct block *at(const struct heap *h, link_t link)
{
    return (struct block *)((uint8_t *)heap_first(h) + (size_t)((link - 1) << UNIT_SHIFT));
}

static link_t link_to(const struct heap *h, const struct block *b)
{
    return ((uint64_t)((const uint8_t *)b - (const uint8_t *)heap_first(h)) >> UNIT_SHIFT) + 1;
}

static struct node *node_at(const struct heap *h, link_t link)
{
    return block_payload(at(h, link));
}

static link_t left_of(const struct node *n)
{
    return n->a & LINK_MASK;
}

static link_t right_of(const struct node *n)
{
    return n->b & LINK_MASK;
}

static uint64_t max_of(const struct heap *h, link_t link)
{
    if (!link)
        return 0;
    const struct node *n = node_at(h, link);
    return n->a >> LINK_BITS | (n->b >> LINK_BITS & 0xff) << MAX_LOW_BITS;
}

static unsigned height_of(const struct heap *h, link_t link)
{
    return link ? (unsigned)(node_at(h, link)->b >> HEIGHT_SHIFT) : 0;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Links two children and works out height and max. */
static void set_children(const struct heap *h, link_t link, link_t left, link_t right)
{
    struct node *n = node_at(h, link);
    uint64_t max = greater(block_units(at(h, link)), greater(max_of(h, left), max_of(h, right)));
    uint64_t height = 1 + greater(height_of(h, left), height_of(h, right));
    n->a = left | max << LINK_BITS;
    n->b = right | (max >> MAX_LOW_BITS) << LINK_BITS | height << HEIGHT_SHIFT;
}

/* ---- balance -------------------------------------------------------------------------------- */

static link_t rotate_right(const struct heap *h, link_t top)
{
    link_t left = left_of(node_at(h, top));
    set_children(h, top, right_of(node_at(h, left)), right_of(node_at(h, top)));
    set_children(h, left, left_of(node_at(h, left)), top);
    return left;
}

static link_t rotate_left(const struct heap *h, link_t top)
{
    link_t right = right_of(node_at(h, top));
    set_children(h, top, left_of(node_at(h, top)), left_of(node_at(h, right)));
    set_children(h, right, top, right_of(node_at(h, right)));
    return right;
}

/* The subtree's new top after its children were put to `left` and `right`. */
static link_t balance(const struct heap *h, link_t top, link_t left, link_t right)
{
    unsigned l = height_of(h, left), r = height_of(h, right);
    if (l > r + 1) {
        const struct node *n = node_at(h, left);
        if (height_of(h, right_of(n)) > height_of(h, left_of(n)))
            left = rotate_left(h, left);
        set_children(h, top, left, right);
        return rotate_right(h, top);
    }
    if (r > l + 1) {
        const struct node *n = node_at(h, right);
        if (height_of(h, left_of(n)) > height_of(h, right_of(n)))
            right = rotate_right(h, right);
        set_children(h, top, left, right);
        return rotate_left(h, top);
    }
    set_children(h, top, left, right);
    return top;
}

/* `subtree` hangs below the end of the path: links it in and puts everything above right, up to
 * the first node that looks the same from above as before. */
static void climb(struct heap *h, struct path *p, link_t subtree)
{
    while (p->depth) {
        link_t node = p->node[--p->depth];
        const struct node *n = node_at(h, node);
        uint64_t max = max_of(h, node);
        unsigned height = height_of(h, node);
        link_t left = p->right[p->depth] ? left_of(n) : subtree;
        link_t right = p->right[p->depth] ? subtree : right_of(n);
        subtree = balance(h, node, left, right);
        if (subtree == node && (!p->replaced || p->depth < p->place) && max_of(h, node) == max &&
            height_of(h, node) == height)
            return;
    }
    h->root = subtree;
}

static void push(struct path *p, link_t node, bool right)
{
    p->node[p->depth] = node;
    p->right[p->depth++] = right;
}

/* Down towards `link`, to it or to where it would hang; returns what is there. */
static link_t find(const struct heap *h, link_t link, struct path *p)
{
    link_t now = h->root;
    p->depth = 0;
    p->replaced = false;
    while (now && now != link && p->depth < HEIGHT_MAX) {
        const struct node *n = node_at(h, now);
        push(p, now, link > now);
        now = link > now ? right_of(n) : left_of(n);
    }
    return now;
}

/* ---- what the heap calls -------------------------------------------------------------------- */

void tree_insert(struct heap *h, struct block *b)
{
    struct path p;
    link_t link = link_to(h, b);
    find(h, link, &p);
    set_children(h, link, 0, 0);
    climb(h, &p, link);
}

/* The node to be removed has two children: its successor takes its place. */
static void remove_inner(struct heap *h, struct path *p, link_t link)
{
    unsigned place = p->depth;
    link_t left = left_of(node_at(h, link)), next = right_of(node_at(h, link));
    push(p, link, true);
    while (left_of(node_at(h, next))) {
        push(p, next, false);
        next = left_of(node_at(h, next));
    }
    link_t orphan = right_of(node_at(h, next));
    link_t right = place + 1 == p->depth ? orphan : right_of(node_at(h, link));
    set_children(h, next, left, right);
    p->node[place] = next;
    p->place = place;
    p->replaced = true;
    climb(h, p, orphan);
}

void tree_remove(struct heap *h, struct block *b)
{
    struct path p;
    link_t link = find(h, link_to(h, b), &p);
    link_t left = left_of(node_at(h, link)), right = right_of(node_at(h, link));
    if (left && right)
        remove_inner(h, &p, link);
    else
        climb(h, &p, left ? left : right);
}

/* Heights do not change: only links and maxima on the way up do. */
void tree_move(struct heap *h, struct block *old, struct block *now)
{
    struct path p;
    struct node was = *(struct node *)block_payload(old);
    find(h, link_to(h, old), &p);
    set_children(h, link_to(h, now), left_of(&was), right_of(&was));
    climb(h, &p, link_to(h, now));
}

void tree_resize(struct heap *h, struct block *b)
{
    tree_move(h, b, b);
}

struct block *tree_first_fit(const struct heap *h, uint64_t units)
{
    link_t now = h->root;
    if (max_of(h, now) < units)
        return NULL;
    for (;;) {
        const struct node *n = node_at(h, now);
        if (max_of(h, left_of(n)) >= units)
            now = left_of(n);
        else if (block_units(at(h, now)) >= units)
            return at(h, now);
        else
            now = right_of(n);
    }
}

uint64_t tree_largest(const struct heap *h)
{
    return max_of(h, h->root);
}

/* ---- checking ------------------------------------------------------------------------------- */

static bool node_holds(const struct heap *h, link_t link)
{
    const struct node *n = node_at(h, link);
    link_t left = left_of(n), right = right_of(n);
    unsigned l = height_of(h, left), r = height_of(h, right);
    uint64_t max = greater(block_units(at(h, link)), greater(max_of(h, left), max_of(h, right)));
    bool ordered = (!left || left < link) && (!right || right > link);
    bool balanced = l <= r + 1 && r <= l + 1 && height_of(h, link) == 1 + greater(l, r);
    return ordered && balanced && max_of(h, link) == max && !block_is_live(at(h, link));
}

static bool in_heap(const struct heap *h, link_t link)
{
    return link <= (uint64_t)((uint8_t *)heap_last(h) - (uint8_t *)heap_first(h)) >> UNIT_SHIFT;
}

/* In order, with the path as the stack. */
bool tree_holds(const struct heap *h, size_t *count)
{
    struct path p = {.depth = 0};
    link_t now = h->root, last = 0;
    *count = 0;
    while (now || p.depth) {
        while (now) {
            if (p.depth == HEIGHT_MAX || !in_heap(h, now) || !node_holds(h, now))
                return false;
            push(&p, now, false);
            now = left_of(node_at(h, now));
        }
        now = p.node[--p.depth];
        if (now <= last)
            return false;
        last = now;
        ++*count;
        now = right_of(node_at(h, now));
    }
    return true;
}
