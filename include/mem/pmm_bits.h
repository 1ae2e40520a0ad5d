/* SPDX-License-Identifier: MIT */
/*
 * pmm_bits.h - one bit of a long bit string, by one instruction each.
 *
 * A bit may be anywhere behind the base: BT and its kin take the whole index when the string is in
 * memory (SDM 2A, "BT"). bit_take and bit_give are locked, so that two CPUs never both win a bit.
 */
#ifndef MEM_PMM_BITS_H
#define MEM_PMM_BITS_H

#include <mem/types.h>

/* As long as any: tells the compiler that more than the first word is read or changed. */
typedef vword_t bit_string[1 << 24];

/* The lowest and the highest set bit of a word that is not zero. */
static inline vword_t bit_lowest(vword_t word)
{
    vword_t bit;
    __asm__("bsf %1, %0" : "=r"(bit) : "rm"(word) : "cc");
    return bit;
}

static inline vword_t bit_highest(vword_t word)
{
    vword_t bit;
    __asm__("bsr %1, %0" : "=r"(bit) : "rm"(word) : "cc");
    return bit;
}

static inline bool bit_test(const vword_t *base, vword_t bit)
{
    bool set;
    __asm__("bt %2, %1" : "=@ccc"(set) : "m"(*(const bit_string *)base), "r"(bit));
    return set;
}

/* Clears the bit, for a string that nobody else is changing. */
static inline void bit_clear(vword_t *base, vword_t bit)
{
    __asm__("btr %1, %0" : "+m"(*(bit_string *)base) : "r"(bit) : "cc");
}

static inline void bit_set(vword_t *base, vword_t bit)
{
    __asm__("bts %1, %0" : "+m"(*(bit_string *)base) : "r"(bit) : "cc");
}

/* The same, and one less in *count if it was set. */
static inline void bit_clear_counted(vword_t *base, vword_t bit, uint32_t *count)
{
    __asm__("btr %2, %0\n\tsbbl $0, %1"
            : "+m"(*(bit_string *)base), "+m"(*count)
            : "r"(bit)
            : "cc");
}

/* Sets the bit, and one more in *count if it was clear. */
static inline void bit_set_counted(vword_t *base, vword_t bit, uint32_t *count)
{
    __asm__("bts %2, %0\n\tsbbl $-1, %1"
            : "+m"(*(bit_string *)base), "+m"(*count)
            : "r"(bit)
            : "cc");
}

/* Clears the bit; true when it was set. */
static inline bool bit_take(vword_t *base, vword_t bit)
{
    bool was_set;
    __asm__ volatile("lock btr %2, %1" : "=@ccc"(was_set), "+m"(*(bit_string *)base) : "r"(bit));
    return was_set;
}

/* Sets the bit; true when it was set already. */
static inline bool bit_give(vword_t *base, vword_t bit)
{
    bool was_set;
    __asm__ volatile("lock bts %2, %1" : "=@ccc"(was_set), "+m"(*(bit_string *)base) : "r"(bit));
    return was_set;
}

#endif
