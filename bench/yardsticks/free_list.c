/* SPDX-License-Identifier: MIT */
/*
 * free_list.c - yardstick: a stack of free frames.
 *
 * The floor: nothing that gives out frames one by one is much cheaper. It pays with four bytes a
 * frame, has no runs, and a frame given back twice is given out twice. No checks.
 */
#include "../frame_source.h"

static uint32_t *stack;
static uint64_t count, room;

static bool init(uint64_t frames)
{
    stack = metadata_room(stack, room, frames * sizeof *stack);
    room = stack ? frames * sizeof *stack : 0;
    count = stack ? frames : 0;
    for (uint64_t i = 0; i < count; i++)
        stack[i] = (uint32_t)(frames - 1 - i); /* the lowest on top */
    return stack;
}

static uint64_t take(void)
{
    return count ? stack[--count] : FRAME_NONE;
}

static void give(uint64_t frame)
{
    stack[count++] = (uint32_t)frame;
}

static size_t metadata_bytes(void)
{
    return room;
}

const struct frame_source source_free_list = {
    .name = "free list",
    .most = 64ull << 18,
    .init = init,
    .alloc = take,
    .free = give,
    .metadata_bytes = metadata_bytes,
};
