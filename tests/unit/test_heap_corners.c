/* SPDX-License-Identifier: MIT */
/*
 * test_heap_corners.c - what the heap does rarely, with nothing damaged: windows, sizes and owners
 * that no program has. Built at every HEAP_HARDEN level (heap_level.h).
 */
#include "heap_stage.h"

enum { MIB = 1 << 20 };

/* ---- an instance ---------------------------------------------------------------------------- */

static void an_owner_must_give_and_take(void **state)
{
    (void)state;
    struct heap other = {0};
    const struct heap_ops takes = {NULL, owner_shrinks, owner_hears, NULL};
    const struct heap_ops gives = {owner_grows, NULL, owner_hears, NULL};
    assert_int_equal(heap_init(&other, window, WINDOW, &takes), MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, window, WINDOW, &gives), MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, window, PAGE, &owner_ops), MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, window, 2 * PAGE, &owner_ops), MEM_OK);
}

/* The address behind it is one, too. */
static void a_window_must_be_somewhere(void **state)
{
    (void)state;
    struct heap other = {0};
    const uintptr_t end = 0;
    owner.most = owner.held; /* nothing is touched */
    assert_int_equal(heap_init(&other, NULL, WINDOW, &owner_ops), MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, (void *)(end - PAGE), 2 * PAGE, &owner_ops), MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, (void *)(end - 2 * PAGE), 2 * PAGE, &owner_ops),
                     MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, window, -(size_t)PAGE, &owner_ops), MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, (void *)(end - 3 * PAGE), 2 * PAGE, &owner_ops),
                     MEM_NO_FRAME);
}

/* However small the window is, an empty heap is as large as it was at first. */
static void small_windows_come_back_to_their_start(void **state)
{
    for (size_t pages = 2; pages < 20; pages++) {
        assert_int_equal(set_stage(state), 0);
        assert_int_equal(begin(window, pages * PAGE, &owner_ops), MEM_OK);
        uint8_t *p[20 * PAGE / 16];
        size_t first = owner.held, n = 0;
        while ((p[n] = heap_alloc(&heap, 40, NULL)))
            n++;
        assert_int_equal(owner.held, pages * PAGE);
        while (n)
            put(p[--n]);
        heap_trim(&heap);
        assert_int_equal(owner.held, first);
        holds();
    }
}

static void nobody_need_hear_of_faults(void **state)
{
    (void)state;
    const struct heap_ops deaf = {owner_grows, owner_shrinks, NULL, NULL};
    assert_int_equal(begin(window, WINDOW, &deaf), MEM_OK);
    assert_int_equal(heap_free(&heap, &heap, NULL), HEAP_FOREIGN);
    assert_int_equal(heap.stats.faults[HEAP_FOREIGN], 1);
    assert_int_equal(owner.reports, 0);
}

static void every_fault_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HEAP_FAULT_COUNT; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(heap_fault_name(i), heap_fault_name(k));
    }
    assert_string_equal(heap_fault_name(HEAP_WRITE_AFTER_FREE), "write after free");
    assert_string_equal(heap_fault_name(HEAP_FAULT_COUNT), "unknown fault");
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void what_is_no_block_has_no_size(void **state)
{
    (void)state;
    uint8_t *p = get(40);
    assert_int_equal(heap_usable_size(&heap, NULL, NULL), 0);
    assert_int_equal(owner.reports, 0);
    assert_int_equal(heap_usable_size(&heap, p + 8, NULL), 0);
    assert_int_equal(owner.last.fault, HEAP_MISALIGNED);
    assert_null(heap_realloc(&heap, p + 4, 50, NULL));
    assert_int_equal(owner.reports, 2);
    assert_int_equal(heap_usable_size(&heap, p, NULL), 40);
    holds();
}

static void no_alignment_above_the_window(void **state)
{
    (void)state;
    assert_null(heap_alloc_aligned(&heap, 2 * WINDOW, 16, NULL));
    assert_null(heap_alloc_aligned(&heap, (size_t)1 << 30, 16, NULL));
    holds();
}

/* A resize to what cannot be is refused as well, but what is wrong with the block is said. */
static void what_is_no_block_is_told_at_any_size(void **state)
{
    (void)state;
    const size_t sizes[] = {0, SIZE_MAX, 2 * WINDOW, 50, 20000};
    uint8_t *p = get(40), *q = get(20000);
    put(q);
    for (unsigned i = 0; i < 5; i++) {
        owner.reports = 0;
        assert_null(heap_realloc(&heap, p + 4, sizes[i], NULL));
        assert_int_equal(owner.reports, 1);
        assert_int_equal(owner.last.fault, HEAP_MISALIGNED);
        if (HEAP_HARDEN) {
            assert_null(heap_realloc(&heap, q, sizes[i], NULL));
            assert_int_equal(owner.last.fault, HEAP_DOUBLE_FREE);
        }
    }
    owner.reports = 0;
    for (unsigned i = 0; i < 3; i++)
        assert_null(heap_realloc(&heap, p, sizes[i], NULL));
    assert_int_equal(owner.reports, 0);
    holds();
}

/* In a window of nearly all there is, of the largest block there can be. */
static void the_largest_size_at_any_alignment(void **state)
{
    (void)state;
    heap.stats.window = SIZE_MAX - PAGE;
    heap.largest = ((size_t)1 << SIZE_BITS) - 1;
    for (size_t align = 32; align <= (size_t)1 << 30; align *= 2) {
        assert_null(heap_alloc_aligned(&heap, align, heap.largest, NULL));
        assert_null(heap_alloc_aligned(&heap, align, heap.largest + 1, NULL));
        assert_null(heap_alloc_aligned(&heap, align, SIZE_MAX, NULL));
    }
    holds();
}

/* An aligned block costs what is skipped before it, not the whole alignment. */
static void alignment_costs_what_is_skipped(void **state)
{
    (void)state;
    const size_t align = 16 * PAGE;
    uint8_t *base = (uint8_t *)(((uintptr_t)window + align - 1) & ~(align - 1));
    assert_int_equal(begin(base, 40 * PAGE, &owner_ops), MEM_OK);
    (void)get((size_t)(base + 32 * PAGE - (uint8_t *)heap.wild) - 100);
    assert_ptr_equal(heap_alloc_aligned(&heap, align, 7 * PAGE, NULL), base + 32 * PAGE);
    holds();
}

static void costs(size_t size, size_t more)
{
    const struct block *from = heap.wild;
    uint8_t *p = get(size);
    assert_int_equal(units_between(from, heap.wild), (size + more + 15) / 16);
    put(p);
    heap_trim(&heap);
}

/* heap.h: 8 bytes more than the payload, 12 from 16 KiB on with 64-bit words, and what rounding to
 * 16 adds. */
static void a_block_costs_its_header(void **state)
{
    (void)state;
    const size_t more = HEAP_WORD_BITS == 32 ? 8 : 12;
    for (size_t size = 1; size < 17000; size += size == 600 ? 15400 : 1)
        costs(size, size < 16 << 10 ? 8 : more);
    for (size_t size = 17000; size < WINDOW / 2; size += 4999)
        costs(size, more);
}

/* Who asked is told, on both targets, from 24 bits and what is common to all code, which
 * heap_init's caller tells. */
static void callers_are_recorded(void **state)
{
    (void)state;
    const uintptr_t code = (uintptr_t)callers_are_recorded | 1;
    assert_in_range(code - heap.caller_base + MIB, 0, (1 << CALLER_BITS) + 2 * MIB);
    heap.caller_base = code & ~(uintptr_t)CALLER_MASK;
    const size_t sizes[] = {40, 20000, 20007, 20013}; /* of which 20000 is a multiple of 16 */
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *p = heap_alloc(&heap, sizes[i], (const void *)code);
        memset(p, 0xa5, sizes[i]);
        struct view v = block_view(&heap, block_of(p));
        assert_ptr_equal(heap_block_caller(&heap, block_of(p), &v), code);
        put(p);
    }
    struct view v = block_view(&heap, block_of(get(40)));
    assert_null(heap_block_caller(&heap, NULL, &v));
}

static bool stops(void *ctx, const struct heap_block *b)
{
    (void)b;
    return --*(unsigned *)ctx;
}

static void a_walk_can_be_stopped(void **state)
{
    (void)state;
    unsigned left = 3;
    for (unsigned i = 0; i < 8; i++)
        (void)get(24);
    assert_false(heap_walk(&heap, stops, &left));
    assert_int_equal(left, 0);
}

/* ---- a large heap --------------------------------------------------------------------------- */

static const size_t huge = (size_t)200 * MIB;
static uint8_t *far;

static int set_large(void **state)
{
    assert_int_equal(set_stage(state), 0);
    far = reserve(huge, PROT_READ | PROT_WRITE);
    return begin(far, huge, &owner_ops) != MEM_OK;
}

static int drop_large(void **state)
{
    (void)state;
    return munmap(far, huge);
}

/* Of all lengths there are, the largest as well. */
static void a_block_of_most_of_the_heap(void **state)
{
    (void)state;
    size_t largest = (size_t)140 * MIB;
    uint8_t *p = get(largest);
    (void)get(2000);
    put(p);
    holds();
    assert_null(find_free(&heap, units_for(largest) + 1).b);
    assert_ptr_equal(find_free(&heap, units_for((size_t)130 * MIB)).b, block_of(p));
    /* No place in it is so aligned, and behind all blocks is no memory. */
    assert_null(heap_alloc_aligned(&heap, (size_t)64 << 10, largest - 100, NULL));
    uint8_t *q = heap_alloc_aligned(&heap, (size_t)64 << 10, (size_t)130 * MIB, NULL);
    assert_true(q > p && q < p + largest && (uintptr_t)q % (64 << 10) == 0);
    put(q);
    holds();
}

/* A 128th of what is held is asked for beyond the need, but not more than 128 KiB. */
static void large_heaps_grow_in_bounded_steps(void **state)
{
    (void)state;
    (void)get((size_t)100 * MIB);
    size_t before = heap.stats.mapped;
    while (heap.stats.mapped == before)
        (void)get(3000);
    assert_int_equal(heap.stats.mapped - before, 32 * PAGE);
    holds();
}

/* What was held before and given back comes again in steps of 128 KiB beyond the need, up to the
 * most that ever was, and not beyond. */
static void what_was_held_before_comes_in_long_steps(void **state)
{
    (void)state;
    put(get((size_t)100 * MIB));
    size_t before = heap.stats.mapped, most = heap.stats.most;
    assert_true(most > (size_t)100 * MIB && before < MIB);
    while (heap.stats.mapped == before)
        (void)get(3000);
    assert_int_equal(heap.stats.mapped - before, 33 * PAGE);
    assert_int_equal(heap.stats.most, most);
    (void)get((size_t)(heap.highest - heap.top));
    assert_int_equal(heap.stats.mapped, most);
    (void)get((size_t)2 * MIB);
    assert_true(heap.stats.mapped > most && heap.stats.most == heap.stats.mapped);
    holds();
}

/* Where the owner has not enough for a step, what is needed is taken without it. */
static void the_need_alone_when_a_step_is_refused(void **state)
{
    (void)state;
    (void)get((size_t)100 * MIB);
    owner.most = owner.held + PAGE;
    (void)get(heap.wild_bytes + 100);
    assert_int_equal(owner.held, owner.most);
    assert_null(heap_alloc(&heap, heap.wild_bytes + 100, NULL));
    holds();
}

/* ---- all that there is ---------------------------------------------------------------------- */

/* Refused while bins hold on to the heap's end, a request gets what their merging gave back. */
static void what_bins_gave_back_serves(void **state)
{
    (void)state;
    uint8_t *small[16];
    owner.most = WINDOW - 2 * PAGE;
    uint8_t *large = get(WINDOW / 8 * 5);
    for (unsigned i = 0; i < 16; i++)
        small[i] = get(1000);
    put(large);
    for (unsigned i = 0; i < 16; i++)
        put(small[i]);
    put(get(WINDOW / 8 * 7));
    assert_null(heap_alloc(&heap, WINDOW - 2 * PAGE, NULL));
    holds();
}

/* Headers that are of no use any more, the one at the end among them, are headers no more. */
static void old_headers_are_no_blocks(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    for (unsigned i = 0; i < 6; i++) {
        uint8_t *p[40];
        for (unsigned n = 0; n < 40; n++)
            p[n] = get(1 + (n * 977 + i * 131) % 3000);
        for (unsigned n = 0; n < 40; n++)
            put(p[(n * 7) % 40]);
        heap_trim(&heap);
        put(get((i + 3) * 5 * PAGE));
    }
    uint8_t *all = get(WINDOW / 4 * 3);
    assert_non_null(all);
    for (uint8_t *at = all + 16; at < all + WINDOW / 4 * 3; at += 16)
        assert_int_equal(heap_free(&heap, at, NULL), HEAP_INTERIOR);
    put(all);
    holds();
}

/* All there is in one block, to the last byte: behind it stands the header at the end, which stays.
 */
static void the_last_byte_is_used_and_given_back(void **state)
{
    (void)state;
    uint8_t *all = get(heap.wild_bytes - HEADER - LONG_EXTRA);
    assert_int_equal(heap.wild_bytes, 0);
    holds();
    put(all);
    holds();
    assert_ptr_equal(get(heap.wild_bytes - HEADER - LONG_EXTRA), all);
    holds();
}

#define HUGE(name) cmocka_unit_test_setup_teardown(name, set_large, drop_large)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(an_owner_must_give_and_take),
        STAGED(a_window_must_be_somewhere),
        STAGED(small_windows_come_back_to_their_start),
        STAGED(nobody_need_hear_of_faults),
        STAGED(every_fault_has_a_name),
        STAGED(what_is_no_block_has_no_size),
        STAGED(what_is_no_block_is_told_at_any_size),
        STAGED(the_largest_size_at_any_alignment),
        STAGED(alignment_costs_what_is_skipped),
        STAGED(no_alignment_above_the_window),
        STAGED(a_block_costs_its_header),
        STAGED(callers_are_recorded),
        STAGED(a_walk_can_be_stopped),
        STAGED(what_bins_gave_back_serves),
        STAGED(old_headers_are_no_blocks),
        STAGED(the_last_byte_is_used_and_given_back),
        HUGE(a_block_of_most_of_the_heap),
        HUGE(large_heaps_grow_in_bounded_steps),
        HUGE(what_was_held_before_comes_in_long_steps),
        HUGE(the_need_alone_when_a_step_is_refused),
    };
    return cmocka_run_group_tests_name("heap corners", tests, NULL, NULL);
}
