/* SPDX-License-Identifier: MIT */
/*
 * heap_resize.c - realloc: in place where the units stay the same, shrink, or can be taken from
 * free memory right behind; else a new block, a copy, and the old one freed. A call that fails has
 * changed nothing: the old block is as it was.
 */
#include "heap_join.h"

/* Asks for a new block, copies, frees the old one. */
[[gnu::noinline]] static void *move(struct heap *h, void *p, size_t size, const void *caller,
                                    size_t had)
{
    void *moved = heap_alloc(h, size, caller);
    if (!moved)
        return NULL;
    __builtin_memcpy(moved, p, had < size ? had : size);
    if (!heap_free(h, p, caller))
        return moved;
    (void)heap_free(h, moved, caller); /* the old one is damaged, and stays */
    return refuse(h);
}

/* To more or less units: where it stands, if there is room behind it and no damage. */
[[gnu::noinline]] static void *resize(struct heap *h, void *p, size_t size, const void *caller,
                                      size_t had)
{
    struct block *b = block_of(p);
    uint64_t fields = block_open(h, b);
    size_t now = units_for(had), units = units_for(size);
    if (units > now ? !heap_space_extend(h, b, now, units - now)
                    : heap_space_release(h, block_at(b, units), now - units, false, ANY))
        return move(h, p, size, caller, had);
    if (h->beyond < 0)
        (void)heap_space_review(h, 0);
    return make_long(h, b, size, caller, fields & FLAGS);
}

/* The size cannot be had, or the block is none, which is said. */
[[gnu::noinline]] static void *refuse_resize(struct heap *h, const void *p, const void *caller)
{
    uint64_t fields;
    if (!heap_is_live(h, p, &fields))
        (void)heap_name_fault(h, p, caller);
    return refuse(h);
}

/* Blocks and sizes of any length; and where something is wrong. */
[[gnu::noinline]] static void *realloc_long(struct heap *h, void *p, size_t size,
                                            const void *caller)
{
    uint64_t fields;
    if (!p)
        return heap_alloc(h, size, caller);
    if (!can_fit(h, size) || !heap_is_live(h, p, &fields))
        return refuse_resize(h, p, caller);
    size_t had = live_size(fields), now = units_for(had), units = units_for(size);
    if (units == now)
        return make_long(h, block_of(p), size, caller, fields & FLAGS);
    return units < now || space_is_free(h, block_at(block_of(p), now))
               ? resize(h, p, size, caller, had)
               : move(h, p, size, caller, had);
}

/* From one short size to another, as most: the same in fewer steps. */
void *heap_realloc(struct heap *h, void *p, size_t size, const void *caller)
{
    size_t before = units_to(h, p);
    if (HEAP_HARDEN >= 3 || size - 1 >= SIZE_LOW || before >= h->units)
        return realloc_long(h, p, size, caller);
    struct block *b = block_of(p);
    uint64_t fields = opened(h, b->word, offset_behind(before));
    size_t had = short_size(fields);
    if (had > SIZE_LOW || (HEAP_HARDEN == 2 && ((uint8_t *)p)[had] != CANARY))
        return realloc_long(h, p, size, caller);
    size_t now = short_units(had), units = short_units(size);
    if (units == now)
        return make_live(h, b, size, caller, fields & FLAGS);
    return units < now || space_is_free(h, block_at(b, now)) ? resize(h, p, size, caller, had)
                                                             : move(h, p, size, caller, had);
}

size_t heap_usable_size(struct heap *h, const void *block, const void *caller)
{
    uint64_t fields;
    if (heap_is_live(h, block, &fields))
        return live_size(fields);
    (void)heap_name_fault(h, block, caller);
    return 0;
}
