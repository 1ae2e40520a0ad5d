/* SPDX-License-Identifier: MIT */
/*
 * selftest_oom.c - the last frames: memory is taken until just n are left, for every n from none
 * on, and calls that need frames and tables must succeed, or fail and leave every frame where it
 * was.
 *
 * What is taken stands in two chains, whole blocks and single frames, each held frame saying which
 * comes next, so that RAM of any size can be held without a list.
 */
#include "diag/selftest.h"

#include <mem/kmalloc.h>
#include <mem/kmap.h>

#include "kernel.h"
#include "layout.h"

enum { LEFT_MOST = 40, SCRATCH_PAGES = 64 };

/* Across the border of a table, and of the one above it on i386. */
#define SCRATCH_VA ((vword_t)(MMIO_START + MMIO_BYTES - (12u << 20)))

struct chain {
    pfn_t first;
};
static struct chain blocks, singles;

static void push(struct chain *c, pfn_t frame)
{
    pfn_t *next = kmap(frame);
    *next = c->first;
    kunmap(next);
    c->first = frame;
}

static pfn_t pop(struct chain *c)
{
    pfn_t frame = c->first;
    if (pfn_is_none(frame))
        return frame;
    pfn_t *next = kmap(frame);
    c->first = *next;
    kunmap(next);
    return frame;
}

/* Holds everything but `left` frames. */
static void hold_all_but(uint64_t left)
{
    blocks.first = singles.first = PFN_NONE;
    for (pfn_t f; frames_free() >= left + PMM_BLOCK;) {
        f = pmm_alloc_block(&kernel.pmm, OWNER_TEST);
        if (pfn_is_none(f))
            break;
        push(&blocks, f);
    }
    while (frames_free() > left)
        push(&singles, frames_take(OWNER_TEST));
}

static bool let_go(void)
{
    bool all = true;
    for (pfn_t f; !pfn_is_none(f = pop(&singles));)
        all = frames_give(f, OWNER_TEST) == MEM_OK && all;
    for (pfn_t f; !pfn_is_none(f = pop(&blocks));)
        all = frames_give_run(f, PMM_BLOCK, OWNER_TEST) == MEM_OK && all;
    return all;
}

/* Free frames, tables and heap pages: what a failed call must leave alone. */
struct ledger {
    uint64_t free;
    size_t tables, mapped;
};

static struct ledger take_ledger(void)
{
    struct heap_stats h;
    heap_stats(&kernel.heap, &h);
    return (struct ledger){frames_free(), kernel.aspace.tables, h.mapped};
}

static bool same(const struct ledger *a, const struct ledger *b)
{
    return a->free == b->free && a->tables == b->tables && a->mapped == b->mapped;
}

/* ---- mapping ----------------------------------------------------------------------------------
 */

static bool map_with(uint64_t left, bool *mapped)
{
    hold_all_but(left);
    struct ledger before = take_ledger();
    size_t bytes = (size_t)SCRATCH_PAGES * PAGE_SIZE;
    vaddr_t va = VA(SCRATCH_VA - bytes / 2);
    enum mem_err err = map_range(&kernel.aspace, va, PA(0x100000), bytes, MAP_WRITE | MAP_NO_LARGE);
    *mapped = err == MEM_OK;
    if (*mapped)
        err = unmap_range(&kernel.aspace, va, bytes);
    struct ledger after = take_ledger();
    bool good = same(&before, &after) && (*mapped ? err == MEM_OK : err == MEM_NO_FRAME);
    good = let_go() && good;
    EXPECT(good);
    return true;
}

static bool mapping_with_the_last_frames(void)
{
    bool mapped = false;
    for (uint64_t left = 0; left <= LEFT_MOST; left++) {
        bool before = mapped;
        if (!map_with(left, &mapped))
            return false;
        EXPECT(mapped || !before); /* what n frames were enough for, n + 1 are */
    }
    EXPECT(mapped);
    return true;
}

/* ---- the heap ---------------------------------------------------------------------------------
 */

static bool grow_with(uint64_t left, size_t bytes, bool *grown)
{
    hold_all_but(left);
    struct ledger before = take_ledger();
    void *block = kmalloc(bytes);
    *grown = block != NULL;
    kfree(block);
    heap_trim(&kernel.heap);
    struct ledger after = take_ledger();
    bool good = same(&before, &after);
    const char *broken;
    good = let_go() && heap_check(&kernel.heap, &broken) && good;
    EXPECT(good);
    return true;
}

/* The heap's end stands just below a border of 2 MiB or 4 MiB when it has to grow. */
static bool heap_growth_with_the_last_frames(void)
{
    heap_trim(&kernel.heap);
    for (size_t border = (size_t)2 << 20; border <= (size_t)8 << 20; border += (size_t)2 << 20) {
        if (frames_free() < (border >> PAGE_SHIFT) + 3 * PMM_BLOCK)
            return true; /* a machine with so little RAM has no such border */
        void *below = kmalloc(border - ((size_t)160 << 10));
        bool grown = false;
        EXPECT(below);
        heap_trim(&kernel.heap);
        for (uint64_t left = 0; left <= LEFT_MOST + 32; left += left < LEFT_MOST ? 1 : 8) {
            if (!grow_with(left, (size_t)96 << 10, &grown))
                return false;
        }
        kfree(below);
        heap_trim(&kernel.heap);
        EXPECT(grown);
    }
    return true;
}

const struct selftest selftests_oom[] = {
    {"mapping with the last frames", mapping_with_the_last_frames},
    {"heap growth with the last frames", heap_growth_with_the_last_frames},
    {"every frame of every call missing in turn", oom_every_point},
    {NULL, NULL},
};
