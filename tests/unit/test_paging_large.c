/* SPDX-License-Identifier: MIT */
/* test_paging_large.c - large pages: where they fit, how they are split, their cache types. */
#include "paging_walker.h"

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

/* Accessed and dirty stay what they were, and no other bit of the large page's entry comes along.
 */
static void a_split_keeps_what_the_cpu_noted(void **state)
{
    (void)state;
    static const entry_t noted[] = {0, ENTRY_ACCESSED, ENTRY_ACCESSED | ENTRY_DIRTY};
    for (unsigned i = 0; i < sizeof noted / sizeof noted[0]; i++) {
        assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), LARGE, MAP_WRITE), MEM_OK);
        *fake_entry(&as, BASE, 2) |= noted[i];
        assert_int_equal(protect_page(&as, VA(BASE + PAGE), 0), MEM_OK);
        entry_t plain = format_leaf(as.features, 1, PA(LARGE + 7 * PAGE), MAP_WRITE);
        entry_t is = *fake_entry(&as, BASE + 7 * PAGE, 1) & ~ENTRY_OURS;
        assert_true(is == (plain | noted[i]));
        assert_int_equal(unmap_range(&as, VA(BASE), LARGE), MEM_OK);
    }
}

static void next_in_order(void *ctx, pfn_t frame)
{
    vword_t *expected = ctx;
    assert_int_equal(frame.v, (*expected)++);
}

/* From the second page of one large page to the last but one of the next. */
static void frames_of_large_pages_go_one_by_one(void **state)
{
    (void)state;
    vword_t next = LARGE / PAGE + 1;
    size_t pages = 2 * LARGE / PAGE - 2;
    const struct frame_source to = {NULL, next_in_order, &next};
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), 2 * LARGE, MAP_WRITE), MEM_OK);
    assert_int_equal(unmap_frames(&as, VA(BASE + PAGE), pages, &to), MEM_OK);
    assert_int_equal(next, LARGE / PAGE + 1 + pages);
    assert_int_equal(map_range(&as, VA(BASE + LARGE), PA(LARGE), LARGE - PAGE, 0), MEM_OK);
    assert_int_equal(unmap_range(&as, VA(BASE + LARGE), LARGE), MEM_OK);
    assert_int_equal(map_range(&as, VA(BASE + LARGE), PA(LARGE), LARGE, 0), MEM_OK);
    next = LARGE / PAGE;
    assert_int_equal(unmap_frames(&as, VA(BASE + LARGE), LARGE / PAGE, &to), MEM_OK);
    assert_int_equal(next, 2 * LARGE / PAGE);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(large_pages_where_they_fit),           TEST(no_large_pages_without_the_feature),
        TEST(cache_types_of_all_eight_pat_entries), TEST(gib_pages_in_long_mode),
        TEST(part_of_a_large_page_is_split),        TEST(a_split_keeps_what_the_cpu_noted),
        TEST(frames_of_large_pages_go_one_by_one),
    };
    return cmocka_run_group_tests_name("paging_large", tests, NULL, NULL);
}
