/* SPDX-License-Identifier: MIT */
/*
 * pmm.h - the physical memory manager: which frames are free, and whose the others are.
 *
 * Built once from the canonical boot map; the caller supplies the metadata memory, so an instance
 * is a struct and any number can live side by side. Single frames come lowest address first. Calls
 * cost O(levels of the trees) unless they say otherwise, never O(frames). Not locked: the kernel
 * calls it with its frame lock held; pmm_cache.h puts per-CPU caches in front that need none.
 */
#ifndef MEM_PMM_H
#define MEM_PMM_H

#include <mem/bootmap.h>
#include <mem/owner.h>
#include <mem/pmm_bits.h>
#include <mem/types.h>

/* 1: every frame carries its owner's tag, one byte each, and pmm_free checks it (debug builds). */
#ifndef PMM_TAGS
#define PMM_TAGS 0
#endif

struct pmm; /* defined at the end: public so that it can be embedded, private in use */

enum { PMM_ORDERS = 11 }; /* free runs by order 0..10, as /proc/buddyinfo shows */

/* Why a free was refused, as counted in pmm_stats.refused. */
enum pmm_refusal {
    PMM_DOUBLE_FREE,
    PMM_NOT_HELD,
    PMM_OUT_OF_RANGE,
    PMM_BAD_ARGUMENT,
    PMM_REFUSALS
};

struct pmm_stats {
    uint64_t total; /* usable frames under management: free + used + reserved        */
    uint64_t free;
    uint64_t used;     /* given out and not given back                                  */
    uint64_t reserved; /* owned since boot                                              */
    uint64_t owners[OWNER_COUNT]; /* frames by owner; [OWNER_NONE] is free              */
    uint64_t largest_run;         /* frames in the longest free run                     */
    uint64_t runs[PMM_ORDERS];    /* free aligned blocks of 2^order frames, greedy      */
    uint64_t refused[PMM_REFUSALS];
    size_t metadata_bytes;
};

/* More metadata that one more range in the map may cost, at most. */
enum { PMM_BYTES_PER_RANGE = 640 };

/* Bytes of metadata that pmm_init needs for this map; the same map gives the same answer. */
size_t pmm_metadata_bytes(const struct bootmap *map);

/*
 * Builds the manager. `metadata` is at least pmm_metadata_bytes long, 64-byte aligned; what it
 * holds does not matter. MEM_BAD_ARG: too small or misaligned; MEM_NO_FRAME: the map has no usable
 * frame. Cost: O(map entries) and one bit per 2 MiB; no leaf is written for untouched memory. The
 * map must live as long as the manager.
 */
enum mem_err pmm_init(struct pmm *pmm, const struct bootmap *map, void *metadata, size_t bytes);

/*
 * One frame for `owner`, contents undefined, the lowest free one; with caches, the lowest that they
 * do not hide, and those when there is no other. PFN_NONE when none is free; with caches, that and
 * the first of those looks at every cached frame.
 */
static inline pfn_t pmm_alloc(struct pmm *pmm, enum frame_owner owner);

/*
 * Gives back a frame. MEM_NOT_HELD: it is free already, reserved since boot, or (in builds with
 * tags) held by another owner; MEM_OUT_OF_RANGE: no usable RAM there. Refusals are counted.
 */
static inline enum mem_err pmm_free(struct pmm *pmm, pfn_t frame, enum frame_owner owner);

/* What a run must satisfy. Zero means "no such condition" for each of the last three. */
struct pmm_run_request {
    size_t frames;       /* how many, at least 1                                          */
    unsigned align_log2; /* first frame is a multiple of 2^align_log2 frames              */
    uint64_t below;      /* every byte lies below this physical address                   */
    uint64_t boundary;   /* no multiple of this many bytes lies inside (a power of two)   */
};

/*
 * A run of contiguous free frames that satisfies the request, for `owner`. A run that exists is
 * always found. Of several, the one that is found quickest: in the 2 MiB block that the last run
 * was cut from, else in the lowest wholly free block, else the lowest anywhere. MEM_NO_FRAME: there
 * is none; MEM_BAD_ARG: zero frames, absurd alignment, or a boundary smaller than the run.
 * Cost: O(levels) while a wholly free block fits it; for more than 1022 frames O(1) when no wholly
 * free block has another or a full word beside it, else O(wholly free blocks); all else is a scan
 * of the broken blocks, a word of bits at a time. With caches, a refusal looks at every cached
 * frame.
 */
enum mem_err pmm_alloc_run(struct pmm *pmm, const struct pmm_run_request *want,
                           enum frame_owner owner, pfn_t *first);

/*
 * One wholly free block of 512 frames, aligned to its size: the large page of PAE and of long mode.
 * The lowest one; PFN_NONE: there is none. Given back by pmm_free_run, whole or in parts.
 */
pfn_t pmm_alloc_block(struct pmm *pmm, enum frame_owner owner);

/* Gives back a whole run or part of one: all of it, or (on any error) none of it. */
enum mem_err pmm_free_run(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner);

/* Takes [first, first + frames), all of it free, out of circulation for `owner`; all or nothing. */
enum mem_err pmm_reserve(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner);

/* True when `frame` is managed and free. */
bool pmm_is_free(const struct pmm *pmm, pfn_t frame);

/*
 * Who holds the frame: OWNER_NONE when it is free or no RAM of ours. Without tags a frame that was
 * given out while the kernel ran answers OWNER_COUNT: somebody.
 */
enum frame_owner pmm_owner(const struct pmm *pmm, pfn_t frame);

/* Frames free now: O(owners). */
uint64_t pmm_free_frames(const struct pmm *pmm);

/* Fills everything in `out` that is kept: O(owners). The runs stay zero. */
void pmm_counts(const struct pmm *pmm, struct pmm_stats *out);

/* The same with the largest run and the runs by order, which are gathered: O(frames / word). */
void pmm_stats(const struct pmm *pmm, struct pmm_stats *out);

/*
 * The longest uniform stretch starting at `frame`: *frames of it are all free (returns true) or
 * all taken or absent (false). Lets a report walk RAM without a loop over frames.
 */
bool pmm_stretch(const struct pmm *pmm, pfn_t frame, uint64_t *frames);

/* True if P1.. of pmm.c hold; reads only. Else *broken names the first that fails. */
bool pmm_holds(const struct pmm *pmm, const char **broken);

/* ---- private to pmm*.c and to the two inline calls; here so that it can be embedded ---------- */

enum {
    PMM_WORD_BITS = 8 * sizeof(vword_t),
    PMM_WORD_SHIFT = sizeof(vword_t) == 4 ? 5 : 6,
    PMM_BLOCK_SHIFT = 9, /* a block is 512 frames: 2 MiB */
    PMM_BLOCK = 1 << PMM_BLOCK_SHIFT,
    PMM_BLOCK_WORDS = PMM_BLOCK / PMM_WORD_BITS,
    PMM_TREE_LEVELS = 6,
};

/* A bit string under summaries: one bit a word, 1 = that word is not zero. */
struct pmm_tree {
    vword_t *level[PMM_TREE_LEVELS];
    uint32_t count; /* bits that are set, the sentinel's too */
    unsigned levels;
};

/* Blocks side by side in RAM, and so in the index. */
struct pmm_span {
    vword_t frame;  /* the first one, a multiple of PMM_BLOCK              */
    vword_t index;  /* its dense index, likewise                           */
    vword_t frames; /* a multiple of PMM_BLOCK                             */
    vword_t *mask;  /* of a mixed span: the frames that circulate; NULL: all */
};

struct pmm_cache;

struct pmm {
    vword_t *low;               /* the leaf word that the next frame comes from      */
    vword_t low_frame;          /* the frame of its bit 0                            */
    vword_t low_block;          /* the block it is in; 0: in none                    */
    vword_t *leaf;              /* one bit a frame, 1 = free; block 0 has none       */
    struct pmm_tree avail;      /* one bit a block: it may have a free frame      */
    struct pmm_span hot;        /* the largest pure span                          */
    vword_t written;            /* so many of its frames have their leaf written  */
    uint64_t held[OWNER_COUNT]; /* given out while running, by owner         */
    struct pmm_tree whole;      /* one bit a block: all 512 frames are free       */
    vword_t *flanked;           /* one bit a whole block: it may have a full word beside it */
    uint32_t flanks;            /* how many of them are set                       */
    vword_t blocks;             /* of the index, the sentinel at its end included */
    vword_t run_next;           /* where the last small run ended, 0: nowhere      */
    bool lost;                  /* a search lost frames to a cache: the trees know */
    const struct pmm_span *spans;
    size_t span_count;
    const struct bootmap *map;
    struct pmm_cache *caches; /* those in front of this manager              */
    uint8_t *tags;            /* an owner a frame, by dense index; PMM_TAGS  */
    uint64_t total;
    uint64_t at_boot[OWNER_COUNT]; /* frames by owner when it was built      */
    uint64_t refused[PMM_REFUSALS];
    size_t metadata_bytes;
};

/* Owners that take and give while the kernel runs. */
static inline bool pmm_may_hold(enum frame_owner owner)
{
    return (unsigned)owner - OWNER_RESERVED_END < OWNER_COUNT - OWNER_RESERVED_END;
}

/* The uncommon rest of the two calls below. */
pfn_t pmm_alloc_slow(struct pmm *pmm, enum frame_owner owner);
enum mem_err pmm_free_slow(struct pmm *pmm, pfn_t frame, enum frame_owner owner);
void pmm_publish(struct pmm *pmm, vword_t index);

/* Does the bit just set, in this word, change anything above the leaf? */
static inline bool pmm_is_news(const struct pmm *pmm, vword_t index, const vword_t *word)
{
    return word < pmm->low || !bit_test(pmm->avail.level[0], index >> PMM_BLOCK_SHIFT) || !~*word;
}

static inline pfn_t pmm_alloc(struct pmm *pmm, enum frame_owner owner)
{
    vword_t *low = pmm->low, word = *low;
    if (!pmm_may_hold(owner))
        return PFN_NONE;
    if (PMM_TAGS || word + 1 <= 1) /* none left, or none taken yet */
        return pmm_alloc_slow(pmm, owner);
    vword_t bit = bit_lowest(word);
    if (!bit_take(low, bit))
        return pmm_alloc_slow(pmm, owner);
    pmm->held[owner]++;
    return PFN(pmm->low_frame + bit);
}

static inline enum mem_err pmm_free(struct pmm *pmm, pfn_t frame, enum frame_owner owner)
{
    vword_t index = frame.v - pmm->hot.frame;
    if (PMM_TAGS || !pmm_may_hold(owner) || index >= pmm->written)
        return pmm_free_slow(pmm, frame, owner);
    index += pmm->hot.index;
    if (bit_give(pmm->leaf, index))
        return pmm_free_slow(pmm, frame, owner);
    pmm->held[owner]--;
    if (pmm_is_news(pmm, index, pmm->leaf + (index >> PMM_WORD_SHIFT)))
        pmm_publish(pmm, index);
    return MEM_OK;
}

#endif
