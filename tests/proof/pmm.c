/* SPDX-License-Identifier: MIT */
/*
 * pmm.c - the frame allocator's arithmetic of sizes and places.
 *
 * Which frames of a range can be managed, how long the levels of a tree are, and both searches for
 * a span, which have to end and to stay inside the array whatever the frame is.
 */
#include "bits.h"
#include <mem/pmm.h>

typedef uint64_t key_of(const struct pmm *pmm, size_t i);
static key_of span_frame, span_index, range_frame;

/*@
  // What the search keeps true of its two ends, for each of the keys.
  predicate at_most{L}(struct pmm *p, key_of *key, integer i, integer value) =
    (key == &span_frame ==> p->spans[i].frame <= value) &&
    (key == &span_index ==> p->spans[i].index <= value);
  predicate above{L}(struct pmm *p, key_of *key, integer i, integer value) =
    (key == &span_frame ==> value < p->spans[i].frame) &&
    (key == &span_index ==> value < p->spans[i].index);
*/

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

/*@ requires bits <= 0xffffffff - PMM_WORD_BITS;
    assigns \nothing;
    ensures bits <= PMM_WORD_BITS * \result;
    ensures (PMM_WORD_BITS - 1) * \result <= bits + 7 * (PMM_WORD_BITS - 1);
*/
static size_t tree_words(vword_t bits);

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
    ensures *start < *end ==> *end <= map->ranges[range].last / 4096 + 1;
*/
void pmm_extent(const struct bootmap *map, size_t range, uint64_t *start, uint64_t *end);

/*@ predicate ascending{L}(struct pmm_span *s, integer n) =
      (\forall integer i; 0 <= i < n ==> s[i].frame + s[i].frames <= (vword_t)-1) &&
      \forall integer i, j; 0 <= i < j < n ==> s[i].frame + s[i].frames <= s[j].frame;
*/

/*@ requires \valid_read(pmm) && \valid_read(pmm->spans + i);
    assigns \nothing;
    ensures \result == pmm->spans[i].frame;
*/
static uint64_t span_frame(const struct pmm *pmm, size_t i);

/*@ requires \valid_read(pmm) && \valid_read(pmm->spans + i);
    assigns \nothing;
    ensures \result == pmm->spans[i].index;
*/
static uint64_t span_index(const struct pmm *pmm, size_t i);

/*@ requires \valid_read(pmm) && \valid_read(pmm->map) && \valid_read(pmm->map->ranges + i);
    assigns \nothing;
    ensures \result == pmm->map->ranges[i].start / 4096;
*/
static uint64_t range_frame(const struct pmm *pmm, size_t i);

/*@ requires \valid_read(pmm);
    requires key == &span_frame || key == &span_index || key == &range_frame;
    requires key != &range_frame ==> \valid_read(pmm->spans + (0 .. count - 1));
    requires key == &range_frame ==> \valid_read(pmm->map) &&
        \valid_read(pmm->map->ranges + (0 .. count - 1));
    assigns \nothing;
    ensures count == 0 ? \result == 0 : \result < count;
    ensures \result > 0 ==> at_most(pmm, key, \result, value);
    ensures \result + 1 < count ==> above(pmm, key, \result + 1, value);
*/
static inline size_t last_at_most(const struct pmm *pmm, size_t count, key_of *key, uint64_t value);

/*@ requires \valid_read(pmm) && \valid_read(pmm->spans + (0 .. pmm->span_count - 1));
    requires ascending((struct pmm_span *)pmm->spans, pmm->span_count);
    assigns \nothing;
    ensures \result != \null ==> \valid_read(\result);
    ensures \result != \null ==> \result->frame <= frame;
    ensures \result != \null ==> frame < \result->frame + \result->frames;
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

/*@ requires \valid_read(pmm) && \valid_read(pmm->map) && pmm->map->count > 0;
    requires \valid_read(pmm->map->ranges + (0 .. pmm->map->count - 1));
    assigns \nothing;
    ensures \result != \null ==> \valid_read(\result) && \result->kind == RANGE_USABLE;
    ensures \result != \null ==> \result->start / 4096 <= frame <= \result->last / 4096;
    ensures \result != \null ==> pmm->map->limit != 0 ==> frame < pmm->map->limit / 4096;
*/
const struct boot_range *pmm_boot_range(const struct pmm *pmm, vword_t frame);
