/* SPDX-License-Identifier: MIT */
/*
 * test_heap_far.c - a window of more than half of an address space of 32 bits: no more is used than
 * pointers may be apart, and the heap knows where it ends when all of it goes back at once. Little
 * of it is ever touched.
 */
#define WIDE_BYTES ((size_t)2400 << 20)
#include "heap_stage.h"

enum { BLOCKS = 3 };

/* What the heap knows of its end. */
static void ends_where_it_should(void)
{
    assert_int_equal(heap.units, (size_t)((uintptr_t)heap.top - heap.first) / UNIT);
    assert_int_equal(heap_free(&heap, heap.top + ((size_t)64 << 20) + UNIT, NULL), HEAP_FOREIGN);
    holds();
}

static void much_is_given_back_at_once(void **state)
{
    (void)state;
    const size_t size = (size_t)740 << 20;
    size_t first = owner.held;
    uint8_t *p[BLOCKS] = {get(size), get(size), heap_alloc(&heap, size, NULL)};
    assert_int_equal(p[2] != NULL, sizeof(void *) == 8);
    assert_int_equal(heap.limit - wide, sizeof(void *) == 8 ? WIDE_BYTES : INT32_MAX - PAGE + 1);
    if (!p[2])
        p[2] = get((size_t)560 << 20);
    assert_true(owner.held > (size_t)2000 << 20);
    for (unsigned i = 0; i < BLOCKS; i++)
        put(p[i]);
    assert_int_equal(owner.held, first);
    ends_where_it_should();
    (void)get(100);
    ends_where_it_should();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIDE(much_is_given_back_at_once),
    };
    return cmocka_run_group_tests_name("heap, far steps", tests, NULL, NULL);
}
