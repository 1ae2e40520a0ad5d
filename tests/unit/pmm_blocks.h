/* SPDX-License-Identifier: MIT */
/*
 * pmm_blocks.h - a frame allocator over so many blocks side by side, and short words for its calls.
 * For tests that look inside.
 */
#ifndef PMM_BLOCKS_H
#define PMM_BLOCKS_H

#include "mem/pmm_index.h" /* before pmm_map.h, whose variables have the parameters' names */

#include "pmm_map.h"

enum { BLOCK = PMM_BLOCK, WORD = PMM_WORD_BITS, FIRST = 0x400 };

static inline void start_blocks(vword_t blocks)
{
    add(FIRST, (uint64_t)blocks * BLOCK, RANGE_USABLE, OWNER_NONE);
    start();
}

static inline vword_t frame_of_block(vword_t block)
{
    return FIRST + (block - 1) * BLOCK;
}

/* PFN_NONE: there is none. */
static inline pfn_t aligned_run_of(vword_t frames, unsigned align_log2)
{
    struct pmm_run_request run = {.frames = frames, .align_log2 = align_log2};
    pfn_t first = PFN_NONE;
    enum mem_err err = pmm_alloc_run(&pmm, &run, OWNER_TEST, &first);
    assert_true(err == MEM_OK || (err == MEM_NO_FRAME && pfn_is_none(first)));
    return first;
}

static inline pfn_t run_of(vword_t frames)
{
    return aligned_run_of(frames, 0);
}

static inline void reserve(vword_t frame, vword_t frames)
{
    assert_int_equal(pmm_reserve(&pmm, PFN(frame), frames, OWNER_TEST), MEM_OK);
}

static inline void give(vword_t frame, vword_t frames)
{
    assert_int_equal(pmm_free_run(&pmm, PFN(frame), frames, OWNER_TEST), MEM_OK);
}

/* So many single frames, from this one on: the lowest that there are. */
static inline void take(vword_t frame, vword_t frames)
{
    for (; frames--; frame++)
        assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, frame);
}

static inline pfn_t cached(struct pmm_cache *cache)
{
    pfn_t frame;
    return pmm_cache_take(cache, OWNER_TEST, &frame) ? frame
                                                     : pmm_cache_take_slow(cache, OWNER_TEST);
}

static inline void take_cached(struct pmm_cache *cache, vword_t frame, vword_t frames)
{
    for (; frames--; frame++)
        assert_int_equal(cached(cache).v, frame);
}

static inline void give_cached(struct pmm_cache *cache, vword_t frame, vword_t count)
{
    for (; count--; frame++) {
        if (!pmm_cache_give(cache, PFN(frame), OWNER_TEST))
            assert_int_equal(pmm_cache_give_slow(cache, PFN(frame), OWNER_TEST), MEM_OK);
    }
}

#endif
