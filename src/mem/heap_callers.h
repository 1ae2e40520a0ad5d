/* SPDX-License-Identifier: MIT */
/*
 * heap_callers.h - numbers of eight bits for those who ask for long blocks. Private to heap*.c.
 *
 * With 32-bit words the header of a long block has no room for its caller, but for a number: where
 * in this table, at the heap's start, the caller stands. With 64-bit words there is no table, and a
 * long block keeps its caller behind its payload (heap_block.h).
 *
 * A caller is entered with its first long block, at one of PROBES places that a hash of it tells,
 * and stays: to know when its last block is gone, each call would have to count. A caller that
 * finds others at all its places has the number 0, as one that is not known. Eight are always
 * named, then those who find room: of 255 addresses drawn at random 205 to 238 in 20,000 draws, of
 * 50 all, or all but one.
 *
 * What is read here is compared or told, never followed: a table that was overwritten spoils names
 * and nothing else. The upper bits of each word are 0, so most of such words name nobody.
 */
#ifndef MEM_HEAP_CALLERS_H
#define MEM_HEAP_CALLERS_H

#include <mem/types.h>

enum {
    CALLER_BITS = 24,
    CALLER_MASK = (1 << CALLER_BITS) - 1,
    NUMBER_BITS = 8,
    CALLERS = 1 << NUMBER_BITS, /* places; nobody stands at 0 */
    PROBES = 8,
};

struct [[gnu::may_alias]] callers {
    uint32_t low[CALLERS]; /* the lower bits of their addresses; 0: there is room */
};

/* The first place for a caller. All its places are behind 0 and before the end. */
static inline unsigned first_place(uint32_t low)
{
    return 1 + (unsigned)((uint64_t)(low * 0x9e3779b9u) * (CALLERS - PROBES) >> 32);
}

/* Its number, and now it has one if there is room. */
static inline unsigned callers_number(struct callers *c, uint32_t low)
{
    unsigned at = first_place(low);
    /*@ loop invariant 1 <= at <= end;
        loop assigns at, c->low[1 .. CALLERS - 1];
        loop variant end - at;
    */
    for (unsigned end = at + PROBES; low && at < end; at++) {
        if (!c->low[at])
            c->low[at] = low;
        if (c->low[at] == low)
            return at;
    }
    return 0;
}

/* The lower bits of who has that number; 0: nobody. */
static inline uint32_t callers_name(const struct callers *c, unsigned number)
{
    return number && c->low[number] <= CALLER_MASK ? c->low[number] : 0;
}

#endif
