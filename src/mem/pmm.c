/* SPDX-License-Identifier: MIT */
/*
 * pmm.c - which physical frames are free.
 *
 * Two tiers. A frame has one bit in the leaf of its block of 512 (2 MiB), 1 = free. A block has one
 * bit in each of two trees: `avail`, it may have a free frame, and `whole`, all of it is free.
 * While a block is whole nobody needs its leaf, so the leaf is written when the block is first
 * broken, and starting up costs one bit for 2 MiB. Blocks get dense indices (pmm_layout.c).
 *
 *   P1  a frame is free exactly when its leaf bit is set, or its block is whole.
 *   P2  a block with a free frame has its avail bit set; so may the block of `low`, and no other.
 *   P3  the leaf of a block that is not whole is written; so are those of the first `written`
 *       frames of the hot span, and those say the truth while the block is whole, too.
 *   P4  a whole bit is set exactly when all 512 frames of the block are free.
 *   P5  no frame is free below the first one of the word `low`.
 *   P6  what is free, held and reserved adds up to total.
 *   P7  a whole block with a full word of free frames right before or behind it has its bit in
 *       `flanked` set; a block that is not whole has not. `flanks` is how many are set.
 *
 * The next frame comes from the word `low`, usually without a look at a tree; a free looks at one
 * avail bit. When nothing else is free, it also moves `low` to what it has freed. A run of more
 * than a block and two words holds a whole block with a flank, so while `flanks` is 0 there is
 * none.
 *
 * With caches in front (pmm_cache.c) the trees are hints. A frame that a cache means to
 * give out has its bit set, and P2 and P5 may not know of it until it is published; a frame that a
 * cache has given out may leave an avail or a whole bit behind (never on an untouched block). Each
 * taker makes sure by winning the frame's bit, and mends what it finds wrong.
 *
 * Worst single call: pmm_alloc ends a block (8 words), clears its avail bit (a word a level), finds
 * the next (two a level) and breaks it (8 words): no loop but those over levels and words of one
 * block.
 *
 * Lock: the caller's.
 */
#include "pmm_index.h"

/* ---- breaking and merging blocks ------------------------------------------------------------- */

/* Blocks broken out of turn are caught up with, a few at a time. */
void pmm_note_written(struct pmm *pmm, vword_t index)
{
    enum { CATCH_UP = 4 };
    if (index != pmm->hot.index + pmm->written)
        return;
    pmm->written += PMM_BLOCK;
    for (unsigned i = 0; i < CATCH_UP && pmm->written < pmm->hot.frames; i++) {
        if (block_is_whole(pmm, (pmm->hot.index + pmm->written) >> PMM_BLOCK_SHIFT))
            return;
        pmm->written += PMM_BLOCK;
    }
}

void pmm_break(struct pmm *pmm, vword_t block)
{
    pmm_whole_no_more(pmm, block);
    if (is_written(pmm, block << PMM_BLOCK_SHIFT))
        return; /* its leaf is right, and caches may be using it */
    leaf_fill(leaf_of(pmm, block), FULL);
    pmm_note_written(pmm, block << PMM_BLOCK_SHIFT);
}

/* Nothing is left in the block of `low`, or `low` is in none. */
static bool low_is_exhausted(const struct pmm *pmm)
{
    vword_t block = pmm->low_block;
    return !block || (leaf_is_empty(leaf_of(pmm, block)) && !block_is_whole(pmm, block));
}

/* Has the tree no block but this one, the sentinel, and perhaps that of `low`? */
static bool is_alone(const struct pmm *pmm)
{
    return pmm->avail.count == 2 + (vword_t)tree_test(&pmm->avail, pmm->low_block);
}

/* The next frame comes from the word of `index`. */
static void move_low(struct pmm *pmm, vword_t index)
{
    if (low_is_exhausted(pmm))
        tree_clear(&pmm->avail, pmm->low_block);
    pmm->low_block = index >> PMM_BLOCK_SHIFT;
    pmm->low = pmm->leaf + (index >> PMM_WORD_SHIFT);
    pmm->low_frame = pmm_frame_of(pmm, index & ~WORD_MASK);
}

/* A block that had nothing free. If nothing else is free at all, pmm_alloc need not search for it.
 */
[[gnu::noinline]] static void block_is_back(struct pmm *pmm, vword_t index)
{
    tree_set(&pmm->avail, index >> PMM_BLOCK_SHIFT);
    if (pmm->leaf + (index >> PMM_WORD_SHIFT) < pmm->low ||
        (is_alone(pmm) && low_is_exhausted(pmm)))
        move_low(pmm, index);
}

static bool is_flanked(const struct pmm *pmm, vword_t block)
{
    const vword_t *leaf = leaf_of(pmm, block);
    return block_is_whole(pmm, block - 1) || leaf[-1] == FULL || leaf[PMM_BLOCK_WORDS] == FULL ||
           (block + 2 < pmm->blocks && block_is_whole(pmm, block + 1));
}

static void flank(struct pmm *pmm, vword_t block)
{
    if (block_is_whole(pmm, block))
        bit_set_counted(pmm->flanked, block, &pmm->flanks);
}

/* A word is full: its block may be whole, or a whole one beside it has a flank. */
[[gnu::noinline]] static void word_filled(struct pmm *pmm, vword_t index)
{
    vword_t block = index >> PMM_BLOCK_SHIFT, at = index & (PMM_BLOCK - 1);
    if (block_is_whole(pmm, block))
        return;
    bool whole = leaf_is_full(leaf_of(pmm, block));
    if (whole || at < PMM_WORD_BITS)
        flank(pmm, block - 1);
    if (whole || at >= PMM_BLOCK - PMM_WORD_BITS)
        flank(pmm, block + 1);
    if (!whole)
        return;
    tree_set(&pmm->whole, block);
    if (is_flanked(pmm, block))
        flank(pmm, block);
}

/* A bit has been set: the trees and `low` hear of it. */
void pmm_publish(struct pmm *pmm, vword_t index)
{
    vword_t *word = pmm->leaf + (index >> PMM_WORD_SHIFT);
    if (*word == FULL)
        word_filled(pmm, index);
    if (!tree_test(&pmm->avail, index >> PMM_BLOCK_SHIFT))
        block_is_back(pmm, index);
    else if (word < pmm->low)
        move_low(pmm, index);
}

void pmm_publish_block(struct pmm *pmm, vword_t block)
{
    vword_t w = leaf_first(leaf_of(pmm, block));
    pmm_publish(pmm, (block << PMM_BLOCK_SHIFT) + w * PMM_WORD_BITS);
}

/* ---- single frames --------------------------------------------------------------------------- */

/* A frame of this word, which has one; false: its block is whole, or a cache was quicker. */
static inline bool take_from(struct pmm *pmm, vword_t *low, vword_t first, enum frame_owner owner,
                             pfn_t *frame)
{
    vword_t word = *low;
    pmm->low = low;
    pmm->low_frame = first;
    if (!word)
        return false; /* it had one; there is no lowest bit of nothing */
    vword_t bit = bit_lowest(word);
    if ((word == FULL && block_is_whole(pmm, pmm->low_block)) || !bit_take(low, bit))
        return false;
    pmm->held[owner]++;
    pmm_tag(pmm, ((vword_t)(low - pmm->leaf) << PMM_WORD_SHIFT) + bit, 1, owner);
    *frame = PFN(first + bit);
    return true;
}

/* From this block on, in any span: blocks to be broken, and blocks that caches have emptied. */
static pfn_t alloc_from(struct pmm *pmm, vword_t block, enum frame_owner owner)
{
    pfn_t frame;
    for (; block != pmm->blocks - 1; block = tree_clear_next(&pmm->avail, block)) {
        pmm->low_block = block;
        if (block_is_whole(pmm, block))
            pmm_break(pmm, block);
        vword_t *leaf = leaf_of(pmm, block), first = pmm_frame_of(pmm, block << PMM_BLOCK_SHIFT);
        for (unsigned w; (w = leaf_first(leaf)) < PMM_BLOCK_WORDS;) {
            if (take_from(pmm, leaf + w, first + w * PMM_WORD_BITS, owner, &frame))
                return frame;
        }
    }
    pmm->low = leaf_of(pmm, 1) - 1; /* a zero word with nothing below */
    pmm->low_block = 0;
    return PFN_NONE;
}

/* The general case. What only caches know of comes last: the trees have to be told of it. */
[[gnu::noinline]] static pfn_t alloc_anywhere(struct pmm *pmm, vword_t block,
                                              enum frame_owner owner)
{
    pfn_t frame = alloc_from(pmm, block, owner);
    if (!pfn_is_none(frame) || !pmm_publish_caches(pmm))
        return frame;
    return alloc_from(pmm, tree_first(&pmm->avail), owner);
}

/* Nothing is left in the block of `low`, nor in any below. The common case of the next. */
[[gnu::noinline]] static pfn_t alloc_next_block(struct pmm *pmm, enum frame_owner owner)
{
    vword_t block = tree_clear_next(&pmm->avail, pmm->low_block), *leaf = leaf_of(pmm, block);
    vword_t at = (block << PMM_BLOCK_SHIFT) - pmm->hot.index;
    pfn_t frame;
    if (at >= pmm->written) /* the leaf of another may be nobody's */
        return alloc_anywhere(pmm, block, owner);
    unsigned w = leaf_first(leaf);
    if (w == PMM_BLOCK_WORDS)
        return alloc_anywhere(pmm, block, owner);
    pmm->low_block = block;
    if (take_from(pmm, leaf + w, pmm->hot.frame + at + w * PMM_WORD_BITS, owner, &frame))
        return frame;
    return alloc_anywhere(pmm, block, owner);
}

pfn_t pmm_alloc_slow(struct pmm *pmm, enum frame_owner owner)
{
    vword_t *was = pmm->low, *low = was;
    while (!*low) { /* to the end of the leaf, which is a cache line */
        if (!((uintptr_t)++low & (PMM_BLOCK / 8 - 1)))
            return alloc_next_block(pmm, owner);
    }
    size_t passed = (size_t)((uintptr_t)low - (uintptr_t)was); /* bytes, and a byte is 8 frames */
    pfn_t frame;
    if (take_from(pmm, low, pmm->low_frame + (vword_t)passed * 8, owner, &frame))
        return frame;
    return alloc_anywhere(pmm, pmm->low_block, owner);
}

/* ---- giving back ----------------------------------------------------------------------------- */

/* Usable, and not reserved since boot? Asked of the boot map, a range at a time. */
static enum mem_err check_at_boot(struct pmm *pmm, vword_t first, vword_t frames)
{
    for (vword_t at = first; at - first < frames;) {
        const struct boot_range *r = pmm_boot_range(pmm, at);
        if (!r)
            return pmm_refuse(pmm, PMM_OUT_OF_RANGE, MEM_OUT_OF_RANGE);
        if (r->owner != OWNER_NONE && r->owner < OWNER_RESERVED_END)
            return pmm_refuse(pmm, PMM_NOT_HELD, MEM_NOT_HELD);
        uint64_t start, end;
        pmm_extent(pmm->map, (size_t)(r - pmm->map->ranges), &start, &end);
        at = (vword_t)end;
    }
    return MEM_OK;
}

/* Do [index, index + frames) carry this owner's tag, as far as there are tags? */
static bool tagged(const struct pmm *pmm, vword_t index, vword_t frames, enum frame_owner owner)
{
    for (vword_t i = 0; PMM_TAGS && i < frames; i++) {
        if (pmm->tags[index + i] != owner)
            return false;
    }
    return true;
}

/* Are all of these frames of the span RAM that has not been reserved since boot? */
static bool all_circulate(const struct pmm_span *s, vword_t first, vword_t frames)
{
    vword_t at = first - s->frame, some;
    if (frames > s->frames - at)
        return false; /* of this span */
    for (; s->mask && frames; at += some, frames -= some) {
        vword_t mask = piece(at, frames, &some);
        if (mask & ~s->mask[at >> PMM_WORD_SHIFT])
            return false;
    }
    return true;
}

/* Everything that forbids giving back [first, first + frames); *index: where they are. */
static enum mem_err check_held(struct pmm *pmm, vword_t first, vword_t frames,
                               enum frame_owner owner, vword_t *index)
{
    if (!frames || !pmm_may_hold(owner))
        return pmm_refuse(pmm, PMM_BAD_ARGUMENT, MEM_BAD_ARG);
    if (frames - 1 > FULL - first)
        return pmm_refuse(pmm, PMM_OUT_OF_RANGE, MEM_OUT_OF_RANGE);
    const struct pmm_span *s = pmm_span_of_frame(pmm, first);
    if (!s || !all_circulate(s, first, frames)) {
        enum mem_err err = check_at_boot(pmm, first, frames);
        if (err)
            return err;
    }
    *index = first - s->frame + s->index; /* what the boot map has, a span has */
    for (vword_t i = *index, left = frames, some; left; i += some, left -= some) {
        vword_t mask = piece(i, left, &some);
        if (leaf_word(pmm, i >> PMM_WORD_SHIFT) & mask)
            return pmm_refuse(pmm, PMM_DOUBLE_FREE, MEM_NOT_HELD);
        if (!tagged(pmm, i, some, owner))
            return pmm_refuse(pmm, PMM_NOT_HELD, MEM_NOT_HELD);
    }
    return MEM_OK;
}

/* So many frames of one block; the words in between are told of by those at the ends. */
static void give_part(struct pmm *pmm, vword_t index, vword_t frames)
{
    vword_t first = index, last = index + frames - 1;
    for (vword_t some; frames; index += some, frames -= some) {
        vword_t mask = piece(index, frames, &some);
        __atomic_fetch_or(pmm->leaf + (index >> PMM_WORD_SHIFT), mask, __ATOMIC_RELAXED);
    }
    pmm_publish(pmm, first);
    if ((first ^ last) >> PMM_WORD_SHIFT)
        pmm_publish(pmm, last);
}

void pmm_give(struct pmm *pmm, vword_t index, vword_t frames)
{
    for (vword_t some; frames; index += some, frames -= some) {
        vword_t room = PMM_BLOCK - (index & (PMM_BLOCK - 1));
        some = room < frames ? room : frames;
        give_part(pmm, index, some);
    }
}

enum mem_err pmm_free_run(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner)
{
    vword_t index;
    enum mem_err err = check_held(pmm, first.v, frames, owner, &index);
    if (err)
        return err;
    pmm_tag(pmm, index, frames, OWNER_NONE);
    pmm_give(pmm, index, frames);
    pmm->held[owner] -= frames;
    return MEM_OK;
}

/* A frame of another span, or of the unwritten part of the hot one; all that would be refused. */
enum mem_err pmm_free_slow(struct pmm *pmm, pfn_t frame, enum frame_owner owner)
{
    const struct pmm_span *s = pmm_span_of_frame(pmm, frame.v);
    vword_t at = s ? frame.v - s->frame : 0, index = s ? at + s->index : 0;
    if (PMM_TAGS || !s || (s->mask && !bit_test(s->mask, at)) || !pmm_may_hold(owner) ||
        is_untouched(pmm, index >> PMM_BLOCK_SHIFT) || bit_give(pmm->leaf, index))
        return pmm_free_run(pmm, frame, 1, owner);
    pmm->held[owner]--;
    if (pmm_is_news(pmm, index, pmm->leaf + (index >> PMM_WORD_SHIFT)))
        pmm_publish(pmm, index);
    return MEM_OK;
}
