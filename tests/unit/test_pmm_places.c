/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_places.c - of several runs that would do, which: the order that pmm.h promises. And what
 * a cache takes from which block, which decides where the others go.
 */
#include "pmm_blocks.h"

/* ---- the block that the last run was cut from ----------------------------------------------- */

/* Three blocks. The last run was cut from the first one, of which nothing is left. */
static void start_cut(void)
{
    start_blocks(3);
    assert_int_equal(run_of(1).v, FIRST);
    reserve(FIRST + 1, BLOCK - 1);
}

/*
 * words   0          1          2          3
 * free               [    ====) [ ====   ) [
 */
static void inside_a_word(void **state)
{
    (void)state;
    enum { UPPER = WORD + WORD / 2, LENGTH = WORD / 2 - 2 };
    start_cut();
    give(FIRST + UPPER, LENGTH);
    give(FIRST + 2 * WORD + 3, 8);
    assert_int_equal(run_of(LENGTH).v, FIRST + UPPER);
    assert_int_equal(run_of(4).v, FIRST + 2 * WORD + 3);
    assert_int_equal(run_of(4).v, FIRST + 2 * WORD + 7);
    assert_int_equal(run_of(1).v, FIRST + BLOCK); /* the lowest whole block */
    assert_int_equal(run_of(1).v, FIRST + BLOCK + 1);
    holds();
}

/*
 * words   0          1          2          3
 * free               [ ==   ===)[==    ==) [===
 */
static void across_two_words(void **state)
{
    (void)state;
    start_cut();
    give(FIRST + WORD + 3, 2);
    give(FIRST + 2 * WORD - 3, 5);
    give(FIRST + 3 * WORD - 2, 5);
    assert_int_equal(run_of(5).v, FIRST + 2 * WORD - 3);
    assert_int_equal(run_of(5).v, FIRST + 3 * WORD - 2);
    assert_int_equal(run_of(2).v, FIRST + WORD + 3);
    holds();
}

/* Right behind the last run, whatever has become free before it. */
static void one_behind_the_other(void **state)
{
    (void)state;
    start_cut();
    give(FIRST + WORD + 3, 2);
    give(FIRST + WORD + 10, 8);
    assert_int_equal(run_of(4).v, FIRST + WORD + 10);
    give(FIRST + WORD + 5, 4);
    assert_int_equal(run_of(4).v, FIRST + WORD + 14);
    assert_int_equal(run_of(4).v, FIRST + WORD + 3);
    holds();
}

/* A run with conditions looks there first, too; so does one that begins where a block does. */
static void with_conditions(void **state)
{
    (void)state;
    start_cut();
    give(FIRST + WORD + 2, 6);
    assert_int_equal(aligned_run_of(4, 2).v, FIRST + WORD + 4);
    give(FIRST, 7);
    assert_int_equal(aligned_run_of(4, PMM_BLOCK_SHIFT).v, FIRST);
    assert_int_equal(aligned_run_of(4, PMM_BLOCK_SHIFT).v, FIRST + BLOCK);
    holds();
}

/* The last run ended where its block does; a hole that has come about since is still nearest. */
static void of_which_nothing_is_left(void **state)
{
    (void)state;
    start_blocks(3);
    assert_int_equal(run_of(1).v, FIRST);
    assert_int_equal(run_of(BLOCK - 1).v, FIRST + 1);
    give(FIRST + 9, 11);
    assert_int_equal(aligned_run_of(4, 2).v, FIRST + 12);
    assert_int_equal(run_of(BLOCK).v, FIRST + BLOCK);
    reserve(FIRST + 2 * BLOCK, BLOCK);
    give(FIRST + 2 * BLOCK - 3, 3);
    assert_int_equal(run_of(3).v, FIRST + 9);
    holds();
}

/* No frame above 0 can be a multiple of as many frames as there can be: nonsense. */
static void absurd_alignment(void **state)
{
    (void)state;
    enum { ABSURD = PMM_WORD_BITS - PAGE_SHIFT };
    pfn_t first = PFN(7);
    start_blocks(1);
    for (unsigned log2 = PMM_BLOCK_SHIFT + 2; log2 < WORD; log2++) {
        struct pmm_run_request run = {.frames = 1, .align_log2 = log2};
        enum mem_err err = pmm_alloc_run(&pmm, &run, OWNER_TEST, &first);
        assert_int_equal(err, log2 < ABSURD ? MEM_NO_FRAME : MEM_BAD_ARG);
    }
    assert_int_equal(first.v, 7);
}

/* The lowest whole block, not the lower hole; also if the run just ends where it must. */
static void just_below(void **state)
{
    (void)state;
    pfn_t first = PFN_NONE;
    struct pmm_run_request run = {.frames = 4};
    start_blocks(4);
    reserve(FIRST, 9);
    assert_int_equal(aligned_run_of(1, 1).v, frame_of_block(2));
    reserve(frame_of_block(2) + 1, BLOCK - 1);
    run.below = (uint64_t)(frame_of_block(3) + 4) * PAGE;
    assert_int_equal(pmm_alloc_run(&pmm, &run, OWNER_TEST, &first), MEM_OK);
    assert_int_equal(first.v, frame_of_block(3));
    run.below -= PAGE;
    assert_int_equal(pmm_alloc_run(&pmm, &run, OWNER_TEST, &first), MEM_OK);
    assert_int_equal(first.v, FIRST + 9);
    holds();
}

/* ---- blocks without flanks ------------------------------------------------------------------- */

/*
 * blocks   1      2      3      4      5
 * free     [x==x) [====) [x==x) [====) [x==x)   x: one frame is taken
 */
static void flanks_are_found_to_be_none(void **state)
{
    (void)state;
    start_blocks(5);
    for (vword_t block = 1; block <= 5; block += 2) { /* every other one is not whole */
        reserve(frame_of_block(block), 1);
        reserve(frame_of_block(block + 1) - 1, 1);
    }
    assert_true(pmm.flanks == 2);
    assert_true(pfn_is_none(run_of(2 * BLOCK)));
    assert_true(pmm.flanks == 0); /* the next one need not look */
    holds();
}

/*
 * blocks   1      2      3      4      5
 * free     [  ===|===  ) [   =|====) [x===)     the run fits in both places
 */
static void chains_of_whole_blocks_come_first(void **state)
{
    (void)state;
    start_blocks(5);
    reserve(FIRST, BLOCK / 2 - 4);
    reserve(FIRST + BLOCK + BLOCK / 2 + 4, BLOCK / 2 - 4 + BLOCK - 8);
    reserve(frame_of_block(5), 1);
    assert_true(pfn_is_none(run_of(2 * BLOCK)));
    assert_true(pmm.flanks == 0);
    assert_int_equal(run_of(BLOCK + 8).v, frame_of_block(4) - 8);
    assert_int_equal(run_of(BLOCK + 8).v, frame_of_block(2) - BLOCK / 2 - 4);
    holds();
}

/* ---- caches ---------------------------------------------------------------------------------- */

/* All frames of a block, then those of the next, whose leaf nobody has written yet. */
static void a_cache_goes_from_block_to_block(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(3);
    take(FIRST, BLOCK - 3);
    pmm_cache_init(&cache, &pmm);
    take_cached(&cache, FIRST + BLOCK - 3, 13);
    assert_int_equal(cache.home, 2);
    pmm_cache_drain(&cache);
    holds();
}

/* What a cache has for its own is left to it while there is another place, a higher one, too. */
static void a_run_leaves_caches_alone(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(2);
    reserve(FIRST + BLOCK - 1, 2); /* none is whole */
    pmm_cache_init(&cache, &pmm);
    assert_int_equal(cached(&cache).v, FIRST);
    assert_int_equal(run_of(9).v, FIRST + BLOCK + 1);
    assert_int_equal(run_of(BLOCK - 11).v, FIRST + BLOCK + 10); /* one is left */
    assert_int_equal(run_of(9).v, FIRST + 1);
    pmm_cache_drain(&cache);
    holds();
}

/* Drained, a cache has no home: it begins again with the lowest frame. */
static void a_drained_cache_begins_anew(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(3);
    take(FIRST, BLOCK);
    pmm_cache_init(&cache, &pmm);
    assert_int_equal(cached(&cache).v, FIRST + BLOCK);
    give(FIRST + 7, 1);
    pmm_cache_drain(&cache);
    assert_int_equal(cached(&cache).v, FIRST + 7);
    assert_int_equal(cached(&cache).v, FIRST + BLOCK + 1);
    pmm_cache_drain(&cache);
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(inside_a_word),
        TEST(across_two_words),
        TEST(one_behind_the_other),
        TEST(with_conditions),
        TEST(of_which_nothing_is_left),
        TEST(absurd_alignment),
        TEST(just_below),
        TEST(flanks_are_found_to_be_none),
        TEST(chains_of_whole_blocks_come_first),
        TEST(a_cache_goes_from_block_to_block),
        TEST(a_run_leaves_caches_alone),
        TEST(a_drained_cache_begins_anew),
    };
    return cmocka_run_group_tests_name("pmm places", tests, NULL, NULL);
}
