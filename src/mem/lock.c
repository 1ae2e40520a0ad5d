/* SPDX-License-Identifier: MIT */
/* lock.c - ranks are checked against the one lock that was taken last, per CPU: one, so far. */
#include <mem/lock.h>

#include <platform.h>

static const struct lock *innermost;

void lock_take(struct lock *lock)
{
    vword_t irq = platform_irq_save();
    if (lock->held)
        platform_panic("lock %s is taken twice", lock->name);
    if (innermost && innermost->rank >= lock->rank)
        platform_panic("lock %s is taken while %s is held: out of order", lock->name,
                       innermost->name);
    lock->held = true;
    lock->irq = irq;
    lock->outer = innermost;
    innermost = lock;
}

void lock_give(struct lock *lock)
{
    if (innermost != lock)
        platform_panic("lock %s is given back, but %s was taken last", lock->name,
                       innermost ? innermost->name : "none");
    innermost = lock->outer;
    lock->held = false;
    platform_irq_restore(lock->irq);
}
