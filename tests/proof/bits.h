/* SPDX-License-Identifier: MIT */
/*
 * bits.h - what the provers, who think in whole numbers, have to be told about bits.
 *
 * Each axiom is proved on its own, as a bit vector, by bits.py: there pow2(n) is 1 << n. Both
 * languages read this text, so every shift and mask stands in brackets. WP gives a prover a block
 * of axioms when the goal has a word of it, or when the block has no word of its own.
 */
#ifndef PROOF_BITS_H
#define PROOF_BITS_H

#include <stdint.h>

/*@ axiomatic powers {
  logic integer pow2(integer n) reads \nothing;
  logic integer rem(integer x, integer n) reads \nothing; // x % pow2(n), hidden from the provers

  axiom shift_up: \forall integer n; 0 <= n < 64 ==> (1 << n) == pow2(n);
  axiom shift_down: \forall integer x, n; 0 <= x < 18446744073709551616 ==> 0 <= n < 64 ==>
    (x >> n) == x / pow2(n);
  axiom pow2_32: \forall integer n; 0 <= n < 32 ==> 1 <= pow2(n) <= 2147483648;
  axiom pow2_64: \forall integer n; 0 <= n < 64 ==> 1 <= pow2(n) <= 9223372036854775808;
  axiom mask_low64: \forall integer x, m, n; 0 <= x < 18446744073709551616 ==> 0 <= n < 64 ==>
    0 <= m < 18446744073709551616 ==> pow2(n) <= m + 1 ==> m < pow2(n) ==>
    (x & (uint64_t)(m)) == rem(x, n);
  axiom mask_low32: \forall integer x, m, n; 0 <= x < 4294967296 ==> 0 <= n < 32 ==>
    0 <= m < 4294967296 ==> pow2(n) <= m + 1 ==> m < pow2(n) ==>
    (x & (uint32_t)(m)) == rem(x, n);
  axiom rem_small: \forall integer x, n; 0 <= x < 18446744073709551616 ==> 0 <= n < 64 ==>
    0 <= rem(x, n) < pow2(n);
} */

/*@ axiomatic wraps { // a sum or a difference of two words that does not fit
  axiom below32: \forall integer x; -4294967296 <= x < 0 ==> (uint32_t)(x) == x + 4294967296;
  axiom below64: \forall integer x; -18446744073709551616 <= x < 0 ==>
    (uint64_t)(x) == x + 18446744073709551616;
  axiom above32: \forall integer x; 4294967296 <= x < 8589934592 ==>
    (uint32_t)(x) == x - 4294967296;
  axiom above64: \forall integer x; 18446744073709551616 <= x < 36893488147419103232 ==>
    (uint64_t)(x) == x - 18446744073709551616;
} */

/*@ axiomatic masks {
  axiom low5: \forall integer x; 0 <= x < 18446744073709551616 ==> (x & 31) == x % 32;
  axiom low6: \forall integer x; 0 <= x < 18446744073709551616 ==> (x & 63) == x % 64;
  axiom low9: \forall integer x; 0 <= x < 18446744073709551616 ==> (x & 511) == x % 512;
  axiom low10: \forall integer x; 0 <= x < 18446744073709551616 ==> (x & 1023) == x % 1024;
  axiom page_up: \forall integer x; 0 <= x < 18446744073709551616 ==> (x << 12) == x * 4096;
  axiom page_start: \forall uint64_t x; (x & 18446744073709547520) == x - x % 4096;
  axiom page_end: \forall uint64_t x; (x | 4095) == x - x % 4096 + 4095;
  axiom upper_half: \forall integer x; 0 <= x < 18446744073709551616 ==>
    (x & 18446603336221196288) == x - x % 140737488355328;
  axiom upper_sign: \forall integer x; 0 <= x < 18446744073709551616 ==>
    (x & -140737488355328) == x - x % 140737488355328;
} */

#endif
