/* SPDX-License-Identifier: MIT */
/*
 * test_paging_digest.c - the digest of the tables' bytes: another one for every word that changes,
 * the same for what may, and nothing of tables that are not asked for or not ours.
 */
#include <mem/kmap.h>

#include "mem/paging_table.h"
#include "paging_walker.h"

#define ALL    VA(0), VA(~(vword_t)0)
#define BESIDE (BASE + level_bytes(LEVELS)) /* by the next top-level entry */

static vword_t digest(void)
{
    return paging_digest(&as, ALL);
}

static vword_t digest_of(vword_t from, vword_t last)
{
    return paging_digest(&as, VA(from), VA(last));
}

static void map(vword_t va, unsigned pages)
{
    assert_int_equal(map_range(&as, VA(va), PA(0x8000), pages * PAGE, MAP_NO_LARGE), MEM_OK);
}

static void unmap(vword_t va, unsigned pages)
{
    assert_int_equal(unmap_range(&as, VA(va), pages * PAGE), MEM_OK);
}

/* The table of `level` on the way to va. */
static entry_t *table_at(vword_t va, unsigned level)
{
    struct spot s = paging_descend(&as, va, level);
    kunmap(s.table);
    assert_int_equal(s.level, level);
    return s.table;
}

static void is_as_before(vword_t before)
{
    assert_true(digest() == before);
}

/* ---- what shows ----------------------------------------------------------------------------- */

static void what_is_undone_does_not_show(void **state)
{
    (void)state;
    vword_t before = digest();
    map(BASE, 3);
    vword_t with = digest();
    assert_true(with != before);
    unmap(BASE, 3);
    is_as_before(before);
    map(BASE, 3);
    is_as_before(with);
    unmap(BASE, 3);
}

/* Does the digest tell that these bits of a word are flipped? They are put back. */
static bool shows(entry_t *word, entry_t bits, vword_t before)
{
    *word ^= bits;
    bool seen = digest() != before;
    *word ^= bits;
    return seen;
}

/* Every bit of the first, of the last and of some other word of a table. */
static void flip_each(entry_t *table, vword_t before)
{
    static const unsigned words[] = {0,  1,  5,  16, 17,          18,          19,
                                     20, 21, 22, 23, ENTRIES / 2, ENTRIES - 2, ENTRIES - 1};
    for (unsigned w = 0; w < sizeof words / sizeof words[0]; w++) {
        for (unsigned bit = 0; bit < 8 * sizeof *table; bit++) {
            entry_t flipped = (entry_t)1 << bit;
            bool walked = flipped & (ENTRY_PRESENT | ENTRY_LARGE);
            if (walked) /* of what would be another tree */
                continue;
            bool cpus = flipped == ENTRY_ACCESSED || flipped == ENTRY_DIRTY;
            assert_true(shows(&table[words[w]], flipped, before) != cpus);
        }
    }
}

static void every_bit_of_a_page_table_shows(void **state)
{
    (void)state;
    map(BASE, 2);
    vword_t before = digest();
    flip_each(table_at(BASE, 1), before);
    is_as_before(before);
    unmap(BASE, 2);
}

/* A bit of an address would lead elsewhere: those of ours that the CPU ignores will do. */
static void every_level_shows(void **state)
{
    (void)state;
    map(BASE, 2);
    vword_t before = digest();
    for (unsigned level = 1; level <= LEVELS; level++)
        assert_true(shows(&table_at(BASE, level)[ENTRIES - 1], (entry_t)1 << 9, before));
    is_as_before(before);
    unmap(BASE, 2);
}

static void swap(entry_t *a, entry_t *b)
{
    entry_t was = *a;
    *a = *b;
    *b = was;
}

static void two_words_that_change_places_show(void **state)
{
    (void)state;
    map(BASE, 8);
    vword_t before = digest();
    entry_t *table = table_at(BASE, 1);
    swap(&table[5], &table[6]);
    assert_true(digest() != before);
    swap(&table[5], &table[6]);
    is_as_before(before);
    unmap(BASE, 8);
}

/* ---- what does not -------------------------------------------------------------------------- */

/* What a table in hand knows is written to it first; and it takes no slot any more. */
static void the_table_in_hand_is_let_go(void **state)
{
    (void)state;
    map(BASE, 1);
    vword_t before = digest();
    assert_null(as.leaf.table);
    assert_int_equal(fake.kmaps, 0);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(0x9000), 0), MEM_OK);
    assert_int_equal(unmap_page(&as, VA(BASE + PAGE), NULL), MEM_OK);
    assert_non_null(as.leaf.table);
    is_as_before(before);
    assert_int_equal(live_count(table_at(BASE, 1)), 1);
    unmap(BASE, 1);
}

/* Of the others only the root's entries are seen. */
static void only_what_was_asked_for_is_seen(void **state)
{
    (void)state;
    vword_t last = BESIDE - 1;
    map(BASE, 1);
    map(BESIDE, 1);
    vword_t one = digest_of(BASE, last), both = digest_of(BASE, BESIDE);
    vword_t above = digest_of(BESIDE, BESIDE);
    entry_t *other = table_at(BESIDE, 1);
    other[7] ^= ENTRY_WRITE;
    assert_true(digest_of(BASE, last) == one);
    assert_true(digest_of(BASE, BESIDE) != both);
    assert_true(digest_of(BESIDE, BESIDE) != above);
    other[7] ^= ENTRY_WRITE;
    entry_t *mine = table_at(BASE, 1);
    mine[7] ^= ENTRY_WRITE;
    assert_true(digest_of(BASE, last) != one);
    assert_true(digest_of(BESIDE, BESIDE) == above);
    mine[7] ^= ENTRY_WRITE;
    unmap(BESIDE, 1);
    unmap(BASE, 1);
}

/* The window's table belongs to the kernel image, and changes with every kmap. */
static void an_adopted_table_is_not_seen(void **state)
{
    (void)state;
    assert_int_equal(paging_adopt(&as, VA(BASE), PFN(FAKE_FIRST + 3)), MEM_OK);
    vword_t before = digest();
    fake.ram[3][8] ^= 0xff;
    is_as_before(before);
    fake.ram[3][8] ^= 0xff;
}

/* What a user's space shares is the kernel's. */
static void what_is_shared_is_not_seen(void **state)
{
    (void)state;
    struct aspace user;
    assert_int_equal(paging_pin(&as, VA(BASE), LARGE), MEM_OK);
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_OK);
    vword_t of_user = paging_digest(&user, ALL), of_kernel = digest();
    map(BASE, 1);
    assert_true(paging_digest(&user, ALL) == of_user);
    assert_true(digest() != of_kernel);
    unmap(BASE, 1);
    is_as_before(of_kernel);
    paging_destroy(&user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_undone_does_not_show),
        TEST(every_bit_of_a_page_table_shows),
        TEST(every_level_shows),
        TEST(two_words_that_change_places_show),
        TEST(the_table_in_hand_is_let_go),
        TEST(only_what_was_asked_for_is_seen),
        TEST(an_adopted_table_is_not_seen),
        TEST(what_is_shared_is_not_seen),
    };
    return cmocka_run_group_tests_name("paging digest", tests, NULL, NULL);
}
