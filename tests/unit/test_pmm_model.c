/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_model.c - long games with the frame allocator against a model that is an array: blocks
 * of 512, several spans, and caches in front.
 */
#include "pmm_map.h"

/* ---- the model ------------------------------------------------------------------------------ */

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

/* ---- caches ---------------------------------------------------------------------------------- */

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

static void a_block_that_a_cache_takes_from_is_whole_no_more(void **state)
{
    (void)state;
    add(0, 1024, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_cache_init(&caches[0], &pmm);
    pfn_t first = pmm_alloc_block(&pmm, OWNER_USER), frame;
    (void)pmm_alloc_block(&pmm, OWNER_USER);
    assert_int_equal(pmm_free_run(&pmm, first, 511, OWNER_USER), MEM_OK);
    assert_int_equal(pmm_cache_give_slow(&caches[0], PFN(511), OWNER_USER), MEM_OK);
    assert_int_equal(pmm_alloc_block(&pmm, OWNER_USER).v, 0); /* the cache remembers 511 */
    assert_int_equal(pmm_free_run(&pmm, first, 512, OWNER_USER), MEM_OK);
    if (!pmm_cache_take(&caches[0], OWNER_USER, &frame))
        frame = pmm_cache_take_slow(&caches[0], OWNER_USER);
    assert_int_equal(frame.v, PMM_TAGS ? 0 : 511);
    assert_true(pfn_is_none(pmm_alloc_block(&pmm, OWNER_USER)));
    for (unsigned i = 1; i < 511; i++)
        assert_true(pmm_is_free(&pmm, PFN(i)));
    holds();
}

static void a_frame_that_a_cache_gives_back_below_low_is_the_next(void **state)
{
    (void)state;
    add(0, 1024, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_cache_init(&caches[0], &pmm);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(pmm_alloc(&pmm, OWNER_USER).v, i);
    assert_int_equal(pmm_cache_give_slow(&caches[0], PFN(3), OWNER_USER), MEM_OK);
    pmm_cache_drain(&caches[0]);
    holds();
    assert_int_equal(pmm_alloc(&pmm, OWNER_USER).v, 3);
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

/* ---- owners of single frames, in builds with tags -------------------------------------------- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_long_game),
        TEST(a_long_game_with_caches),
        TEST(nothing_is_lost_in_a_cache),
        TEST(a_block_is_found_though_caches_have_part_of_it),
        TEST(a_block_that_a_cache_takes_from_is_whole_no_more),
        TEST(a_frame_that_a_cache_gives_back_below_low_is_the_next),
        TEST(a_cached_frame_is_not_freed_twice),
        TEST(whose_frame_is_it),
    };
    return cmocka_run_group_tests_name(PMM_TAGS ? "pmm model with tags" : "pmm model", tests, NULL,
                                       NULL);
}
