/* SPDX-License-Identifier: MIT */
/*
 * heap_damage.h - blocks that lie as the tests of damage want them, before something is
 * overwritten.
 */
#ifndef HEAP_DAMAGE_H
#define HEAP_DAMAGE_H

#include "heap_stage.h"

static uint8_t *a, *b, *c;

/* [a live][b free, in a list][c live][wild */
static inline void leave_free(size_t size)
{
    (void)set_stage(NULL);
    a = get(1200);
    b = get(size);
    c = get(1200);
    put(b);
    holds();
}

/* [a binned][b binned][c live]; b is the next to be taken, and leads to a. */
static inline void leave_binned(void)
{
    (void)set_stage(NULL);
    a = get(100);
    b = get(100);
    c = get(100);
    put(a);
    put(b);
    holds();
}

#endif
