/* SPDX-License-Identifier: MIT */
/* paging_check.c - the invariants of paging.c, as code: the whole tree, without recursion. */
#include <mem/paging.h>

#include "paging_table.h"

/* Where the check stands: one table on each level, and the next entry to look at. */
struct path {
    pfn_t table[LEVELS + 1];
    unsigned next[LEVELS + 1];
};

struct census {
    size_t tables;
    const char *broken;
};

static unsigned present_entries(const entry_t *table)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        count += table[i] & ENTRY_PRESENT;
    return count;
}

/* A table whose parent entry is adopted is somebody else's page: its entries are not counted. */
static void check_table(const struct aspace *as, pfn_t frame, bool may_be_empty,
                        struct census *census)
{
    entry_t *table = kmap(frame);
    bool in_hand = as->leaf.table && as->leaf.frame.v == frame.v;
    unsigned present = present_entries(table);
    if (present != (in_hand ? as->leaf.live : live_count(table)))
        census->broken = "T1: the live count of a table is the number of its present entries";
    else if (!present && !may_be_empty)
        census->broken = "T2: no table is empty, but the root and those below pinned entries";
    kunmap(table);
    census->tables++;
}

/* Is this one of our tables? Adopted ones hang from pinned entries and are not in our count; and
 * what hangs from pinned entries of a space that is not the kernel's is the kernel's. */
static bool descend_into(const struct aspace *as, unsigned level, entry_t e)
{
    bool table = (e & ENTRY_PRESENT) && !entry_is_leaf(level, e);
    bool shared = !as->kernel && e & ENTRY_PINNED;
    return table && !shared && format_table_pfn(e).v != as->adopted.v;
}

bool paging_holds(const struct aspace *as, const char **broken)
{
    struct path path = {0};
    struct census census = {0, NULL};
    unsigned level = LEVELS;
    path.table[level] = paddr_pfn(as->root);
    check_table(as, path.table[level], true, &census);
    while (!census.broken && level <= LEVELS) {
        if (path.next[level] == ENTRIES) {
            level++;
            continue;
        }
        entry_t e = table_entry(path.table[level], path.next[level]++);
        if (!descend_into(as, level, e))
            continue;
        path.table[--level] = format_table_pfn(e);
        path.next[level] = 0;
        check_table(as, path.table[level], e & ENTRY_PINNED, &census);
    }
    if (!census.broken && census.tables != as->tables)
        census.broken = "T3: tables is the number of tables that this address space owns";
    *broken = census.broken;
    return !census.broken;
}
