/* SPDX-License-Identifier: MIT */
/*
 * test_paging_views.c - what only looks: the walk, the visit, and the invariants, each broken once.
 */
#include "mem/paging_table.h"
#include "paging_walker.h"

static void map(vword_t va, uint64_t pa, size_t bytes, unsigned flags)
{
    assert_int_equal(map_range(&as, VA(va), PA(pa), bytes, flags), MEM_OK);
}

static void unmap(vword_t va, size_t bytes)
{
    assert_int_equal(unmap_range(&as, VA(va), bytes), MEM_OK);
}

/* ---- the walk ------------------------------------------------------------------------------- */

/* A large page of i386 while CR4.PSE is clear: the CPU takes the page for a table. */
static void ps_without_pse_is_no_leaf(void **state)
{
    (void)state;
    struct walk w;
    map(BASE, 0, LARGE, 0);
    paging_walk(&as, VA(BASE + 5), &w);
    assert_true(w.mapped && w.pa.v == 5 && w.page_bytes == LARGE && w.steps == LEVELS - 1);
    if (!WIDE) {
        features.pse = false;
        entry_t *e = fake_entry(&as, BASE, 2), was = *e;
        *e = (entry_t)(FAKE_FIRST + 1) << PAGE_SHIFT | ENTRY_PRESENT | ENTRY_LARGE;
        *(entry_t *)(void *)fake.ram[1] = 0x00123001;
        paging_walk(&as, VA(BASE + 5), &w);
        assert_true(w.mapped && w.pa.v == 0x00123005 && w.steps == 2 && w.page_bytes == PAGE);
        *e = was;
        features.pse = true;
    }
    unmap(BASE, LARGE);
}

static void accessed_and_dirty_are_told(void **state)
{
    (void)state;
    struct walk w;
    map(BASE, 0x3000, PAGE, MAP_WRITE);
    for (unsigned i = 0; i < 4; i++) {
        entry_t *e = fake_entry(&as, BASE, 1);
        *e = (*e & ~(ENTRY_ACCESSED | ENTRY_DIRTY)) | (i & 1 ? ENTRY_ACCESSED : 0) |
             (i & 2 ? ENTRY_DIRTY : 0);
        paging_walk(&as, VA(BASE), &w);
        assert_true(w.accessed == (i & 1) && w.dirty == (i >> 1));
    }
    unmap(BASE, PAGE);
}

static void the_step_that_decides(void **state)
{
    (void)state;
    struct walk w;
    map(BASE, 0x3000, PAGE, MAP_WRITE);
    for (unsigned level = 1; level <= LEVELS; level++) {
        *fake_entry(&as, BASE, level) &= ~ENTRY_WRITE;
        paging_walk(&as, VA(BASE), &w);
        assert_false(w.flags & MAP_WRITE);
        assert_int_equal(w.step[w.deciding].level, level);
        *fake_entry(&as, BASE, level) |= ENTRY_WRITE;
        entry_t *e = fake_entry(&as, BASE, level), was = *e;
        *e = 0;
        paging_walk(&as, VA(BASE), &w);
        assert_false(w.mapped);
        assert_int_equal(w.step[w.deciding].level, level);
        assert_int_equal(w.steps, LEVELS - level + 1);
        *e = was;
    }
    paging_walk(&as, VA(BASE), &w);
    assert_int_equal(w.step[w.deciding].level, 1);
    assert_true(w.step[w.deciding].entry == *fake_entry(&as, BASE, 1));
    unmap(BASE, PAGE);
}

static void a_reserved_bit_ends_the_walk(void **state)
{
    (void)state;
    struct walk w;
    if (!WIDE)
        skip(); /* without PAE only large pages have such bits: test_preflight.c */
    map(BASE, 0x3000, PAGE, MAP_WRITE);
    for (unsigned level = 1; level <= LEVELS; level++) {
        entry_t *e = fake_entry(&as, BASE, level), was = *e;
        *e |= (entry_t)1 << (WIDE ? 50 : 0);
        paging_walk(&as, VA(BASE), &w);
        assert_true(w.reserved_bit && !w.mapped && w.step[w.deciding].level == level);
        *e = was;
    }
    unmap(BASE, PAGE);
}

/* ---- runs of entries ------------------------------------------------------------------------ */

/* One entry among up to 40 is different: the run ends there, wherever that is. */
static void a_run_ends_at_the_first_other(void **state)
{
    (void)state;
    entry_t t[40], present = ENTRY_PRESENT;
    for (unsigned count = 0; count <= 40; count++) {
        for (unsigned other = 0; other < 40; other++) {
            unsigned end = other < count ? other : count;
            for (unsigned i = 0; i < 40; i++)
                t[i] = i == other ? present : ENTRY_OURS;
            assert_int_equal(same_run(t, count, present, 0), end);
            for (unsigned i = 0; i < 40; i++)
                t[i] = i == other ? 0 : present | ENTRY_LARGE;
            assert_int_equal(same_run(t, count, present, present), end);
        }
    }
}

static void entries_are_written_and_no_more(void **state)
{
    (void)state;
    for (unsigned index = 0; index < 12; index++) {
        for (unsigned run = 0; run < 20; run++) {
            entry_t t[40] = {0};
            set_live_count(t, 0xabc & 1023);
            write_entries(t, index, run, 0x5001, 0x1000);
            assert_int_equal(live_count(t), 0xabc & 1023);
            for (unsigned i = 0; i < 40; i++) {
                bool in = i >= index && i < index + run;
                assert_true((t[i] & ~ENTRY_OURS) == (in ? 0x5001 + (i - index) * 0x1000 : 0));
                assert_true(i < COUNT_ENTRIES || !(t[i] & ENTRY_OURS));
            }
        }
    }
}

/* ---- the visit ------------------------------------------------------------------------------ */

static struct map_stretch seen[16];
static unsigned count, stop_after;

static bool note(void *ctx, const struct map_stretch *s)
{
    assert_ptr_equal(ctx, &count);
    assert_true(count < 16);
    seen[count++] = *s;
    return count < stop_after;
}

static unsigned visit(vword_t from, vword_t last)
{
    count = 0;
    stop_after = 16;
    paging_visit(&as, VA(from), VA(last), note, &count);
    return count;
}

static void is_stretch(unsigned i, vword_t va, uint64_t pa, uint64_t bytes)
{
    assert_true(i < count);
    assert_true(seen[i].va.v == va && seen[i].pa.v == pa && seen[i].bytes == bytes);
}

/* Pages that differ in one thing each are stretches of their own. */
static void what_differs_is_apart(void **state)
{
    (void)state;
    map(BASE, 0x10000, 6 * PAGE, 0);
    assert_int_equal(visit(0, ~(vword_t)0), 1);
    is_stretch(0, BASE, 0x10000, 6 * PAGE);
    *fake_entry(&as, BASE + 2 * PAGE, 1) |= ENTRY_ACCESSED;
    assert_int_equal(visit(0, ~(vword_t)0), 3);
    assert_true(seen[1].accessed && !seen[1].dirty && !seen[2].accessed);
    *fake_entry(&as, BASE + 2 * PAGE, 1) ^= ENTRY_ACCESSED | ENTRY_DIRTY;
    assert_int_equal(visit(0, ~(vword_t)0), 3);
    assert_true(!seen[1].accessed && seen[1].dirty && !seen[2].dirty);
    *fake_entry(&as, BASE + 2 * PAGE, 1) ^= ENTRY_DIRTY;
    assert_int_equal(protect_page(&as, VA(BASE + 2 * PAGE), MAP_WRITE), MEM_OK);
    assert_int_equal(visit(0, ~(vword_t)0), 3);
    is_stretch(1, BASE + 2 * PAGE, 0x12000, PAGE);
    *fake_entry(&as, BASE + 2 * PAGE, 1) ^= ENTRY_WRITE | 0x40000;
    assert_int_equal(visit(0, ~(vword_t)0), 3);
    is_stretch(1, BASE + 2 * PAGE, 0x52000, PAGE);
    *fake_entry(&as, BASE, LEVELS) &= ~ENTRY_WRITE; /* what a level above takes away is gone */
    *fake_entry(&as, BASE + 2 * PAGE, 1) |= ENTRY_WRITE;
    assert_int_equal(visit(0, ~(vword_t)0), 3);
    assert_false(seen[1].flags & MAP_WRITE);
    *fake_entry(&as, BASE, LEVELS) |= ENTRY_WRITE;
    unmap(BASE + 2 * PAGE, PAGE);
    assert_int_equal(visit(0, ~(vword_t)0), 2);
    is_stretch(1, BASE + 3 * PAGE, 0x13000, 3 * PAGE);
    unmap(BASE, 2 * PAGE);
    unmap(BASE + 3 * PAGE, 3 * PAGE);
}

/* The same bytes, but not the same pages. */
static void page_sizes_are_apart(void **state)
{
    (void)state;
    map(BASE, LARGE, LARGE, 0);
    map(BASE + LARGE, 2 * LARGE, LARGE, MAP_NO_LARGE);
    map(BASE + 2 * LARGE, 3 * LARGE, 2 * LARGE, 0);
    assert_int_equal(visit(0, ~(vword_t)0), 3);
    is_stretch(0, BASE, LARGE, LARGE);
    is_stretch(1, BASE + LARGE, 2 * LARGE, LARGE);
    is_stretch(2, BASE + 2 * LARGE, 3 * LARGE, 2 * LARGE);
    assert_true(seen[0].page_bytes == LARGE && seen[1].page_bytes == PAGE);
    unmap(BASE, 4 * LARGE);
}

static void only_what_was_asked(void **state)
{
    (void)state;
    map(BASE, 0, 8 * PAGE, 0);
    map(BASE + LARGE, LARGE, LARGE, 0);
    assert_int_equal(visit(BASE + 2 * PAGE, BASE + 4 * PAGE - 1), 1);
    is_stretch(0, BASE + 2 * PAGE, 0x2000, 2 * PAGE);
    assert_int_equal(visit(BASE + 2 * PAGE, BASE + 2 * PAGE), 1);
    is_stretch(0, BASE + 2 * PAGE, 0x2000, PAGE);
    assert_int_equal(visit(BASE + 8 * PAGE, BASE + LARGE - 1), 0);
    assert_int_equal(visit(BASE + 8 * PAGE, BASE + LARGE), 1);
    is_stretch(0, BASE + LARGE, LARGE, LARGE);
    assert_int_equal(visit(BASE + LARGE + 5, BASE + LARGE + 6), 1);
    is_stretch(0, BASE + LARGE, LARGE, LARGE);
    unmap(BASE, 8 * PAGE);
    unmap(BASE + LARGE, LARGE);
}

static void both_halves_and_the_last_page(void **state)
{
    (void)state;
    vword_t top = ~(vword_t)0 - PAGE + 1;
    vword_t low = (WIDE ? (vword_t)1 << 47 : (vword_t)1 << 31) - PAGE;
    map(PAGE, 0x1000, PAGE, 0);
    map(low, 0x2000, PAGE, 0);
    map(top, 0x3000, PAGE, 0);
    assert_int_equal(visit(0, ~(vword_t)0), 3);
    is_stretch(1, low, 0x2000, PAGE);
    is_stretch(2, top, 0x3000, PAGE);
    unmap(PAGE, PAGE);
    unmap(low, PAGE);
    unmap(top, PAGE);
}

/* A visitor that has had enough is not asked again, wherever the next stretch would be. */
static void a_visit_is_stopped(void **state)
{
    (void)state;
    map(BASE, 0x8000, PAGE, 0);
    map(BASE + 2 * PAGE, 0x8000, PAGE, 0);
    map(BASE + 4 * PAGE, 0x8000, PAGE, 0);
    map(BASE + 2 * LARGE, 0x8000, PAGE, 0);
    for (unsigned n = 1; n <= 5; n++) {
        count = 0;
        stop_after = n;
        paging_visit(&as, VA(0), VA(~(vword_t)0), note, &count);
        assert_int_equal(count, n < 4 ? n : 4);
    }
    for (unsigned i = 0; i < 3; i++)
        unmap(BASE + 2 * i * PAGE, PAGE);
    unmap(BASE + 2 * LARGE, PAGE);
}

/* ---- the invariants ------------------------------------------------------------------------- */

static void broken_as(const char *name)
{
    const char *broken;
    assert_false(paging_holds(&as, &broken));
    assert_memory_equal(broken, name, 2);
}

static void t1_live_counts(void **state)
{
    (void)state;
    map(BASE, 0x3000, 5 * PAGE, 0);
    map(BASE + LARGE, 0x3000, PAGE, 0); /* the first table is no longer in hand */
    entry_t *other = fake_entry(&as, BASE, 1) + 9;
    *other |= ENTRY_PRESENT;
    broken_as("T1");
    *other = 0;
    as.leaf.live++;
    broken_as("T1");
    as.leaf.live--;
    entry_t *root = fake_entry(&as, BASE, LEVELS);
    set_live_count(root - level_index(BASE, LEVELS), 3);
    broken_as("T1");
    set_live_count(root - level_index(BASE, LEVELS), WIDE ? 1 : 2);
    unmap(BASE, 5 * PAGE);
    unmap(BASE + LARGE, PAGE);
}

static void t2_no_empty_table(void **state)
{
    (void)state;
    map(BASE, 0x3000, PAGE, 0);
    leaf_drop(&as);
    entry_t *e = fake_entry(&as, BASE, 1), was = *e;
    *e = 0;
    set_live_count(e, 0);
    broken_as("T2");
    *fake_entry(&as, BASE, 2) |= ENTRY_PINNED;
    const char *broken;
    assert_true(paging_holds(&as, &broken));
    *fake_entry(&as, BASE, 2) &= ~ENTRY_PINNED;
    set_live_count(e, 1);
    *e |= was;
    unmap(BASE, PAGE);
}

static void t3_tables_are_counted(void **state)
{
    (void)state;
    as.tables++;
    broken_as("T3");
    as.tables--;
    map(BASE, 0x3000, PAGE, 0);
    as.tables--;
    broken_as("T3");
    as.tables++;
    unmap(BASE, PAGE);
}

static void an_adopted_table_is_not_counted(void **state)
{
    (void)state;
    pfn_t lent = PFN(FAKE_FIRST + 3);
    assert_int_equal(paging_adopt(&as, VA(BASE), lent), MEM_OK);
    fake.ram[3][0] = ENTRY_PRESENT; /* its count is not ours to keep */
    const char *broken;
    assert_true(paging_holds(&as, &broken));
    as.adopted = PFN_NONE;
    broken_as("T1");
    as.adopted = lent;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ps_without_pse_is_no_leaf),
        TEST(accessed_and_dirty_are_told),
        TEST(the_step_that_decides),
        TEST(a_reserved_bit_ends_the_walk),
        TEST(a_run_ends_at_the_first_other),
        TEST(entries_are_written_and_no_more),
        TEST(what_differs_is_apart),
        TEST(page_sizes_are_apart),
        TEST(only_what_was_asked),
        TEST(both_halves_and_the_last_page),
        TEST(a_visit_is_stopped),
        TEST(t1_live_counts),
        TEST(t2_no_empty_table),
        TEST(t3_tables_are_counted),
        TEST(an_adopted_table_is_not_counted),
    };
    return cmocka_run_group_tests_name("paging views", tests, NULL, NULL);
}
