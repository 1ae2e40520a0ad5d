/* SPDX-License-Identifier: MIT */
/*
 * test_heap_tree.c - large free blocks: the lowest that is large enough is taken, in whatever order
 * they came and went. Built at every HEAP_HARDEN level (heap_level.h).
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
        if (heap_tree_find(&heap, asked[i]).b != lowest_of(asked[i]))
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
    assert_true(heap_tree_holds(&heap, &count));
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
    };
    return cmocka_run_group_tests_name("heap tree", tests, NULL, NULL);
}
