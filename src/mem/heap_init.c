/* SPDX-License-Identifier: MIT */
/* heap_init.c - a heap's first state: its window, its seal, its first memory. */
#include "heap_space.h"

enum { WINDOW_LOG = HEAP_WORD_BITS == 64 ? 40 : 32 }; /* no more of a window is used */
_Static_assert(FIRST % UNIT == 0, "payloads lie at multiples of 16");
_Static_assert((uint64_t)MULTIPLIER *INVERSE == 1, "a header must open to what was sealed");

/* What of the window can be used, in all and by one block. */
static void set_window(struct heap *h, uint8_t *window, size_t bytes)
{
    const uint64_t all = (uint64_t)1 << WINDOW_LOG, block = (uint64_t)1 << SIZE_BITS;
    h->start = window;
    h->tree = (struct node *)(window + TREE);
    h->stats.window = bytes < all ? bytes : (size_t)all;
    bytes = h->stats.window - 2 * UNIT;
    h->largest = bytes < block ? bytes : (size_t)(block - 1);
    h->limit = window + h->stats.window;
    h->zero = (uintptr_t)window + ZERO;
    h->first = (uintptr_t)window + FIRST;
}

static void make_seal(struct heap *h)
{
    h->multiplier = (uint64_t)MULTIPLIER << 8;
    h->twice = 2 * h->multiplier;
    h->inverse = INVERSE;
    h->free_seal = ((uint64_t)HEAP_FREE << CHECK_SHIFT) * h->multiplier + place(h->zero);
    h->to_binned = ((uint64_t)HEAP_BINNED << CHECK_SHIFT) * h->multiplier;
}

enum mem_err heap_init(struct heap *heap, void *window, size_t bytes, const struct heap_ops *ops)
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
    make_seal(heap);
    if (!space_start(heap)) {
        heap->start = NULL;
        return MEM_NO_FRAME;
    }
    return MEM_OK;
}
