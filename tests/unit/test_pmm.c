/* SPDX-License-Identifier: MIT */
/*
 * test_pmm.c - the frame allocator in every state of a small map, and on maps that hurt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <mem/pmm.h>

enum { PAGE = 4096, RANGES = 2100 };

static struct boot_range ranges[RANGES];
static struct bootmap map;
static struct pmm pmm;
static uint64_t metadata[1 << 16] __attribute__((aligned(64)));

static int set_up(void **state)
{
    (void)state;
    memset(metadata, 0xa7, sizeof metadata); /* not zero: pmm_init must not count on it */
    map = (struct bootmap){.ranges = ranges, .capacity = RANGES, .finished = true};
    return 0;
}

static void add(uint64_t frame, uint64_t frames, enum range_kind kind, enum frame_owner owner)
{
    ranges[map.count++] =
        (struct boot_range){frame * PAGE, (frame + frames) * PAGE - 1, kind, owner};
}

static void start(void)
{
    size_t need = pmm_metadata_bytes(&map);
    assert_true(need <= sizeof metadata);
    assert_int_equal(pmm_init(&pmm, &map, metadata, need), MEM_OK);
}

static void holds(void)
{
    const char *broken;
    assert_true(pmm_holds(&pmm, &broken));
}

/* ---- building ------------------------------------------------------------------------------- */

static void init_refuses_nonsense(void **state)
{
    (void)state;
    add(0x100, 64, RANGE_USABLE, OWNER_NONE);
    size_t need = pmm_metadata_bytes(&map);
    assert_int_equal(pmm_init(&pmm, &map, metadata, need - 1), MEM_BAD_ARG);
    assert_int_equal(pmm_init(&pmm, &map, (uint8_t *)metadata + 8, need), MEM_BAD_ARG);
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
    assert_int_equal(pmm_free(&pmm, PFN(0x100 + 52), OWNER_HEAP), MEM_NOT_HELD); /* heap has none */
    assert_int_equal(pmm_free(&pmm, PFN(0x100 + 52), OWNER_TABLE),
                     MEM_OK); /* early tables can go */
    holds();
}

/* ---- every state of a few frames x every call ----------------------------------------------- */

enum { FRAMES = 10, FIRST = 0x1fc }; /* across a word and a 2 MiB border */

/* Frames whose bit is set in `taken` are held by OWNER_TEST. */
static void reach(unsigned taken)
{
    set_up(NULL);
    add(FIRST, FRAMES, RANGE_USABLE, OWNER_NONE);
    start();
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, FIRST + i);
    for (unsigned i = 0; i < FRAMES; i++) {
        if (!(taken >> i & 1))
            assert_int_equal(pmm_free(&pmm, PFN(FIRST + i), OWNER_TEST), MEM_OK);
    }
}

static void is_state(unsigned taken)
{
    holds();
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(pmm_is_free(&pmm, PFN(FIRST + i)), !(taken >> i & 1));
    assert_int_equal(pmm_free_frames(&pmm), FRAMES - (unsigned)__builtin_popcount(taken));
}

static int lowest_run(unsigned taken, unsigned frames, unsigned align)
{
    for (unsigned i = 0; i + frames <= FRAMES; i++) {
        unsigned mask = ((1u << frames) - 1) << i;
        if (!(taken & mask) && (FIRST + i) % (1u << align) == 0)
            return (int)i;
    }
    return -1;
}

static void try_runs(unsigned taken)
{
    for (unsigned frames = 1; frames <= 4; frames++) {
        for (unsigned align = 0; align <= 3; align++) {
            struct pmm_run_request want = {.frames = frames, .align_log2 = align};
            pfn_t first;
            int expected = lowest_run(taken, frames, align);
            enum mem_err err = pmm_alloc_run(&pmm, &want, OWNER_TEST, &first);
            assert_int_equal(err, expected < 0 ? MEM_NO_FRAME : MEM_OK);
            if (err)
                continue;
            assert_int_equal(first.v, FIRST + (unsigned)expected);
            is_state(taken | ((1u << frames) - 1) << expected);
            assert_int_equal(pmm_free_run(&pmm, first, frames, OWNER_TEST), MEM_OK);
            is_state(taken);
        }
    }
}

static void try_frees(unsigned taken)
{
    for (int i = -1; i <= FRAMES; i++) {
        bool inside = i >= 0 && i < FRAMES, held = inside && taken >> i & 1;
        enum mem_err err = pmm_free(&pmm, PFN((vword_t)(FIRST + i)), OWNER_TEST);
        assert_int_equal(err, held ? MEM_OK : inside ? MEM_NOT_HELD : MEM_OUT_OF_RANGE);
        is_state(held ? taken & ~(1u << i) : taken);
        if (held) {
            assert_int_equal(pmm_reserve(&pmm, PFN((vword_t)(FIRST + i)), 1, OWNER_TEST), MEM_OK);
            is_state(taken);
        } else if (inside) {
            continue;
        }
    }
}

static void try_alloc(unsigned taken)
{
    pfn_t frame = pmm_alloc(&pmm, OWNER_TEST);
    int expected = lowest_run(taken, 1, 0);
    assert_int_equal(pfn_is_none(frame), expected < 0);
    if (expected < 0)
        return;
    assert_int_equal(frame.v, FIRST + (unsigned)expected);
    is_state(taken | 1u << expected);
    assert_int_equal(pmm_free(&pmm, frame, OWNER_TEST), MEM_OK);
}

static void every_state_of_ten_frames(void **state)
{
    (void)state;
    for (unsigned taken = 0; taken < 1u << FRAMES; taken++) {
        reach(taken);
        is_state(taken);
        try_alloc(taken);
        try_runs(taken);
        try_frees(taken);
    }
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
    assert_true(pmm_metadata_bytes(&map) < 1024);
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
    assert_int_equal(pmm_free_run(&pmm, PFN(0x13c), 8, OWNER_DMA), MEM_NOT_HELD);
    assert_true(pmm_free_frames(&pmm) == 56);
    assert_int_equal(pmm_free_run(&pmm, pfn_add(first, 2), 3, OWNER_DMA), MEM_OK);
    assert_int_equal(pmm_free_run(&pmm, first, 8, OWNER_DMA), MEM_NOT_HELD);
    assert_int_equal(pmm_reserve(&pmm, first, 8, OWNER_DMA), MEM_NOT_HELD);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x13f), 2, OWNER_DMA), MEM_OUT_OF_RANGE);
    assert_true(pmm_free_frames(&pmm) == 59);
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

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(init_refuses_nonsense),
        TEST(owners_from_boot),
        TEST(every_state_of_ten_frames),
        TEST(every_other_frame),
        TEST(far_apart),
        TEST(only_frame_zero),
        TEST(the_limit_is_the_end),
        TEST(runs_keep_to_their_conditions),
        TEST(a_run_is_freed_whole_or_not_at_all),
        TEST(stretches_tile_the_address_space),
    };
    return cmocka_run_group_tests_name("pmm", tests, NULL, NULL);
}
