/* SPDX-License-Identifier: MIT */
/*
 * paging.c - the arithmetic of a page walk: which entry serves an address, and what it covers.
 *
 * unit(l) is what one entry of level l covers. That an index names the right entry is `split`: the
 * indices of all levels and the offset add up to the address, so that two addresses of the same
 * page differ in the offset and all others in an index.
 */
#include "bits.h"
#include "src/mem/paging_table.h"

#if __SIZEOF_POINTER__ == 4
#include "src/mem/paging32.c"
#else
#include "src/mem/paging64.c"
#endif

/*@ logic integer unit(integer level) = pow2(12 + (level - 1) * INDEX_BITS);
    logic integer inside(integer va, integer level) = rem(va, 12 + (level - 1) * INDEX_BITS); */

/*@ axiomatic sizes {
  axiom pow2_9: pow2(9) == 512;
  axiom pow2_10: pow2(10) == 1024;
  axiom pow2_12: pow2(12) == 4096;
  axiom pow2_21: pow2(21) == 2097152;
  axiom pow2_22: pow2(22) == 4194304;
  axiom pow2_30: pow2(30) == 1073741824;
  axiom pow2_39: pow2(39) == 549755813888;
  axiom pow2_47: pow2(47) == 140737488355328;
}
  lemma halves: \forall integer x; x / pow2(47) == x / 140737488355328;
*/

/*@ requires 1 <= level <= LEVELS;
    assigns \nothing;
    ensures \result == 12 + (level - 1) * INDEX_BITS && \result < 8 * sizeof(vword_t);
*/
static inline unsigned level_shift(unsigned level);

/*@ requires 1 <= level <= LEVELS;
    assigns \nothing;
    ensures \result == unit(level);
*/
static inline vword_t level_bytes(unsigned level);

/*@ requires 1 <= level <= LEVELS;
    assigns \nothing;
    ensures \result == va / unit(level) % ENTRIES;
*/
static inline unsigned level_index(vword_t va, unsigned level);

/*@ requires 1 <= level <= LEVELS && 1 <= left;
    assigns \nothing;
    ensures 1 <= \result <= left;
    ensures \result == unit(level) - inside(va, level) || \result == left;
    ensures \result <= unit(level) - inside(va, level);
*/
static inline size_t within_entry(vword_t va, unsigned level, size_t left);

/*@ assigns \nothing; ensures \result == (a < b ? a : b); */
static inline size_t least(size_t a, size_t b);

#if __SIZEOF_POINTER__ == 4
/*@ lemma split: \forall integer va; 0 <= va < 4294967296 ==>
      va == (va / 4194304 % 1024) * 4194304 + (va / 4096 % 1024) * 4096 + va % 4096; */
#else
/*@ lemma split: \forall integer va; 0 <= va < 281474976710656 ==>
      va == (va / 549755813888 % 512) * 549755813888 + (va / 1073741824 % 512) * 1073741824 +
        (va / 2097152 % 512) * 2097152 + (va / 4096 % 512) * 4096 + va % 4096; */
#endif
