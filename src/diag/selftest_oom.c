/* SPDX-License-Identifier: MIT */
/*
 * selftest_oom.c - the last frames: memory is taken until just n are left, for fewer and fewer n
 * down to none, and calls that need frames and tables must succeed, or fail and leave every frame
 * where it was.
 *
 *   N1  what so many frames were enough for once, so many are enough for again.
 *   N2  a call that is refused has changed nothing, one that is undone neither.
 */
#include "diag/selftest.h"

#include <mem/kmalloc.h>
#include <mem/kmap.h>

#include "diag/hold.h"
#include "diag/oom.h"
#include "kernel.h"

enum { LEFT_MOST = 48, SCRATCH_PAGES = 64 };

/* Free frames, tables and heap pages: what a failed call must leave alone. */
struct books {
    uint64_t free;
    size_t tables, mapped;
};

static struct books take_books(void)
{
    struct heap_stats h;
    heap_stats(&kernel.heap, &h);
    return (struct books){frames_free(), kernel.aspace.tables, h.mapped};
}

static bool same(const struct books *a, const struct books *b)
{
    return a->free == b->free && a->tables == b->tables && a->mapped == b->mapped;
}

/* Makes the call and undoes it; *took: the frames that it had in between. */
typedef enum mem_err attempt(uint64_t *took);

/* N1: refused although there were as many as it once took, it was refused by somebody else. */
static enum mem_err with_so_many(attempt *call, uint64_t left, uint64_t *enough)
{
    const char *broken;
    uint64_t took = 0;
    struct books before = take_books();
    enum mem_err err = call(&took);
    struct books after = take_books();
    EXPECT(same(&before, &after));
    EXPECT(heap_check(&kernel.heap, &broken));
    EXPECT(err || took <= left);
    if (err)
        return err == MEM_NO_FRAME && left < *enough ? MEM_OK : err;
    if (took < *enough)
        *enough = took;
    return MEM_OK;
}

static enum mem_err with_fewer_and_fewer(attempt *call)
{
    struct hold hold = HOLD_NOTHING;
    uint64_t left = LEFT_MOST, enough = LEFT_MOST;
    enum mem_err err;
    do {
        err = hold_all_but(&hold, left);
        if (!err)
            err = with_so_many(call, left, &enough);
    } while (!err && left--);
    EXPECT(hold_let_go(&hold) == MEM_OK);
    return err;
}

/* ---- mapping --------------------------------------------------------------------------------- */

static vword_t scratch; /* in user space, where tables come and go on both targets */

/* Across the border of a table. */
static enum mem_err map_and_unmap(uint64_t *took)
{
    size_t bytes = (size_t)SCRATCH_PAGES * PAGE_SIZE;
    uint64_t before = frames_free();
    vaddr_t va = VA(scratch - bytes / 2);
    enum mem_err err = map_range(&kernel.aspace, va, PA(0x100000), bytes, MAP_WRITE | MAP_NO_LARGE);
    if (err)
        return err;
    *took = before - frames_free();
    return unmap_range(&kernel.aspace, va, bytes);
}

static enum mem_err mapping_with_the_last_frames(void)
{
    scratch = oom_scratch();
    EXPECT(scratch);
    return with_fewer_and_fewer(map_and_unmap);
}

/* ---- the heap -------------------------------------------------------------------------------- */

static enum mem_err grow_and_trim(uint64_t *took)
{
    uint64_t before = frames_free();
    void *block = kmalloc((size_t)96 << 10);
    *took = before - frames_free();
    kfree(block);
    kmalloc_trim();
    return block ? MEM_OK : MEM_NO_FRAME;
}

/* The heap's end stands just below a border of 2 MiB or 4 MiB when it has to grow. */
static enum mem_err grow_across(size_t border)
{
    void *below = kmalloc(border - ((size_t)160 << 10));
    if (!below)
        return MEM_NO_FRAME;
    kmalloc_trim();
    enum mem_err err = with_fewer_and_fewer(grow_and_trim);
    kfree(below);
    kmalloc_trim();
    return err;
}

static enum mem_err heap_growth_with_the_last_frames(void)
{
    enum mem_err err = MEM_OK;
    kmalloc_trim();
    for (size_t border = (size_t)2 << 20; !err && border <= (size_t)8 << 20; border += 2 << 20) {
        if (frames_free() < (border >> PAGE_SHIFT) + 3 * PMM_BLOCK)
            break; /* a machine with so little RAM has no such border */
        err = grow_across(border);
    }
    return err;
}

const struct selftest selftests_oom[] = {
    {"mapping with the last frames", mapping_with_the_last_frames},
    {"heap growth with the last frames", heap_growth_with_the_last_frames},
    {NULL, NULL},
};
