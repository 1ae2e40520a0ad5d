/* SPDX-License-Identifier: MIT */
/*
 * ledger.c - four sums that must be exact whenever somebody looks.
 *
 *   L1  free, used and reserved add up to the total, and what owners hold to the latter two.
 *   L2  the total is the RAM of the boot map below the limit, and what is reserved for each owner
 *       is what the boot map reserved for it.
 *   L3  page tables own as many frames as the address spaces have tables.
 *   L4  the heap owns as many frames as it has mapped.
 *
 * The boot map, the frame allocator, paging and the heap each count for themselves, so that a frame
 * lost on the way between two of them shows.
 */
#include "diag/ledger.h"

#include "diag/storm.h"
#include "kernel.h"

struct ledger ledger;

static bool adds_up(const struct pmm_stats *s)
{
    uint64_t owned = 0;
    for (enum frame_owner o = OWNER_NONE + 1; o < OWNER_COUNT; o++)
        owned += s->owners[o];
    return s->free <= s->total && s->free + s->used + s->reserved == s->total &&
           owned == s->used + s->reserved && s->owners[OWNER_NONE] == s->free;
}

static bool agrees_with_boot_map(const struct pmm_stats *s)
{
    struct bootmap_totals t = bootmap_totals(&kernel.map);
    bool same = s->total == t.usable_frames;
    for (enum frame_owner o = OWNER_NONE + 1; o < OWNER_RESERVED_END; o++)
        same = same && s->owners[o] == t.owned_frames[o];
    return same;
}

static bool agrees_with_tables(const struct pmm_stats *s)
{
    size_t storms = storm.begun ? storm.space.tables : 0;
    return s->owners[OWNER_TABLE] == kernel.aspace.tables + storms;
}

static bool agrees_with_heap(const struct pmm_stats *s)
{
    struct heap_stats h = {0};
    if (kernel.heap_pages.take) /* it has begun */
        heap_stats(&kernel.heap, &h);
    return s->owners[OWNER_HEAP] == h.mapped >> PAGE_SHIFT;
}

struct ledger_stage ledger_now(void)
{
    struct ledger_stage now = {.after = "now"};
    pmm_counts(&kernel.pmm, &now.frames);
    if (!adds_up(&now.frames))
        now.broken = "L1: free, used and reserved add up to the total";
    else if (!agrees_with_boot_map(&now.frames))
        now.broken = "L2: the total and the reserved frames are those of the boot map";
    else if (!agrees_with_tables(&now.frames))
        now.broken = "L3: page tables own as many frames as there are tables";
    else if (!agrees_with_heap(&now.frames))
        now.broken = "L4: the heap owns as many frames as it has mapped";
    return now;
}

bool ledger_note(const char *after)
{
    unsigned i = 0;
    while (i < ledger.count && ledger.stage[i].after != after)
        i++;
    if (i == LEDGER_STAGES)
        return false;
    ledger.stage[i] = ledger_now();
    ledger.stage[i].after = after;
    ledger.count += i == ledger.count;
    return !ledger.stage[i].broken;
}
