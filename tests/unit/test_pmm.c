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

#include <mem/pmm_cache.h>

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
    if (!pmm_holds(&pmm, &broken))
        fail_msg("%s", broken);
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
    if (PMM_TAGS) /* without, nobody knows whose it is */
        assert_int_equal(pmm_free(&pmm, PFN(0x100 + 52), OWNER_HEAP), MEM_NOT_HELD);
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

/* ---- blocks of 512, several spans, and caches: against a model that is an array ----------------
 */

enum { SPACE = 16384, CACHES = 2, STEPS = 60000 };
enum { ABSENT, RESERVED, FREE, HELD };

static uint8_t model[SPACE];
static struct pmm_cache caches[CACHES];
static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

static void model_add(uint64_t frame, uint64_t frames, enum range_kind kind, enum frame_owner owner)
{
    add(frame, frames, kind, owner);
    for (uint64_t i = frame; i < frame + frames; i++)
        model[i] = kind != RANGE_USABLE ? ABSENT : owner == OWNER_NONE ? FREE : RESERVED;
}

static void start_model(unsigned with_caches)
{
    memset(model, ABSENT, sizeof model);
    set_up(NULL);
    model_add(0, 160, RANGE_USABLE, OWNER_LOW);
    model_add(0x100, 300, RANGE_USABLE, OWNER_KERNEL);
    model_add(0x100 + 300, 900, RANGE_USABLE, OWNER_NONE);
    model_add(0x600, 3, RANGE_RESERVED, OWNER_NONE);
    model_add(0x603, 2000, RANGE_USABLE, OWNER_NONE);
    model_add(0x1000, 512 * 9 + 17, RANGE_USABLE, OWNER_NONE);
    model_add(0x3000, 512, RANGE_USABLE, OWNER_NONE);
    model_add(0x3200, 1, RANGE_USABLE, OWNER_MODULE);
    model_add(0x3201, 511, RANGE_USABLE, OWNER_NONE);
    start();
    for (unsigned i = 0; i < with_caches; i++)
        pmm_cache_init(&caches[i], &pmm);
}

static bool model_run_is(uint64_t frame, uint64_t frames, unsigned state)
{
    for (uint64_t i = frame; i < frame + frames; i++) {
        if (i >= SPACE || model[i] != state)
            return false;
    }
    return true;
}

static bool suits(uint64_t frame, const struct pmm_run_request *want)
{
    uint64_t border = want->boundary / PAGE, end = frame + want->frames;
    return frame % (1u << want->align_log2) == 0 && (!want->below || end * PAGE <= want->below) &&
           (!border || frame / border == (end - 1) / border);
}

static bool model_has(const struct pmm_run_request *want)
{
    for (uint64_t i = 0; i + want->frames <= SPACE; i++) {
        if (model[i] == FREE && suits(i, want) && model_run_is(i, want->frames, FREE))
            return true;
    }
    return false;
}

static void model_set(uint64_t frame, uint64_t frames, unsigned state)
{
    memset(model + frame, (int)state, frames);
}

static uint64_t model_count(unsigned state)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < SPACE; i++)
        n += model[i] == state;
    return n;
}

static void step_alloc(unsigned cached)
{
    pfn_t frame;
    struct pmm_cache *c = &caches[random_below(CACHES)];
    if (!cached || random_below(4) == 0)
        frame = pmm_alloc(&pmm, OWNER_USER);
    else if (!pmm_cache_take(c, OWNER_USER, &frame))
        frame = pmm_cache_take_slow(c, OWNER_USER);
    if (pfn_is_none(frame)) {
        assert_true(cached || model_count(FREE) == 0);
        return;
    }
    assert_true(frame.v < SPACE && model[frame.v] == FREE);
    if (!cached) /* the lowest */
        assert_null(memchr(model, FREE, frame.v));
    model[frame.v] = HELD;
}

static enum mem_err give(unsigned cached, pfn_t frame)
{
    struct pmm_cache *c = &caches[random_below(CACHES)];
    if (!cached || random_below(4) == 0)
        return pmm_free(&pmm, frame, OWNER_USER);
    return pmm_cache_give(c, frame, OWNER_USER) ? MEM_OK
                                                : pmm_cache_give_slow(c, frame, OWNER_USER);
}

static void step_free(unsigned cached)
{
    uint32_t frame = random_below(SPACE + 40);
    unsigned was = frame < SPACE ? model[frame] : ABSENT;
    enum mem_err err = give(cached, PFN(frame));
    assert_int_equal(err, was == HELD ? MEM_OK : was == ABSENT ? MEM_OUT_OF_RANGE : MEM_NOT_HELD);
    if (was == HELD)
        model[frame] = FREE;
}

static void step_run(void)
{
    static const size_t sizes[] = {1, 2, 7, 33, 64, 100, 512, 513, 700, 1024, 1500};
    struct pmm_run_request want = {.frames = sizes[random_below(11)],
                                   .align_log2 = random_below(3) ? 0 : random_below(12)};
    if (random_below(4) == 0)
        want.below = (uint64_t)PAGE * random_below(SPACE);
    if (random_below(4) == 0)
        want.boundary = (uint64_t)PAGE << (11 + random_below(3));
    pfn_t first;
    enum mem_err err = pmm_alloc_run(&pmm, &want, OWNER_USER, &first);
    assert_int_equal(err, model_has(&want) ? MEM_OK : MEM_NO_FRAME);
    if (err)
        return;
    assert_true(suits(first.v, &want) && model_run_is(first.v, want.frames, FREE));
    model_set(first.v, want.frames, HELD);
}

static void step_block(void)
{
    struct pmm_run_request want = {.frames = PMM_BLOCK, .align_log2 = PMM_BLOCK_SHIFT};
    bool there = model_has(&want);
    pfn_t first = pmm_alloc_block(&pmm, OWNER_USER);
    assert_int_equal(pfn_is_none(first), !there);
    if (!there)
        return;
    assert_true(model_run_is(first.v, PMM_BLOCK, FREE));
    model_set(first.v, PMM_BLOCK, HELD);
}

static void step_free_run(void)
{
    uint32_t frame = random_below(SPACE), frames = 1 + random_below(random_below(2) ? 8 : 600);
    enum mem_err err = pmm_free_run(&pmm, PFN(frame), frames, OWNER_USER);
    bool held = model_run_is(frame, frames, HELD);
    assert_true(held ? err == MEM_OK : err == MEM_NOT_HELD || err == MEM_OUT_OF_RANGE);
    if (held)
        model_set(frame, frames, FREE);
}

static void step_reserve(void)
{
    uint32_t frame = random_below(SPACE), frames = 1 + random_below(random_below(2) ? 4 : 700);
    enum mem_err err = pmm_reserve(&pmm, PFN(frame), frames, OWNER_USER);
    bool free = model_run_is(frame, frames, FREE);
    assert_true(free ? err == MEM_OK : err == MEM_NOT_HELD || err == MEM_OUT_OF_RANGE);
    if (free)
        model_set(frame, frames, HELD);
}

static void agrees(unsigned cached)
{
    for (unsigned i = 0; i < cached; i++)
        pmm_cache_drain(&caches[i]);
    holds();
    assert_true(pmm_free_frames(&pmm) == model_count(FREE));
    for (unsigned i = 0; i < SPACE; i++)
        assert_int_equal(pmm_is_free(&pmm, PFN(i)), model[i] == FREE);
}

/* Phases lean towards taking or giving, so that RAM is nearly empty and nearly full by turns. */
static void play(unsigned with_caches)
{
    start_model(with_caches);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned lean = i / 4000 % 3, what = random_below(100);
        if (what < 30 + 30 * (lean == 0))
            step_alloc(with_caches);
        else if (what < 94)
            step_free(with_caches);
        else if (what < 96)
            step_run();
        else if (what < 97)
            step_block();
        else if (what < 99)
            step_free_run();
        else
            step_reserve();
        if (i % 500 == 0)
            agrees(with_caches);
    }
    agrees(with_caches);
}

static void a_long_game(void **state)
{
    (void)state;
    for (seed = 1; seed < 5; seed++)
        play(0);
}

static void a_long_game_with_caches(void **state)
{
    (void)state;
    for (seed = 1; seed < 5; seed++)
        play(CACHES);
}

/* ---- caches -----------------------------------------------------------------------------------
 */

static void nothing_is_lost_in_a_cache(void **state)
{
    (void)state;
    start_model(CACHES);
    uint64_t all = pmm_free_frames(&pmm), n = 0;
    static pfn_t taken[SPACE];
    for (pfn_t f; n < SPACE; n++) {
        if (!pmm_cache_take(&caches[n % 2], OWNER_USER, &f))
            f = pmm_cache_take_slow(&caches[n % 2], OWNER_USER);
        if (pfn_is_none(f))
            break;
        taken[n] = f;
    }
    assert_true(n == all && pmm_free_frames(&pmm) == 0);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(give(CACHES, taken[(i * 7919) % n]), MEM_OK);
    assert_true(pmm_free_frames(&pmm) == all);
    struct pmm_run_request want = {.frames = 512 * 9 + 17};
    pfn_t first; /* all of the largest range, though the caches hold some of it */
    assert_int_equal(pmm_alloc_run(&pmm, &want, OWNER_USER, &first), MEM_OK);
    assert_int_equal(first.v, 0x1000);
}

static void a_block_is_found_though_caches_have_part_of_it(void **state)
{
    (void)state;
    add(0, 1024, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_cache_init(&caches[0], &pmm);
    pfn_t first = pmm_alloc_block(&pmm, OWNER_USER), second = pmm_alloc_block(&pmm, OWNER_USER);
    assert_true(first.v == 0 && second.v == 512 && pfn_is_none(pmm_alloc_block(&pmm, OWNER_USER)));
    for (unsigned i = 0; i < 512; i++)
        assert_true(pmm_cache_give(&caches[0], PFN(i), OWNER_USER) ||
                    pmm_cache_give_slow(&caches[0], PFN(i), OWNER_USER) == MEM_OK);
    assert_int_equal(pmm_alloc_block(&pmm, OWNER_USER).v, 0);
}

static void a_cached_frame_is_not_freed_twice(void **state)
{
    (void)state;
    start_model(CACHES);
    pfn_t frame;
    assert_false(pmm_cache_take(&caches[0], OWNER_USER, &frame));
    frame = pmm_cache_take_slow(&caches[0], OWNER_USER);
    assert_true(PMM_TAGS || pmm_cache_give(&caches[0], frame, OWNER_USER));
    if (PMM_TAGS)
        assert_int_equal(pmm_cache_give_slow(&caches[0], frame, OWNER_USER), MEM_OK);
    for (unsigned i = 0; i < CACHES; i++) {
        assert_false(pmm_cache_give(&caches[i], frame, OWNER_USER));
        assert_int_equal(pmm_cache_give_slow(&caches[i], frame, OWNER_USER), MEM_NOT_HELD);
    }
    assert_int_equal(pmm_free(&pmm, frame, OWNER_USER), MEM_NOT_HELD);
    struct pmm_stats s;
    pmm_stats(&pmm, &s);
    assert_true(s.refused[PMM_DOUBLE_FREE] == 3 && s.used == 0);
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

/* ---- owners of single frames, in builds with tags ----------------------------------------------
 */

static void whose_frame_is_it(void **state)
{
    (void)state;
    start_model(0);
    pfn_t frame = pmm_alloc(&pmm, OWNER_HEAP);
    assert_int_equal(pmm_owner(&pmm, frame), PMM_TAGS ? OWNER_HEAP : OWNER_COUNT);
    assert_int_equal(pmm_owner(&pmm, PFN(3)), OWNER_LOW);
    assert_int_equal(pmm_owner(&pmm, pfn_add(frame, 1)), OWNER_NONE);
    assert_int_equal(pmm_owner(&pmm, PFN(0x600)), OWNER_NONE);
    if (PMM_TAGS) {
        (void)pmm_alloc(&pmm, OWNER_STACK);
        assert_int_equal(pmm_free(&pmm, frame, OWNER_STACK), MEM_NOT_HELD);
    }
    assert_int_equal(pmm_free(&pmm, frame, OWNER_HEAP), MEM_OK);
    assert_int_equal(pmm_owner(&pmm, frame), OWNER_NONE);
    holds();
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
        TEST(a_long_game),
        TEST(a_long_game_with_caches),
        TEST(nothing_is_lost_in_a_cache),
        TEST(a_block_is_found_though_caches_have_part_of_it),
        TEST(a_cached_frame_is_not_freed_twice),
        TEST(untouched_memory_costs_nothing),
        TEST(whose_frame_is_it),
    };
    return cmocka_run_group_tests_name(PMM_TAGS ? "pmm with tags" : "pmm", tests, NULL, NULL);
}
