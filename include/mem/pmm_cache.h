/* SPDX-License-Identifier: MIT */
/*
 * pmm_cache.h - a stack of free frames for each CPU, in front of the frame allocator.
 *
 * Taking and giving a frame is a few instructions and needs no lock, only that no two run at once
 * on one cache. When one of the two cannot, the caller takes the frame lock and calls its `_slow`:
 *
 *     if (!pmm_cache_take(cache, owner, &f)) { lock(); f = pmm_cache_take_slow(...); unlock(); }
 *
 * A cached frame is free, and its bit says so: giving it a second time, here or through another
 * cache, is refused as ever. The stack only remembers where free bits are; who takes a frame has
 * won its bit. Frames come in the order of a stack, not lowest first.
 */
#ifndef MEM_PMM_CACHE_H
#define MEM_PMM_CACHE_H

#include <mem/pmm.h>

enum { PMM_CACHE_DEPTH = 128, PMM_CACHE_BATCH = 64 };

struct pmm_cache {
    vword_t count;
    vword_t *bits;  /* where frame 0 would have its leaf bit        */
    vword_t frame;  /* the first one of the hot span                */
    vword_t frames; /* so many of it may be cached                  */
    vword_t entry[PMM_CACHE_DEPTH];
    vword_t held[OWNER_COUNT]; /* given out less taken back, wraps         */
    vword_t home;              /* the block that it takes from, 0: none        */
    struct pmm *pmm;
    struct pmm_cache *next;
} __attribute__((aligned(64)));

/* An empty cache in front of `pmm`, which remembers it for good. Under the frame lock. */
void pmm_cache_init(struct pmm_cache *cache, struct pmm *pmm);

/* The uncommon rest, under the frame lock. Errors as pmm_alloc and pmm_free. */
pfn_t pmm_cache_take_slow(struct pmm_cache *cache, enum frame_owner owner);
enum mem_err pmm_cache_give_slow(struct pmm_cache *cache, pfn_t frame, enum frame_owner owner);

/* Tells the trees of every frame in the cache and forgets them. Under the frame lock. */
void pmm_cache_drain(struct pmm_cache *cache);

/* A free frame, for the CPU whose cache this is; false: try the slow call. */
static inline bool pmm_cache_take(struct pmm_cache *cache, enum frame_owner owner, pfn_t *frame)
{
    vword_t left, *bits = cache->bits;
    if (PMM_TAGS || !pmm_may_hold(owner) || __builtin_sub_overflow(cache->count, 1, &left))
        return false;
    cache->count = left;
    vword_t taken = cache->entry[left];
    if (!bit_take(bits, taken))
        return false; /* somebody took it meanwhile */
    cache->held[owner]++;
    *frame = PFN(taken);
    return true;
}

/* Gives a frame back; false: try the slow call. */
static inline bool pmm_cache_give(struct pmm_cache *cache, pfn_t frame, enum frame_owner owner)
{
    vword_t count = cache->count;
    if (PMM_TAGS || !pmm_may_hold(owner) || frame.v - cache->frame >= cache->frames ||
        count == PMM_CACHE_DEPTH || bit_give(cache->bits, frame.v))
        return false;
    cache->entry[count] = frame.v;
    cache->count = count + 1;
    cache->held[owner]--;
    return true;
}

#endif
