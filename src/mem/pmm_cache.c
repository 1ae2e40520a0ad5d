/* SPDX-License-Identifier: MIT */
/*
 * pmm_cache.c - filling and emptying the stacks in front of the frame allocator.
 *
 * A cache takes all the free frames of a block of 2 MiB before it goes on to the next, and hides
 * the blocks it has taken from in the trees: two CPUs that take and give their own frames rarely
 * share a leaf, which is one cache line. Only the written part of the hot span is cached.
 *
 *   C1  an entry is a hint and the frame's bit is the truth: a frame may stand in two caches, or in
 *       one although somebody else has taken it.
 *   C2  what is free and unknown to the trees (pmm.c's P2, P4, P5) stands in a cache or is in the
 *       home block of one.
 */
#include <mem/pmm_cache.h>

#include "lib/string.h"
#include "pmm_index.h"

/* The bit string of the hot span, moved so that frame numbers can be its indices. */
static vword_t *bits_of(const struct pmm *pmm)
{
    return (vword_t *)((uintptr_t)pmm->leaf + pmm->hot.index / 8 - pmm->hot.frame / 8);
}

void pmm_cache_init(struct pmm_cache *cache, struct pmm *pmm)
{
    *cache = (struct pmm_cache){
        .bits = bits_of(pmm), .frame = pmm->hot.frame, .pmm = pmm, .next = pmm->caches};
    pmm->caches = cache;
}

/* ---- emptying -------------------------------------------------------------------------------- */

/* `low` back to the first word of its block: there may be something there again. */
static void lower_in_block(struct pmm *pmm)
{
    vword_t *leaf = leaf_of(pmm, pmm->low_block);
    if (!pmm->low_block)
        return;
    pmm->low_frame -= (vword_t)(pmm->low - leaf) << PMM_WORD_SHIFT;
    pmm->low = leaf;
}

/* The trees hear of the first `count` frames; those of a block that they know change nothing. */
static void publish(struct pmm_cache *cache, vword_t count)
{
    struct pmm *pmm = cache->pmm;
    const vword_t *leaf = pmm->leaf, *avail = pmm->avail.level[0];
    vword_t moved = pmm->hot.index - pmm->hot.frame;
#pragma GCC unroll 4
    for (vword_t i = 0; i < count; i++) {
        vword_t index = cache->entry[i] + moved, w = index >> PMM_WORD_SHIFT;
        if (leaf[w] != FULL && bit_test(avail, w / PMM_BLOCK_WORDS))
            continue;
        if (bit_test(leaf, index))
            pmm_publish(pmm, index);
    }
    lower_in_block(pmm);
}

static void publish_home(struct pmm_cache *cache)
{
    if (cache->home && !leaf_is_empty(leaf_of(cache->pmm, cache->home)))
        pmm_publish_block(cache->pmm, cache->home);
}

/* The oldest entries go; the newest, whose lines are warm, stay. */
static void spill(struct pmm_cache *cache, vword_t count)
{
    publish(cache, count);
    cache->count -= count;
    memmove(cache->entry, cache->entry + count, cache->count * sizeof cache->entry[0]);
}

void pmm_cache_drain(struct pmm_cache *cache)
{
    spill(cache, cache->count);
    publish_home(cache);
    cache->home = 0;
}

bool pmm_publish_caches(struct pmm *pmm)
{
    bool any = false;
    for (struct pmm_cache *c = pmm->caches; c; c = c->next) {
        publish(c, c->count);
        publish_home(c);
        any |= c->count != 0 || c->home != 0;
    }
    return any;
}

bool pmm_publish_filled(struct pmm *pmm)
{
    vword_t known = pmm->whole.count + pmm->flanks, moved = pmm->hot.index - pmm->hot.frame;
    for (const struct pmm_cache *c = pmm->caches; c; c = c->next) {
        const vword_t *bits = c->bits;
#pragma GCC unroll 4
        for (vword_t i = 0; i < c->count; i++) {
            if (bits[c->entry[i] >> PMM_WORD_SHIFT] == FULL &&
                !block_is_whole(pmm, (c->entry[i] + moved) >> PMM_BLOCK_SHIFT))
                pmm_publish(pmm, c->entry[i] + moved);
        }
    }
    return pmm->whole.count + pmm->flanks != known;
}

/* ---- filling --------------------------------------------------------------------------------- */

/* Where an entry goes that completes a batch: entries are noted from the end of the array down. */
enum { ENOUGH = PMM_CACHE_DEPTH - PMM_CACHE_BATCH };

/* Notes the block's free frames, word by word until there are enough. */
static vword_t note_frames(struct pmm_cache *cache, vword_t block, vword_t at)
{
    const vword_t *leaf = leaf_of(cache->pmm, block);
    vword_t frame = (block << PMM_BLOCK_SHIFT) - cache->pmm->hot.index + cache->frame;
#pragma GCC unroll 16
    for (unsigned w = 0; w < PMM_BLOCK_WORDS; w++) {
        vword_t word = leaf[w];
        if (!word)
            continue;
        do
            cache->entry[--at] = frame + w * PMM_WORD_BITS + bit_lowest(word);
        while (word &= word - 1);
        if (at <= ENOUGH)
            break;
    }
    return at;
}

/* Can the frames of this block be cached? Breaks it if it is whole. */
static bool can_cache(struct pmm *pmm, vword_t block)
{
    vword_t at = (block << PMM_BLOCK_SHIFT) - pmm->hot.index;
    if (at >= pmm->hot.frames)
        return false;
    if (block_is_whole(pmm, block))
        pmm_break(pmm, block);
    return at < pmm->written;
}

/*
 * Fills an empty cache with a batch or somewhat more, the lowest frame on top: what is left of its
 * home, then the lowest blocks with anything free. The last one is the new home.
 */
static bool refill(struct pmm_cache *cache)
{
    struct pmm *pmm = cache->pmm;
    vword_t at = PMM_CACHE_DEPTH, block = cache->home;
    if (!block)
        block = tree_next(&pmm->avail, pmm->hot.index >> PMM_BLOCK_SHIFT);
    for (;; block = tree_clear_next(&pmm->avail, block)) {
        if (!can_cache(pmm, block)) {
            block = 0;
            break;
        }
        at = note_frames(cache, block, at);
        if (at <= ENOUGH)
            break;
    }
    if (block)
        tree_clear(&pmm->avail, block);
    cache->home = block;
    cache->frames = pmm->written;
    cache->count = PMM_CACHE_DEPTH - at;
    memmove(cache->entry, cache->entry + at, cache->count * sizeof cache->entry[0]);
    return cache->count != 0;
}

pfn_t pmm_cache_take_slow(struct pmm_cache *cache, enum frame_owner owner)
{
    struct pmm *pmm = cache->pmm;
    pfn_t frame;
    if (PMM_TAGS || !pmm_may_hold(owner))
        return pmm_alloc(pmm, owner);
    do {
        while (cache->count) {
            if (pmm_cache_take(cache, owner, &frame))
                return frame;
        }
    } while (refill(cache));
    return pmm_alloc(pmm, owner);
}

enum mem_err pmm_cache_give_slow(struct pmm_cache *cache, pfn_t frame, enum frame_owner owner)
{
    cache->frames = cache->pmm->written;
    if (cache->count == PMM_CACHE_DEPTH)
        spill(cache, PMM_CACHE_BATCH);
    return pmm_cache_give(cache, frame, owner) ? MEM_OK : pmm_free(cache->pmm, frame, owner);
}
