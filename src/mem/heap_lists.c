/* SPDX-License-Identifier: MIT */
/*
 * heap_lists.c - the small free blocks: a list for each size, a bit for each list.
 *
 * Every size of less than a page has its list. A small request takes a block from its own list, or
 * from the next that is not empty, which a scan of 256 bits finds: the smallest block that is large
 * enough, and among equals the one that was freed last.
 *
 *   start     258 heads, two links each
 *   behind    blocks. A free one: | header | next, prev | ... | footer |
 *             of a single unit:   | header | footer |
 *
 * A single unit has no room for links, and is in no list: splitting leaves it behind, and it waits
 * to be merged. Links are pointers; before one that stands in a free block is followed it must lead
 * into the heap. The heads are trusted as struct heap is.
 *
 *   L1  each list is a ring, through its head, of free blocks of its size.
 *   L2  a list's bit is set exactly when it has a block.
 *
 * Bounds. Nothing has a loop but a search, which looks at HEAP_LISTS bits, a word at a time.
 */
#include "heap_lists.h"

/* L1 for one list that has blocks; that no other has any follows from their number. */
static bool list_holds(const struct heap *h, size_t units, size_t *count)
{
    const struct links *head = head_of(h, units), *before = head, *at = head->next;
    for (; at != head; before = at, at = at->next, ++*count) {
        if (!is_block_link(h, at) || at->prev != before || open_free(h, block_of(at)) != units)
            return false;
    }
    return head->prev == before && before != head;
}

bool heap_lists_hold(const struct heap *h, size_t *count)
{
    for (size_t units = 0; units < HEAP_LISTS; units++) {
        if (is_filled(h, units) && !list_holds(h, units, count))
            return false;
    }
    return true;
}
