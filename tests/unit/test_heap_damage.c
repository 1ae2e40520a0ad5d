/* SPDX-License-Identifier: MIT */
/*
 * test_heap_damage.c - headers, footers, links, canaries and bins overwritten on purpose.
 *
 * A call that finds damage says so by its right name, is refused, and changes nothing but a count.
 * Built at HEAP_HARDEN 1 to 3 (heap_level.h): what a level does not look at is skipped there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap_stage.h"

/* ---- what was refused ----------------------------------------------------------------------- */

static struct heap heap_then;
static uint8_t window_then[WINDOW];

static void keep(void)
{
    heap_then = heap;
    memcpy(window_then, window, WINDOW);
    owner.reports = 0;
}

/* One report, and nothing else has happened since keep(). */
static void refused_as(enum heap_fault expected)
{
    assert_int_equal(owner.reports, 1);
    assert_int_equal(owner.last.fault, expected);
    memcpy(heap.stats.faults, heap_then.stats.faults, sizeof heap.stats.faults);
    heap.stats.refused = heap_then.stats.refused;
    assert_memory_equal(&heap, &heap_then, sizeof heap);
    assert_memory_equal(window, window_then, WINDOW);
    owner.reports = 0;
}

static void free_is_refused(void *p, enum heap_fault expected)
{
    keep();
    assert_int_equal(heap_free(&heap, p, NULL), expected);
    refused_as(expected);
}

static void alloc_is_refused(size_t size, enum heap_fault expected)
{
    keep();
    assert_null(heap_alloc(&heap, size, NULL));
    refused_as(expected);
}

static void needs(int level)
{
    if (HEAP_HARDEN < level)
        skip();
}

static uint8_t *a, *b, *c, *d, *e;

/* [a live][b free, in a list][c live][wild */
static void leave_free(size_t size)
{
    (void)set_stage(NULL);
    a = get(1200);
    b = get(size);
    c = get(1200);
    put(b);
    holds();
}

/* [a live][b free][c live][d free][e live][wild; d comes before b in their list */
static void leave_two_free(size_t size_of_b, size_t size_of_d)
{
    (void)set_stage(NULL);
    a = get(1200);
    b = get(size_of_b);
    c = get(1200);
    d = get(size_of_d);
    e = get(1200);
    put(b);
    put(d);
    assert_int_equal(class_of(units_for(size_of_b)), class_of(units_for(size_of_d)));
    holds();
}

/* ---- free blocks that were written to ------------------------------------------------------- */

/* One of the four words that say that b is in its list. */
static void unlink_in_part(unsigned which)
{
    struct links *l = links(b);
    uint32_t *const words[] = {&l->next, &l->prev, &links_at(&heap, l->next)->prev,
                               &links_at(&heap, l->prev)->next};
    *words[which] = which < 2 ? UINT32_MAX - which : *words[which] ^ 1;
}

static void links_that_disagree(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 4; which++) {
        leave_free(2000);
        unlink_in_part(which);
        free_is_refused(a, HEAP_WRITE_AFTER_FREE);
        free_is_refused(c, HEAP_UNDERRUN);
        if (which < 3) /* else b is not found at all */
            alloc_is_refused(2000, HEAP_WRITE_AFTER_FREE);
    }
}

static void headers_of_free_blocks(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        leave_free(2000);
        flip(head(b), bit);
        free_is_refused(a, HEAP_OVERRUN);
        free_is_refused(c, HEAP_UNDERRUN);
        alloc_is_refused(2000, HEAP_BAD_HEADER);
        assert_null(owner.last.block);
    }
}

/* A header of the right state that claims too little. */
static void free_blocks_that_shrank(void **state)
{
    (void)state;
    leave_free(2000);
    block_seal(&heap, head(b), units_for(2000) - 1, HEAP_FREE);
    free_is_refused(c, HEAP_UNDERRUN);
    alloc_is_refused(2000, HEAP_BAD_HEADER);
}

static void footers(void **state)
{
    (void)state;
    const uint64_t words[] = {0, FOOTER, FOOTER | (units_for(2000) - 1), FOOTER | 1000, ~0ull};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        leave_free(2000);
        head(c)[-1].word = words[i];
        free_is_refused(c, HEAP_UNDERRUN);
    }
}

/* The search does not follow what is no link, and takes from elsewhere; next is zero after a
 * memset. */
static void links_that_lead_nowhere(void **state)
{
    (void)state;
    const uint32_t wrong[] = {0, 1, HEAP_CLASSES - 1, WINDOW, UINT32_MAX};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        leave_two_free(5080, 5000);
        links(d)->next = wrong[i];
        assert_true(get(5080) > e);
        alloc_is_refused(5000, HEAP_WRITE_AFTER_FREE);
        alloc_is_refused(2000, HEAP_WRITE_AFTER_FREE);
        assert_true((uint8_t *)heap_alloc_aligned(&heap, 4096, 5000, NULL) > e);
    }
}

/* A block of a large class whose header is gone is passed by. */
static void large_headers_are_passed_by(void **state)
{
    (void)state;
    leave_two_free(5080, 5060);
    flip(head(d), 20);
    assert_ptr_equal(get(5000), b);
    assert_true(get(5060) > e); /* d is not seen to be large enough */
}

static void aligned_requests_find_damage_too(void **state)
{
    (void)state;
    leave_free(5080);
    links(b)->prev = UINT32_MAX;
    keep();
    assert_null(heap_alloc_aligned(&heap, 64, 4000, NULL));
    refused_as(HEAP_WRITE_AFTER_FREE);
    assert_ptr_equal(owner.last.block, b);
    assert_int_equal(owner.last.size, payload_bytes(units_for(5080)));
    leave_free(40000);
    links(b)->prev = UINT32_MAX;
    alloc_is_refused(40000, HEAP_WRITE_AFTER_FREE);
}

/* The block cannot grow or shrink where damage is: it moves, and the old place stays. */
static void resizing_moves_away_from_damage(void **state)
{
    (void)state;
    const size_t sizes[] = {1400, 1150};
    for (unsigned i = 0; i < 2; i++) {
        leave_free(1100);
        for (unsigned k = 0; k < 1200; k++)
            a[k] = (uint8_t)k;
        links(b)->prev = UINT32_MAX;
        uint8_t *p = heap_realloc(&heap, a, sizes[i], NULL);
        assert_true(p && p != a);
        assert_memory_equal(p, a, i ? 1150 : 1200);
        assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
        assert_int_equal(heap_usable_size(&heap, p), sizes[i]);
    }
}

/* ---- bins ----------------------------------------------------------------------------------- */

/* [a binned][b binned][c live]; b is the next to be taken, and leads to a. */
static void leave_binned(void)
{
    (void)set_stage(NULL);
    a = get(100);
    b = get(100);
    c = get(100);
    put(a);
    put(b);
    holds();
}

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

/* The link in b is overwritten: whatever it is, the next but one request is refused. */
static void links_in_bins(void **state)
{
    (void)state;
    uintptr_t foreign[] = {1,
                           8,
                           4096,
                           (uintptr_t)&heap,
                           (uintptr_t)window,
                           UINTPTR_MAX & ~7ul,
                           (uintptr_t)(window + WINDOW)};
    for (unsigned i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        leave_binned();
        *(uintptr_t *)(void *)b = foreign[i];
        assert_ptr_equal(get(100), b);
        alloc_is_refused(100, HEAP_WRITE_AFTER_FREE);
        assert_null(owner.last.block);
        heap_trim(&heap);
    }
    leave_binned();
    *(uint8_t **)(void *)b = c;
    assert_ptr_equal(get(100), b);
    alloc_is_refused(100, HEAP_BAD_HEADER); /* what is live is in no bin */
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
            assert_int_equal(heap_usable_size(&heap, p), 0);
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

/* ---- naming, behind damage ------------------------------------------------------------------ */

static bool visit(void *ctx, const struct heap_block *block)
{
    (void)block;
    ++*(unsigned *)ctx;
    return true;
}

/* Units that cannot be end a walk; what lies behind is named without its block. */
static void forged_sizes_end_a_walk(void **state)
{
    (void)state;
    const size_t units[] = {0, WINDOW, (size_t)-1 >> 1};
    for (unsigned i = 0; i < 3; i++) {
        leave_free(2000);
        block_seal(&heap, head(b), units[i], HEAP_FREE);
        unsigned blocks = 0;
        heap_walk(&heap, visit, &blocks);
        assert_int_equal(blocks, 1);
        free_is_refused(b, HEAP_BAD_HEADER);
        free_is_refused(c + 8, HEAP_MISALIGNED);
        free_is_refused(c + 16, HEAP_BAD_HEADER);
        assert_null(owner.last.block);
    }
}

/* More units than the heap has are no header; so many that the block would not end in the heap: it
 * is reported without its block. */
static void forged_sizes_are_not_told(void **state)
{
    (void)state;
    leave_free(2000);
    block_seal(&heap, head(b), heap.units + 1, HEAP_FREE);
    alloc_is_refused(2000, HEAP_BAD_HEADER);
    assert_null(owner.last.block);
    block_seal(&heap, head(b), heap.units, HEAP_FREE);
    links(b)->next = UINT32_MAX;
    alloc_is_refused(2000, HEAP_WRITE_AFTER_FREE);
    assert_null(owner.last.block);
}

/* The same calls, with nothing damaged: none is refused. */
static void what_is_whole_is_not_refused(void **state)
{
    (void)state;
    leave_free(1100);
    assert_ptr_equal(heap_realloc(&heap, a, 2000, NULL), a);
    assert_ptr_equal(heap_realloc(&heap, a, 1150, NULL), a);
    assert_ptr_equal(heap_realloc(&heap, a, 1149, NULL), a);
    put(c);
    (void)get(100000);
    leave_free(2000);
    put(c);
    leave_free(2000);
    put(a);
    leave_binned();
    heap_trim(&heap);
    assert_null(heap.bin[7]);
    assert_int_equal(owner.reports, 0);
    holds();
}

#define STAGED(name) cmocka_unit_test_setup(name, set_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(links_that_disagree),
        STAGED(headers_of_free_blocks),
        STAGED(free_blocks_that_shrank),
        STAGED(footers),
        STAGED(links_that_lead_nowhere),
        STAGED(large_headers_are_passed_by),
        STAGED(aligned_requests_find_damage_too),
        STAGED(resizing_moves_away_from_damage),
        STAGED(headers_in_bins),
        STAGED(bins_beside_damage),
        STAGED(links_in_bins),
        STAGED(canaries),
        STAGED(overruns_past_the_canary),
        STAGED(writes_after_free),
        STAGED(forged_sizes_end_a_walk),
        STAGED(forged_sizes_are_not_told),
        STAGED(what_is_whole_is_not_refused),
    };
    return cmocka_run_group_tests_name("heap damage", tests, NULL, NULL);
}
