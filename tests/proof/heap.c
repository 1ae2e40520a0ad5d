/* SPDX-License-Identifier: MIT */
/*
 * heap.c - how many units of 16 bytes a payload takes: enough for it and what the heap adds, never
 * one more than that, and no sum on the way that wraps. And the table of callers: whoever asks, and
 * whatever stands in it, nothing outside it is read or written.
 */
#include "bits.h"

/*@ axiomatic sixteen { axiom pow2_4: pow2(4) == 16; } */
/*@ axiomatic word { axiom pow2_word: pow2(32) == 4294967296; } */

#include "src/mem/heap_block.h"

/*@ requires size <= (size_t)-1 / 2;
    assigns \nothing;
    ensures 0 <= \result * UNIT - size - HEADER - (size > SIZE_LOW ? LONG_EXTRA : 0) < UNIT;
*/
static inline size_t units_for(size_t size);

/*@ assigns \nothing;
    ensures 1 <= \result <= CALLERS - PROBES;
*/
static inline unsigned first_place(uint32_t low);

/*@ requires \valid(c);
    assigns c->low[1 .. CALLERS - 1];
    ensures 0 <= \result < CALLERS;
    ensures \result != 0 ==> c->low[\result] == low;
    ensures low == 0 ==> \result == 0;
*/
static inline unsigned callers_number(struct callers *c, uint32_t low);

/*@ requires \valid(c) && number < CALLERS;
    assigns \nothing;
    ensures \result <= CALLER_MASK;
    ensures \result != 0 ==> \result == c->low[number];
*/
static inline uint32_t callers_name(const struct callers *c, unsigned number);
