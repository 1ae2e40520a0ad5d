/* SPDX-License-Identifier: MIT */
/*
 * test_heap_held.c - a heap does not come to hold many times what is live in it, however blocks of
 * one kind give way to those of another. Built at other HEAP_HARDEN levels as well (heap_level.h).
 */
#define WIDE_BYTES ((size_t)64 << 20)
#include "heap_stage.h"

static size_t forwards(size_t i, size_t n)
{
    (void)n;
    return i;
}

static size_t backwards(size_t i, size_t n)
{
    return n - 1 - i;
}

static size_t mixed(size_t i, size_t n)
{
    return i * 7919 % n; /* a prime, and no factor of the counts used here */
}

static size_t (*const orders[])(size_t i, size_t n) = {forwards, backwards, mixed};
enum { ORDERS = sizeof orders / sizeof *orders };

static size_t waiting(void)
{
    struct heap_stats s;
    assert_true(heap_stats(&heap, &s));
    return s.waiting;
}

/* ---- aligned blocks ---------------------------------------------------------------------------
 */

static uint8_t *get_aligned(size_t align, size_t size)
{
    uint8_t *p = heap_alloc_aligned(&heap, align, size, NULL);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % align, 0);
    return p;
}

/* A plain block of the same size comes and goes beside it, and lies on top of the bin. */
static void aligned_blocks_come_and_go(void **state)
{
    for (size_t align = 32; align <= PAGE; align *= 2) {
        for (size_t size = 8; size < 2000; size = size * 3 + 8) {
            assert_int_equal(set_stage(state), 0);
            (void)get(8);
            size_t first = heap.stats.most;
            for (unsigned i = 0; i < 300; i++) {
                uint8_t *aligned = get_aligned(align, size), *plain = get(size);
                put(aligned);
                assert_ptr_not_equal(heap.bin[1], aligned);
                put(plain);
            }
            assert_true(heap.stats.most <= first + 2 * PAGE);
            holds();
        }
    }
}

/* It is merged when it is freed, so that its place is found again. */
static void an_aligned_block_never_waits(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 1096; size++) {
        uint8_t *p = get_aligned(64, size);
        (void)get(8);
        const void *top = heap.bin[short_units(size)];
        put(p);
        assert_ptr_equal(heap.bin[short_units(size)], top);
        assert_ptr_equal(get_aligned(64, size), p);
        if (size % 100 == 0)
            assert_int_equal(set_stage(state), 0);
    }
    holds();
}

/* Nor when its size was changed, where it stands. */
static void nor_when_it_was_resized(void **state)
{
    (void)state;
    const size_t sizes[] = {100, 90, 60, 60, 200, 40};
    uint8_t *p = get_aligned(64, 100);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_ptr_equal(heap_realloc(&heap, p, sizes[i], NULL), p);
    assert_int_equal(heap_usable_size(&heap, p, NULL), 40);
    (void)get(8);
    size_t waited = waiting();
    put(p);
    assert_int_equal(waiting(), waited);
    holds();
}

/* What is said of it is what is said of any. */
static void aligned_blocks_are_live(void **state)
{
    (void)state;
    struct heap_stats s;
    uint8_t *p = heap_alloc_aligned(&heap, 256, 100, &heap);
    assert_true(heap_stats(&heap, &s));
    assert_int_equal(s.blocks, 1);
    if (HEAP_HARDEN > 0)
        free_is_refused(p + 16, HEAP_INTERIOR);
    put(p);
    if (HEAP_HARDEN > 0)
        free_is_refused(p, HEAP_DOUBLE_FREE);
}

/* ---- single units -----------------------------------------------------------------------------
 */

enum { SINGLES = 3000 };
static uint8_t *single[SINGLES];

/* Blocks of one unit, and no room for more. */
static void take_singles(void)
{
    for (size_t i = 0; i < SINGLES; i++)
        single[i] = get(8);
    (void)get((heap.wild_bytes & ~(size_t)(UNIT - 1)) - HEADER);
    owner.most = owner.held;
}

static void refuse_more(size_t size)
{
    assert_null(heap_alloc(&heap, size, NULL));
    holds();
}

/* Every second one is free: a request that is refused leaves all of them to be used. */
static void single_units_are_used_after_a_refusal(void **state)
{
    for (unsigned order = 0; order < ORDERS; order++) {
        assert_int_equal(set_stage(state), 0);
        take_singles();
        for (size_t i = 0; i < SINGLES / 2; i++)
            put(single[2 * orders[order](i, SINGLES / 2)]);
        for (unsigned again = 0; again < 3; again++)
            refuse_more(24);
        for (size_t i = 0; i < SINGLES / 2; i++)
            (void)get(8);
        refuse_more(8);
    }
}

/* Runs of them are merged to the last one, whatever was freed first. */
static void runs_of_single_units_are_merged(void **state)
{
    for (unsigned order = 0; order < ORDERS; order++) {
        for (size_t run = 2; run < 8; run++) {
            assert_int_equal(set_stage(state), 0);
            take_singles();
            size_t runs = SINGLES / (run + 1), n = runs * (run + 1);
            for (size_t i = 0; i < n; i++) {
                size_t k = orders[order](i, n);
                if (k % (run + 1) != run)
                    put(single[k]);
            }
            for (size_t i = 0; i < runs; i++)
                (void)get(run * UNIT - HEADER);
            assert_int_equal(waiting(), 0);
            holds();
        }
    }
}

/* ---- phases -----------------------------------------------------------------------------------
 */

enum { LIVE = HEAP_HARDEN < 3 ? 1 << 20 : 1 << 17, ROUNDS = 4 };
static uint8_t *block[LIVE / 32];

/* Blocks of one size after the other, each time as much memory; one block stays. */
static void in_phases(const size_t *sizes, unsigned count, size_t (*nth)(size_t, size_t))
{
    (void)get(100);
    for (unsigned i = 0; i < ROUNDS * count; i++) {
        size_t size = sizes[i % count], n = LIVE / (size + HEADER);
        for (size_t k = 0; k < n; k++)
            block[k] = get(size);
        for (size_t k = 0; k < n; k++)
            put(block[nth(k, n)]);
        assert_true(waiting() <= LIVE + LIVE / 8);
        holds();
    }
}

/* What waits of former sizes is never more than was live, so it cannot fill more than a heap of
 * twice that; and pieces between it are of use to some of the sizes. */
static void phases_of_sizes(void **state)
{
    const size_t some[] = {24, 1000, 200, 504, 88},
                 many[] = {24,  56,  88,  120, 152, 184, 216, 248, 312, 376, 440, 504, 568,
                           632, 696, 760, 824, 888, 952, 56,  104, 152, 200, 248, 296};
    for (unsigned order = 0; order < ORDERS; order++) {
        in_phases(some, sizeof some / sizeof *some, orders[order]);
        assert_true(heap.stats.most <= (size_t)LIVE * 4);
        assert_int_equal(drop_wide(state) || set_wide(state), 0);
        in_phases(many, sizeof many / sizeof *many, orders[order]);
        assert_true(heap.stats.most <= (size_t)LIVE * 5);
        assert_int_equal(drop_wide(state) || set_wide(state), 0);
    }
}

/* When the heap is full of live blocks again, as many may wait as in any other. */
static void more_may_wait_when_more_is_live(void **state)
{
    (void)state;
    for (size_t i = 0; i < LIVE / 32; i++)
        block[i] = get(24);
    for (size_t i = 0; i < LIVE / 32; i++)
        put(block[i]);
    size_t then = heap.granted;
    (void)get(16 * LIVE);
    assert_true(heap.granted >= then + 7 * LIVE / UNIT);
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(aligned_blocks_come_and_go),
        STAGED(an_aligned_block_never_waits),
        STAGED(nor_when_it_was_resized),
        STAGED(aligned_blocks_are_live),
        STAGED(single_units_are_used_after_a_refusal),
        STAGED(runs_of_single_units_are_merged),
        WIDE(phases_of_sizes),
        WIDE(more_may_wait_when_more_is_live),
    };
    return cmocka_run_group_tests_name("heap held", tests, NULL, NULL);
}
