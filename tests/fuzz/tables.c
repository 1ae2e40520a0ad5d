/* SPDX-License-Identifier: MIT */
/*
 * tables.c - page tables in fake RAM, read by SDM 3A 4.3 and 4.5 alone: no line here is shared with
 * the code under test. On the way every bit is looked at that the manual or the features forbid.
 */
#include "mappings.h"

#include "fake_machine.h"
#include "fuzz.h"

static const uint8_t *table_at(uint64_t table)
{
    uint64_t frame = table / PAGE - FAKE_FIRST;
    CLAIM(frame < FAKE_FRAMES && fake.taken[frame], "a table at %llx, which was not taken",
          (unsigned long long)table);
    return fake.ram[frame];
}

static inline uint64_t entry_of(const uint8_t *table, unsigned index)
{
    return WIDE ? ((const uint64_t *)(const void *)table)[index]
                : ((const uint32_t *)(const void *)table)[index];
}

/* Flags of a leaf; its cache type by way of the PAT (SDM 3A table 12-11). */
static unsigned flags_of(const struct paging_features *f, uint64_t e, bool large)
{
    unsigned pat = large ? e >> 12 & 1 : e >> 7 & 1;
    unsigned index = pat << 2 | (e >> 3 & 3), type = PAGING_PAT_VALUE >> 8 * index & 7;
    CLAIM(f->pat || !pat, "PAT bit without PAT");
    CLAIM(f->nx || !(e >> 63), "NX bit without NX");
    unsigned cache = type == 6   ? MAP_CACHE_WB
                     : type == 4 ? MAP_CACHE_WT
                     : type == 1 ? MAP_CACHE_WC
                                 : MAP_CACHE_UC;
    return cache | (e & 2 ? MAP_WRITE : 0) | (e & 4 ? MAP_USER : 0) |
           (e >> 8 & 1 ? MAP_GLOBAL : 0) | (e >> 63 ? 0 : MAP_EXEC);
}

struct tree {
    const struct aspace *as;
    struct mappings *found;
};

/* Everything below one table into `found`; how many tables that is. */
static size_t read_table(const struct tree *t, uint64_t table, int shift, uint64_t va)
{
    const struct paging_features *f = t->as->features;
    unsigned entries = WIDE ? 512 : 1024;
    uint64_t address = WIDE ? ((1ull << f->phys_bits) - PAGE) : 0xfffff000;
    const uint8_t *raw = table_at(table);
    size_t tables = 1, present = 0;
    for (unsigned i = 0; i < entries; i++) {
        uint64_t e = entry_of(raw, i), here = va + ((uint64_t)i << shift);
        if (!(e & 1)) {
            CLAIM(!(e & ~0xe00ull), "%llx is absent, and more than a count", (unsigned long long)e);
            continue;
        }
        if (WIDE && shift == 39 && i >= 256)
            here |= 0xffff000000000000;
        present++;
        bool large = shift > 12 && e >> 7 & 1;
        if (shift == 12 || large) {
            CLAIM(!large || f->pse || WIDE, "a large page without PSE");
            CLAIM(shift < 39 && (shift < 30 || f->gib_pages), "a page of 2^%d", shift);
            uint64_t low = large ? (1ull << shift) - 1 - 0x1000 : 0;
            CLAIM(!(e & address & low), "reserved bits in %llx", (unsigned long long)e);
            mappings_push(t->found, (struct stretch){here, 1ull << shift,
                                                     e & address & ~(large ? 0x1000ull : 0),
                                                     flags_of(f, e, large)});
        } else {
            CLAIM((e & 2) && !(e & 4) == t->as->kernel && !(e >> 63), "table entry %llx",
                  (unsigned long long)e);
            tables += read_table(t, e & address, shift - (WIDE ? 9 : 10), here);
        }
    }
    CLAIM(present || table == t->as->root.v, "an empty table at %llx", (unsigned long long)va);
    return tables;
}

size_t tables_read(const struct aspace *as, struct mappings *found)
{
    struct tree t = {as, found};
    found->count = 0;
    return read_table(&t, as->root.v, WIDE ? 39 : 22, 0);
}
