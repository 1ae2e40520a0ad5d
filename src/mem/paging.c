/* SPDX-License-Identifier: MIT */
/*
 * paging.c - every rule about mappings, once, for both paging modes.
 *
 * A call works in three steps over the same range: check every entry, take every table, then write
 * entries, which cannot fail. An empty table maps nothing, so a call that runs out of frames in
 * the second step takes the empty tables back and nobody can tell that it was made. Work goes
 * table by table: one descent, then a run of entries.
 *
 *   T1  the live count of a table is the number of its present entries.
 *   T2  no table is empty, but the root and the tables below pinned entries.
 *   T3  as->tables is the number of tables that this address space owns.
 *   T4  what was weakened or taken away was flushed before its table or frame could be reused.
 *
 * Which refusal comes first, on both targets: flags, alignment, canonical or wrapping address,
 * physical width, W^X, what is mapped already, frames.
 */
#include <mem/paging.h>

#include "paging_table.h"

static enum mem_err check_physical(const struct aspace *as, paddr_t pa, size_t bytes)
{
    if (pa.v & (PAGE_SIZE - 1))
        return MEM_MISALIGNED;
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
    enum mem_err err = paging_check_virtual(as, va, bytes);
    if (!err)
        err = check_physical(as, pa, bytes);
    return err ? err : paging_check_flags(flags);
}

/* ---- mapping ------------------------------------------------------------------------------ */

static enum mem_err check_unmapped(const struct aspace *as, vword_t va, size_t bytes)
{
    while (bytes) {
        struct spot s = paging_descend(as, va, 1);
        unsigned run = s.level == 1 ? run_length(&s, bytes) : 1;
        bool mapped = false;
        for (unsigned i = 0; i < run && !mapped; i++)
            mapped = s.table[s.index + i] & ENTRY_PRESENT;
        kunmap(s.table);
        if (mapped)
            return MEM_MAPPED;
        size_t done =
            run > 1 ? least((size_t)run << PAGE_SHIFT, bytes) : within_entry(va, s.level, bytes);
        va += done;
        bytes -= done;
    }
    return MEM_OK;
}

/* The level of the largest page that fits here: alignment, what is left, the CPU, and no table in
 * the way (one that is there is pinned or serves neighbours). */
static unsigned choose_level(const struct aspace *as, vword_t va, paddr_t pa, size_t bytes,
                             unsigned flags)
{
    if (flags & MAP_NO_LARGE)
        return 1;
    for (unsigned level = LEVELS; level > 1; level--) {
        if (!format_has_large(as->features, level))
            continue;
        vword_t unit = level_bytes(level);
        if (bytes < unit || ((va | (vword_t)pa.v) & (unit - 1)))
            continue;
        struct spot s = paging_descend(as, va, level);
        bool absent = !(s.table[s.index] & ENTRY_PRESENT);
        kunmap(s.table);
        if (absent)
            return level;
    }
    return 1;
}

/* Entries of `level` from va on that one table can take before another level suits better. */
static size_t stretch(vword_t va, size_t bytes, unsigned level)
{
    if (level > 1)
        return level_bytes(level);
    return within_entry(va, 2, bytes);
}

static void write_leaves(struct aspace *as, entry_t *table, vword_t va, paddr_t pa, size_t bytes,
                         unsigned level, unsigned flags)
{
    unsigned index = level_index(va, level);
    unsigned count = (unsigned)(bytes >> level_shift(level));
    entry_t leaf = format_leaf(as->features, level, pa, flags);
    for (unsigned i = 0; i < count; i++, leaf += (entry_t)level_bytes(level))
        set_entry(table, index + i, leaf);
    set_live_count(table, live_count(table) + count);
}

enum pass { RESERVE, COMMIT };

static enum mem_err map_pass(struct aspace *as, vword_t va, paddr_t pa, size_t bytes,
                             unsigned flags, enum pass pass)
{
    while (bytes) {
        unsigned level = choose_level(as, va, pa, bytes, flags);
        size_t done = stretch(va, bytes, level);
        entry_t *table = table_reach(as, va, level);
        if (!table)
            return MEM_NO_FRAME;
        if (pass == COMMIT)
            write_leaves(as, table, va, pa, done, level, flags);
        kunmap(table);
        va += done;
        pa = paddr_add(pa, done);
        bytes -= done;
    }
    return MEM_OK;
}

enum mem_err map_range(struct aspace *as, vaddr_t va, paddr_t pa, size_t bytes, unsigned flags)
{
    enum mem_err err = check_map(as, va.v, pa, bytes, flags);
    if (!err)
        err = check_unmapped(as, va.v, bytes);
    if (err)
        return err;
    err = map_pass(as, va.v, pa, bytes, flags, RESERVE);
    if (err) {
        table_prune(as, va.v, bytes);
        return err;
    }
    return map_pass(as, va.v, pa, bytes, flags, COMMIT);
}

enum mem_err map_page(struct aspace *as, vaddr_t va, paddr_t pa, unsigned flags)
{
    enum mem_err err = check_map(as, va.v, pa, PAGE_SIZE, flags);
    if (err)
        return err;
    struct spot s = paging_descend(as, va.v, 1);
    bool mapped = s.table[s.index] & ENTRY_PRESENT;
    bool there = s.level == 1;
    if (!mapped && there)
        write_leaves(as, s.table, va.v, pa, PAGE_SIZE, 1, flags);
    kunmap(s.table);
    if (mapped || there)
        return mapped ? MEM_MAPPED : MEM_OK;
    return map_range(as, va, pa, PAGE_SIZE, flags);
}

enum mem_err map_frames(struct aspace *as, vaddr_t va, size_t pages, unsigned flags,
                        pfn_t (*next)(void *ctx), void *ctx)
{
    if (pages > SIZE_MAX >> PAGE_SHIFT)
        return MEM_OUT_OF_RANGE;
    size_t bytes = pages << PAGE_SHIFT;
    enum mem_err err = check_map(as, va.v, PA(0), bytes, flags);
    if (!err)
        err = check_unmapped(as, va.v, bytes);
    if (err)
        return err;
    err = map_pass(as, va.v, PA(0), bytes, flags | MAP_NO_LARGE, RESERVE);
    if (err) {
        table_prune(as, va.v, bytes);
        return err;
    }
    for (vword_t at = va.v; bytes;) {
        struct spot s = paging_descend(as, at, 1);
        unsigned run = run_length(&s, bytes);
        for (unsigned i = 0; i < run; i++)
            set_entry(s.table, s.index + i,
                      format_leaf(as->features, 1, pfn_paddr(next(ctx)), flags));
        set_live_count(s.table, live_count(s.table) + run);
        kunmap(s.table);
        at += (vword_t)run << PAGE_SHIFT;
        bytes -= (size_t)run << PAGE_SHIFT;
    }
    return MEM_OK;
}
