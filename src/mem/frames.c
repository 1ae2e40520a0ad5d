/* SPDX-License-Identifier: MIT */
/* frames.c - every call under the lock: while there is one CPU that is cheap, and it is simple. */
#include <mem/frames.h>
#include <mem/lock.h>

static struct lock lock = {.name = "frames", .rank = LOCK_FRAMES};
static struct pmm_cache cache;

enum mem_err frames_init(struct pmm *pmm)
{
    if (cache.pmm)
        return MEM_ALREADY_INIT;
    pmm_cache_init(&cache, pmm);
    return MEM_OK;
}

pfn_t frames_take(enum frame_owner owner)
{
    pfn_t frame;
    lock_take(&lock);
    if (!pmm_cache_take(&cache, owner, &frame))
        frame = pmm_cache_take_slow(&cache, owner);
    lock_give(&lock);
    return frame;
}

enum mem_err frames_give(pfn_t frame, enum frame_owner owner)
{
    lock_take(&lock);
    bool given = pmm_cache_give(&cache, frame, owner);
    enum mem_err err = given ? MEM_OK : pmm_cache_give_slow(&cache, frame, owner);
    lock_give(&lock);
    return err;
}

enum mem_err frames_take_run(const struct pmm_run_request *want, enum frame_owner owner,
                             pfn_t *first)
{
    lock_take(&lock);
    enum mem_err err = pmm_alloc_run(cache.pmm, want, owner, first);
    lock_give(&lock);
    return err;
}

enum mem_err frames_give_run(pfn_t first, size_t frames, enum frame_owner owner)
{
    lock_take(&lock);
    enum mem_err err = pmm_free_run(cache.pmm, first, frames, owner);
    lock_give(&lock);
    return err;
}

uint64_t frames_free(void)
{
    lock_take(&lock);
    uint64_t frames = pmm_free_frames(cache.pmm);
    lock_give(&lock);
    return frames;
}

void frames_settle(void)
{
    lock_take(&lock);
    pmm_cache_drain(&cache);
    lock_give(&lock);
}
