/* SPDX-License-Identifier: MIT */
/*
 * heap_lists.c - the free blocks: a list for each size, a bit for each list.
 *
 * Up to 127 units (2 KiB) every size has its list; above, each doubling has four. A request takes
 * a block from its own list, or from the next that is not empty, which a scan of 256 bits finds:
 * the smallest block that is large enough, and among equals the one that was freed last. A block
 * that was split goes to the list of what is left. This order keeps memory as well as first fit by
 * address does, or better, and costs much less (docs/decisions/0006).
 *
 * Above 127 units the list does not tell all. The first TRIES blocks of the request's own list are
 * looked at, the smallest that does is taken, and if none does, any of the next list will. A larger
 * block may so be split, or memory added, while one that fits stands further back in the list.
 *
 *   start     256 heads, two links each
 *   behind    blocks. A free one: | header | next, prev | ... | footer |
 *             of a single unit:   | header | footer |
 *
 * A single unit has no room for links, and is in no list: splitting leaves it behind, and it waits
 * to be merged. Links are pointers; before one is followed it must lead into the heap.
 *
 *   L1  each list is a ring, through its head, of free blocks of its class.
 *   L2  a list's bit is set exactly when it has a block.
 *
 * Bounds. To insert and to remove have no loop. A search looks at HEAP_CLASSES bits, a word at a
 * time, and at TRIES blocks; for an aligned block at ALIGNED_TRIES.
 */
#include "heap_lists.h"

enum { ALIGNED_TRIES = 2 };

/* ---- searching ------------------------------------------------------------------------------ */

/* The units of a listed block; 0: it has no header of that state. */
static inline size_t listed_units(const struct heap *h, const struct block *b)
{
    uint64_t units = open_free(h, b);
    return units <= h->units ? (size_t)units : 0;
}

/* The smallest that is large enough among the first few of the class; *all: there are no more. */
static inline struct block *smallest_of(const struct heap *h, unsigned class, size_t units,
                                        bool *all)
{
    struct block *best = NULL;
    size_t least = ~(size_t)0;
    const struct links *head = head_of(h, class), *at = head->next;
    for (unsigned i = 0; i < TRIES && at != head && is_block_link(h, at); i++) {
        struct block *b = block_of(at);
        size_t has = listed_units(h, b);
        if (has >= units && has < least) {
            least = has;
            best = b;
            if (has == units)
                return b;
        }
        at = at->next;
    }
    *all = at == head;
    return best;
}

struct block *list_find_large(struct heap *h, size_t units)
{
    unsigned class = class_of(units);
    bool all;
    struct block *b = smallest_of(h, class, units, &all);
    if (b)
        return b;
    class = next_filled(h, class + 1);
    if (class < HEAP_CLASSES)
        return first_in(h, class);
    if (all)
        h->below = (units - 1) << UNIT_SHIFT;
    return NULL;
}

/* Looks at the first blocks of one list after the other, then for what is large enough anywhere. */
struct block *list_find_aligned(struct heap *h, size_t align, size_t units)
{
    if (units << UNIT_SHIFT > h->below)
        return NULL;
    unsigned class = next_filled(h, class_of(units)), tries = ALIGNED_TRIES;
    for (; class < HEAP_CLASSES && tries; class = next_filled(h, class + 1)) {
        const struct links *head = head_of(h, class), *at = head->next;
        for (; tries && at != head && is_block_link(h, at); at = at->next, tries--) {
            struct block *b = block_of(at);
            if (skip_for(b, align) + units <= listed_units(h, b))
                return b;
        }
    }
    return list_find(h, units + (align >> UNIT_SHIFT) - 1);
}

/* ---- the whole ------------------------------------------------------------------------------ */

void lists_start(struct heap *h)
{
    for (unsigned class = 0; class < HEAP_CLASSES; class ++)
        *head_of(h, class) = (struct links){head_of(h, class), head_of(h, class)};
}

/* L1 and L2 for one list. */
static bool list_holds(const struct heap *h, unsigned class, size_t *count)
{
    bool filled = h->filled[class / HEAP_WORD_BITS] >> class % HEAP_WORD_BITS & 1;
    const struct links *head = head_of(h, class), *before = head, *at = head->next;
    for (; at != head; before = at, at = at->next, ++*count) {
        if (!is_block_link(h, at) || at->prev != before)
            return false;
        struct view v = block_view(h, block_of(at));
        if (v.state != HEAP_FREE || class_of(v.units) != class)
            return false;
    }
    return head->prev == before && filled == (before != head);
}

bool lists_hold(const struct heap *h, size_t *count)
{
    for (unsigned class = 0; class < HEAP_CLASSES; class ++) {
        if (!list_holds(h, class, count))
            return false;
    }
    return true;
}
