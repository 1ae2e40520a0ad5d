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

/* Present entries that end the walk, from s on: large pages stop where a table is. */
static unsigned leaf_run(const struct spot *s, unsigned run)
{
    entry_t leaf = ENTRY_PRESENT | (s->level > 1 ? ENTRY_LARGE : 0);
    return same_run(s->table + s->index, run, leaf, leaf);
}

/* MEM_OK: all of it is mapped; *large: some of it by a large page, which may need a split. */
static enum mem_err check_mapped(struct aspace *as, vword_t va, size_t bytes, bool *large)
{
    *large = false;
    while (bytes) {
        struct spot s = spot_at(as, va);
        unsigned run = run_length(&s, va, bytes), mapped = leaf_run(&s, run);
        spot_done(as, &s);
        if (!mapped || (s.level == 1 && mapped < run))
            return MEM_NOT_MAPPED;
        *large = *large || s.level > 1;
        size_t done = run_bytes(&s, va, mapped, bytes);
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
static void split_once(struct aspace *as, struct spot *s, pfn_t frame)
{
    entry_t old = s->table[s->index];
    paddr_t pa = format_leaf_pa(s->level, old);
    unsigned flags = format_flags(as->features, s->level, old);
    entry_t *table = kmap(frame);
    entry_t leaf =
        format_leaf(as->features, s->level - 1, pa, flags) | (old & (ENTRY_ACCESSED | ENTRY_DIRTY));
    write_entries(table, 0, ENTRIES, leaf, (entry_t)level_bytes(s->level - 1));
    set_live_count(table, ENTRIES);
    kunmap(table);
    set_entry(s->table, s->index, format_table(frame, !as->kernel));
}

static void split_at(struct aspace *as, vword_t va, pfn_t *frames, unsigned *used)
{
    bool cut;
    do { /* each turn ends one level lower */
        struct spot s = paging_descend(as, va, 1);
        cut = s.level > 1 && s.table[s.index] & ENTRY_PRESENT && va & (level_bytes(s.level) - 1);
        if (cut)
            split_once(as, &s, frames[(*used)++]);
        kunmap(s.table);
    } while (cut);
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

/*
 * Calls change for every run of leaves, table by table, and unlinks a table when its last entry
 * went; the caller flushes, and then gives what is chained at *gone.
 */
typedef void change_run(struct aspace *as, const struct spot *s, unsigned run, void *ctx);

static void change_leaves(struct aspace *as, vword_t va, size_t bytes, change_run *change,
                          void *ctx, pfn_t *gone)
{
    while (bytes) {
        struct spot s = spot_at(as, va);
        unsigned run = run_length(&s, va, bytes);
        if (s.level > 1) /* up to a table among large pages */
            run = same_run(s.table + s.index, run, ENTRY_LARGE, ENTRY_LARGE);
        change(as, &s, run, ctx);
        bool empty = spot_live(as, &s) == 0;
        spot_done(as, &s);
        if (empty)
            table_unlink_empty(as, va, gone);
        size_t done = run_bytes(&s, va, run, bytes);
        va += done;
        bytes -= done;
    }
}

static enum mem_err prepare_change(struct aspace *as, vword_t va, size_t bytes)
{
    bool large;
    enum mem_err err = check_mapped(as, va, bytes, &large);
    return err || !large ? err : split_ends(as, va, bytes);
}

static void clear_run(struct aspace *as, const struct spot *s, unsigned run, void *ctx)
{
    (void)ctx;
    write_entries(s->table, s->index, run, 0, 0);
    spot_set_live(as, s, spot_live(as, s) - run);
}

/* All of it in one table: no large page to split, no second descent. */
static enum mem_err clear_in_hand(struct aspace *as, vword_t va, size_t bytes, pfn_t *gone)
{
    struct paging_leaf *leaf = &as->leaf;
    unsigned index = (unsigned)leaf_index(leaf, va), run = (unsigned)(bytes >> PAGE_SHIFT);
    if (same_run(leaf->table + index, run, ENTRY_PRESENT, ENTRY_PRESENT) < run)
        return MEM_NOT_MAPPED;
    write_entries(leaf->table, index, run, 0, 0);
    leaf->live -= run;
    if (!leaf->live)
        table_unlink_empty(as, va, gone);
    return MEM_OK;
}

static enum mem_err clear(struct aspace *as, vword_t va, size_t bytes, pfn_t *gone)
{
    enum mem_err err = paging_check_virtual(as, va, bytes);
    if (!err)
        err = prepare_change(as, va, bytes);
    if (!err)
        change_leaves(as, va, bytes, clear_run, NULL, gone);
    return err;
}

enum mem_err unmap_range(struct aspace *as, vaddr_t va, size_t bytes)
{
    pfn_t gone = PFN_NONE;
    enum mem_err err = leaf_covers(&as->leaf, va.v, bytes) ? clear_in_hand(as, va.v, bytes, &gone)
                                                           : clear(as, va.v, bytes, &gone);
    if (err)
        return err;
    paging_flush(as, va.v, bytes);
    table_give_chain(as, gone);
    return MEM_OK;
}

enum mem_err unmap_page_elsewhere(struct aspace *as, vaddr_t va, paddr_t *pa)
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

/* The last page of a table takes the long way: the table goes with it. */
enum mem_err unmap_page(struct aspace *as, vaddr_t va, paddr_t *pa)
{
    struct paging_leaf *leaf = &as->leaf;
    vword_t index = leaf_index(leaf, va.v);
    if (index >= leaf->entries)
        return unmap_page_elsewhere(as, va, pa);
    entry_t e = leaf->table[index];
    if (!(e & ENTRY_PRESENT))
        return MEM_NOT_MAPPED;
    if (--leaf->live == 0) {
        leaf->live = 1;
        return unmap_page_elsewhere(as, va, pa);
    }
    leaf->table[index] = 0;
    if (pa)
        *pa = format_leaf_pa(1, e);
    as->flushes++;
    platform_flush_page(va);
    return MEM_OK;
}

/* The frame stays in the entry until the flush is done; only then may anyone have it. */
static void hide_run(struct aspace *as, const struct spot *s, unsigned run, void *ctx)
{
    (void)as;
    (void)ctx;
    for (unsigned i = 0; i < run; i++)
        s->table[s->index + i] &= ~ENTRY_PRESENT;
}

/* All frames of a large page, too. */
static void give_run(struct aspace *as, const struct spot *s, unsigned run, void *ctx)
{
    const struct frame_source *to = ctx;
    size_t frames = level_bytes(s->level) >> PAGE_SHIFT;
    for (unsigned i = 0; i < run; i++) {
        pfn_t first = paddr_pfn(format_leaf_pa(s->level, s->table[s->index + i]));
        for (size_t n = 0; n < frames; n++)
            to->give(to->ctx, pfn_add(first, n));
    }
    clear_run(as, s, run, NULL);
}

enum mem_err unmap_frames(struct aspace *as, vaddr_t va, size_t pages,
                          const struct frame_source *to)
{
    if (pages > SIZE_MAX >> PAGE_SHIFT)
        return MEM_OUT_OF_RANGE;
    size_t bytes = pages << PAGE_SHIFT;
    enum mem_err err = paging_check_virtual(as, va.v, bytes);
    if (!err)
        err = prepare_change(as, va.v, bytes);
    if (err)
        return err;
    pfn_t gone = PFN_NONE;
    change_leaves(as, va.v, bytes, hide_run, NULL, &gone);
    paging_flush(as, va.v, bytes);
    change_leaves(as, va.v, bytes, give_run, (void *)to, &gone);
    table_give_chain(as, gone);
    return MEM_OK;
}

static void protect_run(struct aspace *as, const struct spot *s, unsigned run, void *ctx)
{
    const unsigned *flags = ctx;
    entry_t bits = format_leaf(as->features, s->level, PA(0), *flags);
    entry_t keep =
        (ENTRY_ADDRESS & ~(level_bytes(s->level) - 1)) | ENTRY_OURS | ENTRY_ACCESSED | ENTRY_DIRTY;
    for (unsigned i = 0; i < run; i++)
        s->table[s->index + i] = (s->table[s->index + i] & keep) | bits;
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
    pfn_t none = PFN_NONE;
    change_leaves(as, va.v, bytes, protect_run, &flags, &none);
    paging_flush(as, va.v, bytes);
    return MEM_OK;
}

enum mem_err protect_page(struct aspace *as, vaddr_t va, unsigned flags)
{
    return protect_range(as, va, PAGE_SIZE, flags);
}
