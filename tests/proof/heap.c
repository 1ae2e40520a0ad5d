/* SPDX-License-Identifier: MIT */
/*
 * heap.c - how many units of 16 bytes a payload takes: enough for it and what the heap adds, never
 * one more than that, and no sum on the way that wraps.
 */
#include "bits.h"

/*@ axiomatic sixteen { axiom pow2_4: pow2(4) == 16; } */

#include "src/mem/heap_block.h"

/*@ requires size <= (size_t)-1 / 2;
    assigns \nothing;
    ensures 0 <= \result * UNIT - size - HEADER - (size > SIZE_LOW ? LONG_EXTRA : 0) < UNIT;
*/
static inline size_t units_for(size_t size);
