/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_edges.c - sizes at which a word of a tree is just full, the ends of the metadata, and
 * the last block, which invariants must not forget.
 */
#include "pmm_blocks.h"

/* ---- so many blocks that a word is full ------------------------------------------------------ */

/* All of it, and then nothing, for good. */
static void taken_to_the_end(vword_t blocks)
{
    set_up(NULL);
    start_blocks(blocks);
    holds();
    assert_int_equal(run_of(3).v, FIRST);
    give(FIRST, 3);
    for (vword_t block = 1; block <= blocks; block++)
        assert_int_equal(pmm_alloc_block(&pmm, OWNER_TEST).v, frame_of_block(block));
    holds();
    for (unsigned i = 0; i < 3; i++)
        assert_true(pfn_is_none(pmm_alloc(&pmm, OWNER_TEST)));
    assert_true(pfn_is_none(pmm_alloc_block(&pmm, OWNER_TEST)) && pfn_is_none(run_of(1)));
    holds();
    give(frame_of_block(blocks), BLOCK);
    holds();
    assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, frame_of_block(blocks));
    holds();
}

static void every_number_of_blocks(void **state)
{
    (void)state;
    for (vword_t blocks = 1; blocks < 3 * WORD; blocks++)
        taken_to_the_end(blocks);
    for (vword_t blocks = WORD * WORD - 4; blocks <= WORD * WORD + 1; blocks++)
        taken_to_the_end(blocks);
}

/* A level has a bit a word, and the last is one word: one more is needed only when that is full. */
static void no_more_levels_than_needed(void **state)
{
    (void)state;
    for (vword_t blocks = WORD * WORD - 1; blocks <= WORD * WORD + 1; blocks++) {
        set_up(NULL);
        start_blocks(blocks - 2); /* and block 0, and the sentinel */
        assert_int_equal(pmm.blocks, blocks);
        assert_int_equal(pmm.avail.levels, blocks <= WORD * WORD ? 2 : 3);
        assert_int_equal(pmm.whole.levels, pmm.avail.levels);
    }
}

/* Aligned to 2048 frames, and that many; no order is higher than that of 1024. */
static void runs_of_the_highest_order(void **state)
{
    (void)state;
    struct pmm_stats s;
    add(0x800, 0x800, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_stats(&pmm, &s);
    assert_true(s.largest_run == 0x800 && s.runs[PMM_ORDERS - 1] == 2);
    assert_true(s.refused[0] == 0);
}

/* From an odd frame on, each block is as large as its start allows. */
static void runs_of_every_order(void **state)
{
    (void)state;
    struct pmm_stats s;
    add(0x401, 0x3ff + 3, RANGE_USABLE, OWNER_NONE);
    start();
    pmm_stats(&pmm, &s);
    for (unsigned order = 0; order < PMM_ORDERS; order++)
        assert_true(s.runs[order] == (order < 2 ? 2 : order < 10));
}

/* ---- metadata -------------------------------------------------------------------------------- */

/* The masks are the last of it, those of the last mixed span at the very end. */
static void metadata_ends_with_the_masks(void **state)
{
    (void)state;
    for (vword_t mixed = 1; mixed < 5; mixed++) {
        set_up(NULL);
        for (vword_t i = 0; i < mixed; i++)
            add(FIRST + i * 3 * BLOCK, BLOCK + 7, RANGE_USABLE, OWNER_NONE);
        start();
        const struct pmm_span *last = &pmm.spans[pmm.span_count - 1];
        const uint8_t *end = (const uint8_t *)(last->mask + last->frames / WORD);
        assert_int_equal(pmm.span_count, 2 * mixed);
        assert_ptr_equal(end, (const uint8_t *)metadata + pmm_metadata_bytes(&map));
    }
}

/* ---- the last block -------------------------------------------------------------------------- */

static void broken_as(const char *name)
{
    const char *broken;
    assert_false(pmm_holds(&pmm, &broken));
    assert_memory_equal(broken, name, strlen(name));
}

static void invariants_of_the_last_block(void **state)
{
    (void)state;
    start_blocks(3);
    tree_clear(&pmm.avail, 3);
    broken_as("P2");
    tree_set(&pmm.avail, 3);
    bit_clear_counted(pmm.flanked, 3, &pmm.flanks); /* the one before is full */
    broken_as("P7");
    bit_set_counted(pmm.flanked, 3, &pmm.flanks);
    holds();
    reserve(frame_of_block(3), BLOCK);
    bit_set_counted(pmm.flanked, 3, &pmm.flanks); /* it is not whole */
    broken_as("P7");
}

/* A word of the tree that holds the sentinel and nothing else. */
static void the_summary_of_the_last_word(void **state)
{
    (void)state;
    start_blocks(WORD - 1);
    assert_int_equal(pmm.blocks, WORD + 1);
    pmm.avail.level[1][0] ^= 2;
    broken_as("a summary");
    pmm.avail.level[1][0] ^= 2;
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_number_of_blocks),       TEST(no_more_levels_than_needed),
        TEST(runs_of_every_order),          TEST(runs_of_the_highest_order),
        TEST(metadata_ends_with_the_masks), TEST(invariants_of_the_last_block),
        TEST(the_summary_of_the_last_word),
    };
    return cmocka_run_group_tests_name("pmm edges", tests, NULL, NULL);
}
