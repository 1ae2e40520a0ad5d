/* SPDX-License-Identifier: MIT */
/*
 * pmm_ours.c - the kernel's frame allocator as two frame sources: bare, and with a cache in front.
 *
 * The files of src/mem as they are, with all their checks; one range of usable frames. There is one
 * thread, so neither source takes the lock that the kernel holds around the slow calls; what the
 * locks cost is in the kernel's own table.
 */
#include <mem/pmm_cache.h>

#include "frame_source.h"

static struct pmm pmm;
static struct pmm_cache cache;
static struct bootmap map;
static struct boot_range range;
static void *metadata;
static size_t room;

static bool init(uint64_t frames)
{
    range = (struct boot_range){0, (frames << PAGE_SHIFT) - 1, RANGE_USABLE, OWNER_NONE};
    map = (struct bootmap){.ranges = &range, .count = 1, .capacity = 1, .finished = true};
    size_t bytes = pmm_metadata_bytes(&map);
    if (bytes > room) {
        metadata = metadata_room(metadata, room, bytes);
        room = metadata ? bytes : 0;
    }
    return metadata && pmm_init(&pmm, &map, metadata, room) == MEM_OK;
}

static bool init_cached(uint64_t frames)
{
    if (!init(frames))
        return false;
    pmm_cache_init(&cache, &pmm);
    return true;
}

static uint64_t take(void)
{
    return pmm_alloc(&pmm, OWNER_USER).v; /* PFN_NONE is FRAME_NONE */
}

static void give(uint64_t frame)
{
    if (pmm_free(&pmm, PFN(frame), OWNER_USER))
        __builtin_trap();
}

[[gnu::noinline]] static uint64_t take_slow(void)
{
    return pmm_cache_take_slow(&cache, OWNER_USER).v;
}

static uint64_t take_cached(void)
{
    pfn_t frame;
    return pmm_cache_take(&cache, OWNER_USER, &frame) ? frame.v : take_slow();
}

[[gnu::noinline]] static void give_slow(pfn_t frame)
{
    if (pmm_cache_give_slow(&cache, frame, OWNER_USER))
        __builtin_trap();
}

static void give_cached(uint64_t frame)
{
    if (!pmm_cache_give(&cache, PFN(frame), OWNER_USER))
        give_slow(PFN(frame));
}

static uint64_t alloc_run(uint64_t frames, uint64_t align)
{
    struct pmm_run_request want = {.frames = frames, .align_log2 = (unsigned)bit_lowest(align)};
    pfn_t first = PFN_NONE;
    if (frames == PMM_BLOCK && align == PMM_BLOCK)
        first = pmm_alloc_block(&pmm, OWNER_USER);
    if (!pfn_is_none(first))
        return first.v;
    return pmm_alloc_run(&pmm, &want, OWNER_USER, &first) ? FRAME_NONE : first.v;
}

static void free_run(uint64_t first, uint64_t frames)
{
    if (pmm_free_run(&pmm, PFN(first), frames, OWNER_USER))
        __builtin_trap();
}

static size_t metadata_bytes(void)
{
    return pmm.metadata_bytes;
}

const struct frame_source source_ours = {
    .name = "ours",
    .most = 1024ull << 18,
    .init = init,
    .alloc = take,
    .free = give,
    .alloc_run = alloc_run,
    .free_run = free_run,
    .metadata_bytes = metadata_bytes,
};

const struct frame_source source_ours_cached = {
    .name = "ours, cached",
    .most = 1024ull << 18,
    .init = init_cached,
    .alloc = take_cached,
    .free = give_cached,
    .alloc_run = alloc_run,
    .free_run = free_run,
    .metadata_bytes = metadata_bytes,
};
