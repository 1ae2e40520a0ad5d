/* SPDX-License-Identifier: MIT */
/* paging_space.c - address spaces as wholes: made, shared, taken down. */
#include <mem/paging.h>

#include "lib/string.h"
#include "paging_table.h"

enum mem_err paging_create(struct aspace *as, bool kernel, struct frame_source source,
                           const struct paging_features *features)
{
    struct aspace made = {
        .source = source, .features = features, .adopted = PFN_NONE, .kernel = kernel,
        .last = ~(vword_t)0};
    pfn_t root;
    if (!table_take(&made, &root))
        return MEM_NO_FRAME;
    made.root = pfn_paddr(root);
    *as = made;
    return MEM_OK;
}

enum mem_err paging_pin(struct aspace *as, vaddr_t va, size_t bytes)
{
    enum mem_err err = paging_check_virtual(as, va.v, bytes);
    vword_t at = va.v;
    size_t left = bytes;
    while (!err && left) {
        entry_t *table = table_reach(as, at, LEVELS - 1);
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
            table_prune(as, va.v, bytes);
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
    if (!pfn_is_none(as->adopted))
        return MEM_FULL;
    entry_t *table = table_reach(as, va.v, 2);
    if (!table) {
        table_prune(as, va.v, PAGE_SIZE);
        return MEM_NO_FRAME;
    }
    unsigned index = level_index(va.v, 2);
    bool free = !(table[index] & ENTRY_PRESENT);
    if (free) {
        entry_t no_exec = format_leaf(as->features, 1, PA(0), MAP_READ); /* P, and NX if there is */
        set_entry(table, index, format_table(frame, false) | ENTRY_PINNED | no_exec);
        set_live_count(table, live_count(table) + 1);
        as->adopted = frame;
    }
    kunmap(table);
    return free ? MEM_OK : MEM_MAPPED;
}

/* Tables above `from` stay for ever, and their owner counts them: as good as pinned, for `to`. */
enum mem_err paging_share_kernel(struct aspace *to, const struct aspace *kernel, vaddr_t from)
{
    unsigned first = level_index(from.v, LEVELS);
    if (from.v & (level_bytes(LEVELS) - 1))
        return MEM_MISALIGNED;
    entry_t *shared = kmap(paddr_pfn(kernel->root));
    entry_t *root = kmap(paddr_pfn(to->root));
    bool clash = false;
    for (unsigned i = first; i < ENTRIES; i++)
        clash = clash || (root[i] & ENTRY_PRESENT);
    for (unsigned i = first; i < ENTRIES && !clash; i++) {
        if (!(shared[i] & ENTRY_PRESENT))
            continue;
        set_entry(root, i, shared[i] | ENTRY_PINNED);
        set_live_count(root, live_count(root) + 1);
    }
    if (!clash)
        to->last = from.v - 1;
    kunmap(root);
    kunmap(shared);
    return clash ? MEM_MAPPED : MEM_OK;
}

/* A pinned table belongs to the kernel's address space, an adopted one to nobody here. */
static bool is_own_table(const struct aspace *as, unsigned level, entry_t e)
{
    return (e & ENTRY_PRESENT) && !entry_is_leaf(level, e) && (as->kernel || !(e & ENTRY_PINNED)) &&
           format_table_pfn(e).v != as->adopted.v;
}

/* Depth first, with the tables on the way as the stack; a table goes when its last entry is done.
 */
void paging_destroy(struct aspace *as)
{
    leaf_drop(as);
    pfn_t table[LEVELS + 1] = {[LEVELS] = paddr_pfn(as->root)};
    unsigned next[LEVELS + 1] = {0}, level = LEVELS;
    while (level <= LEVELS) {
        if (next[level] == ENTRIES) {
            table_give(as, table[level++]);
            continue;
        }
        entry_t e = table_entry(table[level], next[level]++);
        if (!is_own_table(as, level, e))
            continue;
        table[--level] = format_table_pfn(e);
        next[level] = 0;
    }
    as->root = PA(0);
}
