/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_hidden.c - searches that meet what is seldom there: frames that only a cache knows of,
 * blocks that a cache has emptied, and indices so wide that a word of the trees is not enough.
 *
 * Everything on one CPU; test_pmm_interleave.c is about two.
 */
#include "mem/pmm_index.h" /* before pmm_map.h, whose variables have the parameters' names */

#include "pmm_map.h"

enum { BLOCK = PMM_BLOCK, FIRST = 0x400, FAR = 0x1000 };

static void start_blocks(vword_t blocks)
{
    add(FIRST, (uint64_t)blocks * BLOCK, RANGE_USABLE, OWNER_NONE);
    start();
}

static pfn_t run_of(vword_t frames)
{
    struct pmm_run_request run = {.frames = frames};
    pfn_t first = PFN_NONE;
    enum mem_err err = pmm_alloc_run(&pmm, &run, OWNER_TEST, &first);
    assert_true(err == MEM_OK || (err == MEM_NO_FRAME && pfn_is_none(first)));
    return first;
}

static vword_t frame_of_block(vword_t block)
{
    return FIRST + (block - 1) * BLOCK;
}

static pfn_t cached(struct pmm_cache *cache)
{
    pfn_t frame;
    return pmm_cache_take(cache, OWNER_USER, &frame) ? frame
                                                     : pmm_cache_take_slow(cache, OWNER_USER);
}

static void give_cached(struct pmm_cache *cache, vword_t frame, vword_t count)
{
    for (; count--; frame++) {
        if (!pmm_cache_give(cache, PFN(frame), OWNER_USER))
            assert_int_equal(pmm_cache_give_slow(cache, PFN(frame), OWNER_USER), MEM_OK);
    }
}

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

/* A block is told to be whole; then four caches, which held all of it, give it out again. */
static void whole_and_gone(void **state)
{
    (void)state;
    static struct pmm_cache cache[4];
    start_blocks(2);
    for (unsigned i = 0; i < 2 * BLOCK; i++)
        assert_int_equal(pmm_alloc(&pmm, OWNER_USER).v, FIRST + i);
    for (unsigned i = 0; i < 4; i++) {
        pmm_cache_init(&cache[i], &pmm);
        cache[i].frames = pmm.written;
        give_cached(&cache[i], FIRST + i * PMM_CACHE_DEPTH, PMM_CACHE_DEPTH);
    }
    assert_true(pmm_publish_caches(&pmm));
    assert_true(block_is_whole(&pmm, 1) && pmm.low_block == 1);
    for (unsigned i = 0; i < 4; i++) {
        for (pfn_t frame; pmm_cache_take(&cache[i], OWNER_USER, &frame);)
            ;
    }
    assert_true(block_is_whole(&pmm, 1) && leaf_is_empty(leaf_of(&pmm, 1)));

    vword_t last = frame_of_block(2) + BLOCK - 1;
    assert_int_equal(pmm_free(&pmm, PFN(last), OWNER_USER), MEM_OK);
    assert_int_equal(pmm.low_block, 1); /* it is called whole, so low stays */
    assert_int_equal(pmm_alloc(&pmm, OWNER_USER).v, last);
    assert_true(pfn_is_none(pmm_alloc_block(&pmm, OWNER_USER)));
    assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_USER)));
    holds();
}

/* ---- runs in and beside broken blocks ------------------------------------------------------- */

/* More than half a word: its middle is free or it is not there. More than a word: not inside one.
 */
static void runs_inside_a_word(void **state)
{
    (void)state;
    enum { WORD = PMM_WORD_BITS, LONG = WORD / 2 + 4 };
    static const vword_t taken[] = {WORD / 2, WORD - 1, WORD, 2 * WORD - 1, 3 * WORD - 1};
    start_blocks(1);
    assert_int_equal(run_of(5).v, FIRST);
    for (unsigned i = 0; i < sizeof taken / sizeof taken[0]; i++)
        assert_int_equal(pmm_reserve(&pmm, PFN(FIRST + taken[i]), 1, OWNER_TEST), MEM_OK);
    assert_int_equal(run_of(WORD).v, FIRST + 3 * WORD);
    assert_int_equal(run_of(LONG).v, FIRST + 4 * WORD); /* right behind the last */
    assert_int_equal(pmm_reserve(&pmm, PFN(FIRST + 4 * WORD + LONG), 1, OWNER_TEST), MEM_OK);
    assert_int_equal(run_of(LONG).v, FIRST + WORD + 1);
    holds();
}

/* The last block has nobody behind it; the sentinel there is no whole block. */
static void nothing_beside_the_last_block(void **state)
{
    (void)state;
    start_blocks(2);
    assert_int_equal(run_of(2 * BLOCK).v, FIRST);
    assert_int_equal(pmm_free_run(&pmm, PFN(frame_of_block(2)), BLOCK, OWNER_TEST), MEM_OK);
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
    for (unsigned i = 0; i < BLOCK; i++)
        assert_int_equal(cached(&cache).v, frame_of_block(LAST) + i);
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
        TEST(home_is_told_of),
        TEST(whole_and_gone),
        TEST(runs_inside_a_word),
        TEST(nothing_beside_the_last_block),
        TEST(chains_across_words),
        TEST(searches_across_words),
        TEST(home_at_the_end_of_a_word),
    };
    return cmocka_run_group_tests_name("pmm hidden", tests, NULL, NULL);
}
