/* SPDX-License-Identifier: MIT */
/*
 * pmm_run.c - contiguous frames, the two common cases: a block of 512, and a small run without
 * conditions, which comes from the block that the last one was cut from. The rest is pmm_search.c.
 */
#include "pmm_claim.h"

/* The first `frames` set bits side by side in the word; FULL: there are none. */
static vword_t word_find(vword_t word, vword_t frames)
{
    enum { HALF = PMM_WORD_BITS / 2 };
    if (frames > HALF && (frames >= PMM_WORD_BITS || !(word >> (HALF - 1) & word >> HALF & 1)))
        return FULL; /* so many would have the middle among them */
    for (vword_t left = frames - 1, step = 1; left && word; step *= 2) {
        vword_t shift = step < left ? step : left;
        word &= word >> shift;
        left -= shift;
    }
    return word ? bit_lowest(word) : FULL;
}

/* Where a run of `frames` starts in a leaf; PMM_BLOCK: there is none. */
static vword_t leaf_find(const vword_t *leaf, vword_t frames)
{
    vword_t run = 0; /* free up to here */
    for (vword_t at = 0; at < PMM_BLOCK; at += PMM_WORD_BITS) {
        vword_t word = *leaf++;
        if (word == FULL) {
            run += PMM_WORD_BITS;
            if (run >= frames)
                return at + PMM_WORD_BITS - run;
            continue;
        }
        if (run + bit_lowest(~word) >= frames)
            return at - run;
        run = 0;
        if (!word)
            continue;
        vword_t inside = word_find(word, frames);
        if (inside != FULL)
            return at + inside;
        run = PMM_WORD_BITS - 1 - bit_highest(~word);
    }
    return PMM_BLOCK;
}

/* With caches, which may have taken part of a block that is called whole, or hold the rest of one.
 */
[[gnu::noinline]] static pfn_t alloc_shared_block(struct pmm *pmm, enum frame_owner owner)
{
    for (;;) {
        if (tree_is_empty(&pmm->whole) && !pmm_publish_filled(pmm))
            return PFN_NONE; /* had there been news, then of a whole block: no other has a flank */
        vword_t block = tree_first(&pmm->whole);
        if (pmm_claim_block(pmm, block))
            return pmm_taken(pmm, block << PMM_BLOCK_SHIFT, PMM_BLOCK, owner);
    }
}

/* The block that has just been filled with zeros was never written before. */
[[gnu::noinline]] static pfn_t first_use(struct pmm *pmm, vword_t index)
{
    pmm_note_written(pmm, index);
    return PFN(pmm_frame_of(pmm, index));
}

pfn_t pmm_alloc_block(struct pmm *pmm, enum frame_owner owner)
{
    vword_t block = tree_first(&pmm->whole), index = block << PMM_BLOCK_SHIFT;
    if (!pmm_may_hold(owner))
        return PFN_NONE;
    if (pmm->caches)
        return alloc_shared_block(pmm, owner);
    if (tree_is_empty(&pmm->whole))
        return PFN_NONE;
    vword_t at = index - pmm->hot.index;
    pmm_whole_no_more(pmm, block);
    tree_clear(&pmm->avail, block);
    leaf_fill(leaf_of(pmm, block), 0);
    pmm->held[owner] += PMM_BLOCK;
    pmm_tag(pmm, index, PMM_BLOCK, owner);
    return at < pmm->written ? PFN(pmm->hot.frame + at) : first_use(pmm, index);
}

/* Elsewhere in the block that the last run was cut from, else in a new one. */
[[gnu::noinline]] static vword_t quick_search(struct pmm *pmm, vword_t frames)
{
    vword_t block = (pmm->run_next - 1) >> PMM_BLOCK_SHIFT, at = PMM_BLOCK;
    if (pmm->run_next && !block_is_whole(pmm, block))
        at = leaf_find(leaf_of(pmm, block), frames);
    if (at == PMM_BLOCK) {
        if (tree_is_empty(&pmm->whole))
            return 0;
        block = tree_first(&pmm->whole);
        pmm_break(pmm, block);
        at = 0;
    }
    at += block << PMM_BLOCK_SHIFT;
    pmm->run_next = at + frames;
    return claim_part(pmm, at, frames) ? at : 0;
}

/* Fewer frames than a block: right behind the last run if they are free, else where they fit. */
static inline vword_t quick_run(struct pmm *pmm, vword_t frames)
{
    vword_t at = pmm->run_next, block = at >> PMM_BLOCK_SHIFT;
    if (((at - 1) & (PMM_BLOCK - 1)) + frames >= PMM_BLOCK || block_is_whole(pmm, block) ||
        !claim_part(pmm, at, frames))
        return quick_search(pmm, frames);
    pmm->run_next = at + frames;
    return at;
}

[[gnu::noinline]] static enum mem_err alloc_small_run(struct pmm *pmm,
                                                      const struct pmm_run_request *want,
                                                      enum frame_owner owner, pfn_t *first)
{
    vword_t index = quick_run(pmm, (vword_t)want->frames);
    if (!index)
        return pmm_search_run(pmm, want, owner, first);
    *first = pmm_taken(pmm, index, (vword_t)want->frames, owner);
    return MEM_OK;
}

enum mem_err pmm_alloc_run(struct pmm *pmm, const struct pmm_run_request *want,
                           enum frame_owner owner, pfn_t *first)
{
    if (!pmm_may_hold(owner))
        return pmm_refuse(pmm, PMM_BAD_ARGUMENT, MEM_BAD_ARG);
    if (want->frames - 1 < PMM_BLOCK - 1 && !(want->align_log2 | want->below | want->boundary))
        return alloc_small_run(pmm, want, owner, first);
    return pmm_search_run(pmm, want, owner, first);
}
