/* SPDX-License-Identifier: MIT */
/*
 * kmap.h - any physical frame, as a pointer, for a moment.
 *
 * Two files give these names; arch.mk picks one (PHYSMAP = kmap | hhdm). kmap.c keeps a window of
 * page-table slots at the top of the address space: calls nest, a guard slot lies between any two
 * live ones, and misuse is reported. hhdm.c adds a constant: all RAM is mapped for good.
 * Code written for the window (every kmap has its kunmap) is right on both.
 */
#ifndef MEM_KMAP_H
#define MEM_KMAP_H

#include <mem/types.h>

/*
 * At the first C line. kmap.c: the window's address, its page table (mapped, and part of whatever
 * tables are loaded) and how many entries it has. hhdm.c: the address that shows physical 0.
 */
void physmap_init(vaddr_t window, void *table, size_t entries);

/*
 * A writable pointer to the 4096 bytes of `frame`, valid until kunmap. Running out of slots is a
 * bug of ours (nesting is bounded and small): panic, naming the callers that hold the slots.
 * Cost: one addition (hhdm); find a slot, write an entry, one invlpg (kmap).
 */
void *kmap(pfn_t frame);

/* Takes back a pointer from kmap (any address within the page). Unbalanced use is reported. */
void kunmap(const void *ptr);

struct kmap_stats {
    unsigned slots;    /* 0 with hhdm */
    unsigned live;     /* mapped now */
    unsigned peak;
    unsigned refused;  /* kunmap of what was not mapped */
};
void kmap_stats(struct kmap_stats *out);

/* Calls report(slot, frame, caller) for each live slot; nothing to report with hhdm. */
void kmap_each_live(void (*report)(unsigned slot, pfn_t frame, const void *caller, void *ctx),
                    void *ctx);

#endif
