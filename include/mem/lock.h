/* SPDX-License-Identifier: MIT */
/*
 * lock.h - a lock with interrupts saved off, and a rank.
 *
 * Locks are taken in rising rank: heap before frames, never the other way. Taking one out of order,
 * or twice, panics at once with both names, on the first run and not on the unlucky one. While there
 * is one CPU nobody ever waits; a second CPU adds a spin to lock_take and nothing to its callers.
 */
#ifndef MEM_LOCK_H
#define MEM_LOCK_H

#include <mem/types.h>

enum lock_rank { LOCK_HEAP = 1, LOCK_FRAMES };

struct lock {
    const char *name;
    enum lock_rank rank;
    bool held;
    vword_t irq;              /* interrupts, as they were before        */
    const struct lock *outer; /* the one taken before, still held       */
};

void lock_take(struct lock *lock);
void lock_give(struct lock *lock); /* the one that was taken last */

#endif
