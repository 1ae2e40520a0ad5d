/* SPDX-License-Identifier: MIT */
/*
 * pmm_search.c - contiguous frames that satisfy any request.
 *
 * A run is looked for where it is cheap to find, in this order:
 *
 *   1  in the block that the last run was cut from: 8 words;
 *   2  in the lowest wholly free block, if a block can hold it: one descent;
 *   3  in chains of wholly free blocks, with what is free right before and behind them; a run of
 *      more than 1022 frames contains a whole block, so for those this search is complete, and
 *      over at once while no whole block has a flank;
 *   4  everywhere, word by word, whole blocks at a time and empty ones not at all.
 *
 * Each finds only runs that satisfy the request, and 4 misses none.
 */
#include "pmm_claim.h"

/* ---- free runs in the index ------------------------------------------------------------------ */

/* The first free frame in [from, end), or end; one that a cache hides from the trees if `hidden`.
 */
static vword_t next_free(const struct pmm *pmm, vword_t from, vword_t end, bool hidden)
{
    while (from < end) {
        vword_t block = from >> PMM_BLOCK_SHIFT;
        if (!hidden && !tree_test(&pmm->avail, block))
            from = tree_next(&pmm->avail, block) << PMM_BLOCK_SHIFT;
        vword_t rest = leaf_word(pmm, from >> PMM_WORD_SHIFT) >> (from & WORD_MASK);
        if (rest) {
            from += bit_lowest(rest);
            return from < end ? from : end;
        }
        from = (from | WORD_MASK) + 1;
    }
    return end;
}

/* The first frame in [from, end) that is not free, or end. */
static vword_t next_taken(const struct pmm *pmm, vword_t from, vword_t end)
{
    while (from < end) {
        vword_t block = from >> PMM_BLOCK_SHIFT;
        if (is_untouched(pmm, block)) {
            from = (block + 1) << PMM_BLOCK_SHIFT;
            continue;
        }
        vword_t shift = from & WORD_MASK;
        vword_t taken = ~pmm->leaf[from >> PMM_WORD_SHIFT] >> shift;
        if (taken) {
            from += bit_lowest(taken);
            return from < end ? from : end;
        }
        from = (from | WORD_MASK) + 1;
    }
    return end;
}

vword_t pmm_next_run(const struct pmm *pmm, vword_t from, vword_t end, vword_t frames, bool hidden,
                     vword_t *start)
{
    while ((from = next_free(pmm, from, end, hidden)) < end) {
        vword_t stop = next_taken(pmm, from, end);
        *start = from;
        if (stop - from >= frames)
            return stop - from;
        from = stop;
    }
    return 0;
}

/* ---- where a request fits -------------------------------------------------------------------- */

/*
 * The lowest frame of [start, end) where the request fits, or PFN_NONE. Two rounds at most: right
 * behind a boundary there is room (sane). No sum wraps: frame numbers have 52 bits, a unit less.
 */
static pfn_t fit(const struct pmm_run_request *want, uint64_t start, uint64_t end)
{
    uint64_t unit = 1ull << want->align_log2, border = want->boundary >> PAGE_SHIFT;
    uint64_t top = want->below ? want->below >> PAGE_SHIFT : UINT64_MAX;
    if (end > top)
        end = top;
    for (;;) {
        uint64_t at = (start + unit - 1) & ~(unit - 1);
        if (at >= end || end - at < want->frames)
            return PFN_NONE;
        uint64_t room = border ? border - (at & (border - 1)) : want->frames;
        if (room >= want->frames)
            return PFN((vword_t)at);
        start = at + room;
    }
}

static bool sane(const struct pmm_run_request *want)
{
    return want->align_log2 < PMM_WORD_BITS - PAGE_SHIFT &&
           (!want->boundary || (!(want->boundary & (want->boundary - 1)) &&
                                want->boundary >> PAGE_SHIFT >= want->frames));
}

/* ---- the four places: each returns the index of what it took, 0: nothing --------------------- */

enum { WITHOUT_BLOCK = 2 * (PMM_BLOCK - 1) }; /* a longer run contains a whole block */

static vword_t won(struct pmm *pmm, bool claimed, vword_t index)
{
    pmm->lost |= !claimed;
    return claimed ? index : 0;
}

static vword_t claim(struct pmm *pmm, const struct pmm_run_request *want, vword_t index)
{
    return won(pmm, pmm_claim_run(pmm, index, (vword_t)want->frames), index);
}

/* Tries the free indices [start, start + length). */
static vword_t try_run(struct pmm *pmm, const struct pmm_run_request *want, vword_t start,
                       vword_t length)
{
    uint64_t frame = pmm_frame_of(pmm, start);
    pfn_t found = fit(want, frame, frame + length);
    return pfn_is_none(found) ? 0 : claim(pmm, want, start + (vword_t)(found.v - frame));
}

/* Tries every run in [from, end) of the index. */
static vword_t try_stretch(struct pmm *pmm, const struct pmm_run_request *want, vword_t from,
                           vword_t end)
{
    vword_t start, length;
    while ((length = pmm_next_run(pmm, from, end, (vword_t)want->frames, false, &start)) != 0) {
        vword_t index = try_run(pmm, want, start, length);
        if (index)
            return index;
        from = start + length;
    }
    return 0;
}

static vword_t try_last_block(struct pmm *pmm, const struct pmm_run_request *want)
{
    vword_t block = (pmm->run_next - 1) >> PMM_BLOCK_SHIFT, index = block << PMM_BLOCK_SHIFT;
    if (!pmm->run_next || want->frames >= PMM_BLOCK || block_is_whole(pmm, block))
        return 0;
    return try_stretch(pmm, want, index, index + PMM_BLOCK);
}

/* The start of a block suits every alignment and boundary that a block can suit. */
static vword_t try_one_block(struct pmm *pmm, const struct pmm_run_request *want)
{
    vword_t block = tree_first(&pmm->whole), index = block << PMM_BLOCK_SHIFT;
    if (tree_is_empty(&pmm->whole))
        return 0;
    if (want->below &&
        (uint64_t)pmm_frame_of(pmm, index) + want->frames > want->below >> PAGE_SHIFT)
        return 0;
    if (want->frames == PMM_BLOCK)
        return claim(pmm, want, index);
    pmm->run_next = index + (vword_t)want->frames;
    pmm_break(pmm, block);
    return won(pmm, claim_part(pmm, index, (vword_t)want->frames), index);
}

/* Free frames at the end of the block before, which is not whole. */
static vword_t free_before(const struct pmm *pmm, vword_t block)
{
    const vword_t *word = leaf_of(pmm, block);
    vword_t tail = 0;
    for (; block > 1 && tail < PMM_BLOCK && !~*--word; tail += PMM_WORD_BITS)
        ;
    return block > 1 && tail < PMM_BLOCK ? tail + PMM_WORD_BITS - 1 - bit_highest(~*word) : tail;
}

/* Free frames at the start of this block, which is not whole. */
static vword_t free_at(const struct pmm *pmm, vword_t block)
{
    const vword_t *word = leaf_of(pmm, block);
    vword_t head = 0;
    if (block == pmm->blocks - 1)
        return 0;
    for (; head < PMM_BLOCK && !~*word; word++)
        head += PMM_WORD_BITS;
    return head < PMM_BLOCK ? head + bit_lowest(~*word) : head;
}

/* The first block above this one that is not whole; the sentinel is none, though its bit is set. */
static vword_t chain_end(const struct pmm *pmm, vword_t block)
{
    const vword_t *whole = pmm->whole.level[0];
    vword_t sentinel = pmm->blocks - 1;
    for (block++; block < sentinel; block = (block | WORD_MASK) + 1) {
        vword_t broken = ~whole[block >> PMM_WORD_SHIFT] >> (block & WORD_MASK);
        if (broken) {
            block += bit_lowest(broken);
            break;
        }
    }
    return block < sentinel ? block : sentinel;
}

/* Whole blocks [block, end of the chain) with what adjoins them: is that enough? */
static vword_t try_chain(struct pmm *pmm, const struct pmm_run_request *want, vword_t block)
{
    if (tree_test(&pmm->whole, block - 1) || block == pmm->blocks - 1)
        return 0; /* not where it starts, or the sentinel */
    vword_t tail = free_before(pmm, block), end = chain_end(pmm, block), head = free_at(pmm, end);
    vword_t frames = tail + ((end - block) << PMM_BLOCK_SHIFT) + head;
    if (end == block + 1 && tail < PMM_WORD_BITS && head < PMM_WORD_BITS)
        bit_clear_counted(pmm->flanked, block, &pmm->flanks);
    return frames >= want->frames ? try_run(pmm, want, (block << PMM_BLOCK_SHIFT) - tail, frames)
                                  : 0;
}

/* Tries these chains of the w-th word of whole bits, a bit where one starts. */
static vword_t try_starts(struct pmm *pmm, const struct pmm_run_request *want, vword_t w,
                          vword_t starts)
{
    for (; starts; starts &= starts - 1) {
        vword_t index = try_chain(pmm, want, (w << PMM_WORD_SHIFT) + bit_lowest(starts));
        if (index)
            return index;
    }
    return 0;
}

/* More than a block and what two words can add to it: only a flanked block will do. */
static inline bool needs_flank(const struct pmm_run_request *want)
{
    return want->frames > PMM_BLOCK + 2 * (PMM_WORD_BITS - 1);
}

/* Tries every chain of whole blocks. */
static vword_t try_chains(struct pmm *pmm, const struct pmm_run_request *want)
{
    vword_t all = needs_flank(want) ? 0 : FULL;
    if (!all && !pmm->flanks)
        return 0;
    for (vword_t v = 0; v <= (pmm->blocks - 1) >> 2 * PMM_WORD_SHIFT; v++) {
        for (vword_t words = pmm->whole.level[1][v]; words; words &= words - 1) {
            vword_t w = (v << PMM_WORD_SHIFT) + bit_lowest(words), whole = pmm->whole.level[0][w];
            vword_t index =
                try_starts(pmm, want, w, whole & ~(whole << 1) & (pmm->flanked[w] | all));
            if (index)
                return index;
        }
    }
    return 0;
}

static inline vword_t find(struct pmm *pmm, const struct pmm_run_request *want)
{
    vword_t index;
    if (want->frames <= PMM_BLOCK && want->align_log2 <= PMM_BLOCK_SHIFT) {
        index = try_last_block(pmm, want);
        if (!index)
            index = try_one_block(pmm, want);
    } else {
        index = try_chains(pmm, want);
    }
    if (!index && want->frames <= WITHOUT_BLOCK)
        index = try_stretch(pmm, want, PMM_BLOCK, (pmm->blocks - 1) << PMM_BLOCK_SHIFT);
    return index;
}

/* The same again, now that the trees know what the caches hold and what they have taken. */
[[gnu::noinline]] static vword_t find_again(struct pmm *pmm, const struct pmm_run_request *want)
{
    vword_t index = 0;
    pmm->lost |= want->frames > WITHOUT_BLOCK ? pmm_publish_filled(pmm) : pmm_publish_caches(pmm);
    while (!index && pmm->lost) { /* each loss ends a block's claim to be whole */
        pmm->lost = false;
        index = find(pmm, want);
    }
    return index;
}

enum mem_err pmm_search_run(struct pmm *pmm, const struct pmm_run_request *want,
                            enum frame_owner owner, pfn_t *first)
{
    if (!want->frames || !sane(want))
        return pmm_refuse(pmm, PMM_BAD_ARGUMENT, MEM_BAD_ARG);
    vword_t index = find(pmm, want);
    if (!index && pmm->caches)
        index = find_again(pmm, want);
    if (!index)
        return MEM_NO_FRAME;
    *first = pmm_taken(pmm, index, (vword_t)want->frames, owner);
    return MEM_OK;
}
