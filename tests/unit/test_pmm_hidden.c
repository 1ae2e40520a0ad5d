/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_hidden.c - searches that meet what is seldom there: frames that only a cache knows of,
 * blocks that a cache has emptied, and indices so wide that a word of the trees is not enough.
 *
 * Everything on one CPU; test_pmm_interleave.c is about two.
 */
#include "pmm_blocks.h"

enum { FAR = 0x1000 };

/* ---- frames that only a cache knows of ------------------------------------------------------ */

/* What is free in the end is in one CPU's home block; another CPU still gets it. */
static void what_another_cpu_hides(void **state)
{
    (void)state;
    static struct pmm_cache mine, theirs;
    add(FIRST, BLOCK, RANGE_USABLE, OWNER_NONE);
    add(FAR, 1, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_cache_init(&mine, &pmm);
    pmm_cache_init(&theirs, &pmm);
    assert_int_equal(cached(&theirs).v, FIRST);
    assert_int_equal(cached(&mine).v, FAR); /* not from a cache, but better than nothing */
    assert_false(tree_test(&pmm.avail, 1));
    assert_false(pfn_is_none(cached(&mine)));
    for (unsigned i = 2; i < BLOCK; i++)
        assert_false(pfn_is_none(cached(&mine)));
    assert_true(pfn_is_none(cached(&mine)) && pfn_is_none(cached(&theirs)));
    assert_true(pmm_free_frames(&pmm) == 0);
    holds();
}

/* Past the cache, too: what is left of its home, and what stands in it. */
static void what_a_cache_hides_from_the_rest(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(1);
    pmm_cache_init(&cache, &pmm);
    assert_int_equal(cached(&cache).v, FIRST);
    assert_true(cache.home == 1 && tree_is_empty(&pmm.avail));
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, FIRST + 1);
    take(FIRST + 2, BLOCK - 2);
    assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    assert_int_equal(cache.count, PMM_CACHE_BATCH - 1); /* of which none is free */
    assert_true(pfn_is_none(cached(&cache)));
    holds();
}

/* An empty stack, but a home block with something left in it. */
static void home_is_told_of(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(1);
    pmm_cache_init(&cache, &pmm);
    assert_false(pmm_publish_caches(&pmm));
    do
        (void)cached(&cache);
    while (cache.count);
    assert_true(cache.home == 1 && tree_is_empty(&pmm.avail));
    assert_true(pmm_publish_caches(&pmm));
    assert_true(tree_test(&pmm.avail, 1));
    holds();
}

/*
 * The longest run without a whole block, 511 frames and 511, when a cache hides the first half: its
 * home is the first of the two blocks, of which it has noted less than a word.
 *
 *   free   [some]     [x===========) [============x)
 */
static void the_longest_run_without_a_block(void **state)
{
    (void)state;
    enum { SOME = PMM_CACHE_BATCH - (WORD - 1) };
    static struct pmm_cache cache;
    start_blocks(3);
    reserve(FIRST + SOME, BLOCK - SOME);
    reserve(frame_of_block(2), 1);
    reserve(frame_of_block(4) - 1, 1);
    pmm_cache_init(&cache, &pmm);
    assert_int_equal(cached(&cache).v, FIRST);
    assert_true(cache.count == PMM_CACHE_BATCH - 1 && cache.home == 2);
    assert_true(pfn_is_none(run_of(2 * BLOCK))); /* asks the caches for whole blocks alone */
    assert_false(tree_test(&pmm.avail, 2));
    assert_int_equal(run_of(2 * BLOCK - 2).v, frame_of_block(2) + 1);
    pmm_cache_drain(&cache);
    holds();
}

/* What stands in a cache and has been taken by somebody else is nothing to tell of. */
static void gone_from_a_cache(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(2);
    reserve(FIRST + 4, BLOCK - 4);
    pmm_cache_init(&cache, &pmm);
    assert_int_equal(cached(&cache).v, FIRST);
    reserve(FIRST + 1, 3);
    pmm_cache_drain(&cache);
    assert_false(tree_test(&pmm.avail, 1));
    holds();
}

/* Broken out of turn, so that `written` ends below it: not cached, for it may be whole again. */
static void not_written_so_not_cached(void **state)
{
    (void)state;
    enum { CAUGHT_UP = 5 };
    static struct pmm_cache cache;
    start_blocks(CAUGHT_UP + 2);
    for (vword_t block = 2; block <= CAUGHT_UP + 2; block++)
        reserve(frame_of_block(block) + 1, 1);
    for (vword_t i = 0; i < CAUGHT_UP * BLOCK - (CAUGHT_UP - 1); i++)
        assert_false(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    assert_int_equal(pmm.written, CAUGHT_UP * BLOCK);
    pmm_cache_init(&cache, &pmm);
    assert_int_equal(cached(&cache).v, frame_of_block(CAUGHT_UP + 1));
    assert_true(cache.count == 0 && cache.home == 0);
    holds();
}

/* The last free frame of all is where the next one comes from; the block of `low` has none. */
static void low_moves_to_the_only_frame(void **state)
{
    (void)state;
    start_blocks(2);
    reserve(frame_of_block(2), BLOCK);
    take(FIRST, BLOCK);
    assert_true(pmm.low_block == 1 && tree_test(&pmm.avail, 1));
    give(frame_of_block(2) + 7, 1);
    assert_int_equal(pmm.low_block, 2);
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, frame_of_block(2) + 7);
    holds();
}

/* A block that was given out whole, and never before: its frames can be cached when they come back.
 */
static void frames_of_a_block_are_cached(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(2);
    pfn_t block = pmm_alloc_block(&pmm, OWNER_TEST);
    assert_int_equal(block.v, FIRST);
    pmm_cache_init(&cache, &pmm);
    give_cached(&cache, FIRST + 9, 3);
    assert_int_equal(cache.count, 3);
    assert_int_equal(cached(&cache).v, FIRST + 11);
    pmm_cache_drain(&cache);
    holds();
}

/* A block is told to be whole; then four caches, which held all of it, give it out again. */
static void whole_and_gone(void **state)
{
    (void)state;
    static struct pmm_cache cache[4];
    start_blocks(2);
    take(FIRST, 2 * BLOCK);
    for (unsigned i = 0; i < 4; i++) {
        pmm_cache_init(&cache[i], &pmm);
        cache[i].frames = pmm.written;
        give_cached(&cache[i], FIRST + i * PMM_CACHE_DEPTH, PMM_CACHE_DEPTH);
    }
    assert_true(pmm_publish_caches(&pmm));
    assert_true(block_is_whole(&pmm, 1) && pmm.low_block == 1);
    for (unsigned i = 0; i < 4; i++) {
        for (pfn_t frame; pmm_cache_take(&cache[i], OWNER_TEST, &frame);)
            ;
    }
    assert_true(block_is_whole(&pmm, 1) && leaf_is_empty(leaf_of(&pmm, 1)));

    vword_t last = frame_of_block(2) + BLOCK - 1;
    assert_int_equal(pmm_free(&pmm, PFN(last), OWNER_TEST), MEM_OK);
    assert_int_equal(pmm.low_block, 1); /* it is called whole, so low stays */
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, last);
    assert_true(pfn_is_none(pmm_alloc_block(&pmm, OWNER_TEST)));
    assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    holds();
}

/* The next block has been emptied by a cache; the one behind it has a leaf that nobody has written.
 */
static void emptied_before_the_unwritten(void **state)
{
    (void)state;
    static struct pmm_cache cache;
    start_blocks(4);
    take(FIRST, BLOCK);
    pmm_cache_init(&cache, &pmm);
    take_cached(&cache, FIRST + BLOCK, BLOCK - 1);
    assert_true(pmm_publish_caches(&pmm));
    take_cached(&cache, FIRST + 2 * BLOCK - 1, 1);
    assert_true(tree_test(&pmm.avail, 2) && leaf_is_empty(leaf_of(&pmm, 2)));
    leaf_of(&pmm, 3)[0] = 0; /* as memory might be that nobody has written */
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, FIRST + 2 * BLOCK);
    holds();
}

/* ---- runs in and beside broken blocks ------------------------------------------------------- */

/* More than half a word: its middle is free or it is not there. More than a word: not inside one.
 */
static void runs_inside_a_word(void **state)
{
    (void)state;
    enum { LONG = WORD / 2 + 4 };
    static const vword_t taken[] = {WORD / 2, WORD - 1, WORD, 2 * WORD - 1, 3 * WORD - 1};
    start_blocks(1);
    assert_int_equal(run_of(5).v, FIRST);
    for (unsigned i = 0; i < sizeof taken / sizeof taken[0]; i++)
        reserve(FIRST + taken[i], 1);
    assert_int_equal(run_of(WORD).v, FIRST + 3 * WORD);
    assert_int_equal(run_of(LONG).v, FIRST + 4 * WORD); /* right behind the last */
    reserve(FIRST + 4 * WORD + LONG, 1);
    assert_int_equal(run_of(LONG).v, FIRST + WORD + 1);
    holds();
}

/* The last block has nobody behind it; the sentinel there is no whole block. */
static void nothing_beside_the_last_block(void **state)
{
    (void)state;
    start_blocks(2);
    assert_int_equal(run_of(2 * BLOCK).v, FIRST);
    give(frame_of_block(2), BLOCK);
    assert_true(block_is_whole(&pmm, 2));
    assert_false(bit_test(pmm.flanked, 2));
    assert_true(pfn_is_none(run_of(BLOCK + 1)));
    holds();
}

/* ---- more blocks than a word has bits, and more words than that ------------------------------ */

enum { WIDE = 5000 };

static void chains_across_words(void **state)
{
    (void)state;
    start_blocks(WIDE);
    assert_true(pfn_is_none(run_of((WIDE + 1) * BLOCK)));
    assert_int_equal(run_of((WIDE - 1) * BLOCK + 100).v, FIRST);
    holds();
}

/* From one end of the trees to the other, over nothing. */
static void searches_across_words(void **state)
{
    (void)state;
    struct pmm_stats s;
    start_blocks(WIDE);
    assert_int_equal(run_of((WIDE - 1) * BLOCK).v, FIRST);
    assert_int_equal(pmm_free(&pmm, PFN(FIRST + 7), OWNER_TEST), MEM_OK);
    pmm_stats(&pmm, &s);
    assert_true(s.free == BLOCK + 1 && s.largest_run == BLOCK && s.runs[0] == 1 && s.runs[9] == 1);
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, FIRST + 7);
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, frame_of_block(WIDE));
    holds();
}

/* Nothing in the lower half of a word of the summary's summary. */
static void what_is_free_at_the_far_end(void **state)
{
    (void)state;
    start_blocks(WIDE);
    assert_int_equal(run_of(WIDE * BLOCK).v, FIRST);
    assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    give(frame_of_block(WIDE - 3), 4 * BLOCK);
    holds();
    assert_int_equal(pmm_alloc_block(&pmm, OWNER_TEST).v, frame_of_block(WIDE - 3));
    assert_int_equal(run_of(2 * BLOCK + 1).v, frame_of_block(WIDE - 2));
    assert_true(pmm_free_frames(&pmm) == BLOCK - 1);
    holds();
}

/* A home that is its word's last block, and another in that word: the summary must go on to say so.
 */
static void home_at_the_end_of_a_word(void **state)
{
    (void)state;
    enum { LAST = PMM_WORD_BITS - 1 };
    static struct pmm_cache cache;
    start_blocks(WIDE);
    assert_int_equal(run_of((LAST - 1) * BLOCK).v, FIRST);
    pmm_cache_init(&cache, &pmm);
    take_cached(&cache, frame_of_block(LAST), BLOCK);
    assert_true(cache.home == LAST && !cache.count);
    assert_int_equal(pmm_free(&pmm, PFN(FIRST), OWNER_TEST), MEM_OK);
    assert_int_equal(cached(&cache).v, frame_of_block(LAST + 1));
    pmm_cache_drain(&cache);
    holds();
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, FIRST);
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_another_cpu_hides),
        TEST(what_a_cache_hides_from_the_rest),
        TEST(home_is_told_of),
        TEST(the_longest_run_without_a_block),
        TEST(gone_from_a_cache),
        TEST(frames_of_a_block_are_cached),
        TEST(not_written_so_not_cached),
        TEST(low_moves_to_the_only_frame),
        TEST(whole_and_gone),
        TEST(emptied_before_the_unwritten),
        TEST(runs_inside_a_word),
        TEST(nothing_beside_the_last_block),
        TEST(chains_across_words),
        TEST(searches_across_words),
        TEST(what_is_free_at_the_far_end),
        TEST(home_at_the_end_of_a_word),
    };
    return cmocka_run_group_tests_name("pmm hidden", tests, NULL, NULL);
}
