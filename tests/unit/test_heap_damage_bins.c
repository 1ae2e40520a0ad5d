/* SPDX-License-Identifier: MIT */
/*
 * test_heap_damage_bins.c - what has no links to be checked, overwritten on purpose: blocks that
 * wait in bins, live ones and their canaries, freed memory.
 *
 * A call that finds damage says so by its right name, is refused, and changes nothing but a count.
 * Built at HEAP_HARDEN 1 to 3 (heap_level.h): what a level does not look at is skipped there.
 */
#include "heap_damage.h"

/* ---- bins ----------------------------------------------------------------------------------- */

static void headers_in_bins(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        leave_binned();
        flip(head(b), bit);
        alloc_is_refused(100, HEAP_BAD_HEADER);
        keep();
        heap_trim(&heap); /* leaves both where they are */
        assert_ptr_equal(heap.bin[7], b);
        assert_memory_equal(window, window_then, WINDOW);
    }
}

/* Nothing is merged with what is damaged. */
static void bins_beside_damage(void **state)
{
    (void)state;
    leave_binned();
    flip(head(c), 40);
    ptrdiff_t units = heap.room;
    heap_trim(&heap);
    assert_ptr_equal(heap.bin[7], b);
    assert_int_equal(heap.room, units);
}

static void leads_nowhere(enum heap_fault fault)
{
    if (HEAP_HARDEN >= 3) {
        alloc_is_refused(100, HEAP_WRITE_AFTER_FREE);
        assert_ptr_equal(owner.last.block, b);
        return;
    }
    assert_ptr_equal(get(100), b);
    alloc_is_refused(100, fault);
    if (fault == HEAP_WRITE_AFTER_FREE)
        assert_null(owner.last.block);
}

/* The link in b is overwritten: whatever it is, the next but one request is refused; at level 3 the
 * next one, by the name of b. */
static void links_in_bins(void **state)
{
    (void)state;
    uintptr_t foreign[] = {1,
                           8,
                           4096,
                           (uintptr_t)&heap,
                           (uintptr_t)window,
                           (uintptr_t)heap.start + 4, /* a header would begin before */
                           (uintptr_t)heap.start + 16,
                           UINTPTR_MAX & ~7ul,
                           (uintptr_t)(window + WINDOW)};
    for (unsigned i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        leave_binned();
        *(uintptr_t *)(void *)b = foreign[i];
        leads_nowhere(HEAP_WRITE_AFTER_FREE);
        heap_trim(&heap);
    }
    leave_binned();
    *(uint8_t **)(void *)b = c;
    leads_nowhere(HEAP_BAD_HEADER); /* what is live is in no bin */
    uint8_t *no_blocks[] = {heap.start + 32, heap.top - 8};
    for (unsigned i = 0; i < 2; i++) {
        leave_binned();
        *(uint8_t **)(void *)b = no_blocks[i];
        leads_nowhere(HEAP_BAD_HEADER);
        assert_true(HEAP_HARDEN >= 3 || !owner.last.block);
    }
}

/* [a live][b single][c live][single][live]; the second one is the next to be taken, leads to b. */
static uint8_t *leave_singles(void)
{
    (void)set_stage(NULL);
    a = get(1200);
    b = get(8);
    c = get(100);
    uint8_t *last = get(8);
    (void)get(1200);
    put(b);
    put(last);
    return last;
}

static void trim_changes_nothing(void)
{
    keep();
    heap_trim(&heap);
    assert_memory_equal(window, window_then, WINDOW);
    assert_memory_equal(heap.bin, heap_then.bin, sizeof heap.bin);
}

/* They are left where they wait, and the rest behind them. */
static void single_units_in_bins(void **state)
{
    (void)state;
    uint8_t *last = leave_singles();
    *(uint8_t **)(void *)b = last;
    trim_changes_nothing(); /* a ring has an end */
    (void)leave_singles();
    flip(head(b), 40);
    trim_changes_nothing();
}

/* What is beside them is damaged, or waits below what is. */
static void single_units_beside_damage(void **state)
{
    (void)set_stage(state);
    (void)get(100);
    b = get(8);
    c = get(2000);
    (void)get(100);
    put(c);
    put(b);
    links(c)->next = nowhere;
    trim_changes_nothing();
    (void)set_stage(state);
    b = get(8);
    c = get(100);
    uint8_t *last = get(100);
    (void)get(100);
    put(c);
    put(last);
    put(b);
    flip(head(last), 40);
    trim_changes_nothing();
}

static void needs(int level)
{
    if (HEAP_HARDEN < level)
        skip();
}

/* ---- live blocks ---------------------------------------------------------------------------- */

static void canaries(void **state)
{
    (void)state;
    needs(2);
    const size_t sizes[] = {1, 24, 40, 1096, 1097, 5000, 16383, 16384, 20000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            (void)set_stage(NULL);
            uint8_t *p = get(sizes[i]);
            (void)get(24);
            flip(p + sizes[i], bit);
            free_is_refused(p, HEAP_OVERRUN);
            assert_true(owner.last.live && owner.last.size == sizes[i]);
            keep();
            assert_null(heap_realloc(&heap, p, 100, NULL));
            refused_as(HEAP_OVERRUN);
            keep();
            assert_int_equal(heap_usable_size(&heap, p, NULL), 0);
            refused_as(HEAP_OVERRUN);
        }
    }
}

/* The canary is whole and the header behind it is not: only level 3 looks there at once. */
static void overruns_past_the_canary(void **state)
{
    (void)state;
    needs(3);
    const size_t sizes[] = {20, 24, 5000};
    for (unsigned i = 0; i < 3; i++) {
        (void)set_stage(NULL);
        uint8_t *p = get(sizes[i]), *q = get(100);
        flip(head(q), 30);
        free_is_refused(p, HEAP_OVERRUN);
        flip(head(q), 30);
        put(p);
        put(q);
    }
}

/* ---- freed memory that was written to, level 3 ---------------------------------------------- */

static void writes_after_free(void **state)
{
    (void)state;
    needs(3);
    leave_binned();
    b[99] = 0;
    alloc_is_refused(100, HEAP_WRITE_AFTER_FREE);
    leave_free(2000);
    b[1000] = 0;
    alloc_is_refused(2000, HEAP_WRITE_AFTER_FREE);
    leave_free(40000);
    b[30000] ^= 1;
    alloc_is_refused(40000, HEAP_WRITE_AFTER_FREE);
    leave_free(2000);
    c[1200 + 600] = 0;
    alloc_is_refused(3000, HEAP_WRITE_AFTER_FREE);
    alloc_is_refused(20000, HEAP_WRITE_AFTER_FREE);
    keep();
    assert_null(heap_alloc_aligned(&heap, PAGE, 3000, NULL));
    refused_as(HEAP_WRITE_AFTER_FREE);
}

/* The same calls, with nothing damaged: none is refused. */
static void what_is_whole_is_not_refused(void **state)
{
    (void)state;
    leave_binned();
    heap_trim(&heap);
    assert_null(heap.bin[7]);
    leave_free(2000);
    put(c);
    assert_non_null(heap_alloc_aligned(&heap, PAGE, 3000, NULL));
    assert_int_equal(owner.reports, 0);
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(headers_in_bins),
        STAGED(bins_beside_damage),
        STAGED(links_in_bins),
        STAGED(single_units_in_bins),
        STAGED(single_units_beside_damage),
        STAGED(canaries),
        STAGED(overruns_past_the_canary),
        STAGED(writes_after_free),
        STAGED(what_is_whole_is_not_refused),
    };
    return cmocka_run_group_tests_name("heap damage, bins", tests, NULL, NULL);
}
