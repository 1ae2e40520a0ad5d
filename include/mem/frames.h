/* SPDX-License-Identifier: MIT */
/*
 * frames.h - the kernel's one frame allocator: a struct pmm with its lock and this CPU's cache.
 *
 * May be called with interrupts on or off, and with the heap's lock held; not from a handler that
 * may have interrupted it. Errors and costs as in pmm.h and pmm_cache.h.
 */
#ifndef MEM_FRAMES_H
#define MEM_FRAMES_H

#include <mem/pmm_cache.h>

/* Joins `pmm`, which has been built, for good. MEM_ALREADY_INIT the second time. */
enum mem_err frames_init(struct pmm *pmm);

pfn_t frames_take(enum frame_owner owner); /* PFN_NONE when none is left */
enum mem_err frames_give(pfn_t frame, enum frame_owner owner);

enum mem_err frames_take_run(const struct pmm_run_request *want, enum frame_owner owner,
                             pfn_t *first);
enum mem_err frames_give_run(pfn_t first, size_t frames, enum frame_owner owner);

uint64_t frames_free(void);

/* Empties the cache into the trees, for who wants to look at them: reports and invariants. */
void frames_settle(void);

#endif
