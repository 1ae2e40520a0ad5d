/* SPDX-License-Identifier: MIT */
/*
 * pmm.h - the physical memory manager: which frames are free, and whose the others are.
 *
 * Built once from the canonical boot map; the caller supplies the metadata memory, so an instance
 * is a struct and any number can live side by side. Lowest address first. Every call costs
 * O(levels of the summary tree), never O(frames). Not locked: the kernel calls it with its PMM
 * lock held.
 */
#ifndef MEM_PMM_H
#define MEM_PMM_H

#include <mem/bootmap.h>
#include <mem/owner.h>
#include <mem/types.h>

struct pmm; /* defined at the end: public so that it can be embedded, private in use */

enum { PMM_ORDERS = 11 }; /* free runs by order 0..10, as /proc/buddyinfo shows */

struct pmm_stats {
    uint64_t total;    /* usable frames under management: free + used + reserved        */
    uint64_t free;
    uint64_t used;     /* given out and not given back                                  */
    uint64_t reserved; /* owned since boot                                              */
    uint64_t owners[OWNER_COUNT]; /* frames by owner; [OWNER_NONE] is free              */
    uint64_t largest_run;         /* frames in the longest free run                     */
    uint64_t runs[PMM_ORDERS];    /* free aligned blocks of 2^order frames, greedy      */
    uint64_t refused[4]; /* by cause: double free, not held, out of range, bad argument */
    size_t metadata_bytes;
};

/* Bytes of metadata that pmm_init needs for this map; the same map gives the same answer. */
size_t pmm_metadata_bytes(const struct bootmap *map);

/*
 * Builds the manager. `metadata` is at least pmm_metadata_bytes long, 64-byte aligned and ZEROED
 * is not required. MEM_BAD_ARG: too small or misaligned; MEM_NO_FRAME: the map has no usable frame.
 * Cost: O(map entries) time; no leaf is written for untouched memory.
 */
enum mem_err pmm_init(struct pmm *pmm, const struct bootmap *map, void *metadata, size_t bytes);

/* One frame for `owner`, contents undefined, the lowest free one; PFN_NONE when none is free. */
pfn_t pmm_alloc(struct pmm *pmm, enum frame_owner owner);

/*
 * Gives back a frame. MEM_NOT_HELD: it is free already, reserved since boot, or (in builds with
 * tags) held by another owner; MEM_OUT_OF_RANGE: no usable RAM there. Refusals are counted.
 */
enum mem_err pmm_free(struct pmm *pmm, pfn_t frame, enum frame_owner owner);

/* What a run must satisfy. Zero means "no such condition" for each of the last three. */
struct pmm_run_request {
    size_t frames;          /* how many, at least 1                                          */
    unsigned align_log2;    /* first frame is a multiple of 2^align_log2 frames              */
    uint64_t below;         /* every byte lies below this physical address                   */
    uint64_t boundary;      /* no multiple of this many bytes lies inside (a power of two)   */
};

/*
 * The lowest run of contiguous free frames that satisfies the request, for `owner`. A run that
 * exists is always found. MEM_NO_FRAME: there is none; MEM_BAD_ARG: zero frames, absurd alignment,
 * or a boundary smaller than the run.
 */
enum mem_err pmm_alloc_run(struct pmm *pmm, const struct pmm_run_request *want,
                           enum frame_owner owner, pfn_t *first);

/* Gives back a whole run or part of one: all of it, or (on any error) none of it. */
enum mem_err pmm_free_run(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner);

/* Takes [first, first + frames), all of it free, out of circulation for `owner`; all or nothing. */
enum mem_err pmm_reserve(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner);

/* True when `frame` is managed and free. */
bool pmm_is_free(const struct pmm *pmm, pfn_t frame);

/* Counts that are kept: O(1). */
uint64_t pmm_free_frames(const struct pmm *pmm);

/* Counts that must be gathered (largest run, runs by order): O(frames / word) worst. */
void pmm_stats(const struct pmm *pmm, struct pmm_stats *out);

/*
 * The longest uniform stretch starting at `frame`: *frames of it are all free (returns true) or
 * all taken or absent (false). Lets a report walk RAM without a loop over frames.
 */
bool pmm_stretch(const struct pmm *pmm, pfn_t frame, uint64_t *frames);

/* True if P1.. of pmm.c hold; reads only. Else *broken names the first that fails. */
bool pmm_holds(const struct pmm *pmm, const char **broken);

enum { PMM_LEVELS = 8 };

/* Private to pmm*.c; here so that it can be embedded. */
struct pmm {
    const struct bootmap *map;   /* which frames exist, and whose they were at boot     */
    vword_t *base;               /* of each range of the map: its first dense index     */
    vword_t *level[PMM_LEVELS];  /* [0] one bit a frame; above: one bit a word below    */
    vword_t words[PMM_LEVELS];
    unsigned levels;
    vword_t bits;                /* dense indices in use                                */
    uint64_t total, free;
    uint64_t owners[OWNER_COUNT];
    uint64_t refused[4];
    size_t metadata_bytes;
};

#endif
