/* SPDX-License-Identifier: MIT */
/*
 * test_heap_ends.c - what lies behind the last block: what was given back is no part of the heap
 * any more, what is still there is kept for a while, and blocks grow into it. And aligned blocks,
 * the largest one, and what callers are told.
 */
#include "heap_stage.h"

enum { SIZE = 2000, GIB = 1 << 30 };

/* Where a block of 100 bytes stood, far behind what is held since. */
static uint8_t *leave_released(void)
{
    uint8_t *large = get(WINDOW - 80 * (size_t)1024), *p = get(100);
    put(large);
    put(p);
    heap_trim(&heap);
    assert_true(p > heap.top && p + 200 < window + WINDOW);
    holds();
    return p;
}

/* ---- released memory ------------------------------------------------------------------------- */

/* What looks like a live block there is none. */
static void headers_there_are_none(void **state)
{
    (void)state;
    uint8_t *p = leave_released();
    block_seal(&heap, head(p), (uint64_t)100 << SIZE_SHIFT, HEAP_LIVE);
    p[100] = CANARY;
    free_is_refused(p, HEAP_FOREIGN);
    assert_null(heap_realloc(&heap, p, 50, NULL));
    assert_int_equal(owner.last.fault, HEAP_FOREIGN);
    holds();
}

static void right_behind_the_end_nothing_is_live(void **state)
{
    (void)state;
    uint8_t *p = heap.top + UNIT;
    block_seal(&heap, head(p), (uint64_t)100 << SIZE_SHIFT, HEAP_LIVE);
    p[100] = CANARY;
    free_is_refused(p, HEAP_FOREIGN);
    heap.top[0] = CANARY; /* before it stands what ends the heap: live, of no size */
    free_is_refused(heap.top, HEAP_FOREIGN);
}

/* What looks like a neighbour in a list there is none. */
static void links_there_are_none(void **state)
{
    (void)state;
    uint8_t *there = leave_released(), *b = get(SIZE);
    (void)get(16);
    put(b);
    links(b)->next = links(there);
    links(there)->prev = links(b);
    alloc_is_refused(SIZE, HEAP_WRITE_AFTER_FREE);
}

/* ---- what is still there --------------------------------------------------------------------- */

/* A little is kept, so that a loop does not give it back and take it again. */
static void a_little_is_kept(void **state)
{
    (void)state;
    (void)get(16);
    uint8_t *p = get(20 * (size_t)PAGE);
    size_t held = heap.stats.mapped;
    put(p);
    assert_int_equal(heap.stats.shrunk, 0);
    assert_int_equal(heap.stats.mapped, held);
    put(get(40 * (size_t)PAGE));
    assert_int_equal(heap.stats.shrunk, 1);
    holds();
}

static void the_last_block_grows_where_it_stands(void **state)
{
    (void)state;
    uint8_t *p = get(SIZE);
    assert_ptr_equal(heap_realloc(&heap, p, 3 * SIZE, NULL), p);
    assert_ptr_not_equal(heap_realloc(&heap, p, WINDOW / 2, NULL), p); /* wild memory is less */
    holds();
}

/* ---- aligned --------------------------------------------------------------------------------- */

static void no_alignment_to_speak_of(void **state)
{
    (void)state;
    uint8_t *p = get(100);
    put(p);
    assert_ptr_equal(heap_alloc_aligned(&heap, HEAP_ALIGN, 100, NULL), p); /* from its bin */
}

static void damaged_blocks_are_told(void **state)
{
    (void)state;
    const size_t sizes[] = {SIZE, 3 * SIZE};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(set_stage(NULL), 0);
        uint8_t *p = get(sizes[i]);
        (void)get(16);
        put(p);
        flip(head(p), 13);
        keep();
        assert_null(heap_alloc_aligned(&heap, 2 * HEAP_ALIGN, sizes[i] - 100, NULL));
        refused_as(HEAP_BAD_HEADER);
    }
}

/* [live][free][live][free, larger][live: of lengths that hold `size` so aligned, or just might. */
static void leave_unaligned(size_t size, size_t align, uint8_t **first, uint8_t **second)
{
    assert_int_equal(set_stage(NULL), 0);
    uint8_t *p = heap_alloc_aligned(&heap, align, align, NULL);
    (void)get(payload_bytes(units_between(heap_first(&heap), head(p)) + 1));
    *first = get(size);
    (void)get(1200);
    *second = get(size + align - UNIT);
    (void)get(1200);
    assert_true((uintptr_t)*first % align);
    put(*first);
    put(*second);
    holds();
}

/* The first that is large enough is taken if it happens to be aligned, and else the first that is
 * large enough whatever its place is. */
static void the_first_that_does_or_that_must(void **state)
{
    (void)state;
    enum { ALIGN = 256 };
    const size_t sizes[] = {SIZE, LARGE * UNIT};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *first, *second;
        leave_unaligned(sizes[i], ALIGN, &first, &second);
        uint8_t *p = heap_alloc_aligned(&heap, ALIGN, sizes[i], NULL);
        assert_true(p >= second && p < second + ALIGN && (uintptr_t)p % ALIGN == 0);
        holds();
        put(p);
        uint8_t *q = heap_alloc_aligned(&heap, 2 * UNIT, sizes[i] - UNIT, NULL);
        assert_true(q == first || q == first + UNIT);
        holds();
    }
}

/* One GiB is the most; of the window only three pages are ever touched. */
static void the_largest_alignment(void **state)
{
    (void)state;
    if (sizeof(void *) < 8)
        skip();
    size_t bytes = (size_t)4 * GIB;
    uint8_t *far = reserve(bytes, PROT_READ | PROT_WRITE);
    assert_int_equal(begin(far, bytes, &owner_ops), MEM_OK);
    uint8_t *p = heap_alloc_aligned(&heap, GIB, 100, NULL);
    assert_true(p && (uintptr_t)p % GIB == 0);
    assert_null(heap_alloc_aligned(&heap, 2 * (size_t)GIB, 100, NULL));
    assert_int_equal(heap.stats.refused, 1);
    assert_int_equal(munmap(far, bytes), 0);
}

/* ---- the largest block ----------------------------------------------------------------------- */

static unsigned grown;

static bool counts_growth(void *ctx, void *at, size_t bytes)
{
    grown++;
    return owner_grows(ctx, at, bytes);
}

static void too_large(uint8_t *p, size_t size)
{
    size_t refused = heap.stats.refused;
    grown = 0;
    assert_null(heap_alloc(&heap, size, NULL));
    assert_null(heap_alloc_aligned(&heap, PAGE, size, NULL));
    assert_null(heap_realloc(&heap, p, size, NULL));
    assert_int_equal(heap.stats.refused - refused, 3);
    assert_int_equal(grown, 0);
    holds();
}

/* With 32-bit words a header has 30 bits for the size: less than 1 GiB. More is refused before the
 * owner is asked. With 64-bit words: test_heap_window.c. */
static void the_largest_block(void **state)
{
    (void)state;
    if (sizeof(void *) == 8)
        skip();
    const size_t bytes = (size_t)GIB / 4 * 5;
    const struct heap_ops ops = {counts_growth, owner_shrinks, owner_hears, NULL};
    uint8_t *far = reserve(bytes, PROT_READ | PROT_WRITE);
    assert_int_equal(begin(far, bytes, &ops), MEM_OK);
    assert_int_equal(heap.largest, GIB - 1);
    uint8_t *p = get(100);
    too_large(p, GIB);
    too_large(p, GIB + PAGE);
    uint8_t *q = get(GIB - 1);
    assert_int_equal(heap_usable_size(&heap, q, NULL), GIB - 1);
    too_large(q, GIB);
    q[GIB - 1] ^= 1;
    assert_int_equal(heap_free(&heap, q, NULL), HEAP_OVERRUN);
    q[GIB - 1] ^= 1;
    put(q);
    put(p);
    holds();
    assert_int_equal(munmap(far, bytes), 0);
}

/* ---- an instance ----------------------------------------------------------------------------- */

/* Nothing that stood in the struct before matters, but for its start. */
static void what_was_there_before_is_forgotten(void **state)
{
    (void)state;
    memset(&heap, 0xa5, sizeof heap);
    heap.start = NULL;
    memset(window, 0xa5, WINDOW);
    owner.held = 0;
    assert_int_equal(heap_init(&heap, window, WINDOW, &owner_ops), MEM_OK);
    put(get(100));
    put(get(SIZE));
    holds();
    assert_int_equal(heap.stats.refused, 0);
}

/* ---- what callers are told ------------------------------------------------------------------- */

static void who_allocated_it(void **state)
{
    (void)state;
    const void *caller = (const void *)(heap.caller_base | 0x1234);
    const size_t sizes[] = {100, SIZE, LONG + SIZE};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *p = heap_alloc(&heap, sizes[i], caller);
        p[sizes[i]] ^= 1;
        free_is_refused(p, HEAP_OVERRUN);
        assert_ptr_equal(owner.last.allocated_by, caller);
        p[sizes[i]] ^= 1;
        put(p);
    }
}

static void refused_growth_is_counted(void **state)
{
    (void)state;
    owner.most = owner.held;
    const size_t sizes[] = {WINDOW / 2, 2 * WINDOW};
    for (unsigned i = 0; i < 2; i++) {
        assert_null(heap_alloc(&heap, sizes[i], NULL));
        assert_int_equal(heap.stats.refused, i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(headers_there_are_none),
        STAGED(right_behind_the_end_nothing_is_live),
        STAGED(links_there_are_none),
        STAGED(a_little_is_kept),
        STAGED(the_last_block_grows_where_it_stands),
        STAGED(no_alignment_to_speak_of),
        STAGED(damaged_blocks_are_told),
        STAGED(the_first_that_does_or_that_must),
        STAGED(the_largest_alignment),
        STAGED(the_largest_block),
        STAGED(what_was_there_before_is_forgotten),
        STAGED(who_allocated_it),
        STAGED(refused_growth_is_counted),
    };
    return cmocka_run_group_tests_name("heap ends", tests, NULL, NULL);
}
