/* SPDX-License-Identifier: MIT */
/*
 * buddy.c - yardstick: a binary buddy system as Linux has it, without zones, locks and CPU lists.
 *
 * A free block of order k is 2^k frames at a multiple of 2^k, k up to 10, and stands in the doubly
 * linked list of its order; a byte for each frame says of which order the free block is that begins
 * there. Allocating splits the smallest block that will do; freeing merges with the buddy while
 * that is a free block of the same order. A run takes the next power of two and gives the tail
 * back. Memory: nine bytes a frame (Linux keeps the same in struct page). No checks.
 */
#include "../frame_source.h"

enum { ORDERS = 11, NO_BLOCK = 0xff };
#define END UINT32_MAX

struct link {
    uint32_t next, prev;
};

static struct link *links;
static uint8_t *order_at;
static uint32_t heads[ORDERS];
static uint64_t limit, room;

static void push(uint32_t block, unsigned order)
{
    links[block] = (struct link){.next = heads[order], .prev = END};
    if (heads[order] != END)
        links[heads[order]].prev = block;
    heads[order] = block;
    order_at[block] = (uint8_t)order;
}

static void unlink_block(uint32_t block, unsigned order)
{
    struct link at = links[block];
    if (at.prev == END)
        heads[order] = at.next;
    else
        links[at.prev].next = at.next;
    if (at.next != END)
        links[at.next].prev = at.prev;
    order_at[block] = NO_BLOCK;
}

static bool init(uint64_t frames)
{
    size_t bytes = frames * (sizeof *links + sizeof *order_at);
    links = metadata_room(links, room, bytes);
    room = links ? bytes : 0;
    if (!links)
        return false;
    limit = frames;
    order_at = (uint8_t *)(links + frames);
    for (unsigned k = 0; k < ORDERS; k++)
        heads[k] = END;
    for (uint64_t i = 0; i < frames; i++)
        order_at[i] = NO_BLOCK;
    for (uint64_t i = frames; i; i -= 1 << (ORDERS - 1))
        push((uint32_t)i - (1 << (ORDERS - 1)), ORDERS - 1);
    return true;
}

static uint64_t alloc_order(unsigned order)
{
    unsigned k = order;
    while (k < ORDERS && heads[k] == END)
        k++;
    if (k == ORDERS)
        return FRAME_NONE;
    uint32_t block = heads[k];
    unlink_block(block, k);
    while (k-- > order)
        push(block + (1u << k), k); /* the upper half stays free */
    return block;
}

static void free_order(uint64_t block, unsigned order)
{
    for (; order < ORDERS - 1; order++) {
        uint64_t buddy = block ^ 1ull << order;
        if (buddy >= limit || order_at[buddy] != order)
            break;
        unlink_block((uint32_t)buddy, order);
        block &= ~(1ull << order);
    }
    push((uint32_t)block, order);
}

static uint64_t take(void)
{
    return alloc_order(0);
}

static void give(uint64_t frame)
{
    free_order(frame, 0);
}

/* In the largest aligned pieces. */
static void free_run(uint64_t first, uint64_t frames)
{
    while (frames) {
        unsigned order = 63 - (unsigned)__builtin_clzll(frames);
        unsigned align = first ? (unsigned)__builtin_ctzll(first) : ORDERS - 1;
        if (order > align)
            order = align;
        if (order > ORDERS - 1)
            order = ORDERS - 1;
        free_order(first, order);
        first += 1ull << order;
        frames -= 1ull << order;
    }
}

static uint64_t alloc_run(uint64_t frames, uint64_t align)
{
    uint64_t least = frames > align ? frames : align;
    unsigned order = least > 1 ? 64 - (unsigned)__builtin_clzll(least - 1) : 0;
    uint64_t first = order < ORDERS ? alloc_order(order) : FRAME_NONE;
    if (first != FRAME_NONE)
        free_run(first + frames, (1ull << order) - frames);
    return first;
}

static size_t metadata_bytes(void)
{
    return room;
}

const struct frame_source source_buddy = {
    .name = "buddy",
    .most = 64ull << 18,
    .init = init,
    .alloc = take,
    .free = give,
    .alloc_run = alloc_run,
    .free_run = free_run,
    .metadata_bytes = metadata_bytes,
};
