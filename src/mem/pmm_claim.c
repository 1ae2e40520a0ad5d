/* SPDX-License-Identifier: MIT */
/* pmm_claim.c - taking runs that cross words and blocks, and frames that the caller chose. */
#include "pmm_claim.h"

bool pmm_claim_rest(struct pmm *pmm, vword_t index, vword_t frames, vword_t taken)
{
    vword_t *word = pmm->leaf + (index >> PMM_WORD_SHIFT);
    for (vword_t some; taken < frames; taken += some) {
        vword_t mask = piece(index + taken, frames - taken, &some);
        if (!claim_word(++word, mask)) {
            pmm_give(pmm, index, taken);
            return false;
        }
    }
    if (!*word && leaf_is_empty(leaf_of(pmm, index >> PMM_BLOCK_SHIFT)))
        tree_clear(&pmm->avail, index >> PMM_BLOCK_SHIFT);
    return true;
}

/* Every word of a block that caches may be taking from: each is won, or none. */
static bool win_words(struct pmm *pmm, vword_t block)
{
    vword_t *leaf = leaf_of(pmm, block);
#pragma GCC unroll 16
    for (unsigned w = 0; w < PMM_BLOCK_WORDS; w++) {
        if (claim_word(leaf + w, FULL))
            continue;
        pmm_give(pmm, block << PMM_BLOCK_SHIFT, w * PMM_WORD_BITS);
        return false;
    }
    return true;
}

bool pmm_claim_block(struct pmm *pmm, vword_t block)
{
    pmm_whole_no_more(pmm, block);
    if (!is_written(pmm, block << PMM_BLOCK_SHIFT) || !pmm->caches)
        leaf_fill(leaf_of(pmm, block), 0);
    else if (!win_words(pmm, block))
        return false;
    tree_clear(&pmm->avail, block);
    pmm_note_written(pmm, block << PMM_BLOCK_SHIFT);
    return true;
}

bool pmm_claim_run(struct pmm *pmm, vword_t index, vword_t frames)
{
    for (vword_t some, taken = 0; taken < frames; taken += some) {
        vword_t at = index + taken, block = at >> PMM_BLOCK_SHIFT;
        vword_t room = PMM_BLOCK - (at & (PMM_BLOCK - 1));
        bool won;
        some = room < frames - taken ? room : frames - taken;
        if (some == PMM_BLOCK && block_is_whole(pmm, block)) {
            won = pmm_claim_block(pmm, block);
        } else {
            if (block_is_whole(pmm, block))
                pmm_break(pmm, block);
            won = claim_part(pmm, at, some);
        }
        if (won)
            continue;
        pmm_give(pmm, index, taken);
        return false;
    }
    return true;
}

enum mem_err pmm_reserve(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner)
{
    if (!frames || !pmm_may_hold(owner))
        return pmm_refuse(pmm, PMM_BAD_ARGUMENT, MEM_BAD_ARG);
    for (vword_t at = first.v, left = frames; left;) {
        const struct boot_range *r = pmm_boot_range(pmm, at);
        if (!r)
            return MEM_OUT_OF_RANGE;
        vword_t in_range = (vword_t)(r->last >> PAGE_SHIFT) - at + 1;
        at += in_range;
        left -= in_range < left ? in_range : left;
    }
    const struct pmm_span *s = pmm_span_of_frame(pmm, first.v);
    if (!s)
        return MEM_NOT_HELD;
    vword_t index = first.v - s->frame + s->index, start;
    vword_t sentinel = (pmm->blocks - 1) << PMM_BLOCK_SHIFT;
    if (frames > sentinel - index || /* owned since boot, and so not in the index */
        pmm_next_run(pmm, index, index + frames, (vword_t)frames, true, &start) != frames ||
        !pmm_claim_run(pmm, index, frames))
        return MEM_NOT_HELD;
    pmm->held[owner] += frames;
    pmm_tag(pmm, index, frames, owner);
    return MEM_OK;
}
