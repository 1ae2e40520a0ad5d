/* SPDX-License-Identifier: MIT */
/*
 * test_heap_misuse.c - what a program does wrong: it frees what is no block, and writes over the
 * ends of those it has. Each is named and refused.
 */
#include "heap_stage.h"

static void unchanged_and_named(void *p, enum heap_fault expected)
{
    const void *caller = __builtin_return_address(0);
    keep();
    assert_int_equal(heap_free(&heap, p, caller), expected);
    assert_ptr_equal(owner.last.address, p);
    assert_ptr_equal(owner.last.caller, caller);
    refused_as(expected);
    holds();
}

static void invalid_frees_are_named(void **state)
{
    (void)state;
    static uint8_t in_data[64] __attribute__((aligned(16)));
    uint8_t on_stack[64] __attribute__((aligned(16)));
    uint8_t *a = get(500), *b = get(500), *c = get(500);
    memset(a, 0x41, 500);
    memset(b, 0, 500);
    unchanged_and_named(on_stack, HEAP_FOREIGN);
    unchanged_and_named(in_data, HEAP_FOREIGN);
    unchanged_and_named((void *)16, HEAP_FOREIGN);
    unchanged_and_named(heap.top, HEAP_FOREIGN);
    unchanged_and_named((void *)UINTPTR_MAX, HEAP_FOREIGN);
    unchanged_and_named(a + 1, HEAP_MISALIGNED);
    for (unsigned i = 16; i < 480; i += 16) {
        unchanged_and_named(a + i, HEAP_INTERIOR);
        unchanged_and_named(b + i, HEAP_INTERIOR);
    }
    put(b);
    unchanged_and_named(b, HEAP_DOUBLE_FREE);
    put(a);
    unchanged_and_named(b, HEAP_DOUBLE_FREE); /* merged into the block of a */
    unchanged_and_named(a, HEAP_DOUBLE_FREE);
    put(c);
    put(NULL);
    assert_int_equal(heap_usable_size(&heap, c, NULL), 0);
    assert_null(heap_realloc(&heap, c, 10, NULL));
}

/* An old header may stand in a payload by chance: what it is called is for the tiles to say, as
 * long as they can be followed. */
static void old_headers_in_payloads_are_interior(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 2) /* nothing tells this one from a live block */
        skip();
    uint8_t *first = get(500), *p = get(500), *inside = p + 64;
    block_seal(&heap, head(inside), (uint64_t)100 << SIZE_SHIFT, HEAP_LIVE);
    inside[100] = CANARY ^ 1;
    unchanged_and_named(inside, HEAP_INTERIOR);
    assert_ptr_equal(owner.last.block, p);
    flip(head(first), 20);
    free_is_refused(inside, HEAP_OVERRUN);
    flip(head(first), 20);
    put(p);
    put(first);
}

/* The page before the window cannot even be read; the heads of the lists can be forged. */
static void before_the_first_block_is_nothing(void **state)
{
    (void)state;
    uint8_t *first = block_payload(heap_first(&heap));
    assert_ptr_equal(get(100), first);
    for (uint8_t *p = window + UNIT; p < first; p += UNIT) {
        block_seal(&heap, head(p), (uint64_t)1 << SIZE_SHIFT, HEAP_LIVE);
        p[1] = CANARY;
    }
    for (uint8_t *p = window - 2 * UNIT; p < first; p++) {
        assert_int_equal(heap_free(&heap, p, NULL), HEAP_FOREIGN);
        assert_int_equal(heap_usable_size(&heap, p, NULL), 0);
        assert_null(heap_realloc(&heap, p, 100, NULL));
        assert_int_equal(owner.last.fault, HEAP_FOREIGN);
    }
}

static void overruns_are_found(void **state)
{
    if (HEAP_HARDEN < 2)
        skip();
    for (size_t size = 1; size < 70; size++) {
        for (size_t by = 1; by <= 8; by += 7) {
            (void)set_stage(state);
            uint8_t *p = get(size);
            (void)get(size);
            assert_ptr_equal(heap_realloc(&heap, p, size, NULL), p);
            assert_int_equal(heap_usable_size(&heap, p, NULL), size);
            for (size_t i = 0; i < by; i++)
                p[size + i] ^= 0x5a;
            assert_int_equal(heap_usable_size(&heap, p, NULL), 0);
            assert_null(heap_realloc(&heap, p, size, NULL));
            assert_int_equal(heap_free(&heap, p, NULL), HEAP_OVERRUN);
        }
    }
}

static void damaged_headers_are_found(void **state)
{
    for (unsigned bit = 0; bit < 8 * HEADER; bit++) {
        (void)set_stage(state);
        const void *caller = (const void *)(heap.caller_base | 0x1234);
        (void)get(100);
        uint8_t *before = heap_alloc(&heap, 90, caller), *p = get(100);
        (void)get(100);
        flip(head(p), bit);
        assert_int_equal(heap_free(&heap, p, NULL), HEAP_BAD_HEADER);
        assert_ptr_equal(owner.last.address, p);
        assert_ptr_equal(owner.last.block, before); /* who may have overrun it */
        assert_true(owner.last.live && owner.last.size == 90);
        assert_ptr_equal(owner.last.allocated_by, caller);
    }
}

/* Before the first block there is none to be named. */
static void a_damaged_first_header_stands_alone(void **state)
{
    (void)state;
    uint8_t *p = get(100);
    flip(head(p), 50);
    free_is_refused(p, HEAP_BAD_HEADER);
    assert_ptr_equal(owner.last.address, p);
    assert_null(owner.last.block);
}

static void an_underrun_is_found(void **state)
{
    (void)state;
    uint8_t *a = get(1100), *p = get(96);
    p[-1] ^= 0x80;
    assert_int_not_equal(heap_free(&heap, p, NULL), HEAP_OK);
    assert_int_not_equal(heap_free(&heap, a, NULL), HEAP_OK); /* its neighbour is damaged */
    assert_int_equal(owner.reports, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(invalid_frees_are_named),
        STAGED(old_headers_in_payloads_are_interior),
        STAGED(before_the_first_block_is_nothing),
        STAGED(overruns_are_found),
        STAGED(damaged_headers_are_found),
        STAGED(a_damaged_first_header_stands_alone),
        STAGED(an_underrun_is_found),
    };
    return cmocka_run_group_tests_name("heap misuse", tests, NULL, NULL);
}
