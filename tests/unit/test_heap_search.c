/* SPDX-License-Identifier: MIT */
/*
 * test_heap_search.c - what a search leaves in a bin of the block it cuts, and when there is none.
 * Built at every HEAP_HARDEN level (heap_level.h).
 */
#include "heap_stage.h"

/* ---- what it leaves ------------------------------------------------------------------------- */

/* A free block of so many units of 16 bytes, then a live one. */
static uint8_t *leave_units(size_t units)
{
    uint8_t *p = get(units * UNIT - HEADER);
    (void)get(1200);
    put(p);
    heap_trim(&heap);
    return p;
}

/* [ 1 ][ 2 ][ 3 ][ rest ][live: a search that cuts 1 leaves up to two more in their bin */
static void a_search_leaves_more_of_the_size(void **state)
{
    for (size_t units = 4; units <= 17; units++) {
        (void)set_stage(state);
        uint8_t *p = leave_units(units);
        ptrdiff_t room = heap.room;
        size_t more = units / 4 - 1 < 2 ? units / 4 - 1 : 2;
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
        ptrdiff_t fewer = pretend_room(room);
        (void)get(50);
        assert_int_equal(heap.room, room < 0 ? room : room < 8 ? room % 4 : room - 8);
        heap.room += fewer;
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

/* ---- what it passes over -------------------------------------------------------------------- */

enum { OTHERS = 6 };

/* Free blocks of so many units apart from each other, freed in this order; 0: none. */
static void leave_others(const size_t units[OTHERS])
{
    uint8_t *p[OTHERS] = {NULL};
    for (unsigned i = 0; i < OTHERS && units[i]; i++) {
        p[i] = get(units[i] * UNIT - HEADER);
        (void)get(1200);
    }
    for (unsigned i = 0; i < OTHERS; i++)
        put(p[i]);
}

/* The largest free block becomes wild memory: it is known how large the others are, in lists, loose
 * or in the tree, and a request for more does not look for one. */
static void the_largest_became_wild(void **state)
{
    static const size_t others[][OTHERS] = {
        {0},
        {100, 90, 200, 80},
        {300, 120},
        {300, 310, 290, 280},
        {400, 300, 310, 290, 280},
        {300, 300, 310, 420, 290, 280},
    };
    static const size_t most[] = {0, 200, 300, 310, 400, 420};
    for (unsigned i = 0; i < 6; i++) {
        (void)set_stage(state);
        leave_others(others[i]);
        uint8_t *p = get(20000), *last = get(8000);
        put(p);
        assert_true(heap.below > 20000);
        put(last);
        assert_ptr_equal(heap.wild, head(p));
        assert_int_equal(heap.below, most[i] * UNIT);
        holds();
        assert_ptr_equal(get(20000), p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(a_search_leaves_more_of_the_size),
        STAGED(a_search_leaves_no_more_than_may_wait),
        STAGED(what_a_search_left_was_never_live),
        STAGED(the_largest_became_wild),
    };
    return cmocka_run_group_tests_name("heap search", tests, NULL, NULL);
}
