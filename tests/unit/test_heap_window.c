/* SPDX-License-Identifier: MIT */
/*
 * test_heap_window.c - a heap that uses all of 1 TiB, the most it can, and comes back to its start.
 * Little of it is ever touched: what stands at both ends of each block, and 1.5 GiB of what the
 * tree knows. In 64 bits alone.
 */
#define TIB        ((size_t)1 << 40)
#define WIDE_BYTES TIB
#include "heap_stage.h"

enum { MOST = 64 };

static uint8_t *blocks[MOST];

/* Blocks of half of what is left, at most 60 GiB, until no page is left; how many. */
static unsigned take_all(void)
{
    unsigned n = 0;
    for (size_t size = (size_t)60 << 30; size > 16; n++) {
        assert_true(n < MOST);
        while (size > 16 && !(blocks[n] = heap_alloc(&heap, size, NULL)))
            size /= 2;
    }
    return n;
}

static void all_of_it_and_back(void **state)
{
    (void)state;
    size_t first = owner.held;
    unsigned n = take_all();
    assert_in_range(owner.held, TIB - 4 * PAGE, TIB);
    assert_ptr_equal(heap.top, heap.limit);
    assert_true(blocks[9] > wide + TIB / 2);
    holds();
    for (unsigned odd = 2; odd-- > 0;) {
        for (unsigned i = odd; i < n; i += 2) {
            put(blocks[i]);
        }
        holds();
    }
    heap_trim(&heap);
    assert_int_equal(owner.held, first);
}

/* Blocks far apart are neighbours in one list, or under one fork, and are found there again. */
static void blocks_across_the_window(void **state)
{
    (void)state;
    const size_t sizes[] = {2000, 5000};
    uint8_t *near[2], *far[2];
    for (unsigned i = 0; i < 2; i++) {
        near[i] = get(sizes[i]);
        (void)get(16);
    }
    for (unsigned i = 0; i < 14; i++)
        (void)get((size_t)60 << 30);
    for (unsigned i = 0; i < 2; i++) {
        far[i] = get(sizes[i]);
        (void)get(16);
    }
    for (unsigned i = 0; i < 2; i++) {
        put(near[i]);
        put(far[i]);
    }
    holds();
    assert_ptr_equal(links(far[0])->next, links(near[0]));
    assert_ptr_equal(get(2000), far[0]); /* the last, from a list */
    assert_ptr_equal(get(2000), near[0]);
    assert_ptr_equal(get(5000), near[1]); /* the first, from the tree */
    assert_ptr_equal(get(5000), far[1]);
    holds();
}

/* As many units as a fork can tell. */
static void the_largest_block(void **state)
{
    (void)state;
    size_t most = payload_bytes(UINT32_MAX) - LONG_EXTRA;
    assert_int_equal(units_for(most), UINT32_MAX);
    assert_null(heap_alloc(&heap, most, NULL));
    assert_null(heap_alloc_aligned(&heap, 4096, most, NULL));
    assert_null(heap_alloc(&heap, most - UNIT + 1, NULL));
    uint8_t *p = get(most - UNIT);
    assert_int_equal(heap_usable_size(&heap, p, NULL), most - UNIT);
    assert_null(heap_realloc(&heap, p, most, NULL));
    assert_int_equal(heap.stats.refused, 4);
    holds();
    p[most - UNIT] ^= 1;
    assert_int_equal(heap_free(&heap, p, NULL), HEAP_OVERRUN);
}

/* A free block of more than the tree can tell becomes wild: nothing is concluded from that. */
static void more_than_the_largest(void **state)
{
    (void)state;
    const size_t live = (size_t)60 << 30, half = (size_t)35 << 30;
    (void)get(16);
    uint8_t *less = get(100000), *next = get(2000);
    put(less);
    put(next);
    assert_int_equal(heap.below, 0);
    for (unsigned i = 0; i < 6; i++)
        (void)get(live); /* so that 70 GiB of wild memory stay */
    uint8_t *before = get(5000), *between = get(16);
    uint8_t *p = get(half), *behind = get(half), *last = get(2000);
    put(before);
    put(p);
    put(behind);
    put(last);
    assert_ptr_equal(block_at(heap.wild, heap.wild_bytes >> UNIT_SHIFT), heap_last(&heap));
    assert_true(heap.wild_bytes > 2 * half && heap.below >= 2 * half);
    holds();
    put(between);
    holds();
}

/* Of a larger window the rest stays unused; nothing of this one is touched. */
static void no_more_than_that(void **state)
{
    (void)state;
    assert_int_equal(begin(wide, TIB + WINDOW, &owner_ops), MEM_OK);
    assert_int_equal(heap.stats.window, TIB);
    assert_ptr_equal(heap.limit, wide + TIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIDE(all_of_it_and_back),    WIDE(blocks_across_the_window), WIDE(the_largest_block),
        WIDE(more_than_the_largest), WIDE(no_more_than_that),
    };
    return cmocka_run_group_tests_name("heap window", tests, NULL, NULL);
}
