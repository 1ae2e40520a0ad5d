/* SPDX-License-Identifier: MIT */
/*
 * test_heap_invariants.c - every invariant that heap_check tells, broken once, alone.
 */
#include "heap_stage.h"

static uint8_t *a, *b, *c, *d;
/* [a live][b free][c live][d live][wild; two binned, of one unit and of seven, at the front */
static uint8_t *one, *seven, *seven2;

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

static void a_free_block_in_no_list(void)
{
    list_remove(&heap, head(b), units_for(2000));
}

/* ---- the tree ------------------------------------------------------------------------------- */

static struct node *lower, *upper, *last;

/* Two free blocks in the tree, each on its side of a fork, and a loose one. */
static void plant(void)
{
    uint8_t *p[3];
    for (unsigned i = 0; i < 3; i++) {
        p[i] = get(5000 + 1000 * i);
        (void)get(2100); /* more than b has */
    }
    for (unsigned i = 0; i < 3; i++)
        put(p[i]);
    lower = node_of(head(p[0]), units_for(5000));
    upper = node_of(head(p[1]), units_for(6000));
    last = heap.loose;
    holds();
    assert_true(upper->fork.at && !lower->fork.at);
}

static void link(struct node *n, struct node *next)
{
    n->side[NEXT].below = &next->fork;
    next->side[LAST].below = &n->fork;
}

/* Where on the fork of `upper` another block's leaf hangs. */
static unsigned side_of(const struct node *n)
{
    return (unsigned)(n->leaf.at - upper->side);
}

static void a_link_that_leads_nowhere(void)
{
    plant();
    heap.tree->side[0].below = (struct hook *)nowhere;
}

static void a_link_into_a_node(void)
{
    plant();
    struct hook *inside = (struct hook *)&lower->side[1];
    inside->at = lower->leaf.at;
    lower->leaf.at->below = inside;
}

static void a_link_that_does_not_lead_back(void)
{
    plant();
    upper->leaf.at = lower->leaf.at;
}

static void a_fork_that_hangs_nowhere(void)
{
    plant();
    upper->fork.at = (struct side *)nowhere;
}

static void leaves_on_the_wrong_sides(void)
{
    plant();
    unsigned i = side_of(lower), k = side_of(upper);
    struct side first = upper->side[i];
    upper->side[i] = upper->side[k];
    upper->side[k] = first;
    upper->side[i].below->at = &upper->side[i];
    upper->side[k].below->at = &upper->side[k];
    size_t most = upper->most[i];
    upper->most[i] = upper->most[k];
    upper->most[k] = most;
}

static void other_bits(void)
{
    plant();
    upper->shift += SIDES_LOG;
}

static void half_of_other_bits(void)
{
    plant();
    upper->shift--;
    upper->base = upper->base >> upper->shift >> SIDES_LOG << SIDES_LOG << upper->shift;
}

static void bits_above_those_of_the_fork_above(void)
{
    plant();
    heap.tree->shift = upper->shift;
}

static void another_base(void)
{
    plant();
    upper->base ^= (uintptr_t)SIDES << upper->shift;
}

static void a_base_with_more_bits(void)
{
    plant();
    upper->base |= (uintptr_t)1 << upper->shift;
}

static void another_count(void)
{
    plant();
    upper->count++;
}

static void a_fork_with_one_side(void)
{
    plant();
    upper->side[side_of(lower)].below = NULL;
    upper->most[side_of(lower)] = 0;
    upper->count = 1;
}

static void a_fork_in_use_that_is_spare(void)
{
    plant();
    lower->fork.at = &upper->side[0];
}

static void a_spare_fork_that_is_missed(void)
{
    plant();
    link(heap.tree, heap.tree);
}

static void spares_that_do_not_agree(void)
{
    plant();
    lower->side[LAST].below = &upper->fork;
}

static void more_spares_than_there_are(void)
{
    plant();
    link(heap.tree, last);
    link(last, lower);
    last->fork.at = NULL;
}

static void a_leaf_with_another_end(void)
{
    plant();
    lower->end = upper->end;
}

static void a_top_that_hangs_elsewhere(void)
{
    plant();
    heap.tree->fork.at = &heap.tree->side[0];
}

static void a_top_where_something_else_hangs(void)
{
    plant();
    heap.tree->side[OWN].below = NULL;
}

/* Two forks: one more block is in the tree, behind a border of 16 KiB. */
static void another_base_of_a_fork_below(void)
{
    uint8_t *p[5];
    for (unsigned i = 0; i < 5; i++) {
        p[i] = get(5000 + 1000 * i);
        (void)get(2100);
    }
    for (unsigned i = 0; i < 5; i++)
        put(p[i]);
    holds();
    struct node *n = NULL, *above = heap.tree;
    for (unsigned i = 0; i < 4 && above == heap.tree; i++) {
        n = node_with(node_of(head(p[i]), units_for(5000 + 1000 * i))->leaf.at);
        above = node_with(n->fork.at);
    }
    assert_ptr_not_equal(above, heap.tree);
    n->base ^= (uintptr_t)1 << above->shift;
}

static void a_top_that_can_be_outgrown(void)
{
    plant();
    heap.tree->most[OWN] = 0;
}

static void a_side_that_has_more(void)
{
    plant();
    upper->most[side_of(lower)]++;
}

static void a_top_that_has_less(void)
{
    plant();
    heap.tree->most[0]--;
}

static void an_empty_tree_with_a_size(void)
{
    heap.tree->most[0] = LARGE;
}

static void a_leaf_of_a_live_block(void)
{
    plant();
    struct block *behind = lower->end;
    block_seal(&heap, block_back(behind, units_for(5000)), (uint64_t)5000 << SIZE_SHIFT, HEAP_LIVE);
    clear_prev(&heap, behind);
}

static void a_loose_block_in_the_tree(void)
{
    plant();
    heap.loose = lower;
    heap.loose_end = lower->end;
    heap.loose_units = units_for(5000);
}

static void a_loose_block_of_no_size(void)
{
    plant();
    heap.loose_units = 0;
}

static void a_loose_block_of_another_size(void)
{
    plant();
    heap.loose_units--;
}

static void a_loose_block_that_is_small(void)
{
    plant();
    heap.loose_units = 7;
}

static void a_loose_block_with_another_end(void)
{
    plant();
    heap.loose_end = lower->end;
}

static void a_loose_block_out_of_the_heap(void)
{
    plant();
    heap.loose_end = (struct block *)(window + 2 * WINDOW - HEADER);
    heap.loose = node_before(heap.loose_end);
}

static void a_loose_block_that_is_too_large(void)
{
    plant();
    heap.loose_units = WINDOW / UNIT;
}

static void a_large_block_in_no_tree(void)
{
    plant();
    heap.loose = NULL;
    heap.loose_units = 0;
}

static void a_leaf_too_small(void)
{
    plant();
    lower->end[-1].word = 7;
}

static const struct {
    void (*break_it)(void);
    const char *tells;
} broken_ways[] = {
    {two_free_side_by_side, "S1"},
    {more_than_below, "S2"},
    {prev_without_a_free_block, "S3"},
    {no_prev_behind_a_free_block, "S3"},
    {a_wrong_footer, "L1"},
    {a_damaged_header, "H1"},
    {a_canary_before_a_header, "G1"},
    {a_canary_of_a_long_block, "G1"},
    {a_sentinel_in_a_bin, "H1"},
    {a_sentinel_with_a_size, "H1"},
    {a_sentinel_with_prev, "H1"},
    {wild_behind_the_end, "H1"},
    {wild_of_another_size, "H1"},
    {a_bin_before_the_heap, "H2"},
    {a_bin_behind_the_heap, "H2"},
    {a_bin_between_headers, "H2"},
    {a_bin_in_a_ring, "H2"},
    {a_live_block_in_a_bin, "H2"},
    {a_block_in_anothers_bin, "H2"},
    {a_binned_block_in_no_bin, "H2"},
    {a_link_out_of_the_heap, "L1, L2"},
    {a_link_to_a_head, "L1, L2"},
    {a_link_to_no_head, "L1, L2"},
    {a_block_that_leads_elsewhere_back, "L1, L2"},
    {a_live_block_in_a_list, "L1, L2"},
    {a_block_in_anothers_list, "L1, L2"},
    {a_head_that_leads_elsewhere_back, "L1, L2"},
    {a_full_list_without_its_bit, "L1, L2"},
    {an_empty_list_with_its_bit, "L1, L2"},
    {a_free_block_in_no_list, "L1, L2"},
    {a_link_that_leads_nowhere, "T1 to T4"},
    {a_link_that_does_not_lead_back, "T1 to T4"},
    {a_link_into_a_node, "T1 to T4"},
    {a_fork_that_hangs_nowhere, "T1 to T4"},
    {leaves_on_the_wrong_sides, "T1 to T4"},
    {other_bits, "T1 to T4"},
    {half_of_other_bits, "T1 to T4"},
    {bits_above_those_of_the_fork_above, "T1 to T4"},
    {another_base, "T1 to T4"},
    {a_base_with_more_bits, "T1 to T4"},
    {another_count, "T1 to T4"},
    {a_fork_with_one_side, "T1 to T4"},
    {a_fork_in_use_that_is_spare, "T1 to T4"},
    {a_spare_fork_that_is_missed, "T1 to T4"},
    {spares_that_do_not_agree, "T1 to T4"},
    {more_spares_than_there_are, "T1 to T4"},
    {a_leaf_with_another_end, "T1 to T4"},
    {a_top_that_hangs_elsewhere, "T1 to T4"},
    {a_top_that_can_be_outgrown, "T1 to T4"},
    {a_top_where_something_else_hangs, "T1 to T4"},
    {another_base_of_a_fork_below, "T1 to T4"},
    {a_side_that_has_more, "T1 to T4"},
    {a_top_that_has_less, "T1 to T4"},
    {an_empty_tree_with_a_size, "T1 to T4"},
    {a_leaf_of_a_live_block, "T1 to T4"},
    {a_loose_block_in_the_tree, "T1 to T4"},
    {a_loose_block_of_no_size, "T1 to T4"},
    {a_loose_block_of_another_size, "T1 to T4"},
    {a_loose_block_that_is_small, "T1 to T4"},
    {a_loose_block_with_another_end, "T1 to T4"},
    {a_loose_block_out_of_the_heap, "T1 to T4"},
    {a_loose_block_that_is_too_large, "T1 to T4"},
    {a_large_block_in_no_tree, "T1 to T4"},
    {a_leaf_too_small, "L1"},
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
    }
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
        STAGED(a_single_unit_is_no_listed_block),
    };
    return cmocka_run_group_tests_name("heap invariants", tests, NULL, NULL);
}
