/* SPDX-License-Identifier: MIT */
/* bytes.h - numbers made of bytes: as bits.h, for those who need no more. */
#ifndef PROOF_BYTES_H
#define PROOF_BYTES_H

#include <stdint.h>

/*@ axiomatic bytes {
  axiom join8{L}: \forall uint8_t *p, *q; (*p | (uint32_t)(*q << 8)) == *p + 256 * *q;
  axiom join16: \forall integer a, b, c, d; 
    0 <= a < 256 ==> 0 <= b < 256 ==> 0 <= c < 256 ==> 0 <= d < 256 ==>
    ((a + 256 * b) | (uint32_t)((c + 256 * d) << 16)) == a + 256 * b + 65536 * c + 16777216 * d;
  axiom join32: \forall integer a, b; 0 <= a < 4294967296 ==> 0 <= b < 4294967296 ==>
    (a | (uint64_t)(b << 32)) == a + 4294967296 * b;
  axiom clear3: \forall integer x; 0 <= x < 4294967296 ==> (x & 4294967288) == x - x % 8;
} */

#endif
