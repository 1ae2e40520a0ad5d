/* SPDX-License-Identifier: MIT */
/*
 * test_heap_damage_lists.c - headers, footers and links of free blocks, overwritten on purpose; and
 * what is said of blocks behind such damage.
 *
 * A call that finds damage says so by its right name, is refused, and changes nothing but a count.
 * Built at HEAP_HARDEN 1 to 3 (heap_level.h): what a level does not look at is skipped there.
 */
#include "heap_damage.h"

/* ---- free blocks that were written to ------------------------------------------------------- */

/* One of the four words that say that b is in its list. */
static void unlink_in_part(unsigned which)
{
    struct links *l = links(b);
    struct links *const holders[] = {l, l, l->next, l->prev};
    uint8_t *field = (uint8_t *)holders[which] + (which % 2 ^ which / 2) * sizeof(void *);
    memset(field, which < 2 ? 0xff : field[0] ^ 1, which < 2 ? sizeof(void *) : 1);
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

/* [a live][b free, in a list][c live][free, before it in the list][live]; tells that one. */
static struct links *leave_two_free(void)
{
    leave_free(2000);
    b = get(2000);
    uint8_t *other = get(2000);
    (void)get(1200);
    put(b);
    put(other);
    assert_ptr_equal(links(other)->next, links(b));
    return links(other);
}

/* As an emptied list that is kept in freed memory would be: no neighbour contradicts. */
static void links_that_agree_without_a_head(void **state)
{
    (void)state;
    leave_free(2000);
    struct links *l = links(b), *other;
    *l = (struct links){l, l};
    free_is_refused(a, HEAP_WRITE_AFTER_FREE);
    free_is_refused(c, HEAP_UNDERRUN);
    other = leave_two_free();
    *l = (struct links){other, other};
    *other = (struct links){l, l};
    free_is_refused(a, HEAP_WRITE_AFTER_FREE);
    free_is_refused(c, HEAP_WRITE_AFTER_FREE);
    (void)leave_two_free(); /* neighbours of which one is a head */
    put(c);
    holds();
}

/* Links to where there is no room for links, before memory that nobody may touch. */
static void links_to_the_very_end(void **state)
{
    (void)state;
    for (size_t before = 1; before < sizeof(struct links); before++) {
        leave_free(2000);
        (void)get(heap.wild_bytes + (size_t)(heap.limit - heap.top) - 64);
        assert_ptr_equal(heap.top, window + WINDOW);
        links(b)->next = (struct links *)(heap.top - before);
        free_is_refused(a, HEAP_WRITE_AFTER_FREE);
        free_is_refused(c, HEAP_UNDERRUN);
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
        assert_ptr_equal(owner.last.block, a); /* who may have overrun it */
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
    const uint64_t words[] = {0, 1, units_for(2000) - 1, units_for(2000) + 1, 1000, ~0ull};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        leave_free(2000);
        head(c)[-1].word = words[i];
        free_is_refused(c, HEAP_UNDERRUN);
    }
}

/* [a live][b live][one free unit][c live]: what a split leaves behind is in no list. */
static uint8_t *leave_one_unit(void)
{
    leave_free(2000);
    assert_ptr_equal(get(2000 - UNIT), b);
    holds();
    return b + (units_for(2000) - 1) * UNIT;
}

static void single_units(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        flip(head(leave_one_unit()), bit);
        free_is_refused(b, HEAP_OVERRUN);
        free_is_refused(c, HEAP_UNDERRUN);
        (void)leave_one_unit();
        flip(head(c) - 1, bit);
        free_is_refused(c, HEAP_UNDERRUN);
    }
}

/* Two units have room for links, and are looked at. */
static void two_units(void **state)
{
    (void)state;
    leave_free(2000);
    assert_ptr_equal(get(2000 - 2 * UNIT), b);
    uint8_t *two = b + (units_for(2000) - 2) * UNIT;
    links(two)->next = nowhere;
    free_is_refused(b, HEAP_WRITE_AFTER_FREE);
    free_is_refused(c, HEAP_UNDERRUN);
}

static void single_units_are_merged(void **state)
{
    (void)state;
    (void)leave_one_unit();
    (void)get(8); /* that none is listed is learnt */
    assert_int_equal(heap.below, 0);
    holds();
    for (unsigned before = 0; before < 2; before++) {
        (void)leave_one_unit();
        assert_false(heap.filled[1 / HEAP_WORD_BITS] & 2);
        put(before ? c : b);
        holds();
        put(before ? b : c);
        holds();
        assert_ptr_equal(get(2000), b);
        assert_int_equal(owner.reports, 0);
    }
    (void)leave_one_unit();
    assert_ptr_equal(heap_realloc(&heap, b, 2000, NULL), b); /* into the unit behind it */
    holds();
}

static void aligned_requests_find_damage_too(void **state)
{
    (void)state;
    leave_free(4000);
    links(b)->prev = nowhere;
    keep();
    assert_null(heap_alloc_aligned(&heap, 64, 3000, NULL));
    refused_as(HEAP_WRITE_AFTER_FREE);
    assert_ptr_equal(owner.last.block, b);
    assert_int_equal(owner.last.size, payload_bytes(units_for(4000)));
}

/* The block cannot grow or shrink where damage is, nor leave its place: it stays as it was. */
static void resizing_beside_damage_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {1400, 1150};
    for (unsigned i = 0; i < 2; i++) {
        leave_free(1100);
        for (unsigned k = 0; k < 1200; k++)
            a[k] = (uint8_t)k;
        links(b)->prev = nowhere;
        assert_null(heap_realloc(&heap, a, sizes[i], NULL));
        assert_int_equal(owner.reports, 1);
        assert_int_equal(owner.last.fault, HEAP_WRITE_AFTER_FREE);
        assert_ptr_equal(owner.last.block, a);
        assert_in_range(heap_usable_size(&heap, a, NULL), 1200, 1207);
        for (unsigned k = 0; k < 1200; k++)
            assert_int_equal(a[k], (uint8_t)k);
        assert_int_equal(heap.stats.refused, 1);
        owner.reports = 0;
    }
}

/* Level 3: what a block grows into was written to, in a list, in the tree and behind all. */
static void growing_into_what_was_written_to(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    const size_t sizes[] = {2000, 6000};
    for (unsigned i = 0; i < 2; i++) {
        leave_free(sizes[i]);
        b[100] ^= 1;
        assert_ptr_not_equal(heap_realloc(&heap, a, 1500, NULL), a);
    }
    leave_free(2000);
    assert_ptr_equal(heap_realloc(&heap, c, 1400, NULL), c);
    c[1500] ^= 1; /* wild */
    assert_ptr_not_equal(heap_realloc(&heap, c, 1600, NULL), c);
}

/* ---- naming, behind damage ------------------------------------------------------------------ */

static bool visit(void *ctx, const struct heap_block *block)
{
    (void)block;
    ++*(unsigned *)ctx;
    return true;
}

/* Units that cannot be end a walk; of what lies behind, the last block before them is named. */
static void forged_sizes_end_a_walk(void **state)
{
    (void)state;
    const size_t units[] = {0, WINDOW, (size_t)-1 >> 1};
    for (unsigned i = 0; i < 3; i++) {
        leave_free(2000);
        block_seal(&heap, head(b), units[i], HEAP_FREE);
        unsigned blocks = 0;
        assert_false(heap_walk(&heap, visit, &blocks));
        assert_int_equal(blocks, 1);
        free_is_refused(b, HEAP_BAD_HEADER);
        free_is_refused(c + 8, HEAP_MISALIGNED);
        free_is_refused(c + 16, HEAP_BAD_HEADER);
        assert_ptr_equal(owner.last.block, a);
    }
}

/* More units than the heap has are no header; so many that the block would not end in the heap: the
 * block before it is reported. */
static void forged_sizes_are_not_told(void **state)
{
    (void)state;
    leave_free(2000);
    block_seal(&heap, head(b), heap.units + 1, HEAP_FREE);
    alloc_is_refused(2000, HEAP_BAD_HEADER);
    assert_ptr_equal(owner.last.block, a);
    block_seal(&heap, head(b), heap.units, HEAP_FREE);
    alloc_is_refused(2000, HEAP_BAD_HEADER);
    leave_free(30000);
    uint8_t *loose = get(30000);
    (void)get(2000);
    put(loose);
    assert_ptr_equal(get(5000), b); /* the rest of it stays in the tree */
    holds();
    uint8_t *rest = b + units_for(5000) * UNIT;
    block_seal(&heap, head(rest), heap.units, HEAP_FREE);
    alloc_is_refused(5000, HEAP_BAD_HEADER);
    assert_ptr_equal(owner.last.block, b);
    free_is_refused(b, HEAP_WRITE_AFTER_FREE);
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
    assert_int_equal(owner.reports, 0);
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(links_that_disagree),
        STAGED(links_that_agree_without_a_head),
        STAGED(links_to_the_very_end),
        STAGED(headers_of_free_blocks),
        STAGED(free_blocks_that_shrank),
        STAGED(footers),
        STAGED(single_units),
        STAGED(two_units),
        STAGED(single_units_are_merged),
        STAGED(aligned_requests_find_damage_too),
        STAGED(resizing_beside_damage_is_refused),
        STAGED(growing_into_what_was_written_to),
        STAGED(forged_sizes_end_a_walk),
        STAGED(forged_sizes_are_not_told),
        STAGED(what_is_whole_is_not_refused),
    };
    return cmocka_run_group_tests_name("heap damage, lists", tests, NULL, NULL);
}
