/* SPDX-License-Identifier: MIT */
/* bootmap_range.h - pages and neighbours. Private to bootmap*.c. */
#ifndef MEM_BOOTMAP_RANGE_H
#define MEM_BOOTMAP_RANGE_H

#include <mem/bootmap.h>

#define PAGE_MASK ((uint64_t)PAGE_SIZE - 1)

/* The first and the last byte of the page that has this one. */
static inline uint64_t page_first(uint64_t at)
{
    return at & ~PAGE_MASK;
}

static inline uint64_t page_last(uint64_t at)
{
    return at | PAGE_MASK;
}

/* Do the two touch, and are they of one kind and owner? */
static inline bool joins(struct boot_range a, struct boot_range b)
{
    return a.last + 1 == b.start && a.kind == b.kind && a.owner == b.owner;
}

/* Puts `now` behind `count` ranges, or into the last if the two join; how many there are then. */
static inline size_t put_behind(struct boot_range *r, size_t count, struct boot_range now)
{
    if (count && joins(r[count - 1], now)) {
        r[count - 1].last = now.last;
        return count;
    }
    r[count] = now;
    /*@ assert stored{Pre, Here}(r, count); */
    return count + 1;
}

#endif
