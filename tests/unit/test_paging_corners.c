/* SPDX-License-Identifier: MIT */
/*
 * test_paging_corners.c - the calls of paging.h where ranges meet the ends of things: tables that
 * are there already, the top of the address space, frames that run out half way, adopted tables.
 */
#include <limits.h>

#include "paging_walker.h"

#define TOP ((vword_t)0 - LARGE) /* the last large page of all */

static void leads(vword_t va, uint64_t to)
{
    paddr_t pa;
    assert_int_equal(translate(&as, VA(va), &pa), MEM_OK);
    assert_true(pa.v == to);
}

static void leads_nowhere(vword_t va)
{
    paddr_t pa = PA(77);
    assert_int_equal(translate(&as, VA(va), &pa), MEM_NOT_MAPPED);
    assert_true(pa.v == 77);
}

static size_t page_at(vword_t va)
{
    struct walk w;
    paging_walk(&as, VA(va), &w);
    return w.page_bytes;
}

/* ---- mapping -------------------------------------------------------------------------------- */

static pfn_t never_take(void *ctx)
{
    (void)ctx;
    fail_msg("a frame is taken for a call that is refused");
    return PFN_NONE;
}

static void never_give(void *ctx, pfn_t frame)
{
    (void)ctx;
    fail_msg("frame 0x%zx is given by a call that is refused", (size_t)frame.v);
}

static void refusals_of_frames(void **state)
{
    (void)state;
    static const struct frame_source none = {never_take, never_give, NULL};
    size_t all = (SIZE_MAX >> PAGE_SHIFT) + 1;
    assert_int_equal(map_frames(&as, VA(BASE), all, 0, &none), MEM_OUT_OF_RANGE);
    assert_int_equal(map_frames(&as, VA(BASE), 0, 0, &none), MEM_BAD_ARG);
    assert_int_equal(map_frames(&as, VA(BASE + 1), 1, 0, &none), MEM_MISALIGNED);
    assert_int_equal(unmap_frames(&as, VA(BASE), all, &none), MEM_OUT_OF_RANGE);
    assert_int_equal(unmap_frames(&as, VA(BASE), 0, &none), MEM_BAD_ARG);
    assert_int_equal(unmap_frames(&as, VA(BASE), 1, &none), MEM_NOT_MAPPED);
    assert_int_equal(protect_range(&as, VA(BASE), PAGE, MAP_FLAGS_ALL + 1), MEM_BAD_ARG);
}

/* The frames run out after some of the pages are mapped: those go back, and the tables too. */
static void frames_that_run_out(void **state)
{
    (void)state;
    vword_t at = BASE + LARGE - 2 * PAGE;
    for (unsigned pinned = 0; pinned < 2; pinned++) {
        size_t tables = as.tables;
        unsigned held = fake.taken_count, fails = 0;
        for (;; fails++) {
            fake.fail_after = fails;
            enum mem_err err = map_frames(&as, VA(at), 4, MAP_WRITE, &fake_source);
            fake.fail_after = UINT_MAX;
            if (!err)
                break;
            assert_int_equal(err, MEM_NO_FRAME);
            assert_int_equal(fake.taken_count, held);
            assert_int_equal(as.tables, tables);
            leads_nowhere(at);
        }
        assert_int_equal(fails, fake.taken_count - held);
        assert_int_equal(unmap_frames(&as, VA(at), 4, &fake_source), MEM_OK);
        assert_int_equal(paging_pin(&as, VA(BASE), PAGE), MEM_OK);
    }
}

/* A hole ends a range, be it among small pages or where a table would be. */
static void holes_are_not_mapped(void **state)
{
    (void)state;
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), LARGE, 0), MEM_OK);
    assert_int_equal(map_range(&as, VA(BASE + LARGE), PA(0), 3 * PAGE, 0), MEM_OK);
    assert_int_equal(protect_range(&as, VA(BASE + LARGE), 4 * PAGE, 0), MEM_NOT_MAPPED);
    assert_int_equal(protect_range(&as, VA(BASE), LARGE + 4 * PAGE, 0), MEM_NOT_MAPPED);
    assert_int_equal(protect_range(&as, VA(BASE), LARGE + 3 * PAGE, MAP_WRITE), MEM_OK);
    assert_int_equal(protect_range(&as, VA(BASE - PAGE), 2 * PAGE, 0), MEM_NOT_MAPPED);
    fake.fail_after = 0; /* whole large pages need no table; parts do */
    assert_int_equal(protect_range(&as, VA(BASE + PAGE), PAGE, 0), MEM_NO_FRAME);
    assert_true(page_at(BASE) == LARGE);
    assert_int_equal(unmap_range(&as, VA(BASE), LARGE + 3 * PAGE), MEM_OK);
}

/* A table among large pages: what can be large on either side of it is, and the table stays. */
static void around_a_table_that_is_there(void **state)
{
    (void)state;
    assert_int_equal(map_page(&as, VA(BASE + 2 * LARGE), PA(0x7000), 0), MEM_OK);
    size_t tables = as.tables;
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), 2 * LARGE, 0), MEM_OK);
    assert_int_equal(
        map_range(&as, VA(BASE + 2 * LARGE + PAGE), PA(3 * LARGE + PAGE), 2 * LARGE - PAGE, 0),
        MEM_OK);
    assert_int_equal(as.tables, tables);
    assert_true(page_at(BASE + LARGE) == LARGE && page_at(BASE + 2 * LARGE + PAGE) == PAGE &&
                page_at(BASE + 3 * LARGE) == LARGE);
    leads(BASE + 2 * LARGE - 1, 3 * LARGE - 1);
    leads(BASE + 2 * LARGE, 0x7000);
    leads(BASE + 4 * LARGE - 1, 5 * LARGE - 1);
    /* all of it at once: large pages, a table, a large page */
    assert_int_equal(map_range(&as, VA(BASE + LARGE), PA(0), 4 * LARGE, 0), MEM_MAPPED);
    assert_int_equal(protect_range(&as, VA(BASE), 4 * LARGE, MAP_WRITE), MEM_OK);
    assert_int_equal(unmap_range(&as, VA(BASE), 4 * LARGE), MEM_OK);
    assert_int_equal(as.tables, 1);
}

/* An absent entry, a table with room, an absent entry: one mapping over all three. */
static void over_a_table_with_room(void **state)
{
    (void)state;
    vword_t other = BASE + 2 * LARGE - PAGE;
    assert_int_equal(map_page(&as, VA(other), PA(0x7000), 0), MEM_OK);
    assert_int_equal(map_range(&as, VA(BASE), PA(0), 2 * LARGE - PAGE, MAP_WRITE), MEM_OK);
    assert_true(page_at(BASE) == LARGE && page_at(BASE + LARGE) == PAGE);
    leads(other - 1, 2 * LARGE - PAGE - 1);
    leads(other, 0x7000);
    assert_int_equal(unmap_range(&as, VA(BASE), 2 * LARGE), MEM_OK);
}

/* Fails after a table was made beside one that is in use: that one stays, the new one goes. */
static void running_out_beside_a_neighbour(void **state)
{
    (void)state;
    assert_int_equal(map_page(&as, VA(BASE + LARGE - 2 * PAGE), PA(0x7000), 0), MEM_OK);
    size_t tables = as.tables;
    fake.fail_after = 1;
    assert_int_equal(map_range(&as, VA(BASE + LARGE - PAGE), PA(0), LARGE + 2 * PAGE, 0),
                     MEM_NO_FRAME);
    assert_int_equal(as.tables, tables);
    leads(BASE + LARGE - 2 * PAGE, 0x7000);
    leads_nowhere(BASE + LARGE - PAGE);
    assert_int_equal(unmap_page(&as, VA(BASE + LARGE - 2 * PAGE), NULL), MEM_OK);
}

static void gib_pages_need_the_cpu(void **state)
{
    (void)state;
    vword_t gib = (vword_t)1 << 30;
    features.gib_pages = false;
    if (!WIDE)
        skip();
    assert_int_equal(map_range(&as, VA(BASE), PA(gib), gib, 0), MEM_OK);
    assert_true(page_at(BASE) == LARGE);
    assert_int_equal(unmap_range(&as, VA(BASE), gib), MEM_OK);
}

static void an_address_of_more_than_a_word(void **state)
{
    (void)state;
    features.phys_bits = 52; /* of no i386 here; the fast path must not cut the address */
    assert_int_equal(map_page(&as, VA(BASE), PA(0x1000), 0), MEM_OK);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(1ull << 52), 0), MEM_OUT_OF_RANGE);
    if (WIDE) {
        assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(1ull << 51), 0), MEM_OK);
        leads(BASE + PAGE, 1ull << 51);
    }
    assert_int_equal(unmap_range(&as, VA(BASE), WIDE ? 2 * PAGE : PAGE), MEM_OK);
}

static void a_range_over_the_hole(void **state)
{
    (void)state;
    if (!WIDE)
        skip();
    vword_t low = (vword_t)0x00007ffffffff000ull;
    assert_int_equal(map_range(&as, VA(low), PA(0), (size_t)0 - 2 * low, 0), MEM_OUT_OF_RANGE);
    assert_int_equal(unmap_range(&as, VA(low), (size_t)0 - 2 * low), MEM_OUT_OF_RANGE);
}

/* ---- the top of the address space ----------------------------------------------------------- */

/*  before   [      the last large page      ]
 *  unmap         [--------------------------)  to 2^32, or 2^64
 */
static void the_last_page_is_split_at_one_end(void **state)
{
    (void)state;
    assert_int_equal(map_range(&as, VA(TOP), PA(LARGE), LARGE, MAP_WRITE), MEM_OK);
    assert_int_equal(protect_range(&as, VA(TOP + PAGE), LARGE - PAGE, 0), MEM_OK);
    assert_true(page_at(TOP) == PAGE);
    leads(TOP + LARGE - 1, 2 * LARGE - 1);
    assert_int_equal(unmap_range(&as, VA(TOP + PAGE), LARGE - PAGE), MEM_OK);
    leads(TOP, LARGE);
    leads_nowhere(TOP + PAGE);
    assert_int_equal(unmap_page(&as, VA(TOP), NULL), MEM_OK);
}

static void large_and_small_to_the_top(void **state)
{
    (void)state;
    assert_int_equal(map_range(&as, VA(TOP - LARGE), PA(LARGE), LARGE, 0), MEM_OK);
    assert_int_equal(map_range(&as, VA(TOP), PA(PAGE), LARGE, MAP_CACHE_WT), MEM_OK);
    assert_true(page_at(TOP - LARGE) == LARGE && page_at(TOP) == PAGE);
    assert_int_equal(protect_range(&as, VA(TOP - LARGE), 2 * LARGE, MAP_CACHE_WC), MEM_OK);
    struct walk w;
    paging_walk(&as, VA(TOP), &w);
    assert_int_equal(w.flags & MAP_CACHE_MASK, MAP_CACHE_WC);
    paging_walk(&as, VA(TOP - 1), &w);
    assert_int_equal(w.flags & MAP_CACHE_MASK, MAP_CACHE_WC);
    leads(TOP - LARGE + PAGE, LARGE + PAGE);
    assert_int_equal(unmap_range(&as, VA(TOP - LARGE), 2 * LARGE), MEM_OK);
}

/* ---- what an entry says --------------------------------------------------------------------- */

static unsigned flags_at(vword_t va)
{
    struct walk w;
    paging_walk(&as, VA(va), &w);
    assert_true(w.mapped);
    return w.flags;
}

static void what_the_cpu_has_not_is_not_written(void **state)
{
    (void)state;
    static const unsigned asked[] = {
        MAP_GLOBAL, MAP_EXEC, MAP_CACHE_WT, MAP_CACHE_WC, MAP_WRITE | MAP_CACHE_UC, 0};
    for (unsigned have = 0; have < 8; have++) {
        features.pge = have & 1, features.pat = have & 2, features.nx = WIDE && have & 4;
        for (unsigned i = 0; i < sizeof asked / sizeof asked[0]; i++) {
            unsigned wanted = asked[i];
            assert_int_equal(map_page(&as, VA(BASE), PA(0x3000), wanted), MEM_OK);
            if (!features.pge)
                wanted &= ~(unsigned)MAP_GLOBAL;
            if (!features.nx)
                wanted |= MAP_EXEC;
            if (!features.pat && (wanted & MAP_CACHE_MASK) == MAP_CACHE_WC)
                wanted ^= MAP_CACHE_WC ^ MAP_CACHE_UC;
            assert_int_equal(flags_at(BASE), wanted);
            assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
        }
    }
}

/* An entry that has G or NX, read by a CPU that has not switched them on. */
static void bits_that_mean_nothing_yet(void **state)
{
    (void)state;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x3000), MAP_GLOBAL), MEM_OK);
    features.pge = false;
    assert_int_equal(flags_at(BASE), WIDE ? 0 : MAP_EXEC);
    features.nx = false;
    entry_t nx = (entry_t)1 << (8 * sizeof(entry_t) - 1), e = 1 | (WIDE ? nx : 0);
    assert_int_equal(format_flags(&features, 1, e), MAP_EXEC);
    assert_true(format_reserved_bits(&features, 1, e) == (WIDE ? nx : 0));
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

static void bits_that_must_be_zero(void **state)
{
    (void)state;
    entry_t large = ENTRY_PRESENT | ENTRY_LARGE;
    for (unsigned pat = 0; pat < 2; pat++) {
        features.pat = pat;
        assert_false(format_reserved(&features, 2, ENTRY_PRESENT));
        assert_false(format_reserved(&features, 2, large));
        assert_true(format_reserved(&features, 2, large | (entry_t)1 << 13));
        assert_int_equal(format_reserved(&features, 2, large | ENTRY_PAT_LARGE), !WIDE && !pat);
        assert_int_equal(format_reserved(&features, 1, 1 | ENTRY_PAT_4K), !WIDE && !pat);
    }
    assert_false(format_has_large(&features, 1));
    assert_true(format_has_large(&features, 2));
    assert_int_equal(format_has_large(&features, 3), WIDE);
    assert_false(format_has_large(&features, 4));
    features.pse = false;
    assert_int_equal(format_has_large(&features, 2), WIDE);
    assert_false(format_reserved(&features, 2, ENTRY_PRESENT | ENTRY_LARGE));
}

/* ---- address spaces ------------------------------------------------------------------------- */

static void no_frame_for_a_root(void **state)
{
    (void)state;
    struct aspace other = {.tables = 7};
    fake.fail_after = 0;
    assert_int_equal(paging_create(&other, true, fake_source, &features), MEM_NO_FRAME);
    assert_int_equal(other.tables, 7);
}

static void pins_that_fail(void **state)
{
    (void)state;
    vword_t span = (vword_t)1 << (WIDE ? 39 : 22);
    assert_int_equal(paging_pin(&as, VA(BASE + 1), PAGE), MEM_MISALIGNED);
    assert_int_equal(paging_pin(&as, VA(BASE), 0), MEM_BAD_ARG);
    fake.fail_after = 1;
    assert_int_equal(paging_pin(&as, VA(BASE), 2 * span), MEM_NO_FRAME);
    assert_int_equal(as.tables, 1);
    fake.fail_after = UINT_MAX;
    assert_int_equal(paging_pin(&as, VA(BASE + span - PAGE), span + 2 * PAGE), MEM_OK);
    assert_int_equal(as.tables, 4);
}

static void a_table_is_adopted_once(void **state)
{
    (void)state;
    pfn_t lent = PFN(FAKE_FIRST + 3);
    entry_t *table = (entry_t *)(void *)fake.ram[3];
    table[5] = format_leaf(&features, 1, PA(0x9000), MAP_WRITE);
    assert_int_equal(paging_adopt(&as, VA(BASE + PAGE), lent), MEM_MISALIGNED);
    assert_int_equal(paging_adopt(&as, VA(BASE + 1), lent), MEM_MISALIGNED);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x5000), MAP_WRITE), MEM_OK);
    assert_int_equal(paging_adopt(&as, VA(BASE), lent), MEM_MAPPED);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
    if (WIDE) {
        fake.fail_after = 1;
        assert_int_equal(paging_adopt(&as, VA(BASE), lent), MEM_NO_FRAME);
        assert_int_equal(as.tables, 1);
        fake.fail_after = UINT_MAX;
    }
    assert_int_equal(paging_adopt(&as, VA(BASE), lent), MEM_OK);
    assert_int_equal(paging_adopt(&as, VA(BASE), lent), MEM_FULL);
    assert_int_equal(as.tables, WIDE ? 3 : 1);
    leads(BASE + 5 * PAGE + 1, 0x9001);
    assert_int_equal(flags_at(BASE + 5 * PAGE), WIDE ? MAP_WRITE : MAP_WRITE | MAP_EXEC);
}

static void shared_entries_do_not_overwrite(void **state)
{
    (void)state;
    struct aspace user;
    paddr_t pa;
    vword_t other = BASE + ((vword_t)1 << (WIDE ? 39 : 22));
    assert_int_equal(paging_pin(&as, VA(BASE), PAGE), MEM_OK);
    assert_int_equal(paging_pin(&as, VA(other), PAGE), MEM_OK);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x6000), 0), MEM_OK);
    assert_int_equal(paging_create(&user, false, fake_source, &features), MEM_OK);
    assert_int_equal(map_page(&user, VA(BASE + PAGE), PA(0x5000), MAP_USER), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_MAPPED);
    assert_int_equal(translate(&user, VA(BASE), &pa), MEM_NOT_MAPPED);
    assert_true(user.last == ~(vword_t)0);
    assert_int_equal(unmap_page(&user, VA(BASE + PAGE), NULL), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_OK);
    assert_true(user.last == BASE - 1);
    assert_int_equal(translate(&user, VA(BASE), &pa), MEM_OK);
    assert_int_equal(map_page(&user, VA(BASE - PAGE), PA(0x5000), MAP_USER), MEM_OK);
    paging_destroy(&user);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refusals_of_frames),         TEST(frames_that_run_out),
        TEST(holes_are_not_mapped),       TEST(around_a_table_that_is_there),
        TEST(over_a_table_with_room),     TEST(running_out_beside_a_neighbour),
        TEST(gib_pages_need_the_cpu),     TEST(an_address_of_more_than_a_word),
        TEST(a_range_over_the_hole),      TEST(the_last_page_is_split_at_one_end),
        TEST(large_and_small_to_the_top), TEST(what_the_cpu_has_not_is_not_written),
        TEST(bits_that_mean_nothing_yet), TEST(bits_that_must_be_zero),
        TEST(no_frame_for_a_root),        TEST(pins_that_fail),
        TEST(a_table_is_adopted_once),    TEST(shared_entries_do_not_overwrite),
    };
    return cmocka_run_group_tests_name("paging corners", tests, NULL, NULL);
}
