/* SPDX-License-Identifier: MIT */
/*
 * test_heap_callers.c - who asked for long blocks: named after every way to get one. With 32-bit
 * words a table tells (heap_callers.h); it fills up, and it may be overwritten.
 */
#include <stdlib.h>

#include "heap_stage.h"

enum { NARROW = HEAP_WORD_BITS == 32, MANY = 300, SURE = 100, LENGTH = 20000, MIB = 1 << 20 };

/* The lower bits of a return address; no two are the same. */
static uint32_t low_of(unsigned i)
{
    return 0x101000 + i * 37 + i * i % 31;
}

/* ---- the table alone ------------------------------------------------------------------------ */

static struct {
    uint32_t before[CALLERS];
    struct callers table;
    uint32_t behind[CALLERS];
} alone;

static int set_alone(void **state)
{
    (void)state;
    memset(&alone, 0, sizeof alone);
    return 0;
}

static unsigned number(uint32_t low)
{
    return callers_number(&alone.table, low);
}

/* Whatever is asked for, and whatever stands in the table. */
static void nothing_beside_it_changed(void)
{
    static const uint32_t none[CALLERS];
    assert_memory_equal(alone.before, none, sizeof none);
    assert_memory_equal(alone.behind, none, sizeof none);
}

/* For every caller there is. */
static void all_places_are_inside(void **state)
{
    (void)state;
    unsigned least = CALLERS, most = 0;
    for (uint32_t low = 0; low <= CALLER_MASK; low++) {
        unsigned place = first_place(low);
        least = place < least ? place : least;
        most = place > most ? place : most;
    }
    assert_int_equal(least, 1);
    assert_int_equal(most + PROBES, CALLERS);
}

static void each_has_its_own_number(void **state)
{
    (void)state;
    bool seen[CALLERS] = {0};
    for (unsigned i = 0; i < SURE; i++) {
        unsigned n = number(low_of(i));
        assert_in_range(n, 1, CALLERS - 1);
        assert_false(seen[n]);
        seen[n] = true;
    }
    for (unsigned i = 0; i < SURE; i++)
        assert_int_equal(callers_name(&alone.table, number(low_of(i))), low_of(i));
    assert_int_equal(number(CALLER_MASK), number(CALLER_MASK));
    assert_int_equal(callers_name(&alone.table, number(CALLER_MASK)), CALLER_MASK);
    nothing_beside_it_changed();
}

static void nobody_has_the_number_0(void **state)
{
    (void)state;
    static const struct callers empty;
    assert_int_equal(number(0), 0);
    assert_memory_equal(&alone.table, &empty, sizeof empty);
    alone.table.low[0] = low_of(0); /* nobody is entered there */
    assert_int_equal(callers_name(&alone.table, 0), 0);
    assert_int_not_equal(number(low_of(0)), 0);
}

/* Who shares a first place with eight others finds none; and nobody had to look further. */
static void eight_places_and_no_more(void **state)
{
    (void)state;
    unsigned place = first_place(1), found = 0;
    for (uint32_t low = 1; found <= PROBES; low++) {
        if (first_place(low) == place) {
            assert_int_equal(number(low), found < PROBES ? place + found : 0);
            found++;
        }
    }
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(alone.table.low[i] != 0, i >= place && i < place + PROBES);
    nothing_beside_it_changed();
}

/* Those who come first have numbers, and keep them; the others have none, and no name. */
static void a_full_table_names_nobody_else(void **state)
{
    (void)state;
    unsigned of[MANY], named = 0;
    for (unsigned i = 0; i < MANY; i++) {
        of[i] = number(low_of(i));
        named += of[i] != 0;
        assert_true(of[i] || i >= SURE);
    }
    assert_in_range(named, 200, CALLERS - 1);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(number(low_of(i)), of[i]);
        assert_int_equal(callers_name(&alone.table, of[i]), of[i] ? low_of(i) : 0);
    }
    nothing_beside_it_changed();
}

static void what_cannot_be_a_caller_names_nobody(void **state)
{
    (void)state;
    memset(&alone.table, 0xa5, sizeof alone.table);
    assert_int_equal(number(low_of(0)), 0);
    unsigned n = first_place(low_of(1));
    alone.table.low[n] = (uint32_t)CALLER_MASK + 1;
    assert_int_equal(callers_name(&alone.table, n), 0);
    alone.table.low[n + 1] = 0;
    assert_int_equal(number(low_of(1)), n + 1); /* past the one that is damaged */
    nothing_beside_it_changed();
}

/* ---- every way to a long block -------------------------------------------------------------- */

static const void *caller(unsigned i)
{
    return (const void *)(heap.caller_base | low_of(i));
}

struct asked {
    const void *payload, *by;
    unsigned found;
};

static bool look(void *ctx, const struct heap_block *b)
{
    struct asked *a = ctx;
    if (b->payload == a->payload) {
        a->by = b->allocated_by;
        a->found++;
    }
    return true;
}

/* As a walk tells it. */
static const void *who_asked_for(const void *p)
{
    struct asked a = {.payload = p};
    heap_walk(&heap, look, &a);
    assert_int_equal(a.found, 1);
    return a.by;
}

/* To the last byte its contents stay. */
static uint8_t *resized(uint8_t *p, size_t size, unsigned by)
{
    size_t had = heap_usable_size(&heap, p, NULL), kept = had < size ? had : size;
    memset(p, 0x50 + (int)by, had);
    uint8_t *q = heap_realloc(&heap, p, size, caller(by));
    assert_non_null(q);
    for (size_t i = 0; i < kept; i++) {
        if (q[i] != 0x50 + by)
            fail();
    }
    assert_ptr_equal(who_asked_for(q), caller(by));
    assert_int_equal(heap_usable_size(&heap, q, NULL), size);
    holds();
    return q;
}

static void allocated(void **state)
{
    (void)state;
    for (size_t size = LONG - 20; size < LONG + 40; size++) {
        uint8_t *p = heap_alloc(&heap, size, caller(size % 7));
        memset(p, 0xff, size);
        assert_ptr_equal(who_asked_for(p), caller(size % 7));
        assert_int_equal(heap_usable_size(&heap, p, NULL), size);
        holds();
        put(p);
    }
    assert_null(who_asked_for(get(LENGTH))); /* who does not say who he is */
}

static void allocated_aligned(void **state)
{
    (void)state;
    for (size_t align = 32; align <= 8 * PAGE; align *= 2) {
        uint8_t *p = heap_alloc_aligned(&heap, align, LENGTH, caller(3));
        assert_true(p && (uintptr_t)p % align == 0);
        memset(p, 0xff, LENGTH);
        assert_ptr_equal(who_asked_for(p), caller(3));
        holds();
        put(p);
    }
}

static void resized_where_it_stands(void **state)
{
    (void)state;
    uint8_t *p = heap_alloc(&heap, LENGTH, caller(0));
    for (unsigned i = 1; i < 8; i++)
        assert_ptr_equal(resized(p, LENGTH + i, i), p); /* to the same units, or to one more */
    assert_ptr_equal(resized(p, LENGTH + 5000, 2), p);
    assert_ptr_equal(resized(p, LENGTH - 1000, 3), p);
    assert_ptr_equal(resized(p, 1000, 4), p);
    assert_ptr_equal(resized(p, LENGTH, 5), p);
}

static void resized_to_another_place(void **state)
{
    (void)state;
    uint8_t *p = heap_alloc(&heap, 1000, caller(0));
    (void)get(16);
    uint8_t *q = resized(p, LENGTH, 1); /* from short to long */
    assert_ptr_not_equal(q, p);
    (void)get(16);
    p = resized(q, LENGTH + 5000, 2); /* from long to long */
    assert_ptr_not_equal(q, p);
    q = resized(p, 100, 3);
    assert_ptr_equal(q, p);
}

/* ---- many callers --------------------------------------------------------------------------- */

static const size_t wide = (size_t)16 * MIB;
static uint8_t *far;

static int set_wide(void **state)
{
    assert_int_equal(set_stage(state), 0);
    far = reserve(wide, PROT_READ | PROT_WRITE);
    return begin(far, wide, &owner_ops) != MEM_OK;
}

static int drop_wide(void **state)
{
    (void)state;
    return munmap(far, wide);
}

/* A block's caller, or nobody if the table was full: how many are named? */
static unsigned count_named(uint8_t *const p[MANY])
{
    unsigned named = 0;
    for (unsigned i = 0; i < MANY; i++) {
        const void *by = who_asked_for(p[i]);
        assert_true(by == caller(i) || (!by && NARROW && i >= SURE));
        named += by != NULL;
    }
    return named;
}

/* The first are named, the others are not known, and nobody is taken for another: not of blocks
 * that come when the first are gone, either. */
static void three_hundred(void **state)
{
    (void)state;
    uint8_t *p[MANY];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            p[i] = heap_alloc(&heap, LENGTH + i, caller(i));
            assert_non_null(p[i]);
        }
        unsigned named = count_named(p);
        assert_in_range(named, NARROW ? 200 : MANY, NARROW ? CALLERS - 1 : MANY);
        for (unsigned i = 0; i < MANY; i++)
            put(p[i]);
        holds();
    }
}

/* ---- a table that was overwritten ----------------------------------------------------------- */

/* Blocks come, change and go between two pages that nobody may touch. */
static void all_ways_work(void)
{
    for (unsigned i = 0; i < 40; i++) {
        uint8_t *p = heap_alloc(&heap, LENGTH, caller(i)), *small = get(24 + i);
        p = heap_realloc(&heap, p, LENGTH + 100 * i, caller(i + 1));
        assert_non_null(p);
        memset(p, 0xa5, LENGTH);
        uintptr_t by = (uintptr_t)who_asked_for(p);
        assert_true(!by || by - heap.caller_base <= CALLER_MASK);
        holds();
        put(small);
        put(p);
    }
    holds();
    assert_int_equal(owner.reports, 0);
}

static void an_overwritten_table_spoils_names_alone(void **state)
{
    if (!NARROW)
        skip();
    for (unsigned byte = 0; byte < 256; byte += 5) {
        assert_int_equal(set_stage(state), 0);
        memset(callers_of(&heap), (int)byte, sizeof(struct callers));
        all_ways_work();
    }
    srand(11);
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned at = 0; at < sizeof(struct callers); at++)
            ((uint8_t *)callers_of(&heap))[at] = at % 4 == 3 && i % 2 ? 0 : (uint8_t)rand();
        all_ways_work();
    }
}

/* Every number there is, of a block that is told of: here of an overrun. */
static void any_number_is_told_or_not_known(void **state)
{
    (void)state;
    if (!NARROW)
        skip();
    struct callers *table = callers_of(&heap);
    for (unsigned i = 0; i < CALLERS; i++)
        table->low[i] = low_of(i);
    uint8_t *p = get(LENGTH);
    uint64_t fields = block_open(&heap, head(p));
    p[LENGTH] ^= 1;
    for (unsigned n = 0; n < CALLERS; n++) {
        block_seal(&heap, head(p), (fields & FIELDS) + (n << CALLER_SHIFT), HEAP_LIVE);
        free_is_refused(p, HEAP_OVERRUN);
        assert_ptr_equal(owner.last.allocated_by, n ? caller(n) : NULL);
        assert_int_equal(owner.last.size, LENGTH);
    }
}

/* A call that was refused enters nobody. */
static void a_refused_call_enters_nobody(void **state)
{
    (void)state;
    uint8_t *p = heap_alloc(&heap, LENGTH, caller(0));
    owner.most = owner.held;
    keep();
    assert_null(heap_alloc(&heap, WINDOW / 2, caller(1)));
    assert_null(heap_realloc(&heap, p, 2 * WINDOW, caller(2)));
    assert_null(heap_alloc_aligned(&heap, PAGE, WINDOW / 2, caller(3)));
    assert_memory_equal(window, window_then, WINDOW);
    assert_ptr_equal(who_asked_for(p), caller(0));
}

#define ALONE(name) cmocka_unit_test_setup(name, set_alone)
#define WIDE(name)  cmocka_unit_test_setup_teardown(name, set_wide, drop_wide)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(all_places_are_inside),
        ALONE(each_has_its_own_number),
        ALONE(nobody_has_the_number_0),
        ALONE(eight_places_and_no_more),
        ALONE(a_full_table_names_nobody_else),
        ALONE(what_cannot_be_a_caller_names_nobody),
        STAGED(allocated),
        STAGED(allocated_aligned),
        STAGED(resized_where_it_stands),
        STAGED(resized_to_another_place),
        WIDE(three_hundred),
        STAGED(an_overwritten_table_spoils_names_alone),
        STAGED(any_number_is_told_or_not_known),
        STAGED(a_refused_call_enters_nobody),
    };
    return cmocka_run_group_tests_name("heap callers", tests, NULL, NULL);
}
