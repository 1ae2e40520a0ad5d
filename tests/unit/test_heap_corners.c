/* SPDX-License-Identifier: MIT */
/*
 * test_heap_corners.c - what the heap does rarely, with nothing damaged: windows, sizes and lists
 * that no program has. Built at every HEAP_HARDEN level (heap_level.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static void nobody_need_hear_of_faults(void **state)
{
    (void)state;
    const struct heap_ops deaf = {owner_grows, owner_shrinks, NULL, NULL};
    heap = (struct heap){0};
    assert_int_equal(heap_init(&heap, window, WINDOW, &deaf), MEM_OK);
    assert_int_equal(heap_free(&heap, &heap, NULL), HEAP_FOREIGN);
    assert_int_equal(heap.stats.faults[HEAP_FOREIGN], 1);
    assert_int_equal(owner.reports, 0);
}

/* Links count 2^31 words: of a window of 17 GiB, 16 are used. Nothing of it is touched. */
static void more_than_links_can_reach(void **state)
{
    (void)state;
    if (sizeof(void *) < 8)
        skip();
    uint64_t bytes = (uint64_t)17 << 30;
    heap = (struct heap){0};
    assert_int_equal(heap_init(&heap, window, (size_t)bytes, &owner_ops), MEM_OK);
    assert_int_equal(heap.stats.window, (uint64_t)16 << 30);
    assert_null(heap_alloc(&heap, (size_t)bytes - MIB, NULL));
    holds();
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
    assert_int_equal(heap_usable_size(&heap, NULL), 0);
    assert_int_equal(owner.reports, 0);
    assert_int_equal(heap_usable_size(&heap, p + 8), 0);
    assert_int_equal(owner.last.fault, HEAP_MISALIGNED);
    assert_null(heap_realloc(&heap, p + 4, 50, NULL));
    assert_int_equal(owner.reports, 2);
    assert_int_equal(heap_usable_size(&heap, p), 40);
    holds();
}

static void no_alignment_above_the_window(void **state)
{
    (void)state;
    assert_null(heap_alloc_aligned(&heap, 2 * WINDOW, 16, NULL));
    assert_null(heap_alloc_aligned(&heap, (size_t)1 << 30, 16, NULL));
    holds();
}

/* Who asked is told, on both targets: for small blocks from 24 bits, and what is common to all
 * code, which heap_init's caller tells; for long ones from a whole word. */
static void callers_are_recorded(void **state)
{
    (void)state;
    const uintptr_t code = (uintptr_t)callers_are_recorded | 1;
    assert_in_range(code - heap.caller_base + MIB, 0, (1 << CALLER_BITS) + 2 * MIB);
    heap.caller_base = code & ~(uintptr_t)CALLER_MASK;
    const size_t sizes[] = {40, 20000};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *p = heap_alloc(&heap, sizes[i], (const void *)code);
        struct view v = block_view(&heap, block_of(p));
        assert_ptr_equal(block_caller(&heap, block_of(p), &v), code);
        put(p);
    }
    struct view v = block_view(&heap, block_of(get(40)));
    assert_null(block_caller(&heap, NULL, &v));
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
    heap_walk(&heap, stops, &left);
    assert_int_equal(left, 0);
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* Free blocks of these sizes, in this order in their lists, each between live ones. */
static void leave_free(const size_t *sizes, unsigned count, uint8_t **out)
{
    for (unsigned i = 0; i < count; i++) {
        out[i] = get(sizes[i]);
        (void)get(1200);
    }
    while (count--)
        put(out[count]);
}

/* Four too small in front of one that fits, in the only list there is: it is not seen, and memory
 * behind all blocks is taken. Nothing is wrong with that, and the fifth is not forgotten. */
static void a_block_too_far_back(void **state)
{
    (void)state;
    const size_t sizes[] = {5000, 5000, 5000, 5000, 5080};
    uint8_t *at[5];
    leave_free(sizes, 5, at);
    assert_int_equal(class_of(units_for(5000)), class_of(units_for(5080)));
    assert_true(get(5080) > at[4]);
    assert_ptr_equal(get(5000), at[0]);
    assert_ptr_equal(get(5080), at[4]);
    holds();
}

/* ---- a large heap --------------------------------------------------------------------------- */

static const size_t huge = (size_t)200 * MIB;
static uint8_t *far;

static int set_large(void **state)
{
    assert_int_equal(set_stage(state), 0);
    far = reserve(huge, PROT_READ | PROT_WRITE);
    heap = (struct heap){0};
    return heap_init(&heap, far, huge, &owner_ops) != MEM_OK;
}

static int drop_large(void **state)
{
    (void)state;
    return munmap(far, huge);
}

/* All blocks of 128 to 144 MiB share a list. */
static void one_list_of_large_sizes(void **state)
{
    (void)state;
    size_t largest = (size_t)140 * MIB;
    uint8_t *p = get(largest);
    (void)get(2000);
    put(p);
    holds();
    assert_int_equal(class_of(units_for(largest)), class_of(units_for((size_t)130 * MIB)));
    assert_null(list_find_large(&heap, units_for(largest) + 1));
    assert_ptr_equal(list_find_large(&heap, units_for((size_t)130 * MIB)), block_of(p));
    /* No place in it is so aligned, and behind all blocks is no memory. */
    assert_null(heap_alloc_aligned(&heap, (size_t)64 << 10, largest - 100, NULL));
    uint8_t *q = heap_alloc_aligned(&heap, (size_t)64 << 10, (size_t)130 * MIB, NULL);
    assert_true(q > p && q < p + largest && (uintptr_t)q % (64 << 10) == 0);
    put(q);
    holds();
}

/* A 128th of what is held is asked for beyond the need, but not more than 256 KiB. */
static void large_heaps_grow_in_bounded_steps(void **state)
{
    (void)state;
    (void)get((size_t)100 * MIB);
    size_t before = heap.stats.mapped;
    while (heap.stats.mapped == before)
        (void)get(3000);
    assert_int_equal(heap.stats.mapped - before, 64 * PAGE);
    holds();
}

/* What was held before and given back comes again in steps of 256 KiB beyond the need, up to the
 * most that ever was, and not beyond. */
static void what_was_held_before_comes_in_long_steps(void **state)
{
    (void)state;
    put(get((size_t)100 * MIB));
    size_t before = heap.stats.mapped, most = heap.stats.most;
    assert_true(most > (size_t)100 * MIB && before < MIB);
    while (heap.stats.mapped == before)
        (void)get(3000);
    assert_int_equal(heap.stats.mapped - before, 65 * PAGE);
    (void)get(most - heap.stats.mapped);
    assert_int_equal(heap.stats.mapped, most);
    (void)get((size_t)2 * MIB);
    assert_true(heap.stats.mapped > most && heap.stats.most == heap.stats.mapped);
    holds();
}

/* ---- an owner with little memory ------------------------------------------------------------- */

static size_t given;

static bool scarce_grows(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at;
    if (bytes > WINDOW - 2 * PAGE - given)
        return false;
    given += bytes;
    return true;
}

static void scarce_shrinks(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at;
    given -= bytes;
}

/* Refused while bins hold on to the heap's end, a request gets what their merging gave back. */
static void what_bins_gave_back_serves(void **state)
{
    (void)state;
    static const struct heap_ops scarce = {scarce_grows, scarce_shrinks, owner_hears, NULL};
    uint8_t *small[16];
    memset(&heap, 0, sizeof heap);
    given = 0;
    assert_int_equal(heap_init(&heap, window, WINDOW, &scarce), MEM_OK);
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

/* All there is in one block, to the last byte: behind it stands the header at the end, which stays. */
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

/* A free block of so many units of 16 bytes, then a live one. */
static uint8_t *leave_units(size_t units)
{
    uint8_t *p = get(units * UNIT - HEADER);
    (void)get(1200);
    put(p);
    heap_trim(&heap);
    return p;
}

/* [ 1 ][ 2 ][ 3 ][ 4 ][ rest ][live: a search that cuts 1 leaves up to three more in their bin */
static void a_search_leaves_more_of_the_size(void **state)
{
    for (size_t units = 4; units <= 17; units++) {
        (void)set_stage(state);
        uint8_t *p = leave_units(units);
        ptrdiff_t room = heap.room;
        size_t more = units / 4 - 1 < 3 ? units / 4 - 1 : 3;
        assert_ptr_equal(get(50), p);
        assert_int_equal(heap.room, room - (ptrdiff_t)(4 * more));
        holds();
        for (size_t i = more; i; i--)
            assert_ptr_equal(get(53), p + i * 64);
        assert_null(heap.bin[4]);
        assert_int_equal(heap.room, room);
        holds();
    }
}

/* What waits in bins has its bound there, too, and a size that never waits is cut alone. */
static void a_search_leaves_no_more_than_may_wait(void **state)
{
    for (int room = -1; room <= 13; room++) {
        (void)set_stage(state);
        (void)leave_units(100);
        heap.room = room;
        (void)get(50);
        assert_int_equal(heap.room, room < 0 ? room : room < 12 ? room % 4 : room - 12);
        holds();
    }
    (void)set_stage(state);
    uint8_t *p = leave_units(2 * HEAP_BIN_UNITS);
    (void)get(HEAP_BIN_UNITS * UNIT - HEADER);
    assert_ptr_equal(get(HEAP_BIN_UNITS * UNIT - HEADER), p + HEAP_BIN_UNITS * UNIT);
    p = leave_units(3 * (HEAP_BIN_UNITS + 1));
    ptrdiff_t room = heap.room;
    assert_ptr_equal(get(HEAP_BIN_UNITS * UNIT - HEADER + 1), p);
    assert_int_equal(heap.room, room);
    holds();
}

/* Nobody was given what waits: to free it is a fault, and nobody is said to have allocated it. */
static void what_a_search_left_was_never_live(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    uint8_t *p = leave_units(12);
    assert_ptr_equal(heap_alloc(&heap, 50, (void *)(heap.caller_base + 16)), p);
    assert_int_equal(heap_free(&heap, p + 64, NULL), HEAP_DOUBLE_FREE);
    assert_ptr_equal(owner.last.block, p + 64);
    assert_int_equal(owner.last.size, 50);
    assert_null(owner.last.allocated_by);
    holds();
}

#define STAGED(name) cmocka_unit_test_setup(name, set_stage)
#define LARGE(name)  cmocka_unit_test_setup_teardown(name, set_large, drop_large)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(an_owner_must_give_and_take),
        STAGED(nobody_need_hear_of_faults),
        STAGED(more_than_links_can_reach),
        STAGED(every_fault_has_a_name),
        STAGED(what_is_no_block_has_no_size),
        STAGED(no_alignment_above_the_window),
        STAGED(callers_are_recorded),
        STAGED(a_walk_can_be_stopped),
        STAGED(a_block_too_far_back),
        STAGED(what_bins_gave_back_serves),
        STAGED(old_headers_are_no_blocks),
        STAGED(the_last_byte_is_used_and_given_back),
        STAGED(a_search_leaves_more_of_the_size),
        STAGED(a_search_leaves_no_more_than_may_wait),
        STAGED(what_a_search_left_was_never_live),
        LARGE(one_list_of_large_sizes),
        LARGE(large_heaps_grow_in_bounded_steps),
        LARGE(what_was_held_before_comes_in_long_steps),
    };
    return cmocka_run_group_tests_name("heap corners", tests, NULL, NULL);
}
