/* SPDX-License-Identifier: MIT */
/* pmm_index.h - the two trees, the leaves, and frame numbers <-> dense indices. Private to pmm*.c.
 */
#ifndef MEM_PMM_INDEX_H
#define MEM_PMM_INDEX_H

#include "pmm_tree.h"

static inline bool block_is_whole(const struct pmm *pmm, vword_t block)
{
    return tree_test(&pmm->whole, block);
}

static inline void pmm_whole_no_more(struct pmm *pmm, vword_t block)
{
    tree_clear(&pmm->whole, block);
    bit_clear_counted(pmm->flanked, block, &pmm->flanks);
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static inline vword_t *leaf_of(const struct pmm *pmm, vword_t block)
{
    return pmm->leaf + block * PMM_BLOCK_WORDS;
}

/* Has the leaf of this index been written for good, so that it tells the truth by itself? */
static inline bool is_written(const struct pmm *pmm, vword_t index)
{
    return index - pmm->hot.index < pmm->written;
}

/* Wholly free, and the leaf does not say so itself. */
static inline bool is_untouched(const struct pmm *pmm, vword_t block)
{
    return block_is_whole(pmm, block) && !is_written(pmm, block << PMM_BLOCK_SHIFT);
}

/* The w-th word of bits, as if every leaf were written. */
static inline vword_t leaf_word(const struct pmm *pmm, vword_t w)
{
    return is_untouched(pmm, w / PMM_BLOCK_WORDS) ? FULL : pmm->leaf[w];
}

/* The first word of a leaf that has a free frame; PMM_BLOCK_WORDS: none has. */
static inline unsigned leaf_first(const vword_t *leaf)
{
    unsigned w = 0;
#pragma GCC unroll 16
    for (; w < PMM_BLOCK_WORDS; w++) {
        if (__builtin_expect(leaf[w] != 0, 0))
            break;
    }
    return w;
}

static inline bool leaf_is_empty(const vword_t *leaf)
{
    vword_t any = 0;
#pragma GCC unroll 16
    for (unsigned w = 0; w < PMM_BLOCK_WORDS; w++)
        any |= leaf[w];
    return !any;
}

static inline bool leaf_is_full(const vword_t *leaf)
{
    vword_t all = FULL;
#pragma GCC unroll 16
    for (unsigned w = 0; w < PMM_BLOCK_WORDS; w++)
        all &= leaf[w];
    return all == FULL;
}

static inline void leaf_fill(vword_t *leaf, vword_t word)
{
#pragma GCC unroll 16
    for (unsigned w = 0; w < PMM_BLOCK_WORDS; w++)
        leaf[w] = word;
}

/* ---- frames and indices ---------------------------------------------------------------------- */

/* The span that holds the frame, or NULL. */
const struct pmm_span *pmm_span_of_frame(const struct pmm *pmm, vword_t frame);

/* The span that holds the index, which is not in a gap. */
const struct pmm_span *pmm_span_of_index(const struct pmm *pmm, vword_t index);

static inline vword_t pmm_frame_of(const struct pmm *pmm, vword_t index)
{
    if (index - pmm->hot.index < pmm->hot.frames)
        return index - pmm->hot.index + pmm->hot.frame;
    const struct pmm_span *s = pmm_span_of_index(pmm, index);
    return index - s->index + s->frame;
}

/* The boot map's range of this frame, if its frames are usable and below the limit; else NULL. */
const struct boot_range *pmm_boot_range(const struct pmm *pmm, vword_t frame);

/* Which usable frames [*start, *end) below the limit a range has; none when start == end. */
void pmm_extent(const struct bootmap *map, size_t range, uint64_t *start, uint64_t *end);

/* ---- taking and giving ----------------------------------------------------------------------- */

/* A wholly free block gets a leaf of its own and is whole no longer. */
void pmm_break(struct pmm *pmm, vword_t block);

/* A block with something free, by its leaf, is hidden no longer. */
void pmm_publish_block(struct pmm *pmm, vword_t block);

/* Bits of the word at `index` that belong to a run of `frames`; *some: how many. */
static inline vword_t piece(vword_t index, vword_t frames, vword_t *some)
{
    vword_t shift = index & WORD_MASK;
    *some = PMM_WORD_BITS - shift < frames ? PMM_WORD_BITS - shift : frames;
    return FULL >> (PMM_WORD_BITS - *some) << shift;
}

/* Sets the bits of a run and tells the trees. */
void pmm_give(struct pmm *pmm, vword_t index, vword_t frames);

/* A wholly free block has been claimed in full: its leaf counts as written from now on. */
void pmm_note_written(struct pmm *pmm, vword_t index);

/*
 * The first free run at or above `from`, at least `frames` long; its length, 0: there is none. With
 * what caches hide from the trees if `hidden`: no block is passed over.
 */
vword_t pmm_next_run(const struct pmm *pmm, vword_t from, vword_t end, vword_t frames, bool hidden,
                     vword_t *start);

/* Tells the trees of what the caches hold (pmm_cache.c); true when there was anything. */
bool pmm_publish_caches(struct pmm *pmm);

/*
 * Tells the trees of whole blocks, and of full words beside them, that were completed by a frame in
 * a cache: such a frame stands in a full word. True when there was anything.
 */
bool pmm_publish_filled(struct pmm *pmm);

static inline enum mem_err pmm_refuse(struct pmm *pmm, enum pmm_refusal cause, enum mem_err err)
{
    pmm->refused[cause]++;
    return err;
}

static inline void pmm_tag(struct pmm *pmm, vword_t index, size_t frames, enum frame_owner owner)
{
    if (PMM_TAGS)
        __builtin_memset(pmm->tags + index, (int)owner, frames);
}

#endif
