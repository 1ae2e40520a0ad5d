/* SPDX-License-Identifier: MIT */
/*
 * pmm.c - the frame allocator's arithmetic of sizes and places.
 *
 * Which frames of a range can be managed, how long the levels of a tree are, and both searches for
 * a span, which have to end and to stay inside the array whatever the frame is.
 */
#include "bits.h"
#include "src/mem/pmm_layout.c"

/*@ axiomatic words {
  axiom words_32: pow2(5) == 32;
  axiom words_64: pow2(6) == 64;
  axiom pages: pow2(12) == 4096;
} */

/*@ requires bits <= 0xffffffff - PMM_WORD_BITS;
    assigns \nothing;
    ensures \result == (bits + PMM_WORD_BITS - 1) / PMM_WORD_BITS;
*/
static vword_t words_for(vword_t bits);

/*@ requires \valid_read(map) && \valid_read(map->ranges + (0 .. map->count - 1)) && range < map->count;
    requires \valid(start) && \valid(end) && \separated(start, end);
    requires \separated(start, map) && \separated(end, map);
    requires \separated(start, map->ranges + (0 .. map->count - 1));
    requires \separated(end, map->ranges + (0 .. map->count - 1));
    assigns *start, *end;
    ensures *start <= *end;
    ensures map->limit != 0 ==> *start < *end ==> *end <= map->limit / 4096;
    ensures *start < *end ==> map->ranges[range].kind == RANGE_USABLE;
    ensures *start == map->ranges[range].start / 4096;
*/
void pmm_extent(const struct bootmap *map, size_t range, uint64_t *start, uint64_t *end);

/*@ predicate ascending{L}(struct pmm_span *s, integer n) =
      (\forall integer i; 0 <= i < n ==> s[i].frame + s[i].frames <= FULL) &&
      \forall integer i, j; 0 <= i < j < n ==> s[i].frame + s[i].frames <= s[j].frame;
*/

/*@ requires \valid_read(pmm) && \valid_read(pmm->spans + (0 .. pmm->span_count - 1));
    requires ascending((struct pmm_span *)pmm->spans, pmm->span_count);
    assigns \nothing;
    ensures \result == \null || \valid_read(\result) &&
        \result->frame <= frame < \result->frame + \result->frames;
    ensures \result == \null ==> \forall integer i; 0 <= i < pmm->span_count ==>
        !(pmm->spans[i].frame <= frame < pmm->spans[i].frame + pmm->spans[i].frames);
*/
const struct pmm_span *pmm_span_of_frame(const struct pmm *pmm, vword_t frame);

/*@ requires \valid_read(pmm) && \valid_read(pmm->spans + (0 .. pmm->span_count - 1));
    requires pmm->span_count > 0 && pmm->spans[0].index <= index;
    assigns \nothing;
    ensures \valid_read(\result) && \result->index <= index;
*/
const struct pmm_span *pmm_span_of_index(const struct pmm *pmm, vword_t index);

/*@ requires frames > 0 && \valid(some);
    assigns *some;
    ensures 1 <= *some <= frames && *some <= PMM_WORD_BITS - index % PMM_WORD_BITS;
    ensures *some == frames || *some == PMM_WORD_BITS - index % PMM_WORD_BITS;
*/
static inline vword_t piece(vword_t index, vword_t frames, vword_t *some);
