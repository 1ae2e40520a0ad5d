/* SPDX-License-Identifier: MIT */
/*
 * paging.c - every rule about mappings, once, for both paging modes.
 *
 * A call works in three steps over the same range: check every entry, take every table, then write
 * entries, which cannot fail. An empty table maps nothing, so a call that runs out of frames in
 * the second step takes the empty tables back and nobody can tell that it was made. Work goes
 * table by table: one descent, then a run of entries; and the level-1 table of the last run stays
 * in hand (as->leaf), so that the next page in it costs neither walk nor kmap.
 *
 *   T1  the live count of a table is the number of its present entries; the count of the table
 *       in hand is in as->leaf.
 *   T2  no table is empty, but the root and the tables below pinned entries.
 *   T3  as->tables is the number of tables that this address space owns.
 *   T4  what was weakened or taken away was flushed before its table or frame could be reused.
 *   T5  the table in hand is one of this tree: whatever unlinks a table drops it first.
 *
 * Which refusal comes first, on both targets: flags, alignment, canonical or wrapping address,
 * physical width, W^X, what is mapped already, frames.
 */
#include <mem/paging.h>

#include <platform.h>

#include "paging_table.h"

static enum mem_err check_physical(const struct aspace *as, paddr_t pa, size_t bytes)
{
    uint64_t limit = 1ull << as->features->phys_bits;
    return pa.v >= limit || bytes > limit - pa.v ? MEM_OUT_OF_RANGE : MEM_OK;
}

static enum mem_err check_map(const struct aspace *as, vword_t va, paddr_t pa, size_t bytes,
                              unsigned flags)
{
    if (flags & ~(unsigned)MAP_FLAGS_ALL)
        return MEM_BAD_ARG;
    if (pa.v & (PAGE_SIZE - 1))
        return MEM_MISALIGNED;
    enum mem_err err = MEM_OK;
    if (!leaf_covers(&as->leaf, va, bytes)) /* what a table serves was an address before */
        err = paging_check_virtual(as, va, bytes);
    if (!err)
        err = check_physical(as, pa, bytes);
    return err ? err : paging_check_flags(flags);
}

/* ---- mapping ------------------------------------------------------------------------------ */

static bool any_present(const struct spot *s, unsigned run)
{
    return same_run(s->table + s->index, run, ENTRY_PRESENT, 0) < run;
}

static enum mem_err check_unmapped(struct aspace *as, vword_t va, size_t bytes)
{
    while (bytes) {
        struct spot s = spot_at(as, va);
        unsigned run = run_length(&s, va, bytes);
        bool empty = spot_live(as, &s) == 0;
        if (!empty && s.level > 1)
            run = 1; /* what comes next may be a table */
        bool mapped = !empty && any_present(&s, run);
        spot_done(as, &s);
        if (mapped)
            return MEM_MAPPED;
        size_t done = run_bytes(&s, va, run, bytes);
        va += done;
        bytes -= done;
    }
    return MEM_OK;
}

/* The level of the largest page that fits at va, at most `level`: a table that is there already is
 * pinned or serves neighbours. Alignment, what is left, and the CPU have their say. */
static unsigned largest_fit(const struct aspace *as, vword_t va, paddr_t pa, size_t bytes,
                            unsigned level)
{
    vword_t both = va | (vword_t)pa.v;
    for (; level > 1; level--) {
        vword_t unit = level_bytes(level);
        if (bytes >= unit && !(both & (unit - 1)) && format_has_large(as->features, level))
            break;
    }
    return level;
}

/* A run of pages of one size in one table: where the next piece of a mapping goes. */
static unsigned free_run(const struct aspace *as, const struct spot *s, size_t bytes)
{
    unsigned run = (unsigned)least(bytes >> level_shift(s->level), ENTRIES - s->index);
    if (s->level == 1 || spot_live(as, s) == 0)
        return run;
    return same_run(s->table + s->index, run, ENTRY_PRESENT, 0);
}

static void write_leaves(struct aspace *as, const struct spot *s, paddr_t pa, unsigned run,
                         unsigned flags)
{
    entry_t leaf = format_leaf(as->features, s->level, pa, flags);
    write_entries(s->table, s->index, run, leaf, (entry_t)level_bytes(s->level));
    spot_set_live(as, s, spot_live(as, s) + run);
}

enum pass { RESERVE, COMMIT };

static enum mem_err map_pass(struct aspace *as, vword_t va, paddr_t pa, size_t bytes,
                             unsigned flags, enum pass pass)
{
    while (bytes) {
        struct spot s = spot_at(as, va);
        unsigned level = flags & MAP_NO_LARGE ? 1 : largest_fit(as, va, pa, bytes, s.level);
        if (s.level > level && !spot_reach(as, &s, va, level)) {
            spot_done(as, &s);
            return MEM_NO_FRAME;
        }
        unsigned run = free_run(as, &s, bytes);
        if (pass == COMMIT)
            write_leaves(as, &s, pa, run, flags);
        spot_done(as, &s);
        size_t done = (size_t)run << level_shift(level);
        va += done;
        pa = paddr_add(pa, done);
        bytes -= done;
    }
    return MEM_OK;
}

/* Everything but the entries: they can be written now without fail. */
static enum mem_err prepare_map(struct aspace *as, vword_t va, size_t bytes, paddr_t pa,
                                unsigned flags)
{
    enum mem_err err = check_unmapped(as, va, bytes);
    if (err)
        return err;
    leaf_set_flags(as, flags);
    err = map_pass(as, va, pa, bytes, flags, RESERVE);
    if (err)
        table_prune(as, va, bytes);
    return err;
}

/* All of it in one table that is there: nothing to reserve. */
static enum mem_err map_in_hand(struct aspace *as, vword_t va, paddr_t pa, size_t bytes,
                                unsigned flags)
{
    struct paging_leaf *leaf = &as->leaf;
    unsigned index = (unsigned)leaf_index(leaf, va), run = (unsigned)(bytes >> PAGE_SHIFT);
    if (same_run(leaf->table + index, run, ENTRY_PRESENT, 0) < run)
        return MEM_MAPPED;
    leaf_set_flags(as, flags);
    write_entries(leaf->table, index, run, (entry_t)pa.v | leaf->bits, PAGE_SIZE);
    leaf->live += run;
    return MEM_OK;
}

enum mem_err map_range(struct aspace *as, vaddr_t va, paddr_t pa, size_t bytes, unsigned flags)
{
    enum mem_err err = check_map(as, va.v, pa, bytes, flags);
    if (err)
        return err;
    if (!leaf_covers(&as->leaf, va.v, bytes))
        leaf_find(as, va.v);
    if (leaf_covers(&as->leaf, va.v, bytes))
        return map_in_hand(as, va.v, pa, bytes, flags);
    err = prepare_map(as, va.v, bytes, pa, flags);
    return err ? err : map_pass(as, va.v, pa, bytes, flags, COMMIT);
}

enum mem_err map_page_elsewhere(struct aspace *as, vaddr_t va, paddr_t pa, unsigned flags)
{
    return map_range(as, va, pa, PAGE_SIZE, flags);
}

/* In the table in hand, with the flags of the last mapping in it, little is left to check. */
enum mem_err map_page(struct aspace *as, vaddr_t va, paddr_t pa, unsigned flags)
{
    struct paging_leaf *leaf = &as->leaf;
    vword_t index = leaf_index(leaf, va.v);
    bool simple = index < leaf->entries && flags == leaf->flags && pa.v == (vword_t)pa.v &&
                  !((vword_t)pa.v & leaf->refused);
    if (!simple)
        return map_page_elsewhere(as, va, pa, flags);
    entry_t *entry = &leaf->table[index];
    if (*entry & ENTRY_PRESENT)
        return MEM_MAPPED;
    *entry = (entry_t)pa.v | leaf->bits;
    leaf->live++;
    return MEM_OK;
}

/* Entries of s for frames as they come; how many came. */
static unsigned write_frames(struct aspace *as, const struct spot *s, unsigned run, unsigned flags,
                             const struct frame_source *from)
{
    entry_t bits = format_leaf(as->features, 1, PA(0), flags);
    unsigned done = 0;
    for (pfn_t f; done < run && !pfn_is_none(f = from->take(from->ctx)); done++)
        set_entry(s->table, s->index + done, (entry_t)pfn_paddr(f).v | bits);
    spot_set_live(as, s, spot_live(as, s) + done);
    return done;
}

/* The frames ran out: what is mapped from va on goes back, and the tables that map nothing. */
static enum mem_err take_frames_back(struct aspace *as, vaddr_t va, size_t mapped, size_t pages,
                                     const struct frame_source *to)
{
    if (mapped && unmap_frames(as, va, mapped, to))
        platform_panic("T1: of pages just mapped at 0x%zx some are not", (size_t)va.v);
    table_prune(as, va.v, pages << PAGE_SHIFT);
    return MEM_NO_FRAME;
}

enum mem_err map_frames(struct aspace *as, vaddr_t va, size_t pages, unsigned flags,
                        const struct frame_source *from)
{
    if (pages > SIZE_MAX >> PAGE_SHIFT)
        return MEM_OUT_OF_RANGE;
    size_t bytes = pages << PAGE_SHIFT;
    enum mem_err err = check_map(as, va.v, PA(0), bytes, flags);
    if (!err)
        err = prepare_map(as, va.v, bytes, PA(0), flags | MAP_NO_LARGE);
    if (err)
        return err;
    for (size_t done = 0; done < pages;) {
        vword_t at = va.v + (done << PAGE_SHIFT);
        struct spot s = spot_at(as, at);
        unsigned run = run_length(&s, at, (pages - done) << PAGE_SHIFT);
        unsigned came = write_frames(as, &s, run, flags, from);
        spot_done(as, &s);
        done += came;
        if (came < run)
            return take_frames_back(as, va, done, pages, from);
    }
    return MEM_OK;
}
