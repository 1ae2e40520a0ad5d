/* SPDX-License-Identifier: MIT */
/*
 * test_paging_hand.c - frames one by one, flushes counted, and the table that the last call left in
 * hand (as->leaf), which must never outlive its last page nor carry flags over.
 */
#include "paging_walker.h"

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
    assert_int_equal(
        map_frames(&as, VA(at), pages, MAP_WRITE, &(struct frame_source){next_frame, NULL, &next}),
        MEM_OK);
    assert_int_equal(next, pages);
    assert_int_equal(fake.page_flushes + fake.whole_flushes, 0);
    for (unsigned i = 0; i < pages; i++)
        assert_true(look(at + i * PAGE).pa == (0x1000ull + i) * PAGE);
    assert_int_equal(
        unmap_frames(&as, VA(at), pages, &(struct frame_source){NULL, count_frame, &back}), MEM_OK);
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

/* Each page of a short range, and no other. */
static void the_pages_that_go_are_flushed(void **state)
{
    (void)state;
    assert_int_equal(map_range(&as, VA(BASE), PA(0x5000), 5 * PAGE, MAP_WRITE), MEM_OK);
    unsigned before = fake.page_flushes;
    assert_int_equal(unmap_range(&as, VA(BASE + PAGE), 3 * PAGE), MEM_OK);
    assert_int_equal(fake.page_flushes, before + 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(fake.flushed[(before + i) % FAKE_FLUSHED] == BASE + (1 + i) * PAGE);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
    assert_true(fake.flushed[(before + 3) % FAKE_FLUSHED] == BASE);
    assert_int_equal(unmap_page(&as, VA(BASE + 4 * PAGE), NULL), MEM_OK);
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
    for (unsigned off = 1; off < PAGE; off *= 2)
        assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(0xa000 + off), MAP_WRITE),
                         MEM_MISALIGNED);
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
            assert_int_equal(unmap_frames(&as, VA(va.v + PAGE), 1,
                                          &(struct frame_source){NULL, give_nowhere, NULL}),
                             MEM_OK);
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

/* The processor may use a table until the flush: only then does it go back (fake_walk looks). */
static void a_table_goes_back_after_the_flush(void **state)
{
    (void)state;
    const unsigned pages[] = {1, 3, 1, (unsigned)(LARGE / PAGE) + 3}; /* of two tables, at last */
    unsigned next = 0, back = 0;
    for (unsigned i = 0; i < 4; i++) {
        struct frame_source frames = {next_frame, count_frame, &next};
        vword_t at = BASE + LARGE - PAGE, bytes = (vword_t)pages[i] * PAGE;
        assert_int_equal(map_frames(&as, VA(at), pages[i], MAP_WRITE, &frames), MEM_OK);
        for (unsigned page = 0; page < pages[i]; page++)
            touch(at + (vword_t)page * PAGE);
        frames.ctx = &back;
        assert_int_equal(i == 0   ? unmap_page(&as, VA(at), NULL)
                         : i == 1 ? unmap_frames(&as, VA(at), pages[i], &frames)
                                  : unmap_range(&as, VA(at), bytes),
                         MEM_OK);
        assert_int_equal(as.tables, 1);
        recalls();
    }
    assert_int_equal(back, pages[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_one_by_one),
        TEST(flushes_are_counted),
        TEST(a_call_flushes_once),
        TEST(the_pages_that_go_are_flushed),
        TEST(a_table_goes_back_after_the_flush),
        TEST(what_is_refused_stays_refused_in_hand),
        TEST(flags_are_not_carried_over),
        TEST(a_table_in_hand_goes_with_its_last_page),
    };
    return cmocka_run_group_tests_name("paging_hand", tests, NULL, NULL);
}
