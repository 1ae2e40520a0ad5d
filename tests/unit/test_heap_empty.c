/* SPDX-License-Identifier: MIT */
/*
 * test_heap_empty.c - when the last live block is freed the heap is as large as it was at first,
 * whatever waits in bins. Built at other HEAP_HARDEN levels as well (heap_level.h).
 */
#define WIDE_BYTES ((size_t)64 << 20)
#include "heap_stage.h"

enum { BLOCKS = 4000, SMALL = 1000, LARGE_SIZE = 5000 };
static uint8_t *block[BLOCKS];
static size_t at_first;

static void take_blocks(size_t least, size_t most)
{
    at_first = heap.stats.mapped;
    for (size_t i = 0; i < BLOCKS; i++)
        block[i] = get(least + i * 37 % (most - least + 1));
}

/* All is wild again, as in a new heap. */
static void is_as_at_first(void)
{
    struct heap_stats s;
    heap_stats(&heap, &s);
    assert_int_equal(s.mapped, at_first);
    assert_int_equal(s.blocks, 0);
    assert_int_equal(s.free_blocks, 1);
    assert_ptr_equal(heap.wild, heap_first(&heap));
    holds();
}

/* ---- the last block, of any size, in any order ------------------------------------------------
 */

static void in_this_order(size_t (*nth)(size_t), size_t least, size_t most)
{
    take_blocks(least, most);
    assert_true(heap.stats.mapped > at_first);
    for (size_t i = 0; i < BLOCKS; i++) {
        put(block[nth(i)]);
        if (i % 500 == 0)
            holds();
    }
    is_as_at_first();
    assert_int_equal(owner.reports, 0);
}

static size_t forwards(size_t i)
{
    return i;
}

static size_t backwards(size_t i)
{
    return BLOCKS - 1 - i;
}

static size_t mixed(size_t i)
{
    return i * 1237 % BLOCKS;
}

static void all_is_given_back(void **state)
{
    (void)state;
    size_t (*const orders[])(size_t) = {forwards, backwards, mixed};
    for (unsigned i = 0; i < 3; i++) {
        in_this_order(orders[i], 16, 64);
        in_this_order(orders[i], 1, SMALL);
        in_this_order(orders[i], 1, LARGE_SIZE);
        in_this_order(orders[i], SMALL + 200, LARGE_SIZE);
    }
}

/* The last one is freed when all others wait in bins, or when some were merged. */
static void after_all_others(void **state)
{
    (void)state;
    for (size_t last = 24; last <= 40000; last = last * 3 / 2) {
        uint8_t *p = get(last);
        take_blocks(40, 100);
        at_first = 16 * (size_t)PAGE;
        for (size_t i = 0; i < BLOCKS; i++)
            put(block[i]);
        assert_true(heap.stats.mapped > at_first);
        holds();
        put(p);
        is_as_at_first();
    }
}

/* The place in bins is counted from what is taken then, however the heap came to be so large. */
static void grown_for_little(void **state)
{
    (void)state;
    at_first = heap.stats.mapped;
    for (size_t align = 1 << 16; align <= 1 << 20; align <<= 1) {
        for (size_t size = 24; size <= 20000; size *= 5) {
            uint8_t *small[3] = {get(40), get(60), get(80)};
            uint8_t *p = heap_alloc_aligned(&heap, align, size, NULL);
            assert_non_null(p);
            bool grown = heap.stats.mapped > at_first;
            holds();
            put(small[0]), put(small[2]), put(small[1]), put(p);
            if (!grown) /* there is nothing to give back: they wait */
                heap_trim(&heap);
            is_as_at_first();
        }
    }
}

/* What is merged at growth or cut off a block is not taken any more either. */
static void with_less_and_less_taken(void **state)
{
    (void)state;
    take_blocks(200, SMALL);
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 50)
            put(block[i]);
    }
    holds();
    uint8_t *p = get((size_t)1 << 20);
    holds();
    for (size_t i = 0; i < BLOCKS; i += 50) {
        assert_ptr_equal(heap_realloc(&heap, block[i], 16, NULL), block[i]);
        holds();
    }
    heap_trim(&heap);
    holds();
    assert_ptr_equal(heap_realloc(&heap, p, 5000, NULL), p);
    holds();
    for (size_t i = 0; i < BLOCKS; i += 50)
        put(block[i]);
    holds();
    put(p);
    is_as_at_first();
}

/* While little is taken bins hold little; when more is again, they do, too. */
static void bins_follow(void **state)
{
    (void)state;
    take_blocks(40, 40);
    (void)get(40);
    for (size_t i = 0; i < BLOCKS; i++)
        put(block[i]);
    size_t then = space_share(&heap);
    assert_true(then < space_taken(&heap));
    take_blocks(1200, 1200);
    static uint8_t *other[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        other[i] = get(100);
    for (size_t i = 0; i < BLOCKS; i++)
        put(other[i]);
    assert_true(space_share(&heap) > 2 * then && heap.withheld == 0);
    holds();
}

/* The heap becomes smaller, and what waits in bins is more than may wait then. */
static void more_waits_than_may(void **state)
{
    (void)state;
    static uint8_t *waits[BLOCKS];
    take_blocks(40, 40);
    for (size_t i = 0; i < BLOCKS; i++)
        waits[i] = get(600);
    uint8_t *between = get(40), *large = get((size_t)4 << 20);
    for (size_t i = 0; i < BLOCKS; i++)
        put(waits[i]);
    put(large);
    assert_true(space_share(&heap) > heap.units >> SHARE_LOG);
    holds();
    put(between);
    for (size_t i = 0; i < BLOCKS; i++) {
        put(block[i]);
        if (i % 500 == 0)
            holds();
    }
    is_as_at_first();
}

/* ---- what is refused ------------------------------------------------------------------------- */

/* [free][p][live][more]: before p the first one's end was written over. */
static void damage_before(size_t size, bool last)
{
    assert_int_equal(set_stage(NULL), 0);
    uint8_t *before = get(1500), *p = get(size), *between = get(1500), *more = get(100000);
    put(before);
    if (last) {
        put(between);
        put(more);
    }
    holds();
    flip(&head(p)[-1], 3);
    free_is_refused(p, HEAP_UNDERRUN);
    ptrdiff_t fewer = pretend_room(-100000); /* full bins, and no more overdraft */
    free_is_refused(p, HEAP_UNDERRUN);
    heap.room += fewer;
    flip(&head(p)[-1], 3);
    put(p);
    holds();
}

static void damage_changes_nothing(void **state)
{
    (void)state;
    if (HEAP_HARDEN == 0)
        skip();
    damage_before(1500, true);
    damage_before(1500, false);
    damage_before(40, true);
    assert_int_equal(heap.stats.mapped, 16 * PAGE);
}

/* In a bin that has room nobody looks around. */
static void with_full_bins_alone(void **state)
{
    (void)state;
    if (HEAP_HARDEN == 0)
        skip();
    uint8_t *before = get(1500), *p = get(40);
    (void)get(100000);
    put(before);
    flip(&head(p)[-1], 3);
    (void)pretend_room(-100000);
    free_is_refused(p, HEAP_UNDERRUN);
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* No pointer of before passes for a live block. */
static void old_pointers_are_told(void **state)
{
    (void)state;
    uint8_t *first = get(40);
    take_blocks(40, 400);
    at_first = 16 * (size_t)PAGE;
    for (size_t i = 0; i < BLOCKS; i++)
        put(block[i]);
    put(first);
    is_as_at_first();
    if (HEAP_HARDEN == 0)
        return;
    assert_int_equal(heap_free(&heap, first, NULL), HEAP_DOUBLE_FREE);
    for (size_t i = 0; i < BLOCKS; i++) {
        enum heap_fault fault = heap_free(&heap, block[i], NULL);
        assert_int_equal(fault, block[i] < heap.top ? HEAP_DOUBLE_FREE : HEAP_FOREIGN);
    }
    is_as_at_first();
}

/* And it is a heap as any other: places, growth and all. */
static void it_begins_anew(void **state)
{
    (void)state;
    take_blocks(1, LARGE_SIZE);
    uint8_t *had[3] = {block[0], block[1], block[BLOCKS - 1]};
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++)
            put(block[mixed(i)]);
        is_as_at_first();
        take_blocks(1, LARGE_SIZE);
        assert_ptr_equal(block[0], had[0]);
        assert_ptr_equal(block[1], had[1]);
        assert_ptr_equal(block[BLOCKS - 1], had[2]);
        holds();
    }
}

/* A heap that has not grown has nothing to give: its only block waits, and comes again. */
static void a_small_heap_stays(void **state)
{
    (void)state;
    uint8_t *p = get(100);
    put(p);
    assert_ptr_equal(heap.bin[units_for(100)], p);
    assert_ptr_equal(get(100), p);
    put(p);
    holds();
    assert_int_equal(heap.stats.shrunk, 0);
}

/* A write to freed memory in what stays shows when it is given out again. */
static void what_was_written_shows(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    take_blocks(100, 100);
    for (size_t i = 0; i < BLOCKS - 1; i++)
        put(block[i]);
    block[3][50] ^= 1;
    put(block[BLOCKS - 1]);
    assert_int_equal(heap.stats.mapped, at_first);
    assert_null(heap_alloc(&heap, 100, NULL));
    assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIDE(all_is_given_back),
        WIDE(after_all_others),
        WIDE(grown_for_little),
        WIDE(with_less_and_less_taken),
        WIDE(bins_follow),
        WIDE(more_waits_than_may),
        STAGED(damage_changes_nothing),
        STAGED(with_full_bins_alone),
        WIDE(old_pointers_are_told),
        WIDE(it_begins_anew),
        STAGED(a_small_heap_stays),
        WIDE(what_was_written_shows),
    };
    return cmocka_run_group_tests_name("heap empty", tests, NULL, NULL);
}
