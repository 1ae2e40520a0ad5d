/* SPDX-License-Identifier: MIT */
/*
 * oom_state.c - what must be as before after every refusal: rules E2 to E4 of oom.c.
 *
 * The heap may keep pages that it has grown by, the frame allocator's cache some frames, and paging
 * a table in hand: before each look all of them let go, so that two looks can be compared.
 *
 * Whose a frame is follows from what is compared, frame by frame: free ones stand in the list of
 * free stretches; page tables and heap pages in the tables, which are the same bytes; and of all
 * others every owner has as many as before. A list that is short, and tables that do not grow with
 * RAM, make a look cost the same on any machine: oom.c leaves little free, and the map of all RAM
 * is looked at on its own (oom_window_digest).
 */
#include <mem/kmalloc.h>
#include <mem/kmap.h>

#include "diag/ledger.h"
#include "diag/oom.h"
#include "kernel.h"
#include "physmap.h"

enum { STRETCHES = 128 };

struct state {
    struct pmm_stats frames;
    vword_t digest[2]; /* of the tables that serve what lies below the physical window; above it */
    size_t tables, regions;
    struct kmap_stats window;
    struct heap_stats heap;
};

static struct state before;

static struct {
    pfn_t first;
    uint64_t frames;
} stretch[STRETCHES]; /* all that was free */
static unsigned stretches;

/* Where there is a map of all RAM its top-level entries are its own. */
static void digest_tables(vword_t digest[2])
{
    vword_t end = physmap.shows_all ? physmap.start : 0;
    vword_t begin = physmap.shows_all ? physmap.start + physmap.bytes : 0;
    digest[0] = end ? paging_digest(&kernel.aspace, VA(0), VA(end - 1)) : 0;
    digest[1] = paging_digest(&kernel.aspace, VA(begin), VA(~(vword_t)0));
}

vword_t oom_window_digest(void)
{
    vaddr_t last = VA(physmap.start + (physmap.bytes - 1));
    return physmap.shows_all ? paging_digest(&kernel.aspace, VA(physmap.start), last) : 0;
}

static struct state look(void)
{
    struct state s = {.regions = kernel.mmio.count};
    kmalloc_trim();
    frames_settle();
    digest_tables(s.digest);
    s.tables = kernel.aspace.tables;
    pmm_counts(&kernel.pmm, &s.frames);
    kmap_stats(&s.window);
    heap_stats(&kernel.heap, &s.heap);
    return s;
}

const char *oom_remember(void)
{
    uint64_t length, end = bootmap_totals(&kernel.map).highest_frame;
    before = look();
    stretches = 0;
    for (uint64_t at = 0; at < end; at += length) {
        if (!pmm_stretch(&kernel.pmm, PFN((vword_t)at), &length))
            continue;
        if (stretches == STRETCHES)
            return "MEM_FULL: free memory is in too many pieces";
        stretch[stretches].first = PFN((vword_t)at);
        stretch[stretches++].frames = length;
    }
    return NULL;
}

/* Each stretch is free, and just as many frames are as they have: so no other is. */
static bool same_frames_are_free(void)
{
    for (unsigned i = 0; i < stretches; i++) {
        uint64_t length;
        if (!pmm_stretch(&kernel.pmm, stretch[i].first, &length) || length < stretch[i].frames)
            return false;
    }
    return true;
}

static bool same_owners(const struct pmm_stats *now)
{
    for (unsigned o = 0; o < OWNER_COUNT; o++) {
        if (now->owners[o] != before.frames.owners[o])
            return false;
    }
    return true;
}

static bool same_tables(const struct state *now)
{
    return now->digest[0] == before.digest[0] && now->digest[1] == before.digest[1] &&
           now->tables == before.tables;
}

const char *oom_difference(void)
{
    const char *broken;
    if (!heap_check(&kernel.heap, &broken))
        return broken;
    struct state now = look();
    if (!same_owners(&now.frames) || !same_frames_are_free())
        return "E2: the same frames are free, and each owner holds as many";
    if (!same_tables(&now))
        return "E3: the page tables are the same bytes";
    if (now.window.live != before.window.live || now.regions != before.regions)
        return "E3: as many slots of the window and regions of devices are used";
    if (now.heap.used != before.heap.used || now.heap.blocks != before.heap.blocks)
        return "E4: the heap has the same blocks in use";
    return ledger_now().broken;
}
