/* SPDX-License-Identifier: MIT */
/* test_pmm.c - the frame allocator: how it is built, and maps that hurt. */
#include "pmm_map.h"

/* ---- building ------------------------------------------------------------------------------- */

static void init_refuses_nonsense(void **state)
{
    (void)state;
    add(0x100, 64, RANGE_USABLE, OWNER_NONE);
    size_t need = pmm_metadata_bytes(&map);
    assert_int_equal(pmm_init(&pmm, &map, metadata, need - 1), MEM_BAD_ARG);
    for (unsigned off = 1; off < 64; off++)
        assert_int_equal(pmm_init(&pmm, &map, (uint8_t *)metadata + off, need), MEM_BAD_ARG);
    ranges[0].kind = RANGE_RESERVED;
    assert_int_equal(pmm_init(&pmm, &map, metadata, sizeof metadata), MEM_NO_FRAME);
}

static void owners_from_boot(void **state)
{
    (void)state;
    add(0, 160, RANGE_USABLE, OWNER_LOW);
    add(0x100, 50, RANGE_USABLE, OWNER_KERNEL);
    add(0x100 + 50, 5, RANGE_USABLE, OWNER_TABLE);
    add(0x100 + 55, 20, RANGE_USABLE, OWNER_NONE);
    add(0x200, 20, RANGE_RESERVED, OWNER_NONE);
    start();
    struct pmm_stats s;
    pmm_stats(&pmm, &s);
    assert_true(s.total == 235 && s.free == 20 && s.reserved == 210 && s.used == 5);
    assert_true(s.largest_run == 20);
    assert_int_equal(pmm_free(&pmm, PFN(3), OWNER_TEST), MEM_NOT_HELD);
    assert_int_equal(pmm_free(&pmm, PFN(0x100), OWNER_TABLE), MEM_NOT_HELD);
    assert_int_equal(pmm_free(&pmm, PFN(0x200), OWNER_TEST), MEM_OUT_OF_RANGE);
    if (PMM_TAGS) /* without, nobody knows whose it is */
        assert_int_equal(pmm_free(&pmm, PFN(0x100 + 52), OWNER_HEAP), MEM_NOT_HELD);
    assert_int_equal(pmm_free(&pmm, PFN(0x100 + 52), OWNER_TABLE),
                     MEM_OK); /* early tables can go */
    holds();
}

static void untouched_memory_costs_nothing(void **state)
{
    (void)state;
    add(0, 1 << 16, RANGE_USABLE, OWNER_NONE); /* 256 MiB */
    start();
    size_t untouched = 0, words = sizeof metadata / sizeof metadata[0];
    for (size_t i = 0; i < words; i++)
        untouched += metadata[i] == 0xa7a7a7a7a7a7a7a7;
    assert_true(words - untouched < 64);
    assert_true(PMM_TAGS || pmm_metadata_bytes(&map) * 10000 <= (1 << 16) * 1275ull);
    holds();
}

/* The last frame's tag, in builds that have tags, is the last byte; here it is held since boot. */
static void nothing_is_written_behind_the_metadata(void **state)
{
    (void)state;
    add(0x400, 2 * PMM_BLOCK - 5, RANGE_USABLE, OWNER_NONE);
    add(0x400 + 2 * PMM_BLOCK - 5, 5, RANGE_USABLE, OWNER_TABLE);
    start();
    size_t need = pmm_metadata_bytes(&map);
    while (!pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)))
        ;
    for (size_t i = need; i < sizeof metadata; i++)
        assert_int_equal(((const uint8_t *)metadata)[i], 0xa7);
    assert_true(!PMM_TAGS || ((const uint8_t *)metadata)[need - 1] == OWNER_TABLE);
    assert_int_equal(pmm_owner(&pmm, PFN(0x400)), PMM_TAGS ? OWNER_TEST : OWNER_COUNT);
}

/* ---- maps that hurt ------------------------------------------------------------------------- */

static bool usable(uint64_t frame)
{
    for (size_t i = 0; i < map.count; i++) {
        if (ranges[i].kind == RANGE_USABLE && ranges[i].owner == OWNER_NONE &&
            frame * PAGE >= ranges[i].start && frame * PAGE <= ranges[i].last)
            return true;
    }
    return false;
}

/* Takes every frame, lowest first; gives them back in another order; the counts are exact. */
static void all_of_them(uint64_t expected)
{
    start();
    assert_true(pmm_free_frames(&pmm) == expected);
    static pfn_t taken[40000];
    uint64_t n = 0;
    for (pfn_t f; !pfn_is_none(f = pmm_alloc(&pmm, OWNER_USER)); n++) {
        assert_true(n < 40000 && usable(f.v));
        assert_true(n == 0 || f.v > taken[n - 1].v);
        taken[n] = f;
    }
    assert_true(n == expected && pmm_free_frames(&pmm) == 0);
    holds();
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(pmm_free(&pmm, taken[(i * 7919) % n], OWNER_USER), MEM_OK);
    assert_true(pmm_free_frames(&pmm) == expected);
    holds();
}

static void every_other_frame(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2000; i++)
        add(0x100 + 2 * i, 1, RANGE_USABLE, OWNER_NONE);
    struct pmm_run_request two = {.frames = 2};
    pfn_t first;
    all_of_them(2000);
    assert_int_equal(pmm_alloc_run(&pmm, &two, OWNER_TEST, &first), MEM_NO_FRAME);
    struct pmm_stats s;
    pmm_stats(&pmm, &s);
    assert_true(s.largest_run == 1 && s.runs[0] == 2000);
}

static void far_apart(void **state)
{
    (void)state;
    bool wide = sizeof(vword_t) == 8;
    add(0x100, 1000, RANGE_USABLE, OWNER_NONE);
    add(0x80000, 10, RANGE_RESERVED, OWNER_NONE);
    add(0xfffff, 1, RANGE_USABLE, OWNER_NONE); /* the last frame below 4 GiB */
    if (wide) {
        add(0x100000, 3, RANGE_USABLE, OWNER_NONE); /* touches it */
        add(0x10000000, 5, RANGE_USABLE, OWNER_NONE);
        add(0x3ffffff00, 256, RANGE_USABLE, OWNER_NONE); /* just below 64 TiB */
    }
    all_of_them(wide ? 1265 : 1001);
    assert_true(PMM_TAGS || pmm_metadata_bytes(&map) < 1536);
    if (wide) {
        struct pmm_run_request want = {.frames = 4};
        pfn_t first;
        assert_int_equal(pmm_reserve(&pmm, PFN(0x100), 1000, OWNER_TEST), MEM_OK);
        assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_TEST, &first), MEM_OK);
        assert_int_equal(first.v, 0xfffff); /* across ranges that touch */
        want.below = 4ull << 30;
        want.frames = 1;
        assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_TEST, &first), MEM_NO_FRAME);
    }
}

static void only_frame_zero(void **state)
{
    (void)state;
    add(0, 1, RANGE_USABLE, OWNER_NONE);
    start();
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, 0);
    assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    assert_int_equal(pmm_free(&pmm, PFN(0), OWNER_TEST), MEM_OK);
}

static void the_limit_is_the_end(void **state)
{
    (void)state;
    map.limit = 0x108 * PAGE;
    add(0x100, 64, RANGE_USABLE, OWNER_NONE);
    add(0x200, 64, RANGE_USABLE, OWNER_NONE);
    start();
    struct pmm_stats s;
    pmm_stats(&pmm, &s);
    assert_true(s.total == 8);
    assert_int_equal(pmm_free(&pmm, PFN(0x108), OWNER_TEST), MEM_OUT_OF_RANGE);
}

static void runs_keep_to_their_conditions(void **state)
{
    (void)state;
    add(0xf00, 0x600, RANGE_USABLE, OWNER_NONE);
    start();
    pfn_t first;
    struct pmm_run_request want = {.frames = 32, .align_log2 = 4, .below = 16 << 20};
    assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_DMA, &first), MEM_OK);
    assert_true(first.v % 16 == 0 && first.v + 32 <= 0x1000);
    want = (struct pmm_run_request){.frames = 16, .boundary = 64 << 10};
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_DMA, &first), MEM_OK);
        assert_int_equal(first.v / 16, (first.v + 15) / 16);
    }
    const struct pmm_run_request bad[] = {
        {.frames = 0},
        {.frames = 1, .align_log2 = 60},
        {.frames = 1, .boundary = 12288},
        {.frames = 17, .boundary = 64 << 10},
    };
    struct pmm_stats before, now;
    pmm_stats(&pmm, &before);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pmm_alloc_run(&pmm, &bad[i], OWNER_DMA, &first), MEM_BAD_ARG);
    want = (struct pmm_run_request){.frames = SIZE_MAX};
    assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_DMA, &first), MEM_NO_FRAME);
    pmm_stats(&pmm, &now);
    assert_true(now.free == before.free && now.refused[3] == before.refused[3] + 4);
    holds();
}

static void a_run_is_freed_whole_or_not_at_all(void **state)
{
    (void)state;
    add(0x100, 64, RANGE_USABLE, OWNER_NONE);
    start();
    struct pmm_run_request want = {.frames = 8};
    pfn_t first;
    assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_DMA, &first), MEM_OK);
    assert_int_equal(pmm_free_run(&pmm, first, 9, OWNER_DMA), MEM_NOT_HELD);
    assert_int_equal(pmm_free_run(&pmm, first, SIZE_MAX, OWNER_DMA), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_free_run(&pmm, first, 0, OWNER_DMA), MEM_BAD_ARG);
    assert_int_equal(pmm_free_run(&pmm, first, 8, OWNER_KERNEL), MEM_BAD_ARG);
    assert_int_equal(pmm_free_run(&pmm, PFN(0x138), 8, OWNER_DMA), MEM_NOT_HELD);
    assert_int_equal(pmm_free_run(&pmm, PFN(0x13c), 8, OWNER_DMA), MEM_OUT_OF_RANGE);
    assert_true(pmm_free_frames(&pmm) == 56);
    assert_int_equal(pmm_free_run(&pmm, pfn_add(first, 2), 3, OWNER_DMA), MEM_OK);
    assert_int_equal(pmm_free_run(&pmm, first, 8, OWNER_DMA), MEM_NOT_HELD);
    assert_int_equal(pmm_reserve(&pmm, first, 8, OWNER_DMA), MEM_NOT_HELD);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x13f), 2, OWNER_DMA), MEM_OUT_OF_RANGE);
    assert_true(pmm_free_frames(&pmm) == 59);
    holds();
}

/* free blocks, then blocks that are the kernel's:  [====][====][kkkk]  reserve across the border */
static void no_reserve_across_what_is_owned(void **state)
{
    (void)state;
    add(0x200, 1024, RANGE_USABLE, OWNER_NONE);
    add(0x600, 1024, RANGE_USABLE, OWNER_KERNEL);
    start();
    for (unsigned more = 1; more <= 1024; more += 31) {
        assert_int_equal(pmm_reserve(&pmm, PFN(0x201), 1023 + more, OWNER_TEST), MEM_NOT_HELD);
        holds();
    }
    assert_int_equal(pmm_reserve(&pmm, PFN(0x201), 1023, OWNER_TEST), MEM_OK);
    assert_true(pmm_free_frames(&pmm) == 1);
    holds();
}

/* whole blocks up to the very end of RAM:  [====][====]| nothing */
static void a_run_ends_where_ram_ends(void **state)
{
    (void)state;
    const size_t too_many[] = {1025, 1500, 1536, 1537, 4096};
    add(0x200, 1024, RANGE_USABLE, OWNER_NONE);
    start();
    pfn_t first;
    struct pmm_run_request want = {0};
    for (unsigned i = 0; i < sizeof too_many / sizeof *too_many; i++) {
        want.frames = too_many[i];
        assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_DMA, &first), MEM_NO_FRAME);
        holds();
    }
    want.frames = 1024;
    assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_DMA, &first), MEM_OK);
    assert_int_equal(first.v, 0x200);
    assert_true(pmm_free_frames(&pmm) == 0);
    holds();
}

static void stretches_tile_the_address_space(void **state)
{
    (void)state;
    add(0x100, 10, RANGE_USABLE, OWNER_LOW);
    add(0x10a, 90, RANGE_USABLE, OWNER_NONE);
    add(0x300, 100, RANGE_USABLE, OWNER_NONE);
    start();
    for (unsigned i = 0; i < 5; i++)
        (void)pmm_alloc(&pmm, OWNER_TEST);
    uint64_t free = 0;
    for (uint64_t at = 0; at < 0x400;) {
        uint64_t frames;
        bool is_free = pmm_stretch(&pmm, PFN((vword_t)at), &frames);
        assert_true(frames > 0);
        for (uint64_t i = at; i < at + frames && i < 0x400; i++)
            assert_int_equal(pmm_is_free(&pmm, PFN((vword_t)i)), is_free);
        free += is_free ? frames : 0;
        at += frames;
    }
    assert_true(free == 185);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(init_refuses_nonsense),
        TEST(owners_from_boot),
        TEST(untouched_memory_costs_nothing),
        TEST(nothing_is_written_behind_the_metadata),
        TEST(every_other_frame),
        TEST(far_apart),
        TEST(only_frame_zero),
        TEST(the_limit_is_the_end),
        TEST(runs_keep_to_their_conditions),
        TEST(a_run_is_freed_whole_or_not_at_all),
        TEST(a_run_ends_where_ram_ends),
        TEST(no_reserve_across_what_is_owned),
        TEST(stretches_tile_the_address_space),
    };
    return cmocka_run_group_tests_name(PMM_TAGS ? "pmm with tags" : "pmm", tests, NULL, NULL);
}
