/* SPDX-License-Identifier: MIT */
/*
 * test_paging_exact.c - small mistakes that planted mutants found unseen: a run of large pages that
 * meets an empty table, frames where a large page would fit, a visit that begins between pages.
 */
#include "paging_walker.h"

/* A pinned table is empty and stays: large pages go up to it and on behind it, never over it.
 * On x86_64 it is a table of level 3, above the run. */
static void large_pages_spare_an_empty_table(void **state)
{
    (void)state;
    assert_int_equal(paging_pin(&as, VA(BASE + LARGE), PAGE), MEM_OK);
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), 3 * LARGE, MAP_WRITE), MEM_OK);
    assert_true(look(BASE).page == LARGE && look(BASE + 2 * LARGE).page == LARGE);
    assert_int_equal(look(BASE + LARGE).page, WIDE ? LARGE : PAGE);
    for (vword_t at = 0; at < 3 * LARGE; at += LARGE / 2)
        assert_true(look(BASE + at).pa == LARGE + at);
    assert_int_equal(unmap_range(&as, VA(BASE), 3 * LARGE), MEM_OK);
    assert_int_equal(as.tables, 2);
}

static pfn_t next_frame(void *ctx)
{
    size_t *next = ctx;
    return PFN(0x1000 + (*next)++);
}

static void count_frame(void *ctx, pfn_t frame)
{
    size_t *next = ctx;
    assert_true(frame.v >= 0x1000);
    --*next;
}

/* Frames that come one by one need small pages, also where all of them fill a large one. */
static void frames_that_fill_a_large_page(void **state)
{
    (void)state;
    size_t taken = 0, pages = LARGE / PAGE;
    struct frame_source some = {next_frame, count_frame, &taken};
    assert_int_equal(map_frames(&as, VA(BASE), pages, MAP_WRITE, &some), MEM_OK);
    assert_int_equal(taken, pages);
    assert_int_equal(look(BASE).page, PAGE);
    assert_true(look(BASE + LARGE - 1).pa == (uint64_t)(0x1000 + pages) * PAGE - 1);
    assert_int_equal(unmap_frames(&as, VA(BASE), pages, &some), MEM_OK);
    assert_int_equal(taken, 0);
    assert_int_equal(as.tables, 1);
}

/* While the first frame goes back, no page of the call can be reached any more (T4). */
static void nothing_is_reachable(void *ctx, pfn_t frame)
{
    (void)frame;
    const size_t *pages = ctx;
    for (size_t i = 0; i < *pages; i++)
        assert_false(look(BASE + LARGE - 2 * PAGE + i * PAGE).mapped);
}

static void frames_go_back_unreachable(void **state)
{
    (void)state;
    size_t taken = 0, pages = 4; /* in two tables */
    struct frame_source from = {next_frame, NULL, &taken},
                        to = {NULL, nothing_is_reachable, &pages};
    vaddr_t at = VA(BASE + LARGE - 2 * PAGE);
    assert_int_equal(map_frames(&as, at, pages, MAP_WRITE, &from), MEM_OK);
    assert_int_equal(unmap_frames(&as, at, pages, &to), MEM_OK);
    assert_int_equal(as.tables, 1);
}

/* A split flushes too, and is counted; a refusal does neither, and the first fault is the answer.
 */
static void splits_are_counted(void **state)
{
    (void)state;
    assert_int_equal(unmap_page(&as, VA(BASE + 1), NULL), MEM_MISALIGNED);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_NOT_MAPPED);
    assert_int_equal(map_range(&as, VA(BASE), PA(LARGE), LARGE, 0), MEM_OK);
    assert_int_equal(as.flushes, 0);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
    assert_int_equal(fake.whole_flushes, 1);
    assert_int_equal(as.flushes, fake.whole_flushes + fake.page_flushes);
    assert_int_equal(unmap_range(&as, VA(BASE + PAGE), LARGE - PAGE), MEM_OK);
}

static bool count_stretch(void *ctx, const struct map_stretch *s)
{
    unsigned *count = ctx;
    assert_int_equal(s->va.v, BASE);
    return ++*count < 3;
}

/* Begins at an odd address, ends with the address space, and does not begin again at 1. */
static void a_visit_that_begins_between_pages(void **state)
{
    (void)state;
    unsigned count = 0;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x5000), 0), MEM_OK);
    paging_visit(&as, VA(1), VA(~(vword_t)0), count_stretch, &count);
    assert_int_equal(count, 1);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

/* The kernel's tables keep users out, on the highest level first. */
static void who_keeps_the_user_out(void **state)
{
    (void)state;
    struct walk w;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x5000), MAP_USER | MAP_WRITE), MEM_OK);
    paging_walk(&as, VA(BASE), &w);
    assert_int_equal(w.flags & (MAP_USER | MAP_WRITE), MAP_WRITE);
    assert_int_equal(w.deciding, 0);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

/* Below the first table's end nothing is taken in hand; from there on everything is. */
static void the_second_table_is_taken_in_hand(void **state)
{
    (void)state;
    assert_int_equal(map_page(&as, VA(LARGE - PAGE), PA(0x5000), 0), MEM_OK);
    assert_null(as.leaf.table);
    assert_int_equal(map_page(&as, VA(LARGE), PA(0x6000), 0), MEM_OK);
    assert_non_null(as.leaf.table);
    assert_int_equal(unmap_range(&as, VA(LARGE - PAGE), 2 * PAGE), MEM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(large_pages_spare_an_empty_table),
        TEST(frames_that_fill_a_large_page),
        TEST(splits_are_counted),
        TEST(frames_go_back_unreachable),
        TEST(a_visit_that_begins_between_pages),
        TEST(who_keeps_the_user_out),
        TEST(the_second_table_is_taken_in_hand),
    };
    return cmocka_run_group_tests_name("paging exact", tests, NULL, NULL);
}
