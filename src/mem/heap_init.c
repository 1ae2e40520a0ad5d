/* SPDX-License-Identifier: MIT */
/* heap_init.c - a heap's first state: its window, its seal, its first memory. */
#include "heap_space.h"

enum {
    FIRST_RECORDS = 4, /* of the tree, before the start in its page */
};
_Static_assert(HEAP_LIVE == 0 && HEAP_ALIGNED == 1, "a live block's state is one bit");
_Static_assert(FIRST % UNIT == 0, "payloads lie at multiples of 16");
_Static_assert((uint64_t)MULTIPLIER *INVERSE == 1, "a header must open to what was sealed");

/* No more of a window is used: with 32-bit words, as much as pointers may be apart. */
#define WINDOW_MOST (HEAP_WORD_BITS == 64 ? (uint64_t)1 << 40 : ((uint64_t)1 << 31) - PAGE_SIZE)

static size_t usable(size_t window)
{
    return window < WINDOW_MOST ? window : (size_t)WINDOW_MOST;
}

/* Bytes that the tree takes before so many. */
static size_t tree_room(size_t bytes)
{
    size_t records = tree_records(bytes);
    return tree_bytes(records, tree_levels(records, LEVELS_MIN));
}

/* As many as the tree may ever need for what is behind them, and so that those it needs at first
 * are in one page with the start. */
[[gnu::cold]] size_t heap_reserve(size_t window)
{
    window = usable(window);
    size_t least = tree_room(window - tree_room(window)), most = tree_room(window - least);
    size_t first = FIRST_RECORDS * sizeof(struct record);
    return most <= first ? most : ((most - first + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1)) + first;
}

#define ALIGN_MAX ((size_t)1 << 30)
_Static_assert(((uint64_t)1 << SIZE_BITS) + ALIGN_MAX < SIZE_MAX / 2 + PAGE_SIZE,
               "a size and what is skipped before it never wrap");

/* What of the window can be used, in all and by one block. */
[[gnu::cold]] static void set_window(struct heap *h, uint8_t *window, size_t bytes)
{
    const uint64_t header = ((uint64_t)1 << SIZE_BITS) - 1;
    const uint64_t fork = ((uint64_t)UNITS_MAX << UNIT_SHIFT) - HEADER - LONG_EXTRA;
    const uint64_t block = header < fork ? header : fork;
    h->stats.window = usable(bytes);
    h->align_max = h->stats.window < ALIGN_MAX ? h->stats.window : ALIGN_MAX;
    h->limit = window + h->stats.window;
    h->start = window + heap_reserve(bytes);
    bytes = (size_t)(h->limit - h->start) - 2 * UNIT;
    h->largest = bytes < block ? bytes : (size_t)block;
    h->zero = (uintptr_t)h->start + ZERO;
    h->first = (uintptr_t)h->start + FIRST;
}

static void make_seal(struct heap *h)
{
    h->multiplier = (uint64_t)MULTIPLIER << 8;
    h->twice = 2 * h->multiplier;
    h->inverse = INVERSE;
    h->free_seal = ((uint64_t)HEAP_FREE << CHECK_SHIFT) * h->multiplier + place(h->zero);
    h->to_binned = ((uint64_t)HEAP_BINNED << CHECK_SHIFT) * h->multiplier;
}

[[gnu::cold]] enum mem_err heap_init(struct heap *heap, void *window, size_t bytes,
                                     const struct heap_ops *ops)
{
    if (heap->start)
        return MEM_ALREADY_INIT;
    if (!ops || !ops->grow || !ops->shrink)
        return MEM_BAD_ARG;
    if (((uintptr_t)window | bytes) & (PAGE_SIZE - 1))
        return MEM_MISALIGNED;
    if (!window || bytes < 2 * PAGE_SIZE || bytes > UINTPTR_MAX - (uintptr_t)window)
        return MEM_BAD_ARG;
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    __builtin_memset(heap, 0, sizeof *heap);
    heap->ops = *ops;
    heap->caller_base = caller & ~(uintptr_t)CALLER_MASK;
    set_window(heap, window, bytes);
    heap_tree_start(heap);
    make_seal(heap);
    if (!heap_space_start(heap)) {
        heap->start = NULL;
        return MEM_NO_FRAME;
    }
    return MEM_OK;
}
