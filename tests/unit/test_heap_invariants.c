/* SPDX-License-Identifier: MIT */
/*
 * test_heap_invariants.c - every invariant that heap_check tells, broken once, alone.
 */
#include "heap_stage.h"

static uint8_t *a, *b, *c, *d;
/* [a live][b free][c live][d live][wild; two binned, of one unit and of seven, at the front */
static uint8_t *one, *seven, *seven2;
static uint8_t *anywhere; /* it is not asked where */

static void stand(void)
{
    (void)set_stage(NULL);
    one = get(8);
    seven = get(100);
    seven2 = get(100);
    a = get(1200);
    b = get(2000);
    c = get(1200);
    d = get(1200);
    put(one);
    put(seven);
    put(seven2);
    put(b);
    holds();
}

static void take_all_wild(void)
{
    (void)get(heap.wild_bytes - 17);
    assert_ptr_equal(heap.wild, heap_last(&heap));
    holds();
}

static struct links *head_of_b(void)
{
    return list_of(2000);
}

static void two_free_side_by_side(void)
{
    block_seal(&heap, head(c), units_for(1200), HEAP_FREE);
}

static void more_than_below(void)
{
    heap.below = 16 * (units_for(2000) - 1);
}

static void prev_without_a_free_block(void)
{
    set_prev(&heap, head(d));
}

static void no_prev_behind_a_free_block(void)
{
    clear_prev(&heap, head(c));
}

static void a_wrong_footer(void)
{
    head(c)[-1].word ^= 1;
}

static void a_damaged_header(void)
{
    flip(head(d), 33);
}

static void a_canary_before_a_header(void)
{
    a = get(60);
    a[60] ^= 1;
}

static void a_canary_of_a_long_block(void)
{
    a = get(20000);
    a[20000] ^= 1;
}

static void a_sentinel_in_a_bin(void)
{
    block_seal(&heap, heap_last(&heap), 0, HEAP_BINNED);
}

static void a_sentinel_with_a_size(void)
{
    block_seal(&heap, heap_last(&heap), (uint64_t)5 << SIZE_SHIFT, HEAP_LIVE);
}

static void a_sentinel_with_prev(void)
{
    set_prev(&heap, heap_last(&heap));
}

static void wild_behind_the_end(void)
{
    take_all_wild();
    heap.wild = heap_last(&heap) + 2;
}

static void wild_of_another_size(void)
{
    take_all_wild();
    heap.wild_bytes = 16;
}

static void a_bin_before_the_heap(void)
{
    heap.bin[7] = window + 16;
}

static void a_bin_behind_the_heap(void)
{
    heap.bin[7] = heap.top;
}

static void a_bin_between_headers(void)
{
    heap.bin[7] = seven + 8;
}

static void a_bin_in_a_ring(void)
{
    *(uint8_t **)(void *)seven = seven2;
}

static void a_live_block_in_a_bin(void)
{
    heap.bin[7] = a;
}

static void a_block_in_anothers_bin(void)
{
    heap.bin[1] = seven;
}

static void a_binned_block_in_no_bin(void)
{
    heap.bin[7] = seven;
}

static void more_is_taken(void)
{
    heap.beyond++;
}

static void more_waits(void)
{
    heap.room--;
}

static void more_waits_than_the_overdraft(void)
{
    withhold(&heap, heap.withheld + (size_t)(heap.room + OVERDRAFT));
    holds();
    withhold(&heap, heap.withheld + 1);
}

static void all_that_is_taken_may_wait(void)
{
    (void)get(100000); /* more than the heap began with */
    size_t taken = space_taken(&heap);
    withhold(&heap, heap.granted - (taken - 1));
    holds();
    withhold(&heap, heap.granted - taken);
}

/* Half of the heap, and a unit more. */
static void more_is_granted_than_half(void)
{
    size_t more = (heap.units >> SHARE_LOG) - heap.granted;
    heap.granted += more;
    heap.withheld += more;
    holds();
    heap.granted++;
    heap.withheld++;
}

static void a_link_out_of_the_heap(void)
{
    head_of_b()->next = nowhere;
}

static void a_link_to_a_head(void)
{
    struct links *other = head_of(&heap, units_for(2000) + 1);
    other->prev = head_of_b();
    head_of_b()->next = other;
}

static void a_link_to_no_head(void)
{
    head_of_b()->next = head_of(&heap, HEAP_LISTS);
}

static void a_block_that_leads_elsewhere_back(void)
{
    links(b)->prev = head_of(&heap, 9);
}

static void a_live_block_in_a_list(void)
{
    *links(d) = (struct links){.next = head_of_b()->next, .prev = head_of_b()};
    head_of_b()->next = links(d);
}

static void a_block_in_anothers_list(void)
{
    size_t other = units_for(2000) - 1;
    list_remove(&heap, head(b), units_for(2000));
    *links(b) = (struct links){head_of(&heap, other), head_of(&heap, other)};
    *head_of(&heap, other) = (struct links){links(b), links(b)};
    mark_filled(&heap, other);
}

static void a_head_that_leads_elsewhere_back(void)
{
    head_of_b()->prev = head_of(&heap, 9);
}

static void a_full_list_without_its_bit(void)
{
    mark_empty(&heap, units_for(2000));
}

static void an_empty_list_with_its_bit(void)
{
    mark_filled(&heap, 9);
}

static void an_emptied_list_with_its_bit(void)
{
    (void)get(2000);
    mark_filled(&heap, units_for(2000));
}

static void a_free_block_in_no_list(void)
{
    list_remove(&heap, head(b), units_for(2000));
}

/* ---- the tree ------------------------------------------------------------------------------- */

enum { PLANTED = HEAP_LOOSE + 2 };
static struct block *end[PLANTED];

static size_t units_of(unsigned i)
{
    return units_for(5000 + 500 * i);
}

/* Large free blocks: two in the tree, the others loose. */
static void plant(void)
{
    uint8_t *p[PLANTED];
    for (unsigned i = 0; i < PLANTED; i++) {
        p[i] = get(5000 + 500 * i);
        end[i] = block_at(head(p[i]), units_of(i));
        (void)get(2100); /* more than b has */
    }
    for (unsigned i = 0; i < PLANTED; i++)
        put(p[i]);
    holds();
    assert_ptr_equal(heap.loose[1].end, end[5]);
}

static struct record *record(void)
{
    return record_at(&heap, 0);
}

static size_t page_of(unsigned i)
{
    return place_of(&heap, end[i]) / PAGE_UNITS;
}

static void a_page_that_knows_more(void)
{
    plant();
    ++*most_at(record(), page_of(0));
}

static void a_page_that_knows_nothing(void)
{
    plant();
    *most_at(record(), page_of(0)) = 0;
}

static void a_page_that_knows_another_end(void)
{
    plant();
    record()->end[page_of(1)]++;
}

static void a_page_that_knows_no_block(void)
{
    plant();
    heap_tree_raise(&heap, end[5] + 2 * PAGE_UNITS, LARGE);
}

static void a_page_that_knows_a_loose_block(void)
{
    plant();
    heap_tree_raise(&heap, end[3], units_of(3));
}

static void a_page_behind_the_last_block(void)
{
    plant();
    heap_tree_raise(&heap, heap_last(&heap), LARGE);
}

static void a_side_that_knows_more(void)
{
    plant();
    record()->eights.most[page_of(1) / SIDES]++;
}

static void a_side_that_knows_less(void)
{
    plant();
    record()->eights.most[page_of(1) / SIDES]--;
}

static void a_level_that_is_missed(void)
{
    plant();
    heap.levels--;
}

static void a_tree_with_a_larger_block(void)
{
    plant();
    heap.most++;
}

static void an_empty_tree_with_a_block(void)
{
    heap.most = LARGE;
}

static void a_large_block_in_no_tree(void)
{
    plant();
    heap_tree_lower(&heap, end[0], 0);
}

static void a_large_block_that_is_not_loose(void)
{
    plant();
    heap.loose[0] = (struct loose){0};
}

static void a_block_that_is_loose_twice(void)
{
    plant();
    heap_tree_raise(&heap, heap.loose[1].end, heap.loose[1].units);
    heap.loose[1] = heap.loose[0];
}

static void a_loose_block_of_no_size(void)
{
    plant();
    heap.loose[0].units = 0;
}

static void a_loose_block_of_another_size(void)
{
    plant();
    heap.loose[0].units--;
}

static void a_loose_block_that_is_small(void)
{
    plant();
    heap.loose[0] = (struct loose){head(c), units_for(2000)};
}

static void a_loose_block_without_an_end(void)
{
    plant();
    heap.loose[0].end = NULL;
}

static void a_loose_block_with_another_end(void)
{
    plant();
    heap.loose[0].end++;
}

static void a_loose_block_before_the_heap(void)
{
    plant();
    heap.loose[0].end = heap_first(&heap);
}

static void a_loose_block_behind_the_heap(void)
{
    plant();
    heap.loose[0].end = (struct block *)(window + 2 * WINDOW - HEADER);
}

static void a_footer_that_is_small(void)
{
    plant();
    end[0][-1].word = 7;
}

static const struct {
    void (*break_it)(void);
    const char *tells;
    uint8_t **where; /* NULL: nowhere */
} broken_ways[] = {
    {two_free_side_by_side, "S1", &c},
    {more_than_below, "S2", &b},
    {prev_without_a_free_block, "S3", &d},
    {no_prev_behind_a_free_block, "S3", &c},
    {a_wrong_footer, "L1", &b},
    {a_damaged_header, "H1", &c},
    {a_canary_before_a_header, "G1", &a},
    {a_canary_of_a_long_block, "G1", &a},
    {a_sentinel_in_a_bin, "H1", &anywhere},
    {a_sentinel_with_a_size, "H1", &anywhere},
    {a_sentinel_with_prev, "H1", &anywhere},
    {wild_behind_the_end, "H1", &anywhere},
    {wild_of_another_size, "H1", &anywhere},
    {a_bin_before_the_heap, "H2", NULL},
    {a_bin_behind_the_heap, "H2", NULL},
    {a_bin_between_headers, "H2", NULL},
    {a_bin_in_a_ring, "H2", NULL},
    {a_live_block_in_a_bin, "H2", NULL},
    {a_block_in_anothers_bin, "H2", NULL},
    {a_binned_block_in_no_bin, "H2", NULL},
    {more_is_taken, "H3", NULL},
    {more_waits, "H3", NULL},
    {more_waits_than_the_overdraft, "H3", NULL},
    {all_that_is_taken_may_wait, "H3", NULL},
    {more_is_granted_than_half, "H3", NULL},
    {a_link_out_of_the_heap, "L1, L2", NULL},
    {a_link_to_a_head, "L1, L2", NULL},
    {a_link_to_no_head, "L1, L2", NULL},
    {a_block_that_leads_elsewhere_back, "L1, L2", NULL},
    {a_live_block_in_a_list, "L1, L2", NULL},
    {a_block_in_anothers_list, "L1, L2", NULL},
    {a_head_that_leads_elsewhere_back, "L1, L2", NULL},
    {a_full_list_without_its_bit, "L1, L2", NULL},
    {an_empty_list_with_its_bit, "L1, L2", NULL},
    {an_emptied_list_with_its_bit, "L1, L2", NULL},
    {a_free_block_in_no_list, "L1, L2", NULL},
    {a_page_that_knows_more, "T1 to T4", NULL},
    {a_page_that_knows_nothing, "T1 to T4", NULL},
    {a_page_that_knows_another_end, "T1 to T4", NULL},
    {a_page_that_knows_no_block, "T1 to T4", NULL},
    {a_page_that_knows_a_loose_block, "T1 to T4", NULL},
    {a_page_behind_the_last_block, "T1 to T4", NULL},
    {a_side_that_knows_more, "T1 to T4", NULL},
    {a_side_that_knows_less, "T1 to T4", NULL},
    {a_level_that_is_missed, "T1 to T4", NULL},
    {a_tree_with_a_larger_block, "T1 to T4", NULL},
    {an_empty_tree_with_a_block, "T1 to T4", NULL},
    {a_large_block_in_no_tree, "T1 to T4", NULL},
    {a_large_block_that_is_not_loose, "T1 to T4", NULL},
    {a_block_that_is_loose_twice, "T1 to T4", NULL},
    {a_loose_block_of_no_size, "T1 to T4", NULL},
    {a_loose_block_of_another_size, "T1 to T4", NULL},
    {a_loose_block_that_is_small, "T1 to T4", NULL},
    {a_loose_block_without_an_end, "T1 to T4", NULL},
    {a_loose_block_with_another_end, "T1 to T4", NULL},
    {a_loose_block_before_the_heap, "T1 to T4", NULL},
    {a_loose_block_behind_the_heap, "T1 to T4", NULL},
    {a_footer_that_is_small, "L1", &anywhere},
};

static void every_invariant_is_looked_at(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof broken_ways / sizeof *broken_ways; i++) {
        const char *broken = "";
        stand();
        broken_ways[i].break_it();
        if (heap_check(&heap, &broken))
            fail_msg("way %u is not seen", i);
        size_t length = strlen(broken_ways[i].tells);
        if (strncmp(broken, broken_ways[i].tells, length) || broken[length] != ':')
            fail_msg("way %u is told as %s", i, broken);
        struct heap_block where;
        assert_false(heap_check_where(&heap, &broken, &where));
        uint8_t **at = broken_ways[i].where;
        if (at != &anywhere && where.payload != (at ? *at : NULL))
            fail_msg("way %u is told at %p", i, where.payload);
        assert_int_equal(where.requested != 0, where.live);
    }
}

/* Who asked for it is told as well; and nothing before the first block, or when all holds. */
static void where_it_is_broken(void **state)
{
    (void)state;
    struct heap_block where;
    const char *broken = "";
    (void)set_stage(NULL);
    const void *caller = (const void *)(heap.caller_base | 0x1234);
    a = heap_alloc(&heap, 1200, caller);
    assert_true(heap_check_where(&heap, &broken, &where));
    assert_null(where.payload);
    a[1200] ^= 1;
    assert_false(heap_check_where(&heap, &broken, &where));
    assert_true(where.live && where.requested == 1200 && where.payload == a);
    assert_ptr_equal(where.allocated_by, caller);
    flip(head(a), 33);
    assert_false(heap_check_where(&heap, &broken, &where));
    assert_null(where.payload);
}

/* A single unit is in no list: searches learn that there is nothing while there is one. */
static void a_single_unit_is_no_listed_block(void **state)
{
    (void)state;
    uint8_t *p = get(2000);
    (void)get(1200);
    put(p);
    assert_ptr_equal(get(2000 - UNIT), p);
    (void)get(8);
    assert_int_equal(heap.below, 0);
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_invariant_is_looked_at),
        cmocka_unit_test(where_it_is_broken),
        STAGED(a_single_unit_is_no_listed_block),
    };
    return cmocka_run_group_tests_name("heap invariants", tests, NULL, NULL);
}
