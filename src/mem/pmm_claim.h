/* SPDX-License-Identifier: MIT */
/*
 * pmm_claim.h - taking frames that have been found free: all of them or none. Private to pmm*.c.
 *
 * Where there are caches one of them may be quicker; then the claim fails and nothing is taken.
 */
#ifndef MEM_PMM_CLAIM_H
#define MEM_PMM_CLAIM_H

#include "pmm_index.h"

/* Takes these bits of a word, all or none; false: one of them was not free. */
static inline bool claim_word(vword_t *word, vword_t mask)
{
    vword_t was = *word;
    return !(mask & ~was) && __atomic_compare_exchange_n(word, &was, was ^ mask, false,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The rest of a run in one block, whose first word has been taken. */
bool pmm_claim_rest(struct pmm *pmm, vword_t index, vword_t frames, vword_t taken);

/* Part of one block that is not whole; false: some of it was not free. */
static inline bool claim_part(struct pmm *pmm, vword_t index, vword_t frames)
{
    vword_t *word = pmm->leaf + (index >> PMM_WORD_SHIFT), some;
    vword_t mask = piece(index, frames, &some);
    if (!claim_word(word, mask))
        return false;
    return (some == frames && *word) || pmm_claim_rest(pmm, index, frames, some);
}

/* All of a wholly free block at once; false: it was not, and is not called so any longer. */
bool pmm_claim_block(struct pmm *pmm, vword_t block);

/* A run in any number of blocks, whole or broken. */
bool pmm_claim_run(struct pmm *pmm, vword_t index, vword_t frames);

/* The books, after a claim; the first frame. */
static inline pfn_t pmm_taken(struct pmm *pmm, vword_t index, vword_t frames,
                              enum frame_owner owner)
{
    pmm->held[owner] += frames;
    pmm_tag(pmm, index, frames, owner);
    return PFN(pmm_frame_of(pmm, index));
}

/* pmm_alloc_run without its short cuts (pmm_search.c). */
enum mem_err pmm_search_run(struct pmm *pmm, const struct pmm_run_request *want,
                            enum frame_owner owner, pfn_t *first);

#endif
