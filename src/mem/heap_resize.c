/* SPDX-License-Identifier: MIT */
/*
 * heap_resize.c - realloc: in place where the units stay the same, shrink, or can be taken from free
 * memory right behind; else a new block, a copy, and the old one freed. A call that fails has
 * changed nothing: the old block is as it was.
 */
#include "heap_space.h"

/* Asks for a new block, copies, frees the old one. */
[[gnu::noinline]] static void *move(struct heap *h, void *p, size_t size, const void *caller)
{
    void *moved = heap_alloc(h, size, caller);
    if (!moved)
        return NULL;
    size_t had = live_size(block_open(h, block_of(p)));
    __builtin_memcpy(moved, p, had < size ? had : size);
    (void)heap_free(h, p, caller);
    return moved;
}

/* To more or less units: where it stands, if there is room behind it and no damage. */
[[gnu::noinline]] static void *resize(struct heap *h, void *p, size_t size, const void *caller)
{
    struct block *b = block_of(p);
    uint64_t fields = block_open(h, b);
    size_t now = units_for(live_size(fields)), units = units_for(size);
    if (units > now ? !space_extend(h, b, now, units - now)
                    : space_release(h, block_at(b, units), now - units, false))
        return move(h, p, size, caller);
    return make_long(h, b, size, caller, fields & PREV);
}

[[gnu::noinline]] static void *refuse_resize(struct heap *h, const void *p, size_t size,
                                             const void *caller)
{
    if (can_fit(h, size))
        (void)heap_name_fault(h, p, caller);
    return refuse(h);
}

void *heap_realloc(struct heap *h, void *block, size_t size, const void *caller)
{
    uint64_t fields;
    if (!block)
        return heap_alloc(h, size, caller);
    if (!can_fit(h, size) || !heap_is_live(h, block, &fields))
        return refuse_resize(h, block, size, caller);
    struct block *b = block_of(block);
    size_t now = units_for(live_size(fields)), units = units_for(size);
    if (units == now)
        return make_long(h, b, size, caller, fields & PREV);
    return units < now || space_is_free(h, block_at(b, now)) ? resize(h, block, size, caller)
                                                             : move(h, block, size, caller);
}

size_t heap_usable_size(struct heap *h, const void *block)
{
    uint64_t fields;
    if (heap_is_live(h, block, &fields))
        return live_size(fields);
    (void)heap_name_fault(h, block, __builtin_return_address(0));
    return 0;
}
