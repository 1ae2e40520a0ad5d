/* SPDX-License-Identifier: MIT */
/*
 * test_heap_edges.c - what the heap tells of itself, what searches have learned, and blocks in
 * bins. Built at other HEAP_HARDEN levels as well (heap_level.h).
 */
#include "heap_stage.h"

/* ---- what it tells -------------------------------------------------------------------------- */

static bool sum_up(void *ctx, const struct heap_block *b)
{
    struct heap_stats *s = ctx;
    if (b->live) {
        s->blocks++;
        s->used += b->size;
    } else {
        s->free_blocks++;
        s->free += b->size;
        s->waiting_blocks += b->waiting;
        s->waiting += b->waiting ? b->size : 0;
        s->largest = b->size > s->largest ? b->size : s->largest;
    }
    return true;
}

/* Sums and walk agree, and leave out nothing but headers. */
static void tells_the_sums(void)
{
    struct heap_stats told, seen = {0};
    heap_stats(&heap, &told);
    assert_true(heap_walk(&heap, sum_up, &seen));
    assert_int_equal(told.blocks, seen.blocks);
    assert_int_equal(told.used, seen.used);
    assert_int_equal(told.free_blocks, seen.free_blocks);
    assert_int_equal(told.free, seen.free);
    assert_int_equal(told.waiting, seen.waiting);
    assert_int_equal(told.waiting_blocks, seen.waiting_blocks);
    assert_int_equal(told.largest, seen.largest);
    size_t tiles = (size_t)((uint8_t *)heap_last(&heap) - (uint8_t *)heap_first(&heap));
    assert_int_equal(told.used + told.free + (told.blocks + told.free_blocks) * HEADER, tiles);
}

static void sums_of_what_it_holds(void **state)
{
    (void)state;
    uint8_t *p[6];
    tells_the_sums();
    for (unsigned i = 0; i < 6; i++)
        p[i] = get(1000 + 700 * i);
    tells_the_sums();
    for (unsigned i = 1; i < 6; i += 2) {
        put(p[i]);
        tells_the_sums();
    }
    holds();
}

/* Of what is free it tells what waits in a bin: small blocks do, until they are merged. */
static void tells_what_waits(void **state)
{
    (void)state;
    struct heap_stats s;
    uint8_t *small[2] = {get(40), get(100)}, *large = get(2000);
    (void)get(4000); /* so that bins may hold something */
    heap_trim(&heap);
    put(large);
    tells_the_sums();
    heap_stats(&heap, &s);
    assert_int_equal(s.waiting_blocks, 0);
    put(small[0]);
    put(small[1]);
    tells_the_sums();
    heap_stats(&heap, &s);
    assert_int_equal(s.waiting_blocks, 2);
    assert_int_equal(s.waiting, payload_bytes(units_for(40)) + payload_bytes(units_for(100)));
    heap_trim(&heap);
    tells_the_sums();
    heap_stats(&heap, &s);
    assert_int_equal(s.waiting_blocks, 0);
    assert_int_equal(s.waiting, 0);
}

/* A block that cannot be given out, because somebody wrote over its header: refused, and counted.
 */
static void refusals_are_counted(void **state)
{
    (void)state;
    uint8_t *p = get(40);
    put(p);
    if (HEAP_HARDEN == 0) /* headers are not looked at */
        skip();
    block_of(p)->word ^= 0x100;
    assert_null(heap_alloc(&heap, 40, NULL));
    assert_int_equal(heap.stats.refused, 1);
    assert_int_equal(owner.reports, 1);
    assert_null(heap_alloc(&heap, 0, NULL));
    assert_int_equal(heap.stats.refused, 2);
}

/* ---- what a search has learned -------------------------------------------------------------- */

/* The larger of two has been taken since: a search for more than the other has is the last one. */
static void below_is_what_a_search_has_seen(void **state)
{
    (void)state;
    size_t units = LARGE + 60, more = units + 3;
    uint8_t *p = get(payload_bytes(units)), *between = get(16);
    uint8_t *q = get(payload_bytes(more)), *behind = get(16);
    put(p);
    put(q);
    assert_int_equal(heap.below, more << UNIT_SHIFT);
    assert_ptr_equal(get(payload_bytes(more)), q);
    assert_int_equal(heap.below, more << UNIT_SHIFT);
    assert_true(get(payload_bytes(units + 1)) > behind && behind > between);
    assert_int_equal(heap.below, units << UNIT_SHIFT);
    assert_ptr_equal(get(payload_bytes(units)), p);
    holds();
}

/* ---- blocks in bins ------------------------------------------------------------------------- */

/* Behind a free block, and still so when it is given out again. */
static void binned_behind_a_free_block(void **state)
{
    (void)state;
    uint8_t *p = get(3000), *q = get(40), *behind = get(3000);
    put(p);
    put(q);
    assert_ptr_equal(get(40), q);
    holds();
    put(behind);
    put(q);
    holds();
}

/* When they are full a block that has waited is merged, and the one freed last waits. */
static void full_bins_make_room(void **state)
{
    (void)state;
    enum { BLOCKS = 60, BYTES = 1000 };
    uint8_t *p[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        p[i] = get(BYTES);
        (void)get(16);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        put(p[i]);
    assert_true(heap.room >= -5 * HEAP_BIN_UNITS && heap.below > BYTES); /* some are merged */
    assert_ptr_equal(get(BYTES), p[BLOCKS - 1]);
    holds();
}

/* 276 units more than there is room for may wait for a while; then the block that is freed is
 * merged. */
static void the_overdraft_has_an_end(void **state)
{
    (void)state;
    enum { UNITS = 7, MOST = 4 * HEAP_BIN_UNITS };
    for (ptrdiff_t over = MOST - 1; over <= MOST + 1; over++) {
        assert_int_equal(set_stage(state), 0);
        uint8_t *p = get(100), *between = get(2000), *q = get(100);
        (void)between;
        (void)get(100000);
        (void)heap_space_review(&heap, 0);
        put(p);
        ptrdiff_t fewer = pretend_room(UNITS - over);
        put(q);
        bool waits = over <= MOST;
        assert_ptr_equal(heap.bin[UNITS], waits ? q : p);
        assert_int_equal(heap.room, (waits ? 0 : UNITS) - over);
        heap.room += fewer;
        holds();
    }
}

/* What was written before a block was freed is no write after it. */
static void written_to_while_it_was_live(void **state)
{
    (void)state;
    for (size_t size = 16; size < 3000; size += 480) {
        uint8_t *p = get(size);
        (void)get(16);
        memset(p, 0x5a, size);
        put(p);
        assert_ptr_equal(get(size), p);
        (void)get(16);
    }
    holds();
}

/* Level 3: heap_check sees it before the memory is given out again. */
static void free_memory_is_no_longer_filled(void)
{
    const char *broken = "";
    assert_false(heap_check(&heap, &broken));
    assert_memory_equal(broken, "G2:", 3);
}

/* Level 3: every byte up to the canary. */
static void written_to_in_its_bin(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    for (size_t at = 0; at < 40; at++) {
        assert_int_equal(set_stage(NULL), 0);
        uint8_t *p = get(40);
        put(p);
        p[at] ^= 1;
        if (at >= sizeof(void *))
            free_memory_is_no_longer_filled();
        alloc_is_refused(40, HEAP_WRITE_AFTER_FREE);
        assert_ptr_equal(owner.last.block, p);
    }
}

/* Level 3: its link, whatever is written there, is not followed and not lost. */
static void another_link_in_its_bin(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(set_stage(NULL), 0);
        uint8_t *p = get(40), *q = get(40), *live = get(40), *other = get(60);
        void *links[] = {NULL, live, other, p + 16, p + 8, window + 4, window - 8, heap.top};
        const char *broken = "";
        put(p);
        put(q);
        put(other);
        *link_in(q) = links[i];
        assert_false(heap_check(&heap, &broken));
        assert_memory_equal(broken, "H2:", 3);
        alloc_is_refused(40, HEAP_WRITE_AFTER_FREE);
        assert_ptr_equal(owner.last.block, q);
        heap_trim(&heap);
        assert_ptr_equal(heap.bin[units_for(40)], q); /* stays, and what it led to */
        *link_in(q) = p;
        assert_ptr_equal(get(40), q);
        assert_ptr_equal(get(40), p);
    }
}

/* And in a list: between the links and the footer. */
static void written_to_in_its_list(void **state)
{
    (void)state;
    enum { SIZE = 1200 };
    if (HEAP_HARDEN < 3)
        skip();
    size_t footer = payload_bytes(units_for(SIZE)) - sizeof(struct block);
    for (size_t at = sizeof(struct links); at < footer; at++) {
        assert_int_equal(set_stage(NULL), 0);
        uint8_t *p = get(SIZE);
        (void)get(16);
        put(p);
        p[at] ^= 1;
        free_memory_is_no_longer_filled();
        assert_null(heap_alloc(&heap, SIZE, NULL));
        assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
    }
}

/* And behind all blocks, up to the last byte before the header at the end. */
static void written_to_behind_all_blocks(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    uint8_t *p = get(5000);
    put(p);
    holds();
    uint8_t *last = (uint8_t *)heap_last(&heap) - 1;
    *last ^= 1;
    free_memory_is_no_longer_filled();
    *last ^= 1;
    p[0] ^= 1;
    free_memory_is_no_longer_filled();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(sums_of_what_it_holds),      STAGED(tells_what_waits),
        STAGED(refusals_are_counted),       STAGED(below_is_what_a_search_has_seen),
        STAGED(binned_behind_a_free_block), STAGED(full_bins_make_room),
        STAGED(the_overdraft_has_an_end),   STAGED(written_to_while_it_was_live),
        STAGED(written_to_in_its_bin),      STAGED(another_link_in_its_bin),
        STAGED(written_to_in_its_list),     STAGED(written_to_behind_all_blocks),
    };
    return cmocka_run_group_tests_name("heap edges", tests, NULL, NULL);
}
