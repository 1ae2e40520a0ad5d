/* SPDX-License-Identifier: MIT */
/*
 * paging_check.c - the invariants of paging.c, as code, and a digest of the tables' bytes: the
 * whole tree, without recursion.
 */
#include <mem/paging.h>

#include "paging_table.h"

/* Where a look at the tree stands: one table on each level, and the entries still to look at. */
struct path {
    pfn_t table[LEVELS + 1];
    unsigned next[LEVELS + 1], end[LEVELS + 1];
    unsigned level; /* of the table found last */
};

/* From the root, by its entries [first, end). */
static struct path path_from(const struct aspace *as, unsigned first, unsigned end)
{
    return (struct path){.table[LEVELS] = paddr_pfn(as->root),
                         .next[LEVELS] = first,
                         .end[LEVELS] = end,
                         .level = LEVELS};
}

/* Is this one of our tables? Adopted ones hang from pinned entries and are not in our count; and
 * what hangs from pinned entries of a space that is not the kernel's is the kernel's. */
static bool descend_into(const struct aspace *as, unsigned level, entry_t e)
{
    bool table = (e & ENTRY_PRESENT) && !entry_is_leaf(level, e);
    bool shared = !as->kernel && e & ENTRY_PINNED;
    return table && !shared && format_table_pfn(e).v != as->adopted.v;
}

/* The next of our tables, depth first, and the entry that leads to it; false: there is no more. */
static bool next_table(const struct aspace *as, struct path *p, entry_t *e)
{
    while (p->level <= LEVELS) {
        if (p->next[p->level] == p->end[p->level]) {
            p->level++;
            continue;
        }
        *e = table_entry(p->table[p->level], p->next[p->level]++);
        if (!descend_into(as, p->level, *e))
            continue;
        p->table[--p->level] = format_table_pfn(*e);
        p->next[p->level] = 0;
        p->end[p->level] = p->level > 1 ? ENTRIES : 0; /* nothing hangs from a leaf */
        return true;
    }
    return false;
}

/* ---- the invariants ----------------------------------------------------------------------- */

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

bool paging_holds(const struct aspace *as, const char **broken)
{
    struct path path = path_from(as, 0, ENTRIES);
    struct census census = {0, NULL};
    entry_t e;
    check_table(as, path.table[LEVELS], true, &census);
    while (!census.broken && next_table(as, &path, &e))
        check_table(as, path.table[path.level], e & ENTRY_PINNED, &census);
    if (!census.broken && census.tables != as->tables)
        census.broken = "T3: tables is the number of tables that this address space owns";
    *broken = census.broken;
    return !census.broken;
}

/* ---- the digest --------------------------------------------------------------------------- */

enum { STRIDE = 8 };
#define PRIME   ((vword_t)16777619) /* as in FNV-1; any odd number has the property below */
#define PRIME_4 (PRIME * PRIME * PRIME * PRIME)

/* For a fixed `digest` no two words give the same, nor two digests for a fixed word: so one word
 * that is another always shows in the end. */
static vword_t digest_word(vword_t digest, entry_t e)
{
    return (digest ^ (e & ~(ENTRY_ACCESSED | ENTRY_DIRTY))) * PRIME;
}

/* Most entries of most tables are zero, and to see that takes a third of the time. */
static vword_t digest_stride(vword_t digest, const entry_t *e)
{
    if (!(e[0] | e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7]))
        return digest * PRIME_4 * PRIME_4;
    for (unsigned i = 0; i < STRIDE; i++)
        digest = digest_word(digest, e[i]);
    return digest;
}

static vword_t digest_table(vword_t digest, pfn_t frame)
{
    const entry_t *table = kmap(frame);
    for (unsigned i = 0; i < ENTRIES; i += STRIDE)
        digest = digest_stride(digest, table + i);
    kunmap(table);
    return digest;
}

vword_t paging_digest(struct aspace *as, vaddr_t from, vaddr_t last)
{
    leaf_drop(as);
    struct path path = path_from(as, level_index(from.v, LEVELS), level_index(last.v, LEVELS) + 1);
    vword_t digest = digest_table(2166136261u, path.table[LEVELS]);
    entry_t e;
    while (next_table(as, &path, &e))
        digest = digest_table(digest, path.table[path.level]);
    return digest;
}
