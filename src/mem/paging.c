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

#include <platform.h>

#include "lib/string.h"
#include "paging_table.h"

enum { FLUSH_SINGLY = 32, SPLITS_MAX = 2 * (LEVELS - 1) };

struct spot paging_descend(const struct aspace *as, vword_t va, unsigned stop)
{
    struct spot s = {kmap(paddr_pfn(as->root)), LEVELS, level_index(va, LEVELS)};
    while (s.level > stop) {
        entry_t e = s.table[s.index];
        if (!(e & ENTRY_PRESENT) || entry_is_leaf(s.level, e))
            break;
        kunmap(s.table);
        s.table = kmap(format_table_pfn(e));
        s.level--;
        s.index = level_index(va, s.level);
    }
    return s;
}

/* ---- arguments ---------------------------------------------------------------------------- */

static bool canonical(const struct aspace *as, vword_t va)
{
    if (as->features->virt_bits >= 8 * sizeof va)
        return true;
    vword_t high = va >> (as->features->virt_bits - 1);
    return high == 0 || high == ~(vword_t)0 >> (as->features->virt_bits - 1);
}

/* [va, va + bytes): page-aligned, not empty, not the null page, in one canonical half. */
static enum mem_err check_virtual(const struct aspace *as, vword_t va, size_t bytes)
{
    if (!bytes)
        return MEM_BAD_ARG;
    if ((va | bytes) & (PAGE_SIZE - 1))
        return MEM_MISALIGNED;
    if (bytes - 1 > ~(vword_t)0 - va)
        return MEM_OUT_OF_RANGE;
    vword_t last = va + (bytes - 1);
    if (!canonical(as, va) || !canonical(as, last))
        return MEM_NOT_CANONICAL;
    if (va < PAGE_SIZE || (va ^ last) >> (as->features->virt_bits - 1) & (LEVELS == 4))
        return MEM_OUT_OF_RANGE;
    return MEM_OK;
}

static enum mem_err check_flags(unsigned flags)
{
    if (flags & ~(unsigned)MAP_FLAGS_ALL)
        return MEM_BAD_ARG;
    return (flags & MAP_WRITE) && (flags & MAP_EXEC) ? MEM_WX : MEM_OK;
}

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
    enum mem_err err = check_virtual(as, va, bytes);
    if (!err)
        err = check_physical(as, pa, bytes);
    return err ? err : check_flags(flags);
}

/* ---- runs of entries ---------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes from va to the end of what one entry of `level` covers, at most `left`. */
static size_t within_entry(vword_t va, unsigned level, size_t left)
{
    vword_t unit = level_bytes(level);
    return least(unit - (va & (unit - 1)), left);
}

/* How many entries of spot's table, from its index on, the next `left` bytes use. */
static unsigned run_length(const struct spot *s, size_t left)
{
    size_t whole = (left + (level_bytes(s->level) - 1)) >> level_shift(s->level);
    return (unsigned)least(whole, ENTRIES - s->index);
}

/* ---- tables ------------------------------------------------------------------------------- */

static bool take_table(struct aspace *as, pfn_t *out)
{
    pfn_t frame = as->source.take(as->source.ctx);
    if (pfn_is_none(frame))
        return false;
    void *table = kmap(frame);
    memset(table, 0, PAGE_SIZE);
    kunmap(table);
    as->tables++;
    *out = frame;
    return true;
}

static void give_table(struct aspace *as, pfn_t frame)
{
    as->tables--;
    as->source.give(as->source.ctx, frame);
}

/* A user mapping needs U on every level (SDM 3A 4.6); the leaf alone decides in the kernel half. */
static bool is_user(const struct aspace *as, vword_t va)
{
    return !(va >> (as->features->virt_bits - 1)) && !as->kernel;
}

/* Frees the tables on the way to va that have become empty, from the lowest up to the first that
 * is in use or pinned. They are unlinked and chained through *gone, for the caller to flush. */
static void unlink_empty(struct aspace *as, vword_t va, pfn_t *gone)
{
    for (unsigned level = 1; level < LEVELS; level++) {
        struct spot s = paging_descend(as, va, level);
        bool empty = s.level == level && live_count(s.table) == 0;
        bool above = s.level > level; /* the table is gone already: look one level up */
        kunmap(s.table);
        if (above)
            continue;
        if (!empty)
            return;

        struct spot parent = paging_descend(as, va, level + 1);
        entry_t e = parent.table[parent.index];
        if (e & ENTRY_PINNED) {
            kunmap(parent.table);
            return;
        }
        pfn_t frame = format_table_pfn(e);
        set_entry(parent.table, parent.index, 0);
        set_live_count(parent.table, live_count(parent.table) - 1);
        kunmap(parent.table);

        entry_t *table = kmap(frame);
        table[0] = (entry_t)gone->v;
        kunmap(table);
        *gone = frame;
    }
}

static void give_chain(struct aspace *as, pfn_t gone)
{
    while (!pfn_is_none(gone)) {
        entry_t *table = kmap(gone);
        pfn_t next = PFN((vword_t)table[0]);
        kunmap(table);
        give_table(as, gone);
        gone = next;
    }
}

/* The table that holds va's entry of `level`, made with all above it. NULL: no frame; what was
 * made on the way is empty, and the caller takes it back. */
static entry_t *reach(struct aspace *as, vword_t va, unsigned level)
{
    struct spot s = paging_descend(as, va, level);
    while (s.level > level) {
        pfn_t frame;
        if (!take_table(as, &frame)) {
            kunmap(s.table);
            return NULL;
        }
        set_entry(s.table, s.index, format_table(frame, is_user(as, va)));
        set_live_count(s.table, live_count(s.table) + 1);
        kunmap(s.table);
        s.table = kmap(frame);
        s.level--;
        s.index = level_index(va, s.level);
    }
    return s.table;
}

/* ---- flushing ----------------------------------------------------------------------------- */

static void flush(struct aspace *as, vword_t va, size_t bytes)
{
    size_t pages = bytes >> PAGE_SHIFT;
    if (pages > FLUSH_SINGLY) {
        as->flushes++;
        platform_flush_all();
        return;
    }
    for (size_t i = 0; i < pages; i++) {
        as->flushes++;
        platform_flush_page(VA(va + (i << PAGE_SHIFT)));
    }
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
        size_t done = run > 1 ? least((size_t)run << PAGE_SHIFT, bytes)
                              : within_entry(va, s.level, bytes);
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
        entry_t *table = reach(as, va, level);
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

/* Takes back every empty table in the range: after a reservation that failed. */
static void prune(struct aspace *as, vword_t va, size_t bytes)
{
    pfn_t gone = PFN_NONE;
    while (bytes) {
        unlink_empty(as, va, &gone);
        size_t done = LEVELS == 1 ? bytes : within_entry(va, 2, bytes);
        va += done;
        bytes -= done;
    }
    give_chain(as, gone);
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
        prune(as, va.v, bytes);
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
        prune(as, va.v, bytes);
        return err;
    }
    for (vword_t at = va.v; bytes; ) {
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

/* ---- changing and unmapping --------------------------------------------------------------- */

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
        size_t done = run > 1 ? least((size_t)run << PAGE_SHIFT, bytes)
                              : within_entry(va, s.level, bytes);
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
    entry_t leaf = format_leaf(as->features, s->level - 1, pa, flags) |
                   (old & (ENTRY_ACCESSED | ENTRY_DIRTY));
    for (unsigned i = 0; i < ENTRIES; i++, leaf += (entry_t)level_bytes(s->level - 1))
        set_entry(table, i, leaf);
    set_live_count(table, ENTRIES);
    kunmap(table);
    set_entry(s->table, s->index, format_table(frame, is_user(as, va)));
}

static void split_at(struct aspace *as, vword_t va, pfn_t *frames, unsigned *used)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        struct spot s = paging_descend(as, va, 1);
        bool cut = s.level > 1 && s.table[s.index] & ENTRY_PRESENT &&
                   va & (level_bytes(s.level) - 1);
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
    while (taken < wanted && take_table(as, &frames[taken]))
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
        give_table(as, frames[--taken]); /* both ends lay in one page, or there were too few */
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
        unlink_empty(as, from, &gone);
        size_t done = within_entry(from, 2, left);
        from += done;
        left -= done;
    }
    flush(as, va, bytes);
    give_chain(as, gone);
}

static enum mem_err prepare_change(struct aspace *as, vword_t va, size_t bytes)
{
    enum mem_err err = check_virtual(as, va, bytes);
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
    enum mem_err err = check_virtual(as, va.v, PAGE_SIZE);
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
    flush(as, va.v, bytes);
    change_leaves(as, va.v, bytes, hand_on, &giver);
    pfn_t gone = PFN_NONE;
    for (vword_t at = va.v; bytes;) {
        unlink_empty(as, at, &gone);
        size_t done = within_entry(at, 2, bytes);
        at += done;
        bytes -= done;
    }
    give_chain(as, gone);
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
    enum mem_err err = check_virtual(as, va.v, bytes);
    if (!err)
        err = check_flags(flags);
    if (!err)
        err = prepare_change(as, va.v, bytes);
    if (err)
        return err;
    change_leaves(as, va.v, bytes, with_flags, &flags);
    flush(as, va.v, bytes);
    return MEM_OK;
}

enum mem_err protect_page(struct aspace *as, vaddr_t va, unsigned flags)
{
    return protect_range(as, va, PAGE_SIZE, flags);
}

/* ---- address spaces ----------------------------------------------------------------------- */

enum mem_err paging_create(struct aspace *as, bool kernel, struct frame_source source,
                           const struct paging_features *features)
{
    struct aspace made = {
        .source = source, .features = features, .adopted = PFN_NONE, .kernel = kernel};
    pfn_t root;
    if (!take_table(&made, &root))
        return MEM_NO_FRAME;
    made.root = pfn_paddr(root);
    *as = made;
    return MEM_OK;
}

enum mem_err paging_pin(struct aspace *as, vaddr_t va, size_t bytes)
{
    enum mem_err err = check_virtual(as, va.v, bytes);
    vword_t at = va.v;
    size_t left = bytes;
    while (!err && left) {
        entry_t *table = reach(as, at, LEVELS - 1);
        if (table)
            kunmap(table);
        else
            err = MEM_NO_FRAME;
        size_t done = within_entry(at, LEVELS, left);
        at += done;
        left -= done;
    }
    if (err) {
        if (err == MEM_NO_FRAME)
            prune(as, va.v, bytes);
        return err;
    }
    for (at = va.v, left = bytes; left;) {
        struct spot s = paging_descend(as, at, LEVELS);
        s.table[s.index] |= ENTRY_PINNED;
        kunmap(s.table);
        size_t done = within_entry(at, LEVELS, left);
        at += done;
        left -= done;
    }
    return MEM_OK;
}

enum mem_err paging_adopt(struct aspace *as, vaddr_t va, pfn_t frame)
{
    if (va.v & (level_bytes(2) - 1))
        return MEM_MISALIGNED;
    entry_t *table = reach(as, va.v, 2);
    if (!table) {
        prune(as, va.v, PAGE_SIZE);
        return MEM_NO_FRAME;
    }
    unsigned index = level_index(va.v, 2);
    bool free = !(table[index] & ENTRY_PRESENT);
    if (free) {
        set_entry(table, index, format_table(frame, false) | ENTRY_PINNED);
        set_live_count(table, live_count(table) + 1);
        as->adopted = frame;
    }
    kunmap(table);
    return free ? MEM_OK : MEM_MAPPED;
}
