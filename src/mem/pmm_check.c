/* SPDX-License-Identifier: MIT */
/* pmm_check.c - the invariants of pmm.c, as code. Caches have been published. */
#include "pmm_index.h"

static bool sums_agree(const struct pmm *pmm)
{
    struct pmm_stats s;
    pmm_counts(pmm, &s);
    return s.used <= s.total && s.reserved <= s.total - s.used; /* free is the rest */
}

static uint64_t count_free(const struct pmm *pmm)
{
    uint64_t set = 0;
    for (vword_t w = PMM_BLOCK_WORDS; w < (pmm->blocks - 1) * PMM_BLOCK_WORDS; w++) {
        vword_t word = leaf_word(pmm, w);
        set += word == FULL ? PMM_WORD_BITS : 0;
        for (; word && word != FULL; word &= word - 1)
            set++;
    }
    return set;
}

/* Caches take bits without a word to the trees: then a bit may be set for what is gone. */
static bool block_agrees(const struct pmm *pmm, vword_t block, const char **broken)
{
    const vword_t *leaf = leaf_of(pmm, block);
    bool untouched = is_untouched(pmm, block), stale = pmm->caches && !untouched;
    bool full = untouched || leaf_is_full(leaf), empty = !untouched && leaf_is_empty(leaf);
    bool avail = tree_test(&pmm->avail, block), whole = block_is_whole(pmm, block);
    *broken = "P2: avail is set for blocks with a free frame, and for no other but that of low";
    if (!avail && !empty)
        return false;
    if (avail && empty && block != pmm->low_block && !stale)
        return false;
    *broken = "P4: whole is set exactly when all frames of the block are free";
    return whole == full || (whole && stale);
}

static vword_t bits_set(const vword_t *words, vword_t bits)
{
    vword_t set = 0;
    for (vword_t i = 0; i < bits; i++)
        set += bit_test(words, i);
    return set;
}

/* Only whole blocks have a flank, and those with a full word beside them do. */
static bool flanks_agree(const struct pmm *pmm)
{
    for (vword_t block = 1; block < pmm->blocks - 1; block++) {
        vword_t first = block * PMM_BLOCK_WORDS;
        bool full = leaf_word(pmm, first - 1) == FULL ||
                    (block + 2 < pmm->blocks && leaf_word(pmm, first + PMM_BLOCK_WORDS) == FULL);
        bool set = bit_test(pmm->flanked, block);
        if (set ? !block_is_whole(pmm, block) : block_is_whole(pmm, block) && full)
            return false;
    }
    return pmm->flanks == bits_set(pmm->flanked, pmm->blocks - 1);
}

static bool tree_agrees(const struct pmm_tree *t, vword_t bits)
{
    if (t->count != bits_set(t->level[0], bits))
        return false;
    for (unsigned l = 1; l < t->levels; l++) {
        bits = (bits + PMM_WORD_BITS - 1) >> PMM_WORD_SHIFT;
        for (vword_t w = 0; w < bits; w++) { /* words of the level below */
            if (bit_test(t->level[l], w) != (t->level[l - 1][w] != 0))
                return false;
        }
    }
    return true;
}

bool pmm_holds(const struct pmm *pmm, const char **broken)
{
    *broken = "P6: free, held and reserved add up to total";
    if (!sums_agree(pmm))
        return false;
    *broken = "P1: the bits that are set are the frames that are free";
    if (count_free(pmm) != pmm_free_frames(pmm))
        return false;
    for (vword_t block = 1; block < pmm->blocks - 1; block++) {
        if (!block_agrees(pmm, block, broken))
            return false;
    }
    *broken = "P5: no frame is free below low";
    for (const vword_t *word = leaf_of(pmm, 1); word < pmm->low; word++) {
        if (leaf_word(pmm, (vword_t)(word - pmm->leaf)))
            return false;
    }
    *broken = "P7: a whole block with a full word beside it has a flank, and no broken one has";
    if (!flanks_agree(pmm))
        return false;
    *broken = "a summary bit is set exactly when its word is not zero, and bits are counted";
    return tree_agrees(&pmm->avail, pmm->blocks) && tree_agrees(&pmm->whole, pmm->blocks);
}
