/* SPDX-License-Identifier: MIT */
/*
 * test_paging.c - both paging modes from one text: 32 bits with paging32.c, 64 with paging64.c.
 *
 * The oracle is a walker of its own, written from SDM 3A 4.3 and 4.5, that reads fake RAM, and an
 * array that says what should be mapped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>
#include <mem/paging.h>

#include "fake_machine.h"

enum { WIDE = sizeof(void *) == 8, PAGE = 4096, MODEL_PAGES = 3072 };
#define LARGE ((vword_t)(WIDE ? 2 : 4) << 20)
#define BASE  ((vword_t)(WIDE ? 0xffffc00000000000ull : 0xd0000000u)) /* a kernel address */

static const struct paging_features everything = {
    .pse = true,
    .pge = true,
    .pat = true,
    .nx = WIDE,
    .gib_pages = WIDE,
    .wp = true,
    .phys_bits = WIDE ? 40 : 32,
    .virt_bits = WIDE ? 48 : 32,
};
static const struct paging_features nothing = {
    .pse = WIDE,
    .wp = true,
    .phys_bits = WIDE ? 40 : 32,
    .virt_bits = WIDE ? 48 : 32,
};

static struct aspace as;

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    return paging_create(&as, true, fake_source, &everything) != MEM_OK;
}

/* Whatever a test did: tables add up, every kmap came back, invariants hold. */
static int tear_down(void **state)
{
    (void)state;
    const char *broken;
    fake.fail_after = UINT_MAX;
    assert_true(paging_holds(&as, &broken));
    assert_int_equal(fake.kmaps, as.leaf.table != NULL); /* the table in hand */
    assert_int_equal(fake.taken_count, as.tables);
    paging_destroy(&as);
    assert_int_equal(fake.taken_count, 0);
    assert_int_equal(fake.kmaps, 0);
    return 0;
}

/* ---- the independent walker ----------------------------------------------------------------- */

struct seen {
    bool mapped, write, user, exec;
    uint64_t pa, page;
};

static uint64_t raw_entry(uint64_t table, unsigned index)
{
    const uint8_t *p = fake.ram[(table >> 12) - FAKE_FIRST];
    if (WIDE)
        return ((const uint64_t *)(const void *)p)[index];
    return ((const uint32_t *)(const void *)p)[index];
}

static struct seen look(uint64_t va)
{
    struct seen s = {.write = true, .user = true, .exec = true};
    int shift = WIDE ? 39 : 22, step = WIDE ? 9 : 10;
    uint64_t table = as.root.v, address = WIDE ? 0x000ffffffffff000ull : 0xfffff000u;
    for (;; shift -= step) {
        uint64_t e = raw_entry(table, (unsigned)(va >> shift) & ((1u << step) - 1));
        if (!(e & 1))
            return (struct seen){0};
        s.write = s.write && e & 2;
        s.user = s.user && e & 4;
        s.exec = s.exec && !(WIDE && e >> 63);
        if (shift == 12 || (e & 0x80 && shift < 39)) {
            s.page = 1ull << shift;
            s.mapped = true;
            s.pa = (e & address & ~(s.page - 1)) + (va & (s.page - 1));
            return s;
        }
        table = e & address;
    }
}

static void agrees(vword_t va)
{
    struct seen s = look(va);
    struct walk w;
    paddr_t pa = PA(1);
    paging_walk(&as, VA(va), &w);
    assert_int_equal(w.mapped, s.mapped);
    assert_int_equal(translate(&as, VA(va), &pa), s.mapped ? MEM_OK : MEM_NOT_MAPPED);
    if (!s.mapped)
        return;
    assert_true(pa.v == s.pa && w.pa.v == s.pa && w.page_bytes == s.page);
    assert_int_equal(!!(w.flags & MAP_WRITE), s.write);
    assert_int_equal(!!(w.flags & MAP_USER), s.user);
    assert_int_equal(!!(w.flags & MAP_EXEC), s.exec);
}

/* ---- single pages --------------------------------------------------------------------------- */

static void a_page_comes_and_goes(void **state)
{
    (void)state;
    size_t tables = as.tables;
    paddr_t pa;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x123000), MAP_WRITE), MEM_OK);
    assert_int_equal(as.tables, tables + (WIDE ? 3 : 1));
    agrees(BASE);
    agrees(BASE + 0xfff);
    agrees(BASE + PAGE);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x5000), 0), MEM_MAPPED);
    assert_int_equal(protect_page(&as, VA(BASE), MAP_EXEC), MEM_OK);
    agrees(BASE);
    assert_false(look(BASE).write);
    assert_int_equal(unmap_page(&as, VA(BASE), &pa), MEM_OK);
    assert_true(pa.v == 0x123000);
    assert_int_equal(as.tables, tables);
    assert_int_equal(unmap_page(&as, VA(BASE), &pa), MEM_NOT_MAPPED);
    assert_int_equal(protect_page(&as, VA(BASE), 0), MEM_NOT_MAPPED);
}

static void nonsense_is_refused_by_name(void **state)
{
    (void)state;
    uint64_t wide = 1ull << everything.phys_bits;
    assert_int_equal(map_page(&as, VA(BASE + 1), PA(0), 0), MEM_MISALIGNED);
    assert_int_equal(map_page(&as, VA(BASE), PA(1), 0), MEM_MISALIGNED);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x1000), 1u << 20), MEM_BAD_ARG);
    assert_int_equal(map_page(&as, VA(BASE), PA(wide), 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_range(&as, VA(BASE), PA(wide - PAGE), 2 * PAGE, 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x1000), MAP_WRITE | MAP_EXEC), MEM_WX);
    assert_int_equal(map_page(&as, VA(0), PA(0x1000), 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_range(&as, VA(BASE), PA(0), 0, 0), MEM_BAD_ARG);
    assert_int_equal(map_range(&as, VA(BASE), PA(0), PAGE + 1, 0), MEM_MISALIGNED);
    vword_t top = ~(vword_t)0 - PAGE + 1;
    assert_int_equal(map_range(&as, VA(top), PA(0), 2 * PAGE, 0), MEM_OUT_OF_RANGE);
    assert_int_equal(unmap_range(&as, VA(top), 2 * PAGE), MEM_OUT_OF_RANGE);
    assert_int_equal(protect_range(&as, VA(BASE), PAGE, MAP_WRITE | MAP_EXEC), MEM_WX);
    assert_int_equal(fake.taken_count, 1);
}

static void the_canonical_hole_is_no_address(void **state)
{
    (void)state;
    if (!WIDE)
        skip();
    paddr_t pa;
    vword_t low = (vword_t)0x0000800000000000ull, high = (vword_t)0xffff800000000000ull;
    assert_int_equal(map_page(&as, VA(low), PA(0), 0), MEM_NOT_CANONICAL);
    assert_int_equal(map_page(&as, VA(high - PAGE), PA(0), 0), MEM_NOT_CANONICAL);
    assert_int_equal(map_range(&as, VA(low - PAGE), PA(0), 2 * PAGE, 0), MEM_NOT_CANONICAL);
    assert_int_equal(translate(&as, VA(low), &pa), MEM_NOT_CANONICAL);
    assert_int_equal(map_page(&as, VA(low - PAGE), PA(0), 0), MEM_OK);
    assert_int_equal(map_page(&as, VA(high), PA(0), 0), MEM_OK);
    agrees(low - PAGE);
    agrees(high);
    assert_int_equal(unmap_page(&as, VA(low - PAGE), NULL), MEM_OK);
    assert_int_equal(unmap_page(&as, VA(high), NULL), MEM_OK);
}

/* First and last page of every table on every level. */
static void level_boundaries(void **state)
{
    (void)state;
    for (unsigned shift = 12; shift < (WIDE ? 48u : 32u); shift += WIDE ? 9 : 10) {
        vword_t border = BASE + ((vword_t)1 << shift);
        if (border < BASE)
            continue;
        size_t tables = as.tables;
        assert_int_equal(map_range(&as, VA(border - PAGE), PA(0x7000), 2 * PAGE, MAP_WRITE),
                         MEM_OK);
        agrees(border - PAGE);
        agrees(border);
        agrees(border + PAGE);
        assert_int_equal(unmap_range(&as, VA(border - PAGE), 2 * PAGE), MEM_OK);
        assert_int_equal(as.tables, tables);
    }
}

/* ---- large pages ---------------------------------------------------------------------------- */

static void large_pages_where_they_fit(void **state)
{
    (void)state;
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), 2 * LARGE, MAP_WRITE), MEM_OK);
    assert_true(look(BASE).page == LARGE && look(BASE + LARGE).page == LARGE);
    assert_int_equal(map_page(&as, VA(BASE + 5 * PAGE), PA(0), 0), MEM_MAPPED);
    assert_int_equal(unmap_range(&as, VA(BASE), 2 * LARGE), MEM_OK);

    /* physical address off by a page: small pages only */
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE + PAGE), LARGE, MAP_WRITE), MEM_OK);
    assert_true(look(BASE).page == PAGE);
    agrees(BASE + LARGE - 1);
    assert_int_equal(unmap_range(&as, VA(BASE), LARGE), MEM_OK);

    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), LARGE, MAP_NO_LARGE), MEM_OK);
    assert_true(look(BASE).page == PAGE);
    assert_int_equal(unmap_range(&as, VA(BASE), LARGE), MEM_OK);
}

static void no_large_pages_without_the_feature(void **state)
{
    (void)state;
    as.features = &nothing;
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), LARGE, MAP_GLOBAL | MAP_CACHE_WC), MEM_OK);
    assert_true(look(BASE).page == (WIDE ? LARGE : PAGE)); /* long mode always has 2 MiB */
    struct walk w;
    paging_walk(&as, VA(BASE), &w);
    assert_false(w.reserved_bit);
    assert_int_equal(w.flags & MAP_CACHE_MASK, MAP_CACHE_UC);
    assert_int_equal(unmap_range(&as, VA(BASE), LARGE), MEM_OK);
}

/* Entries that we never write, but that the hardware would read: PAT 5, 6, 7 are WT, UC-, UC. */
static void cache_types_of_all_eight_pat_entries(void **state)
{
    (void)state;
    static const unsigned types[8] = {MAP_CACHE_WB, MAP_CACHE_WT, MAP_CACHE_UC, MAP_CACHE_UC,
                                      MAP_CACHE_WC, MAP_CACHE_WT, MAP_CACHE_UC, MAP_CACHE_UC};
    struct walk w;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x3000), 0), MEM_OK);
    paging_walk(&as, VA(BASE), &w);
    uint64_t at = w.step[w.steps - 1].entry_pa.v;
    uint8_t *entry = fake.ram[(at >> 12) - FAKE_FIRST] + (at & 4095);
    uint8_t plain = *entry & 0x67;
    for (unsigned i = 0; i < 8; i++) {
        *entry = (uint8_t)(plain | (i >> 2) << 7 | (i & 3) << 3);
        paging_walk(&as, VA(BASE), &w);
        assert_int_equal(w.flags & MAP_CACHE_MASK, types[i]);
    }
    *entry = plain;
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

static void gib_pages_in_long_mode(void **state)
{
    (void)state;
    if (!WIDE)
        skip();
    vword_t gib = (vword_t)1 << 30;
    assert_int_equal(map_range(&as, VA(BASE), PA(gib), gib, MAP_WRITE), MEM_OK);
    assert_true(look(BASE).page == gib);
    /* a hole of one page in it: 1 GiB -> 2 MiB -> 4 KiB */
    assert_int_equal(unmap_page(&as, VA(BASE + LARGE + PAGE), NULL), MEM_OK);
    assert_true(look(BASE).page == LARGE && look(BASE + LARGE).page == PAGE);
    assert_false(look(BASE + LARGE + PAGE).mapped);
    agrees(BASE + LARGE);
    agrees(BASE + gib - 1);
    assert_int_equal(unmap_range(&as, VA(BASE), LARGE + PAGE), MEM_OK);
    assert_int_equal(unmap_range(&as, VA(BASE + LARGE + 2 * PAGE), gib - LARGE - 2 * PAGE), MEM_OK);
    assert_int_equal(as.tables, 1);
}

/*  before  [        one large page        ]
 *  protect     [-------)
 *  after   [rw][  ro   ][       rw        ]
 */
static void part_of_a_large_page_is_split(void **state)
{
    (void)state;
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), LARGE, MAP_WRITE), MEM_OK);
    assert_int_equal(protect_range(&as, VA(BASE + PAGE), 4 * PAGE, 0), MEM_OK);
    for (unsigned i = 0; i < 8; i++) {
        agrees(BASE + i * PAGE);
        assert_int_equal(look(BASE + i * PAGE).write, i < 1 || i > 4);
        assert_true(look(BASE + i * PAGE).pa == LARGE + i * PAGE);
    }
    agrees(BASE + LARGE - 1);
    assert_int_equal(unmap_range(&as, VA(BASE), LARGE), MEM_OK);
    assert_int_equal(as.tables, 1);
}

/* ---- pinned, adopted, shared ---------------------------------------------------------------- */

static void pinned_tables_stay(void **state)
{
    (void)state;
    assert_int_equal(paging_pin(&as, VA(BASE), LARGE), MEM_OK);
    size_t tables = as.tables;
    assert_int_equal(map_page(&as, VA(BASE), PA(0), 0), MEM_OK);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
    assert_int_equal(as.tables, tables);

    struct aspace user;
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as), MEM_OK);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(0x9000), 0), MEM_OK);
    paddr_t pa;
    assert_int_equal(translate(&user, VA(BASE + PAGE), &pa), MEM_OK);
    assert_true(pa.v == 0x9000);
    assert_int_equal(map_page(&user, VA(0x400000), PA(0x8000), MAP_USER | MAP_WRITE), MEM_OK);
    struct walk w;
    paging_walk(&user, VA(0x400000), &w);
    assert_true(w.flags & MAP_USER);
    vword_t last = (WIDE ? (vword_t)1 << 47 : 0xc0000000u) - PAGE;
    assert_int_equal(map_page(&user, VA(last), PA(0x8000), MAP_USER), MEM_OK);
    paging_walk(&user, VA(last), &w);
    assert_true(w.flags & MAP_USER);
    const char *broken;
    assert_true(paging_holds(&user, &broken));
    paging_destroy(&user);
    assert_int_equal(unmap_page(&as, VA(BASE + PAGE), NULL), MEM_OK);
    as.adopted = PFN_NONE;
    fake.fail_after = UINT_MAX;
}

/* ---- frames, flushes ------------------------------------------------------------------------ */

static pfn_t next_frame(void *ctx)
{
    unsigned *next = ctx;
    return PFN(0x1000 + (*next)++);
}

static void count_frame(void *ctx, pfn_t frame)
{
    unsigned *sum = ctx;
    assert_true(frame.v >= 0x1000);
    assert_true(fake.page_flushes + fake.whole_flushes > 0);
    (*sum)++;
}

static void frames_one_by_one(void **state)
{
    (void)state;
    unsigned next = 0, back = 0, pages = 1030;
    vword_t at = BASE + LARGE - 5 * PAGE;
    assert_int_equal(map_frames(&as, VA(at), pages, MAP_WRITE, next_frame, &next), MEM_OK);
    assert_int_equal(next, pages);
    assert_int_equal(fake.page_flushes + fake.whole_flushes, 0);
    for (unsigned i = 0; i < pages; i++)
        assert_true(look(at + i * PAGE).pa == (0x1000ull + i) * PAGE);
    assert_int_equal(unmap_frames(&as, VA(at), pages, count_frame, &back), MEM_OK);
    assert_int_equal(back, pages);
    assert_int_equal(fake.whole_flushes, 1);
    assert_int_equal(as.tables, 1);
}

static void flushes_are_counted(void **state)
{
    (void)state;
    assert_int_equal(map_range(&as, VA(BASE), PA(0), 40 * PAGE, MAP_WRITE), MEM_OK);
    assert_int_equal(fake.page_flushes + fake.whole_flushes, 0);
    assert_int_equal(protect_range(&as, VA(BASE), 32 * PAGE, 0), MEM_OK);
    assert_int_equal(fake.page_flushes, 32);
    assert_int_equal(fake.whole_flushes, 0);
    assert_int_equal(protect_range(&as, VA(BASE), 33 * PAGE, 0), MEM_OK);
    assert_int_equal(fake.whole_flushes, 1);
    assert_int_equal(unmap_range(&as, VA(BASE), 40 * PAGE), MEM_OK);
    assert_int_equal(fake.whole_flushes, 2);
    assert_int_equal(fake.page_flushes, 32);
}

static void give_nowhere(void *ctx, pfn_t frame)
{
    (void)ctx;
    (void)frame;
}

static unsigned flushed(void)
{
    return fake.page_flushes + fake.whole_flushes;
}

/* map, unmap and remap, one page and many: each call's flushes, exactly */
static void a_call_flushes_once(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 31, 32, 33, 64, 600};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t bytes = (size_t)sizes[i] * PAGE;
        unsigned once = sizes[i] <= 32 ? sizes[i] : 1;
        fake.page_flushes = fake.whole_flushes = 0;
        assert_int_equal(map_range(&as, VA(BASE + PAGE), PA(0x5000), bytes, MAP_WRITE), MEM_OK);
        assert_int_equal(flushed(), 0);
        assert_int_equal(protect_range(&as, VA(BASE + PAGE), bytes, 0), MEM_OK);
        assert_int_equal(flushed(), once);
        assert_int_equal(unmap_range(&as, VA(BASE + PAGE), bytes), MEM_OK);
        assert_int_equal(flushed(), 2 * once);
    }
    fake.page_flushes = fake.whole_flushes = 0;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(map_page(&as, VA(BASE + i * PAGE), PA(0x5000), MAP_WRITE), MEM_OK);
    assert_int_equal(flushed(), 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(unmap_page(&as, VA(BASE + i * PAGE), NULL), MEM_OK);
        assert_int_equal(fake.page_flushes, i + 1);
    }
    assert_int_equal(fake.whole_flushes, 0);
}

/* ---- the table in hand ---------------------------------------------------------------------- */

static void what_is_refused_stays_refused_in_hand(void **state)
{
    (void)state;
    uint64_t wide = 1ull << everything.phys_bits;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x1000), MAP_WRITE), MEM_OK);
    assert_true(as.leaf.table != NULL);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x1000), MAP_WRITE), MEM_MAPPED);
    assert_int_equal(map_page(&as, VA(BASE + PAGE + 8), PA(0x1000), MAP_WRITE), MEM_MISALIGNED);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(0x1008), MAP_WRITE), MEM_MISALIGNED);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(wide), MAP_WRITE), MEM_OUT_OF_RANGE);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(0), MAP_WRITE | MAP_EXEC), MEM_WX);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(0), ~0u), MEM_BAD_ARG);
    assert_int_equal(map_range(&as, VA(BASE + PAGE), PA(wide - PAGE), 2 * PAGE, MAP_WRITE),
                     MEM_OUT_OF_RANGE);
    assert_int_equal(unmap_page(&as, VA(BASE + 1), NULL), MEM_MISALIGNED);
    assert_int_equal(unmap_page(&as, VA(BASE + PAGE), NULL), MEM_NOT_MAPPED);
    assert_int_equal(unmap_range(&as, VA(BASE), PAGE + 8), MEM_MISALIGNED);
    assert_int_equal(unmap_range(&as, VA(BASE), 0), MEM_BAD_ARG);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
    assert_null(as.leaf.table);
}

/* Flags change from page to page, and each page gets its own. */
static void flags_are_not_carried_over(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        unsigned flags = i % 3 == 0 ? MAP_WRITE : i % 3 == 1 ? MAP_EXEC : MAP_USER;
        assert_int_equal(map_page(&as, VA(BASE + i * PAGE), PA(i * PAGE), flags), MEM_OK);
        struct walk w;
        paging_walk(&as, VA(BASE + i * PAGE), &w);
        unsigned always = WIDE ? 0 : MAP_EXEC; /* i386 has no NX */
        assert_int_equal(w.flags, (flags | always) & ~(unsigned)MAP_USER);
        agrees(BASE + i * PAGE);
    }
    assert_int_equal(unmap_range(&as, VA(BASE), 64 * PAGE), MEM_OK);
}

static void the_null_page_is_never_mapped(void **state)
{
    (void)state;
    struct aspace user;
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(map_page(&user, VA(i * PAGE), PA(0x1000), MAP_USER), MEM_OK);
    assert_int_equal(map_page(&user, VA(0), PA(0x1000), MAP_USER), MEM_OUT_OF_RANGE);
    assert_int_equal(map_range(&user, VA(0), PA(0x1000), PAGE, MAP_USER), MEM_OUT_OF_RANGE);
    assert_int_equal(unmap_page(&user, VA(2 * PAGE), NULL), MEM_OK);
    paging_destroy(&user);
}

/* A table that went and came back is another one: the old one's frame may be anybody's. */
static void a_table_in_hand_goes_with_its_last_page(void **state)
{
    (void)state;
    const char *broken;
    for (unsigned way = 0; way < 3; way++) {
        vaddr_t va = VA(BASE + 7 * PAGE);
        assert_int_equal(map_page(&as, va, PA(0x1000), 0), MEM_OK);
        assert_int_equal(map_page(&as, VA(BASE + LARGE), PA(0x2000), 0), MEM_OK);
        assert_int_equal(map_page(&as, VA(va.v + PAGE), PA(0x3000), 0), MEM_OK);
        assert_int_equal(unmap_page(&as, va, NULL), MEM_OK);
        if (way == 0)
            assert_int_equal(unmap_page(&as, VA(va.v + PAGE), NULL), MEM_OK);
        else if (way == 1)
            assert_int_equal(unmap_range(&as, VA(va.v + PAGE), PAGE), MEM_OK);
        else
            assert_int_equal(unmap_frames(&as, VA(va.v + PAGE), 1, give_nowhere, NULL), MEM_OK);
        assert_true(paging_holds(&as, &broken));
        assert_null(as.leaf.table);
        assert_int_equal(map_page(&as, va, PA(0x4000), MAP_WRITE), MEM_OK);
        agrees(va.v);
        agrees(va.v + PAGE);
        assert_int_equal(unmap_page(&as, va, NULL), MEM_OK);
        assert_int_equal(unmap_page(&as, VA(BASE + LARGE), NULL), MEM_OK);
        assert_int_equal(as.tables, 1);
    }
}

/* The kernel's half changes through the kernel's address space alone. */
static void what_is_shared_is_the_kernels(void **state)
{
    (void)state;
    struct aspace user;
    paddr_t pa;
    assert_int_equal(paging_pin(&as, VA(BASE), LARGE), MEM_OK);
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as), MEM_OK);
    assert_int_equal(map_page(&user, VA(BASE), PA(0), 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x6000), 0), MEM_OK);
    assert_int_equal(translate(&user, VA(BASE), &pa), MEM_OK);
    assert_int_equal(unmap_page(&user, VA(BASE), NULL), MEM_OUT_OF_RANGE);
    assert_int_equal(protect_page(&user, VA(BASE), MAP_WRITE), MEM_OUT_OF_RANGE);
    assert_int_equal(map_page(&user, VA(WIDE ? 0x7fffffffe000ull : 0xb0000000u), PA(0x7000),
                              MAP_USER | MAP_WRITE),
                     MEM_OK);
    struct walk w;
    paging_walk(&user, VA(WIDE ? 0x7fffffffe000ull : 0xb0000000u), &w);
    assert_true(w.flags & MAP_USER);
    paging_destroy(&user);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

/* ---- out of tables at every step ------------------------------------------------------------ */

enum call {
    CALL_PAGE,
    CALL_RANGE,
    CALL_FRAMES,
    CALL_PIN,
    CALL_UNMAP_PART,
    CALL_PROTECT_PART,
    CALLS
};

static enum mem_err do_call(enum call call)
{
    unsigned next = 0;
    switch (call) {
    case CALL_PAGE:
        return map_page(&as, VA(BASE), PA(0), 0);
    case CALL_RANGE:
        return map_range(&as, VA(BASE + PAGE), PA(0), 3 * LARGE, 0);
    case CALL_FRAMES:
        return map_frames(&as, VA(BASE + PAGE), 2000, 0, next_frame, &next);
    case CALL_PIN:
        return paging_pin(&as, VA(BASE), 3 * LARGE);
    case CALL_UNMAP_PART:
        return unmap_range(&as, VA(BASE + 8 * LARGE + PAGE), 2 * LARGE);
    default:
        return protect_range(&as, VA(BASE + 8 * LARGE + PAGE), 2 * LARGE, 0);
    }
}

/* The frames that are in use, byte by byte; what is free may hold anything. */
static uint8_t before[FAKE_FRAMES][4096];
static bool taken_before[FAKE_FRAMES];

static void nothing_changed(void)
{
    assert_memory_equal(taken_before, fake.taken, sizeof taken_before);
    for (unsigned i = 0; i < FAKE_FRAMES; i++) {
        if (fake.taken[i])
            assert_memory_equal(before[i], fake.ram[i], 4096);
    }
}

static void running_out_changes_nothing(void **state)
{
    (void)state;
    for (enum call call = 0; call < CALLS; call++) {
        for (unsigned n = 0;; n++) {
            assert_int_equal(map_range(&as, VA(BASE + 8 * LARGE), PA(0), 4 * LARGE, MAP_WRITE),
                             MEM_OK);
            memcpy(before, fake.ram, sizeof before);
            memcpy(taken_before, fake.taken, sizeof taken_before);
            fake.fail_after = n;
            enum mem_err err = do_call(call);
            fake.fail_after = UINT_MAX;
            const char *broken;
            assert_true(paging_holds(&as, &broken));
            if (err) {
                assert_int_equal(err, MEM_NO_FRAME);
                nothing_changed();
            }
            paging_destroy(&as);
            assert_int_equal(fake.taken_count, 0);
            assert_int_equal(paging_create(&as, true, fake_source, &everything), MEM_OK);
            if (!err) {
                assert_true(n > 0 || call == CALL_PIN); /* pinned tables may be there already */
                break;
            }
        }
    }
}

/* ---- a model, thousands of calls ------------------------------------------------------------ */

static uint32_t model[MODEL_PAGES]; /* 0: not mapped; else frame + 1, bit 31: writable */

static bool model_is(unsigned first, unsigned count, bool mapped)
{
    for (unsigned i = first; i < first + count; i++) {
        if ((model[i] != 0) != mapped)
            return false;
    }
    return true;
}

static void model_step(void)
{
    unsigned first = (unsigned)rand() % MODEL_PAGES;
    unsigned count = 1 + (unsigned)rand() % (rand() % 4 ? 40 : 1500);
    if (rand() % 3 == 0)
        first &= ~(unsigned)(LARGE / PAGE - 1);
    if (count > MODEL_PAGES - first)
        count = MODEL_PAGES - first;
    unsigned frame = (unsigned)rand() % 4096 & ~(rand() % 2 ? (unsigned)(LARGE / PAGE - 1) : 0u);
    bool write = rand() % 2;
    vaddr_t va = VA(BASE + (vword_t)first * PAGE);
    size_t bytes = (size_t)count * PAGE;
    enum mem_err err;
    switch (rand() % 3) {
    case 0:
        err = map_range(&as, va, PA((uint64_t)frame * PAGE), bytes, write ? MAP_WRITE : MAP_EXEC);
        assert_int_equal(err, model_is(first, count, false) ? MEM_OK : MEM_MAPPED);
        for (unsigned i = 0; !err && i < count; i++)
            model[first + i] = (frame + i + 1) | (write ? 1u << 31 : 0);
        break;
    case 1:
        err = unmap_range(&as, va, bytes);
        assert_int_equal(err, model_is(first, count, true) ? MEM_OK : MEM_NOT_MAPPED);
        for (unsigned i = 0; !err && i < count; i++)
            model[first + i] = 0;
        break;
    default:
        err = protect_range(&as, va, bytes, write ? MAP_WRITE : MAP_EXEC);
        assert_int_equal(err, model_is(first, count, true) ? MEM_OK : MEM_NOT_MAPPED);
        for (unsigned i = 0; !err && i < count; i++)
            model[first + i] = (model[first + i] & ~(1u << 31)) | (write ? 1u << 31 : 0);
    }
}

static void model_matches(void)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        struct seen s = look(BASE + (uint64_t)i * PAGE);
        assert_int_equal(s.mapped, model[i] != 0);
        if (!s.mapped)
            continue;
        assert_true(s.pa == (uint64_t)((model[i] & ~(1u << 31)) - 1) * PAGE);
        assert_int_equal(s.write, model[i] >> 31);
    }
}

struct visited {
    uint64_t end;
    unsigned pages;
};

static bool visit(void *ctx, const struct map_stretch *s)
{
    struct visited *v = ctx;
    assert_true(s->va.v >= v->end);
    v->end = s->va.v + (s->bytes - 1);
    v->pages += (unsigned)(s->bytes / PAGE);
    for (uint64_t at = 0; at < s->bytes; at += s->page_bytes)
        assert_true(look(s->va.v + at).pa == s->pa.v + at);
    return true;
}

static void a_long_random_life(void **state)
{
    (void)state;
    const char *broken;
    unsigned seed = 20250101;
    print_message("seed %u\n", seed);
    srand(seed);
    memset(model, 0, sizeof model);
    for (unsigned i = 0; i < 3000; i++) {
        model_step();
        if (i % 50)
            continue;
        assert_true(paging_holds(&as, &broken));
        model_matches();
        agrees(BASE + (vword_t)(rand() % MODEL_PAGES) * PAGE + 7);
        struct visited v = {0};
        paging_visit(&as, VA(0), VA(~(vword_t)0), visit, &v);
        unsigned mapped = 0;
        for (unsigned p = 0; p < MODEL_PAGES; p++)
            mapped += model[p] != 0;
        assert_int_equal(v.pages, mapped);
    }
}

/* Single pages all over a few tables, against the model. */
static void single_pages_at_random(void **state)
{
    (void)state;
    const char *broken;
    srand(7);
    memset(model, 0, sizeof model);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned page = (unsigned)rand() % MODEL_PAGES & (rand() % 8 ? 0x3fu : ~0u);
        unsigned frame = (unsigned)rand() % 4096;
        bool write = rand() % 2;
        vaddr_t va = VA(BASE + (vword_t)page * PAGE);
        if (rand() % 2) {
            enum mem_err err = map_page(&as, va, PA((uint64_t)frame * PAGE), write ? MAP_WRITE : 0);
            assert_int_equal(err, model[page] ? MEM_MAPPED : MEM_OK);
            if (!err)
                model[page] = (frame + 1) | (write ? 1u << 31 : 0);
        } else {
            paddr_t pa = PA(1);
            enum mem_err err = unmap_page(&as, va, rand() % 2 ? &pa : NULL);
            assert_int_equal(err, model[page] ? MEM_OK : MEM_NOT_MAPPED);
            assert_true(pa.v == 1 || pa.v == (uint64_t)((model[page] & ~(1u << 31)) - 1) * PAGE);
            model[page] = 0;
        }
        if (i % 100 == 0)
            assert_true(paging_holds(&as, &broken));
    }
    model_matches();
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        if (model[i])
            assert_int_equal(unmap_page(&as, VA(BASE + (vword_t)i * PAGE), NULL), MEM_OK);
    }
    assert_int_equal(as.tables, 1);
}

/* ---- what the walk says --------------------------------------------------------------------- */

static void effective_permissions_over_all_levels(void **state)
{
    (void)state;
    struct walk w;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x3000), MAP_WRITE), MEM_OK);
    uint8_t *root = fake.ram[(as.root.v >> 12) - FAKE_FIRST];
    unsigned index = WIDE ? (unsigned)(BASE >> 39) & 511 : (unsigned)(BASE >> 22);
    uint8_t *entry = root + index * sizeof(vword_t);
    *entry &= (uint8_t)~2u; /* take W from the top level */
    paging_walk(&as, VA(BASE), &w);
    assert_false(w.flags & MAP_WRITE);
    assert_int_equal(w.deciding, 0);
    agrees(BASE);
    *entry |= 2;
    if (WIDE) { /* a frame beyond the physical width is a reserved bit */
        entry[6] |= 8;
        paging_walk(&as, VA(BASE), &w);
        assert_true(w.reserved_bit && !w.mapped);
        entry[6] &= (uint8_t)~8u;
    }
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_page_comes_and_goes),
        TEST(nonsense_is_refused_by_name),
        TEST(the_canonical_hole_is_no_address),
        TEST(level_boundaries),
        TEST(large_pages_where_they_fit),
        TEST(no_large_pages_without_the_feature),
        TEST(cache_types_of_all_eight_pat_entries),
        TEST(gib_pages_in_long_mode),
        TEST(part_of_a_large_page_is_split),
        TEST(pinned_tables_stay),
        TEST(frames_one_by_one),
        TEST(flushes_are_counted),
        TEST(a_call_flushes_once),
        TEST(what_is_refused_stays_refused_in_hand),
        TEST(flags_are_not_carried_over),
        TEST(the_null_page_is_never_mapped),
        TEST(a_table_in_hand_goes_with_its_last_page),
        TEST(what_is_shared_is_the_kernels),
        TEST(single_pages_at_random),
        TEST(running_out_changes_nothing),
        TEST(a_long_random_life),
        TEST(effective_permissions_over_all_levels),
    };
    return cmocka_run_group_tests_name("paging", tests, NULL, NULL);
}
