/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_corners.c - refusals, looks at what is nowhere, and the invariants of pmm.c, each broken
 * once.
 */
#include "mem/pmm_index.h" /* before pmm_map.h, whose variables have the parameters' names */

#include "pmm_map.h"

enum { BLOCK = PMM_BLOCK };

/* ---- refusals ------------------------------------------------------------------------------- */

static void owners_that_may_not_hold(void **state)
{
    (void)state;
    add(0x400, 4 * BLOCK, RANGE_USABLE, OWNER_NONE);
    start();
    struct pmm_run_request run = {.frames = 3};
    pfn_t frame = pmm_alloc(&pmm, OWNER_TEST), first = PFN(7);
    for (unsigned i = 0; i < 3; i++) {
        enum frame_owner wrong = i == 0 ? OWNER_NONE : i == 1 ? OWNER_KERNEL : OWNER_COUNT;
        assert_true(pfn_is_none(pmm_alloc(&pmm, wrong)));
        assert_true(pfn_is_none(pmm_alloc_block(&pmm, wrong)));
        assert_int_equal(pmm_alloc_run(&pmm, &run, wrong, &first), MEM_BAD_ARG);
        assert_int_equal(pmm_free(&pmm, frame, wrong), MEM_BAD_ARG);
        assert_int_equal(pmm_free_run(&pmm, frame, 1, wrong), MEM_BAD_ARG);
        assert_int_equal(pmm_reserve(&pmm, PFN(0x500), 1, wrong), MEM_BAD_ARG);
    }
    assert_int_equal(first.v, 7);
    assert_int_equal(pmm_free(&pmm, frame, OWNER_TEST), MEM_OK);
    struct pmm_stats s;
    pmm_stats(&pmm, &s);
    assert_int_equal(s.refused[PMM_BAD_ARGUMENT], 12);
    assert_true(s.free == 4 * BLOCK);
    holds();
}

/* The same through a cache, whose quick calls must not take it for an ordinary miss. */
static void caches_refuse_too(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    add(0x400, 4 * BLOCK, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_cache_init(&cache, &pmm);
    pfn_t frame = pmm_cache_take_slow(&cache, OWNER_TEST), other = PFN(7);
    assert_false(pfn_is_none(frame));
    for (unsigned i = 0; i < 2; i++) {
        enum frame_owner wrong = i ? OWNER_KERNEL : OWNER_COUNT;
        assert_false(pmm_cache_take(&cache, wrong, &other));
        assert_true(pfn_is_none(pmm_cache_take_slow(&cache, wrong)));
        assert_false(pmm_cache_give(&cache, frame, wrong));
        assert_int_equal(pmm_cache_give_slow(&cache, frame, wrong), MEM_BAD_ARG);
    }
    assert_true(pmm_cache_give(&cache, frame, OWNER_TEST));
    assert_int_equal(other.v, 7);
    pmm_cache_drain(&cache);
    holds();
}

/* The same for a frame far from those that the quick call knows. */
static void owners_in_another_span(void **state)
{
    (void)state;
    add(0x400, 4 * BLOCK, RANGE_USABLE, OWNER_NONE);
    add(0x1000, BLOCK, RANGE_USABLE, OWNER_NONE);
    start();
    assert_int_equal(pmm_reserve(&pmm, PFN(0x1001), 1, OWNER_TEST), MEM_OK);
    assert_int_equal(pmm_free(&pmm, PFN(0x1001), OWNER_KERNEL), MEM_BAD_ARG);
    assert_int_equal(pmm_free(&pmm, PFN(0x1001), OWNER_TEST), MEM_OK);
    assert_int_equal(pmm_free(&pmm, PFN(0x1001), OWNER_TEST), MEM_NOT_HELD);
    holds();
}

/* RAM, but none that was ever free. */
static void nothing_circulates(void **state)
{
    (void)state;
    uint64_t frames;
    add(0x400, 8, RANGE_USABLE, OWNER_KERNEL);
    start();
    struct pmm_run_request run = {.frames = 3};
    pfn_t first = PFN(7);
    assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    assert_true(pfn_is_none(pmm_alloc_block(&pmm, OWNER_TEST)));
    assert_int_equal(pmm_alloc_run(&pmm, &run, OWNER_TEST, &first), MEM_NO_FRAME);
    assert_int_equal(pmm_free(&pmm, PFN(0x400), OWNER_TEST), MEM_NOT_HELD);
    assert_int_equal(pmm_free(&pmm, PFN(0), OWNER_TEST), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x400), 1, OWNER_TEST), MEM_NOT_HELD);
    assert_int_equal(pmm_owner(&pmm, PFN(0x400)), OWNER_KERNEL);
    assert_false(pmm_is_free(&pmm, PFN(0)));
    assert_false(pmm_stretch(&pmm, PFN(0), &frames));
    assert_true(frames == UINT64_MAX && first.v == 7);
    holds();
}

static void reservations_that_cannot_be(void **state)
{
    (void)state;
    add(0x400, BLOCK, RANGE_USABLE, OWNER_NONE);
    add(0x600, 8, RANGE_USABLE, OWNER_KERNEL);
    add(0x608, 8, RANGE_USABLE, OWNER_NONE);
    add(0x700, 8, RANGE_RESERVED, OWNER_NONE);
    start();
    assert_int_equal(pmm_reserve(&pmm, PFN(0x400), 0, OWNER_TEST), MEM_BAD_ARG);
    assert_int_equal(pmm_reserve(&pmm, PFN(FULL - 1), 3, OWNER_TEST), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_reserve(&pmm, PFN(FULL - 1), 2, OWNER_TEST), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x3ff), 2, OWNER_TEST), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x60e), 3, OWNER_TEST), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x700), 1, OWNER_TEST), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x5ff), 2, OWNER_TEST), MEM_NOT_HELD);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x607), 2, OWNER_TEST), MEM_NOT_HELD);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x608), 8, OWNER_TEST), MEM_OK);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x60f), 1, OWNER_TEST), MEM_NOT_HELD);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x400), BLOCK, OWNER_TEST), MEM_OK);
    assert_true(pmm_free_frames(&pmm) == 0);
    holds();
}

/* ---- looks ---------------------------------------------------------------------------------- */

/*  frames  0x400 [free, 1 block] hole 0x800 [free, 1 block] 0xa00 [kernel 4, table 4, free 8] */
static void start_two_spans(void)
{
    add(0x400, BLOCK, RANGE_USABLE, OWNER_NONE);
    add(0x800, BLOCK, RANGE_USABLE, OWNER_NONE);
    add(0xa00, 4, RANGE_USABLE, OWNER_KERNEL);
    add(0xa04, 4, RANGE_USABLE, OWNER_TABLE);
    add(0xa08, 8, RANGE_USABLE, OWNER_NONE);
    start();
}

static void is_stretch(vword_t frame, bool free, uint64_t frames)
{
    uint64_t length = 0;
    assert_int_equal(pmm_stretch(&pmm, PFN(frame), &length), free);
    assert_true(length == frames);
}

static void stretches_between_spans(void **state)
{
    (void)state;
    start_two_spans();
    is_stretch(0, false, 0x400);
    is_stretch(0x3ff, false, 1);
    is_stretch(0x400, true, BLOCK);
    is_stretch(0x401, true, BLOCK - 1);
    is_stretch(0x600, false, 0x200);
    is_stretch(0xa00, false, 8);
    is_stretch(0xa08, true, 8);
    is_stretch(0xa10, false, BLOCK - 16);
    is_stretch(0xc00, false, UINT64_MAX - 0xc00);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x5f0), 16, OWNER_TEST), MEM_OK);
    is_stretch(0x400, true, BLOCK - 16);
    is_stretch(0x5f0, false, 16);
}

static void owners_are_told(void **state)
{
    (void)state;
    start_two_spans();
    enum frame_owner unknown = OWNER_COUNT; /* no tags in this build */
    assert_int_equal(pmm_owner(&pmm, PFN(0x400)), OWNER_NONE);
    assert_int_equal(pmm_owner(&pmm, PFN(0x3ff)), OWNER_NONE);
    assert_int_equal(pmm_owner(&pmm, PFN(0x700)), OWNER_NONE);
    assert_int_equal(pmm_owner(&pmm, PFN(0xa00)), OWNER_KERNEL);
    assert_int_equal(pmm_owner(&pmm, PFN(0xa04)), unknown);
    pfn_t frame = pmm_alloc(&pmm, OWNER_TEST);
    assert_int_equal(frame.v, 0x400);
    assert_int_equal(pmm_owner(&pmm, frame), unknown);
    assert_false(pmm_is_free(&pmm, PFN(0x700)));
    assert_false(pmm_is_free(&pmm, frame));
    assert_true(pmm_is_free(&pmm, PFN(0x401)));
}

/* A free run that starts with frame 0 is aligned to anything. */
static void runs_by_order_from_frame_zero(void **state)
{
    (void)state;
    struct pmm_stats s;
    add(0, 3 * BLOCK + 5, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_stats(&pmm, &s);
    assert_true(s.largest_run == 3 * BLOCK + 5);
    assert_true(s.runs[10] == 1 && s.runs[9] == 1 && s.runs[2] == 1 && s.runs[0] == 1);
    assert_true(s.runs[1] == 0 && s.runs[8] == 0);
}

/* What the loader's tables hold may be given back; what the kernel holds may not. */
static void given_back_across_owners(void **state)
{
    (void)state;
    start_two_spans();
    assert_int_equal(pmm_free_run(&pmm, PFN(0xa03), 2, OWNER_TABLE), MEM_NOT_HELD);
    assert_int_equal(pmm_free_run(&pmm, PFN(0xa0f), 2, OWNER_TABLE), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_free_run(&pmm, PFN(0xa04), 5, OWNER_TABLE), MEM_NOT_HELD);
    assert_int_equal(pmm_free_run(&pmm, PFN(0xa04), 13, OWNER_TABLE), MEM_OUT_OF_RANGE);
    assert_int_equal(pmm_free_run(&pmm, PFN(0xa04), 4, OWNER_TABLE), MEM_OK);
    assert_int_equal(pmm_free_run(&pmm, PFN(FULL), 2, OWNER_TABLE), MEM_OUT_OF_RANGE);
    is_stretch(0xa04, true, 12);
    holds();
}

/* ---- runs ----------------------------------------------------------------------------------- */

static void a_block_that_became_whole_again(void **state)
{
    (void)state;
    pfn_t first, again;
    struct pmm_run_request run = {.frames = 5}, aligned = {.frames = 4, .align_log2 = 2};
    add(0x400, 4 * BLOCK, RANGE_USABLE, OWNER_NONE);
    start();
    for (unsigned i = 0; i < 3; i++) { /* cut, whole again, cut */
        assert_int_equal(pmm_alloc_run(&pmm, &run, OWNER_TEST, &first), MEM_OK);
        assert_int_equal(pmm_free_run(&pmm, first, 5, OWNER_TEST), MEM_OK);
        holds();
        assert_int_equal(pmm_alloc_run(&pmm, i == 2 ? &aligned : &run, OWNER_TEST, &again), MEM_OK);
        assert_int_equal(again.v, first.v);
        assert_int_equal(pmm_free_run(&pmm, again, i == 2 ? 4 : 5, OWNER_TEST), MEM_OK);
    }
    assert_true(pmm_free_frames(&pmm) == 4 * BLOCK);
    holds();
}

/* ---- the invariants ------------------------------------------------------------------------- */

static void broken_as(const char *name)
{
    const char *broken;
    assert_false(pmm_holds(&pmm, &broken));
    assert_memory_equal(broken, name, strlen(name));
}

/* Four pure blocks, the first of them broken by three frames. */
static void start_broken(void)
{
    add(0x400, 4 * BLOCK, RANGE_USABLE, OWNER_NONE);
    start();
    for (unsigned i = 0; i < 3; i++)
        (void)pmm_alloc(&pmm, OWNER_TEST);
    holds();
}

static void p6_sums(void **state)
{
    (void)state;
    start_broken();
    pmm.held[OWNER_TEST] = pmm.total + 1; /* free wraps */
    broken_as("P6");
    pmm.held[OWNER_TEST] = UINT64_MAX;
    broken_as("P6");
    pmm.held[OWNER_TEST] = 3;
    pmm.at_boot[OWNER_KERNEL] = UINT64_MAX;
    broken_as("P6");
    pmm.at_boot[OWNER_KERNEL] = 0;
    holds();
}

static void p1_bits(void **state)
{
    (void)state;
    start_broken();
    leaf_of(&pmm, 1)[0] |= 1;
    broken_as("P1");
    leaf_of(&pmm, 1)[0] &= ~(vword_t)1;
    pmm.held[OWNER_TEST]++;
    broken_as("P1");
    pmm.held[OWNER_TEST]--;
    holds();
}

static void p2_avail(void **state)
{
    (void)state;
    start_broken();
    tree_clear(&pmm.avail, 2); /* it has free frames */
    broken_as("P2");
    tree_set(&pmm.avail, 2);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x400 + 2 * BLOCK), BLOCK, OWNER_TEST), MEM_OK);
    holds();
    tree_set(&pmm.avail, 3); /* it has none */
    broken_as("P2");
    static struct pmm_cache cache;
    pmm_cache_init(&cache, &pmm); /* with a cache about, that is a bit left behind */
    holds();
    pmm.caches = NULL;
    pmm.low_block = 3; /* the block of low may look so too */
    holds();
    pmm.low_block = 1;
    tree_clear(&pmm.avail, 3);
    holds();
}

static void p4_whole(void **state)
{
    (void)state;
    start_broken();
    pmm.written = 0;         /* nothing to be caught up with */
    tree_set(&pmm.whole, 1); /* untouched then, and free: its three frames are gone */
    broken_as("P1");
    tree_clear(&pmm.whole, 1);
    pmm.written = BLOCK;
    tree_set(&pmm.whole, 1); /* written, so the leaf tells: not full */
    broken_as("P4");
    static struct pmm_cache cache;
    pmm_cache_init(&cache, &pmm); /* with a cache about, that is a bit left behind, */
    bit_set(pmm.flanked, 1);      /* if it has its flank */
    pmm.flanks++;
    holds();
    bit_clear(pmm.flanked, 1);
    pmm.flanks--;
    pmm.caches = NULL;
    tree_clear(&pmm.whole, 1);
    assert_int_equal(pmm_free_run(&pmm, PFN(0x400), 3, OWNER_TEST), MEM_OK);
    holds();
    tree_clear(&pmm.whole, 1); /* full, and does not say so */
    broken_as("P4");
    pmm_cache_init(&cache, &pmm);
    broken_as("P4");
}

static void p5_low(void **state)
{
    (void)state;
    start_broken();
    pmm.low++;
    broken_as("P5");
    pmm.low--;
    holds();
}

static void summaries(void **state)
{
    (void)state;
    start_broken();
    pmm.avail.level[1][0] ^= 1;
    broken_as("a summary");
    pmm.avail.level[1][0] ^= 1;
    pmm.whole.level[1][0] ^= 1;
    broken_as("a summary");
    pmm.whole.level[1][0] ^= 1;
    holds();
    pmm.avail.count++;
    broken_as("a summary");
    pmm.avail.count--;
    pmm.whole.count--;
    broken_as("a summary");
    pmm.whole.count++;
}

/* Four whole blocks; the middle two have full words beside them, and all others too. */
static void p7_flanks(void **state)
{
    (void)state;
    start_broken();
    assert_true(pmm.flanks > 0);
    pmm.flanks++;
    broken_as("P7");
    pmm.flanks--;
    bit_clear(pmm.flanked, 3); /* whole, with a full word beside it */
    broken_as("P7");
    bit_set(pmm.flanked, 3);
    bit_set(pmm.flanked, 1); /* not whole */
    broken_as("P7");
    bit_clear(pmm.flanked, 1);
    holds();
    assert_int_equal(pmm_reserve(&pmm, PFN(0x400 + 2 * BLOCK - 1), 1, OWNER_TEST), MEM_OK);
    assert_int_equal(pmm_reserve(&pmm, PFN(0x400 + 3 * BLOCK), 1, OWNER_TEST), MEM_OK);
    assert_true(bit_test(pmm.flanked, 3)); /* it may: nobody has looked */
    holds();
    bit_clear_counted(pmm.flanked, 3, &pmm.flanks);
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(owners_that_may_not_hold),
        TEST(caches_refuse_too),
        TEST(owners_in_another_span),
        TEST(nothing_circulates),
        TEST(reservations_that_cannot_be),
        TEST(stretches_between_spans),
        TEST(owners_are_told),
        TEST(runs_by_order_from_frame_zero),
        TEST(given_back_across_owners),
        TEST(a_block_that_became_whole_again),
        TEST(p6_sums),
        TEST(p1_bits),
        TEST(p2_avail),
        TEST(p4_whole),
        TEST(p5_low),
        TEST(p7_flanks),
        TEST(summaries),
    };
    return cmocka_run_group_tests_name("pmm corners", tests, NULL, NULL);
}
