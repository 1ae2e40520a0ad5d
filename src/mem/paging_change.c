/* SPDX-License-Identifier: MIT */
/*
 * paging_change.c - unmapping and new permissions: whatever weakens an entry, and its flush.
 *
 * A range that begins or ends inside a large page splits it first, into smaller pages that say
 * exactly the same; the tables for both ends are taken before either is split. Then entries change
 * table by table, then one flush, and only then do tables and frames go back (T4 of paging.c).
 */
#include <mem/paging.h>

#include <platform.h>

#include "paging_table.h"

enum { SPLITS_MAX = 2 * (LEVELS - 1) };

static enum mem_err check_mapped(const struct aspace *as, vword_t va, size_t bytes)
{
    while (bytes) {
        struct spot s = paging_descend(as, va, 1);
        unsigned run = s.level == 1 ? run_length(&s, bytes) : 1;
        bool mapped = true;
        for (unsigned i = 0; i < run && mapped; i++)
            mapped = s.table[s.index + i] & ENTRY_PRESENT;
        kunmap(s.table);
        if (!mapped)
            return MEM_NOT_MAPPED;
        size_t done =
            run > 1 ? least((size_t)run << PAGE_SHIFT, bytes) : within_entry(va, s.level, bytes);
        va += done;
        bytes -= done;
    }
    return MEM_OK;
}

/* Tables that splitting at `va` takes: one for each level from the leaf's down to where va is a
 * boundary. */
static unsigned splits_at(const struct aspace *as, vword_t va)
{
    struct spot s = paging_descend(as, va, 1);
    bool present = s.table[s.index] & ENTRY_PRESENT;
    kunmap(s.table);
    unsigned count = 0;
    for (unsigned level = s.level; present && level > 1 && va & (level_bytes(level) - 1); level--)
        count++;
    return count;
}

/* One large page becomes a table of the next smaller ones that say exactly the same. */
static void split_once(struct aspace *as, struct spot *s, vword_t va, pfn_t frame)
{
    entry_t old = s->table[s->index];
    paddr_t pa = format_leaf_pa(s->level, old);
    unsigned flags = format_flags(as->features, s->level, old);
    entry_t *table = kmap(frame);
    entry_t leaf =
        format_leaf(as->features, s->level - 1, pa, flags) | (old & (ENTRY_ACCESSED | ENTRY_DIRTY));
    for (unsigned i = 0; i < ENTRIES; i++, leaf += (entry_t)level_bytes(s->level - 1))
        set_entry(table, i, leaf);
    set_live_count(table, ENTRIES);
    kunmap(table);
    set_entry(s->table, s->index, format_table(frame, paging_is_user(as, va)));
}

static void split_at(struct aspace *as, vword_t va, pfn_t *frames, unsigned *used)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        struct spot s = paging_descend(as, va, 1);
        bool cut =
            s.level > 1 && s.table[s.index] & ENTRY_PRESENT && va & (level_bytes(s.level) - 1);
        if (cut)
            split_once(as, &s, va, frames[(*used)++]);
        kunmap(s.table);
        if (!cut)
            return;
    }
}

/* Makes both ends of the range page boundaries of whatever maps them. All tables first. */
static enum mem_err split_ends(struct aspace *as, vword_t va, size_t bytes)
{
    pfn_t frames[SPLITS_MAX];
    vword_t end = va + bytes;
    unsigned first = splits_at(as, va), taken = 0, used = 0;
    unsigned wanted = first + (end ? splits_at(as, end) : 0);
    while (taken < wanted && table_take(as, &frames[taken]))
        taken++;
    if (taken == wanted) {
        split_at(as, va, frames, &used);
        if (end)
            split_at(as, end, frames, &used);
        if (used)
            platform_flush_all();
        as->flushes += used > 0;
    }
    while (taken > used)
        table_give(as, frames[--taken]); /* both ends lay in one page, or there were too few */
    return used || !wanted ? MEM_OK : MEM_NO_FRAME;
}

/* Calls change for every leaf of the range, table by table; change returns the new entry. */
static void change_leaves(struct aspace *as, vword_t va, size_t bytes,
                          entry_t (*change)(const struct aspace *, unsigned level, entry_t,
                                            void *ctx),
                          void *ctx)
{
    while (bytes) {
        struct spot s = paging_descend(as, va, 1);
        unsigned run = run_length(&s, bytes), gone = 0, i = 0;
        for (; i < run; i++) {
            entry_t e = s.table[s.index + i];
            if (s.level > 1 && !(e & ENTRY_LARGE))
                break; /* a table among large pages: descend into it next time */
            entry_t now = change(as, s.level, e, ctx);
            gone += !(now & ENTRY_PRESENT) && e & ENTRY_PRESENT;
            set_entry(s.table, s.index + i, now);
        }
        set_live_count(s.table, live_count(s.table) - gone);
        kunmap(s.table);
        size_t done = least((size_t)i << level_shift(s.level), bytes);
        va += done;
        bytes -= done;
    }
}

static entry_t no_entry(const struct aspace *as, unsigned level, entry_t e, void *ctx)
{
    (void)as;
    (void)level;
    (void)e;
    (void)ctx;
    return 0;
}

static void drop_tables(struct aspace *as, vword_t va, size_t bytes)
{
    pfn_t gone = PFN_NONE;
    vword_t from = va;
    for (size_t left = bytes; left;) {
        table_unlink_empty(as, from, &gone);
        size_t done = within_entry(from, 2, left);
        from += done;
        left -= done;
    }
    paging_flush(as, va, bytes);
    table_give_chain(as, gone);
}

static enum mem_err prepare_change(struct aspace *as, vword_t va, size_t bytes)
{
    enum mem_err err = paging_check_virtual(as, va, bytes);
    if (!err)
        err = check_mapped(as, va, bytes);
    return err ? err : split_ends(as, va, bytes);
}

enum mem_err unmap_range(struct aspace *as, vaddr_t va, size_t bytes)
{
    enum mem_err err = prepare_change(as, va.v, bytes);
    if (err)
        return err;
    change_leaves(as, va.v, bytes, no_entry, NULL);
    drop_tables(as, va.v, bytes);
    return MEM_OK;
}

enum mem_err unmap_page(struct aspace *as, vaddr_t va, paddr_t *pa)
{
    paddr_t was;
    enum mem_err err = paging_check_virtual(as, va.v, PAGE_SIZE);
    if (!err)
        err = translate(as, va, &was);
    if (!err)
        err = unmap_range(as, va, PAGE_SIZE);
    if (!err && pa)
        *pa = was;
    return err;
}

/* The frame stays in the entry until the flush is done; only then may anyone have it. */
static entry_t not_present(const struct aspace *as, unsigned level, entry_t e, void *ctx)
{
    (void)as;
    (void)level;
    (void)ctx;
    return e & ~ENTRY_PRESENT;
}

struct giver {
    void (*give)(void *ctx, pfn_t frame);
    void *ctx;
};

static entry_t hand_on(const struct aspace *as, unsigned level, entry_t e, void *ctx)
{
    (void)as;
    struct giver *giver = ctx;
    giver->give(giver->ctx, paddr_pfn(format_leaf_pa(level, e)));
    return 0;
}

enum mem_err unmap_frames(struct aspace *as, vaddr_t va, size_t pages,
                          void (*give)(void *ctx, pfn_t frame), void *ctx)
{
    if (pages > SIZE_MAX >> PAGE_SHIFT)
        return MEM_OUT_OF_RANGE;
    size_t bytes = pages << PAGE_SHIFT;
    enum mem_err err = prepare_change(as, va.v, bytes);
    if (err)
        return err;
    struct giver giver = {give, ctx};
    change_leaves(as, va.v, bytes, not_present, NULL);
    paging_flush(as, va.v, bytes);
    change_leaves(as, va.v, bytes, hand_on, &giver);
    pfn_t gone = PFN_NONE;
    for (vword_t at = va.v; bytes;) {
        table_unlink_empty(as, at, &gone);
        size_t done = within_entry(at, 2, bytes);
        at += done;
        bytes -= done;
    }
    table_give_chain(as, gone);
    return MEM_OK;
}

static entry_t with_flags(const struct aspace *as, unsigned level, entry_t e, void *ctx)
{
    const unsigned *flags = ctx;
    return format_leaf(as->features, level, format_leaf_pa(level, e), *flags) |
           (e & (ENTRY_ACCESSED | ENTRY_DIRTY));
}

enum mem_err protect_range(struct aspace *as, vaddr_t va, size_t bytes, unsigned flags)
{
    if (flags & ~(unsigned)MAP_FLAGS_ALL)
        return MEM_BAD_ARG;
    enum mem_err err = paging_check_virtual(as, va.v, bytes);
    if (!err)
        err = paging_check_flags(flags);
    if (!err)
        err = prepare_change(as, va.v, bytes);
    if (err)
        return err;
    change_leaves(as, va.v, bytes, with_flags, &flags);
    paging_flush(as, va.v, bytes);
    return MEM_OK;
}

enum mem_err protect_page(struct aspace *as, vaddr_t va, unsigned flags)
{
    return protect_range(as, va, PAGE_SIZE, flags);
}
