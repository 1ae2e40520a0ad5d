/* SPDX-License-Identifier: MIT */
/*
 * test_heap_damage_tree.c - what is known of large free blocks, overwritten on purpose: it does no
 * more harm than to be reported. Built at every HEAP_HARDEN level (heap_level.h).
 */
#define WIDE_BYTES ((size_t)160 << 20)
#include "heap_stage.h"

enum { LARGE_ONES = 9, SIZE = 4400 };

static uint8_t *between[LARGE_ONES + 1], *large[LARGE_ONES], *one_more;

/* [live][free][live][free]...[live][wild; of all sizes, the last to come are loose */
static void leave_large_free(void)
{
    assert_int_equal(set_stage(NULL), 0);
    for (unsigned i = 0; i <= LARGE_ONES; i++) {
        between[i] = get(1200);
        memset(between[i], 0x11 * (int)i, 1200);
        if (i < LARGE_ONES)
            large[i] = get(SIZE + (i * 5 % 9) * 160);
    }
    one_more = get(SIZE);
    (void)get(1200);
    for (unsigned i = 0; i < LARGE_ONES; i++)
        put(large[i * 4 % LARGE_ONES]);
    holds();
}

static size_t units_of_large(unsigned i)
{
    return units_for(SIZE + (i * 5 % 9) * 160);
}

static struct block *end_of_large(unsigned i)
{
    return block_at(head(large[i]), units_of_large(i));
}

static bool is_loose(unsigned i)
{
    return loose_at(&heap, end_of_large(i)) < HEAP_LOOSE;
}

/* What its page knows of it. */
static uint32_t *known_of(unsigned i)
{
    return most_at(record_at(&heap, 0), place_of(&heap, end_of_large(i)) / PAGE_UNITS);
}

static void nothing_else_was_touched(const uint8_t *p, size_t size)
{
    for (unsigned i = 0; i <= LARGE_ONES; i++) {
        if (p && p < between[i] + 1200 && p + size > between[i])
            fail_msg("given out while it is in use");
        if (p == between[i])
            continue;
        for (unsigned k = 0; k < 1200; k++)
            assert_int_equal(between[i][k], (uint8_t)(0x11 * i));
    }
}

/* Calls that look at, change, take and join large blocks; *size: of what they give. */
enum { CALLS = 5 + 2 * LARGE_ONES + 1 };

static uint8_t *call(unsigned which, size_t *size)
{
    *size = 0;
    if (which < 4) {
        *size = SIZE + which * 400;
        return heap_alloc(&heap, *size, NULL);
    }
    if (which == 4) {
        *size = 4200;
        return heap_alloc_aligned(&heap, 4096, 4200, NULL);
    }
    unsigned i = (which - 5) / 2;
    if (i == LARGE_ONES)
        (void)heap_free(&heap, one_more, NULL); /* and a loose one comes into the tree */
    else if (which % 2)
        (void)heap_free(&heap, between[i], NULL);
    else
        (void)heap_realloc(&heap, between[i + 1], 2000, NULL);
    return NULL;
}

/* Whatever a fork comes to say, calls end, and touch nothing that is in use. */
static void any_word_of_the_record(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    enum { WORDS = sizeof(struct record) / sizeof(uint32_t), WRONG = 7 };
    static const uint32_t wrong[WRONG] = {0, 1, LARGE, 300, WINDOW / UNIT, 0xdfdfdfdf, UINT32_MAX};
    static uint8_t then[WINDOW];
    static struct heap heap_before;
    leave_large_free();
    memcpy(then, window, WINDOW);
    heap_before = heap;
    for (unsigned n = 0; n < WORDS * WRONG; n++) {
        for (unsigned which = 0; which < CALLS; which++) {
            size_t size;
            ((uint32_t *)record_at(&heap, 0))[n / WRONG] = wrong[n % WRONG];
            uint8_t *p = call(which, &size);
            if (which < 5)
                nothing_else_was_touched(p, size);
            memcpy(window, then, WINDOW);
            heap = heap_before;
        }
    }
}

/* A free block and its page that do not agree are told when they should change. */
static void what_does_not_agree_is_told(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    for (unsigned n = 0; n < 2 * LARGE_ONES; n++) {
        unsigned i = n / 2;
        leave_large_free();
        if (is_loose(i))
            heap.loose[loose_at(&heap, end_of_large(i))].units++;
        else if (n % 2)
            ++*known_of(i);
        else
            record_at(&heap, 0)->end[known_of(i) - most_at(record_at(&heap, 0), 0)]++;
        free_is_refused(between[i], HEAP_WRITE_AFTER_FREE);
        free_is_refused(between[i + 1], HEAP_UNDERRUN);
        const char *broken = "";
        assert_false(heap_check(&heap, &broken));
        assert_memory_equal(broken, "T1", 2);
    }
}

/* heap_check looks at footers first; so would anybody have to who asked the tree alone. */
static void footers_are_not_trusted(void **state)
{
    (void)state;
    const uint64_t wrong[] = {0, LARGE - 1, WINDOW, UINT64_MAX};
    for (unsigned i = 0; i < 4; i++) {
        size_t count = 0;
        leave_large_free();
        end_of_large(0)[-1].word = wrong[i];
        assert_false(heap_tree_holds(&heap, &count));
        if (HEAP_HARDEN < 1)
            continue;
        memset(heap.loose, 0, sizeof heap.loose); /* block 0 is the lowest */
        assert_true(get(4200) > between[LARGE_ONES]);
        assert_int_equal(owner.reports, 1);
        assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
        assert_ptr_equal(owner.last.address, end_of_large(0) - 1);
        assert_ptr_equal(owner.last.block, large[0]);
    }
}

/* Also to a small request, when no list has a block for it. */
static void a_damaged_header_is_told(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    const size_t sizes[] = {600, 4200};
    for (unsigned i = 0; i < 2; i++) {
        size_t count = 0;
        leave_large_free();
        flip(head(large[0]), 33);
        assert_false(heap_tree_holds(&heap, &count));
        keep();
        assert_null(heap_alloc(&heap, sizes[i], NULL));
        refused_as(HEAP_BAD_HEADER);
        assert_ptr_equal(owner.last.address, large[0]);
    }
}

/* A search loses its way, says so, and takes from elsewhere. */
static void loses_its_way(size_t units)
{
    memset(heap.loose, 0, sizeof heap.loose);
    heap.most = (uint32_t)units;
    heap.below = ANY;
    struct record *r = record_at(&heap, 0);
    struct block *wild = heap.wild;
    assert_ptr_equal(get(payload_bytes(units)), block_payload(wild));
    assert_int_equal(owner.reports, 1);
    assert_int_equal(owner.last.fault, HEAP_BAD_HEADER);
    assert_true((const struct record *)owner.last.address <= r);
    assert_null(owner.last.block);
    owner.reports = 0;
}

static void forks_that_lead_nowhere(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    leave_large_free();
    *known_of(7) = 0; /* the largest: its forks still know it */
    loses_its_way(units_of_large(7));
    leave_large_free();
    struct record *r = record_at(&heap, 0);
    r->eights.most[7] = 600; /* pages behind the last block */
    loses_its_way(600);
    r->most[RECORD_PAGES - 1] = 600;
    loses_its_way(600);
}

static void forks_that_lead_out_of_the_heap(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    (void)get((size_t)3 << 20);
    assert_int_equal(heap.levels, 4);
    assert_in_range(heap.records, 12, 14);
    struct fork *above = &record_at(&heap, 1)->upper;
    above->most[7] = 600; /* from record 56 on */
    loses_its_way(600);
    *above = (struct fork){.most[1] = 600};
    record_at(&heap, 8)->upper.most[7] = 600; /* record 15 */
    loses_its_way(600);
}

/* Level 3 sees all that is written between header and footer. */
static void written_in_a_large_block(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    for (size_t at = 0; at < LARGE * UNIT - 2 * HEADER; at += at < 3900 ? 97 : 1) {
        assert_int_equal(set_stage(state), 0);
        uint8_t *p = get(payload_bytes(LARGE));
        (void)get(16);
        put(p);
        p[at] ^= 1;
        assert_null(heap_alloc(&heap, payload_bytes(LARGE), NULL));
        assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
    }
}

/* ---- what heap_check asks of the tree -------------------------------------------------------- */

/* T1 to T4 hold, and it has so many blocks. */
static bool tree_has(size_t blocks)
{
    size_t count = 0;
    return heap_tree_holds(&heap, &count) && count == blocks;
}

enum { PAIRS = 28, BLOCKS = 2 * PAIRS };

/* [large free][live][less large, free][live, 5 MiB]...: two a record, on six levels. */
static void leave_pairs_free(void)
{
    uint8_t *pair[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i += 2) {
        pair[i] = get(6000 + 160 * i);
        (void)get((size_t)40 << 10);
        pair[i + 1] = get(5000);
        (void)get((size_t)5 << 20);
    }
    for (unsigned i = BLOCKS; i--;)
        put(pair[i]);
    assert_int_equal(heap.levels, 6);
    assert_true(tree_has(BLOCKS));
}

static void side_is_looked_at(uint32_t *side)
{
    const uint32_t was = *side, wrong[] = {0, was + 1};
    for (unsigned i = 0; i < 2; i++) {
        *side = wrong[i];
        assert_int_equal(tree_has(BLOCKS), wrong[i] == was);
    }
    *side = was;
}

static void fork_is_looked_at(struct fork *f)
{
    for (unsigned i = 0; i < SIDES; i++)
        side_is_looked_at(&f->most[i]);
}

/* Each side of each fork from level 3 on, and of some of level 2. */
static void every_side_is_looked_at(void **state)
{
    (void)state;
    leave_pairs_free();
    for (size_t i = 0; i < heap.records; i += i < 10 ? 1 : 100)
        fork_is_looked_at(&record_at(&heap, i)->eights);
    size_t records = 1;
    for (unsigned level = LEVELS_MIN + 1; level <= heap.levels; level++) {
        records *= SIDES;
        for (size_t i = 0; i < heap.records; i += records)
            fork_is_looked_at(&record_at(&heap, i + level - LEVELS_MIN - 1)->upper);
    }
    side_is_looked_at(&heap.most);
}

/* Of eight pages with a block each is looked at; of eight without one none is. */
static void every_page_is_looked_at(void **state)
{
    (void)state;
    leave_large_free();
    for (size_t page = 0; page < RECORD_PAGES; page++) {
        struct record *r = record_at(&heap, 0);
        uint32_t was = *most_at(r, page);
        *most_at(r, page) = LARGE;
        assert_int_equal(tree_has(LARGE_ONES), !*eight_at(r, page));
        *most_at(r, page) = was;
    }
}

/* Where no block can end nothing is read. */
static void a_page_behind_the_top(void **state)
{
    (void)state;
    const size_t page = RECORD_PAGES - 1;
    leave_large_free();
    assert_true(heap.most > LARGE);
    struct record *r = record_at(&heap, 0);
    assert_int_equal(*eight_at(r, page), 0);
    memset(most_at(r, page & ~(size_t)(SIDES - 1)), 0, sizeof(struct fork));
    *eight_at(r, page) = *most_at(r, page) = LARGE;
    r->end[page] = UINT8_MAX;
    assert_true((uint8_t *)end_in(&heap, r, page) > window + WINDOW);
    assert_false(tree_has(LARGE_ONES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(a_damaged_header_is_told),    STAGED(any_word_of_the_record),
        STAGED(what_does_not_agree_is_told), STAGED(footers_are_not_trusted),
        STAGED(forks_that_lead_nowhere),     WIDE(forks_that_lead_out_of_the_heap),
        STAGED(written_in_a_large_block),    WIDE(every_side_is_looked_at),
        STAGED(every_page_is_looked_at),     STAGED(a_page_behind_the_top),
    };
    return cmocka_run_group_tests_name("heap, damaged tree", tests, NULL, NULL);
}
