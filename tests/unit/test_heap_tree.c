/* SPDX-License-Identifier: MIT */
/*
 * test_heap_tree.c - large free blocks: the lowest that is large enough is taken, in whatever order
 * they came and went; and what is known of them, when it is overwritten, does no more harm than to
 * be reported. Built at every HEAP_HARDEN level (heap_level.h).
 */
#include <stdlib.h>

#define WIDE_BYTES ((size_t)160 << 20)
#include "heap_stage.h"

/* ---- the tree alone ------------------------------------------------------------------------- */

enum { BLOCKS = 6, ORDERS = 720 };

/* On both sides of borders of forks of levels 1 to 5, and of sizes that rise, fall and repeat. */
static const struct {
    size_t page, units;
} places[BLOCKS] = {{6, 300}, {8, 400}, {63, 258}, {513, 300}, {4097, 301}, {32770, 258}};

static struct block *block[BLOCKS];
static bool is_in[BLOCKS];

/* The n-th order of all blocks. */
static void make_order(unsigned n, unsigned order[BLOCKS])
{
    for (unsigned i = 0; i < BLOCKS; i++)
        order[i] = i;
    for (unsigned i = BLOCKS; i > 1; n /= i--) {
        unsigned k = n % i, last = order[i - 1];
        order[i - 1] = order[k];
        order[k] = last;
    }
}

/* What a search must find. */
static struct block *lowest_of(size_t units)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (is_in[i] && places[i].units >= units)
            return block[i];
    }
    return NULL;
}

static void searches_find_the_lowest(void)
{
    static const size_t asked[] = {1, 258, 259, 300, 301, 302, 400, 401};
    for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++) {
        if (tree_find(&heap, asked[i]).b != lowest_of(asked[i]))
            fail();
    }
}

static void insert(unsigned i)
{
    tree_insert(&heap, block_at(block[i], places[i].units), places[i].units);
    is_in[i] = true;
    searches_find_the_lowest();
}

static void take_out(unsigned i)
{
    struct block *end = block_at(block[i], places[i].units);
    if (!tree_keeps(&heap, end, places[i].units))
        fail();
    tree_shrink(&heap, end, 0);
    is_in[i] = false;
    searches_find_the_lowest();
}

/* The heap's tree holds so many blocks. */
static void tree_has(size_t expected)
{
    size_t count = 0;
    assert_true(tree_holds(&heap, &count));
    assert_int_equal(count, expected);
}

static void place_blocks(void)
{
    uint8_t *all = get((size_t)130 << 20);
    assert_int_equal(heap.levels, 6);
    for (unsigned i = 0; i < BLOCKS; i++) {
        block[i] = head(all + places[i].page * PAGE);
        mark_free(&heap, block[i], places[i].units);
    }
}

/* Six blocks come in every order, and go in many: four of them are loose, or others. */
static void every_order_in_and_out(void **state)
{
    (void)state;
    place_blocks();
    unsigned in[BLOCKS], out[BLOCKS];
    for (unsigned n = 0; n < ORDERS; n++) {
        make_order(n, in);
        for (unsigned m = n % 7; m < ORDERS; m += 7) {
            make_order(m, out);
            heap.turn = m;
            for (unsigned i = 0; i < BLOCKS; i++)
                insert(in[i]);
            for (unsigned i = BLOCKS; i-- > 0;)
                take_out(out[i]);
        }
        assert_int_equal(heap.most, 0);
    }
    tree_has(0);
}

/* A block for each of them, which is as large as it pleases. */
enum { GROWN = 40 };
static size_t grown[GROWN];

static struct block *end_of(unsigned i)
{
    return block_at(heap_first(&heap), (i + 1) * (size_t)(i % 3 ? 200000 : 300) + 20000);
}

static void set_size(unsigned i, size_t units)
{
    struct block *end = end_of(i);
    if (units == grown[i])
        return;
    assert_true(!grown[i] || tree_keeps(&heap, end, grown[i]));
    if (units)
        mark_free(&heap, block_back(end, units), units);
    if (!grown[i])
        tree_insert(&heap, end, units);
    else if (units > grown[i])
        tree_grow(&heap, end, units);
    else
        tree_shrink(&heap, end, units);
    grown[i] = units;
}

/* They come, grow, shrink and go, and all forks know. */
static void they_grow_and_shrink(void **state)
{
    (void)state;
    (void)get((size_t)150 << 20);
    srand(7);
    for (unsigned step = 0; step < 400; step++) {
        size_t in = 0;
        for (unsigned n = 0; n < 9; n++) {
            unsigned i = (unsigned)rand() % GROWN;
            set_size(i, rand() % 3 ? LARGE + (size_t)rand() % 20 : 0);
        }
        for (unsigned i = 0; i < GROWN; i++)
            in += grown[i] != 0;
        tree_has(in);
    }
}

/* ---- first fit ------------------------------------------------------------------------------ */

enum { LIVE = 40 };

struct wanted {
    size_t size;
    const uint8_t *lowest;
};

static bool look(void *ctx, const struct heap_block *b)
{
    struct wanted *w = ctx;
    bool fits = !b->live && units_for(w->size) <= (b->size + HEADER) / UNIT;
    if (fits && block_of(b->payload) != heap.wild)
        w->lowest = b->payload;
    return !w->lowest;
}

/* A large request gets the lowest block that is large enough, or wild memory while there is any. */
static uint8_t *get_lowest(size_t size)
{
    struct wanted w = {.size = size};
    size_t units = units_for(size);
    if (units >= LARGE)
        heap_walk(&heap, look, &w);
    if (units >= LARGE && !w.lowest && units << UNIT_SHIFT <= heap.wild_bytes)
        w.lowest = block_payload(heap.wild);
    uint8_t *p = heap_alloc(&heap, size, NULL);
    if (w.lowest)
        assert_ptr_equal(p, w.lowest);
    return p;
}

static size_t some_size(void)
{
    static const size_t most[] = {100, 5000, 5000, 9000, 20000};
    return 1 + (size_t)rand() % most[(unsigned)rand() % 5];
}

static void one_step(uint8_t *live[LIVE])
{
    unsigned i = (unsigned)rand() % LIVE, what = (unsigned)rand() % 8;
    if (!live[i]) {
        live[i] = what ? get_lowest(some_size())
                       : heap_alloc_aligned(&heap, (size_t)32 << rand() % 8, some_size(), NULL);
    } else if (what < 2) {
        uint8_t *p = heap_realloc(&heap, live[i], some_size(), NULL);
        live[i] = p ? p : live[i];
    } else {
        put(live[i]);
        live[i] = NULL;
    }
}

static void the_lowest_that_is_large_enough(void **state)
{
    uint8_t *live[LIVE];
    for (unsigned seed = 1; seed <= 8; seed++) {
        assert_int_equal(set_stage(state), 0);
        memset(live, 0, sizeof live);
        srand(seed);
        for (unsigned step = 0; step < 1500; step++) {
            one_step(live);
            holds();
            if (step % 500 == 499)
                heap_trim(&heap);
        }
        assert_int_equal(owner.reports, 0);
    }
}

/* No block is surely large enough, but one that is aligned already: it is taken again. */
static void an_aligned_place_is_found_again(void **state)
{
    (void)state;
    uint8_t *p = heap_alloc_aligned(&heap, 4096, 8192, NULL);
    (void)get(payload_bytes((size_t)units_before(head(p)))); /* what was skipped before it */
    (void)get(16);
    for (unsigned i = 0; i < 3; i++) {
        put(p);
        assert_ptr_equal(heap_alloc_aligned(&heap, 4096, 8192, NULL), p);
        holds();
    }
}

/* What is left of a block stays in the tree while it is large, and comes into a list then. */
static void cut_to_the_last_unit(void **state)
{
    (void)state;
    for (unsigned beside = 0; beside < 2; beside++) { /* loose, then in the tree */
        assert_int_equal(set_stage(state), 0);
        uint8_t *p = get(payload_bytes(4 * LARGE + 1) - LONG_EXTRA);
        uint8_t *end = get(16), *q = get(payload_bytes(LARGE));
        (void)get(16);
        put(p);
        if (beside)
            put(q);
        for (unsigned i = 0; i < 4; i++, p += LARGE * UNIT) {
            assert_ptr_equal(get(payload_bytes(i ? LARGE : LARGE - 1)), i ? p - UNIT : p);
            holds();
        }
        assert_ptr_equal(get(payload_bytes(1)), p - UNIT);
        holds();
        put(end);
        holds();
    }
}

/* ---- its memory ----------------------------------------------------------------------------- */

enum { BORDERS = 4 };
static const size_t borders[BORDERS] = {256 << 10, 2 << 20, 16 << 20, 128 << 20};

/* What is given back holds anything when it comes again. */
static void owner_soils(void *ctx, void *at, size_t bytes)
{
    owner_shrinks(ctx, at, bytes);
    if ((uint8_t *)at < heap.start)
        memset(at, 0xa5, bytes);
}

/* Over each border of levels a large block, and a free one before it; and back. */
static void up_and_down_again(void)
{
    size_t first = owner.held;
    uint8_t *over[BORDERS], *small[BORDERS], *before[BORDERS];
    for (unsigned i = 0; i < BORDERS; i++) {
        before[i] = get(5000 + 100 * i);
        small[i] = get(16);
        over[i] = get(borders[i]);
        assert_int_equal(heap.levels, 3 + i);
        put(before[i]);
        holds();
    }
    for (unsigned i = BORDERS; i-- > 0;) {
        put(over[i]);
        put(small[i]);
        heap_trim(&heap);
        holds();
        assert_int_equal(heap.levels, 2 + i);
    }
    assert_int_equal(owner.held, first);
}

static void levels_come_and_go(void **state)
{
    (void)state;
    const struct heap_ops ops = {owner_grows, owner_soils, owner_hears, NULL};
    assert_int_equal(begin(wide, WIDE_BYTES, &ops), MEM_OK);
    for (unsigned i = 0; i < 3; i++)
        up_and_down_again();
    assert_int_equal(owner.reports, 0);
}

/* Where there is no room for a step, the need alone is asked for. */
static void all_that_is_left_of_the_window(void **state)
{
    (void)state;
    size_t all = heap.wild_bytes + (size_t)(heap.limit - heap.top) - 64;
    owner.most = owner.held;
    assert_null(heap_alloc(&heap, all, NULL));
    holds();
    owner.most = SIZE_MAX;
    put(get(all));
    holds();
}

/* More units than a request can have are not told apart. */
static void units_as_forks_tell_them(void **state)
{
    (void)state;
    assert_int_equal(most_of(UNITS_MAX), UNITS_MAX);
    assert_int_equal(most_of(UINT32_MAX), UINT32_MAX);
    assert_int_equal(most_of(SIZE_MAX), UINT32_MAX);
    assert_int_equal(tree_records(1), 1);
    assert_int_equal(tree_records(RECORD_BYTES), 1);
    assert_int_equal(tree_records(RECORD_BYTES + 1), 2);
    assert_int_equal(tree_records(SIZE_MAX), SIZE_MAX / RECORD_BYTES + 1);
}

/* Forks are held before blocks are; when those are refused they go back. */
static void forks_and_no_blocks(void **state)
{
    (void)state;
    uint8_t *p = get((size_t)1 << 20), *low = heap.low;
    heap_trim(&heap);
    size_t held = owner.held;
    for (unsigned pages = 0; pages < 3; pages++) {
        owner.most = held + pages * PAGE;
        assert_null(heap_alloc(&heap, (size_t)4 << 20, NULL));
        assert_int_equal(owner.held, held);
        assert_ptr_equal(heap.low, low);
        holds();
    }
    owner.most = SIZE_MAX;
    uint8_t *q = get((size_t)4 << 20);
    assert_true(heap.low < low);
    holds();
    put(q);
    heap_trim(&heap);
    assert_ptr_equal(heap.low, low);
    assert_int_equal(owner.held, held);
    put(p);
}

/* ---- what was written to --------------------------------------------------------------------- */

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
        assert_false(tree_holds(&heap, &count));
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
        assert_false(tree_holds(&heap, &count));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WIDE(every_order_in_and_out),
        WIDE(they_grow_and_shrink),
        STAGED(the_lowest_that_is_large_enough),
        STAGED(an_aligned_place_is_found_again),
        STAGED(cut_to_the_last_unit),
        WIDE(levels_come_and_go),
        WIDE(forks_and_no_blocks),
        STAGED(all_that_is_left_of_the_window),
        STAGED(units_as_forks_tell_them),
        STAGED(a_damaged_header_is_told),
        STAGED(any_word_of_the_record),
        STAGED(what_does_not_agree_is_told),
        STAGED(footers_are_not_trusted),
        STAGED(forks_that_lead_nowhere),
        WIDE(forks_that_lead_out_of_the_heap),
        STAGED(written_in_a_large_block),
    };
    return cmocka_run_group_tests_name("heap tree", tests, NULL, NULL);
}
