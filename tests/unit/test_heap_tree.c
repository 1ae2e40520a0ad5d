/* SPDX-License-Identifier: MIT */
/*
 * test_heap_tree.c - large free blocks: the lowest that is large enough is taken, in whatever order
 * they came and went, and a node that was overwritten does no more harm than to be reported. Built
 * at every HEAP_HARDEN level (heap_level.h).
 */
#include <stdlib.h>

#include "heap_stage.h"

/* ---- the tree alone ------------------------------------------------------------------------- */

enum { BLOCKS = 6, ORDERS = 720 };

/* On both sides of borders of powers of two, and of sizes that rise, fall and repeat. */
static const struct {
    size_t page, units;
} places[BLOCKS] = {{3, 300}, {7, 400}, {8, 258}, {15, 300}, {16, 301}, {31, 258}};

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
static struct block *lowest(size_t units)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (is_in[i] && places[i].units >= units)
            return block[i];
    }
    return NULL;
}

static void searches_find_the_lowest(void)
{
    static const size_t asked[] = {258, 259, 300, 301, 302, 400, 401};
    for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++) {
        if (tree_find(&heap, asked[i]).b != lowest(asked[i]))
            fail();
    }
}

static void all_is_well(unsigned expected)
{
    size_t count = 0;
    if (!tree_holds(&heap, &count) || count != expected)
        fail();
    searches_find_the_lowest();
}

static void insert(unsigned i)
{
    tree_insert(&heap, block_at(block[i], places[i].units), places[i].units);
    is_in[i] = true;
}

static void take_out(unsigned i)
{
    struct node *x = node_of(block[i], places[i].units);
    if (!tree_keeps(&heap, x))
        fail();
    tree_remove(&heap, x, false);
    is_in[i] = false;
}

/* Six blocks come in every order, and go in every order. */
static void every_order_in_and_out(void **state)
{
    (void)state;
    uint8_t *all = get(WINDOW / 4 * 3);
    for (unsigned i = 0; i < BLOCKS; i++) {
        block[i] = head(all + places[i].page * PAGE);
        mark_free(&heap, block[i], places[i].units);
    }
    unsigned in[BLOCKS], out[BLOCKS];
    for (unsigned n = 0; n < ORDERS; n++) {
        make_order(n, in);
        for (unsigned m = 0; m < ORDERS; m++) {
            make_order(m, out);
            for (unsigned i = 0; i < BLOCKS; i++)
                insert(in[i]);
            all_is_well(BLOCKS);
            for (unsigned i = BLOCKS; i-- > 0;) {
                take_out(out[i]);
                all_is_well(i);
            }
        }
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

/* Its node as near to the heap's end as one can be, between two hooks: it is no damage. */
static void the_last_block_there_can_be(void **state)
{
    (void)state;
    uint8_t *p[3];
    for (unsigned i = 0; i < 2; i++) {
        p[i] = get(5000);
        (void)get(2000);
    }
    size_t most = heap.wild_bytes - HEADER - LONG_EXTRA - UNIT;
    p[2] = get(most);
    (void)get(8);
    assert_int_equal(heap.wild_bytes, 0);
    put(p[0]);
    put(p[2]);
    put(p[1]); /* is loose, and the last block in the tree */
    holds();
    assert_ptr_equal(get(most), p[2]);
    assert_int_equal(owner.reports, 0);
}

/* ---- nodes that were overwritten ------------------------------------------------------------ */

enum { LARGE_ONES = 9, SIZE = 4400 };

static uint8_t *between[LARGE_ONES + 1], *large[LARGE_ONES], *one_more;

/* [live][free][live][free]...[live][wild; of all sizes, the last to come is loose */
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

static struct node *node(unsigned i)
{
    return node_of(head(large[i]), units_for(SIZE + (i * 5 % 9) * 160));
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
        (void)heap_free(&heap, one_more, NULL); /* and the loose one comes into the tree */
    else if (which % 2)
        (void)heap_free(&heap, between[i], NULL);
    else
        (void)heap_realloc(&heap, between[i + 1], 2000, NULL);
    return NULL;
}

/* Whatever a node's word becomes, calls end, and touch nothing that is in use. */
static void any_word_of_any_node(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    enum { WORDS = sizeof(struct node) / sizeof(uintptr_t) };
    static uint8_t then[WINDOW];
    static struct heap heap_before;
    leave_large_free();
    memcpy(then, window, WINDOW);
    heap_before = heap;
    const uintptr_t wrong[] = {0,
                               1,
                               (uintptr_t)nowhere,
                               (uintptr_t)heap.tree,
                               (uintptr_t)&heap.tree->side[0],
                               (uintptr_t)&node(2)->fork,
                               (uintptr_t)&node(5)->leaf,
                               (uintptr_t)large[4] + 3,
                               (uintptr_t)heap_last(&heap) - 8,
                               (uintptr_t)window - 8};
    for (unsigned n = 0; n < LARGE_ONES * WORDS * 10; n++) {
        unsigned i = n / 10 / WORDS;
        for (unsigned which = 0; which < CALLS; which++) {
            size_t size;
            uint8_t *word = (uint8_t *)node(i) + n / 10 % WORDS * sizeof(uintptr_t);
            memcpy(word, &wrong[n % 10], sizeof(uintptr_t));
            uint8_t *p = call(which, &size);
            if (which < 5)
                nothing_else_was_touched(p, size);
            memcpy(window, then, WINDOW);
            heap = heap_before;
        }
    }
}

/* Links that do not agree are told, with the block they stand in. */
static void what_does_not_agree_is_told(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    for (unsigned i = 0; i < LARGE_ONES; i++) {
        leave_large_free();
        if (node(i) == heap.loose)
            continue;
        node(i)->leaf.at++;
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
        node(0)->end[-1].word = wrong[i];
        assert_false(tree_holds(&heap, &count));
        if (HEAP_HARDEN < 1)
            continue;
        heap.loose_units = 0; /* node 0 is the lowest */
        if (i < 2)
            assert_null(heap_alloc(&heap, 4200, NULL));
        else
            assert_true(get(4200) > between[LARGE_ONES]);
        assert_int_equal(owner.reports, 1);
    }
}

/* A search that loses its way takes from elsewhere; a block whose place is not found stays out. */
static void a_lost_way_is_told(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    leave_large_free();
    assert_true(tree_knows(&heap, node(1)) && tree_knows(&heap, heap.loose));
    assert_false(tree_knows(&heap, (struct node *)(window + WINDOW)));
    struct hook *first = heap.tree->side[0].below;
    first->at++;
    heap.loose_units = 0;
    assert_true(get(4200) > between[LARGE_ONES]);
    assert_int_equal(owner.reports, 1);
    assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
    tree_plant(&heap, heap.loose_end, units_for(SIZE));
    assert_int_equal(owner.reports, 2);
    assert_ptr_equal(heap.tree->side[0].below, first);
}

/* What is in the tree does not come into it once more. */
static void nothing_comes_twice(void **state)
{
    (void)state;
    leave_large_free();
    for (unsigned i = 0; i < LARGE_ONES; i++) {
        size_t count = 0;
        if (node(i) != heap.loose)
            tree_plant(&heap, node(i)->end, LARGE);
        assert_true(tree_holds(&heap, &count));
    }
    assert_int_equal(owner.reports, LARGE_ONES - 1);
}

/* A link back is not all: in the middle of a node there is neither fork nor leaf. */
static void a_link_into_a_node_is_told(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    leave_large_free();
    heap.loose_units = 0;
    struct side *s = node(0)->leaf.at; /* of the lowest */
    struct hook *inside = (struct hook *)&node(0)->side[1];
    inside->at = s;
    s->below = inside;
    assert_true(get(4200) > large[0] + SIZE);
    assert_int_equal(owner.reports, 1);
}

/* When damage has cost forks there may be none left: what hung below is lost, and nothing else. */
static void no_fork_is_left(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 1)
        skip();
    leave_large_free();
    unsigned i = 0;
    while (i < LARGE_ONES &&
           (node(i) == heap.loose || !node(i)->fork.at || node_with(node(i)->leaf.at)->count < 3))
        i++;
    if (i == LARGE_ONES)
        skip(); /* at level 3 they lie so that none needs another fork */
    struct side *above = node(i)->fork.at;
    heap.tree->side[NEXT].below = heap.tree->side[LAST].below = &heap.tree->fork;
    tree_uproot(&heap, node(i), false);
    assert_null(above->below);
    assert_int_equal(owner.reports, 1);
    nothing_else_was_touched(NULL, 0);
}

/* Level 3 sees all that is written before and behind the node. */
static void written_beside_a_node(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    for (unsigned beside = 0; beside < 2; beside++) {
        for (size_t at = 0; at < LARGE * UNIT - 2 * HEADER; at += at < 3700 ? 97 : 1) {
            assert_int_equal(set_stage(state), 0);
            uint8_t *p = get(payload_bytes(LARGE)), *q;
            struct node *n = node_of(head(p), LARGE);
            (void)get(16);
            q = get(payload_bytes(LARGE));
            (void)get(16);
            put(p);
            if (beside)
                put(q);
            if (node_with(p + at) == n && p + at < (uint8_t *)(n + 1))
                continue;
            p[at] ^= 1;
            assert_null(heap_alloc(&heap, payload_bytes(LARGE), NULL));
            assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(every_order_in_and_out),  STAGED(the_lowest_that_is_large_enough),
        STAGED(cut_to_the_last_unit),    STAGED(the_last_block_there_can_be),
        STAGED(any_word_of_any_node),    STAGED(what_does_not_agree_is_told),
        STAGED(footers_are_not_trusted), STAGED(a_lost_way_is_told),
        STAGED(written_beside_a_node),   STAGED(a_link_into_a_node_is_told),
        STAGED(no_fork_is_left),         STAGED(nothing_comes_twice),
    };
    return cmocka_run_group_tests_name("heap tree", tests, NULL, NULL);
}
