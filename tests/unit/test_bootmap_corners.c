/* SPDX-License-Identifier: MIT */
/*
 * test_bootmap_corners.c - the boot map by itself: refusals, the ends of the address space, what is
 * taken and given back early, and every invariant broken once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mem/bootmap.h>

enum { PAGE = 4096, ROOM = 32, MIB = 1 << 20 };

static struct boot_range array[ROOM];
static struct bootmap map;

/* ---- the map's own refusals ----------------------------------------------------------------- */

static void new_map(size_t capacity, uint64_t limit)
{
    assert_int_equal(bootmap_init(&map, array, capacity, limit), MEM_OK);
}

static void usable(uint64_t start, uint64_t length)
{
    assert_int_equal(bootmap_add(&map, start, length, RANGE_USABLE), MEM_OK);
}

static void a_map_needs_room(void **state)
{
    (void)state;
    assert_int_equal(bootmap_init(&map, NULL, ROOM, 0), MEM_BAD_ARG);
    assert_int_equal(bootmap_init(&map, array, 0, 0), MEM_BAD_ARG);
    new_map(ROOM, 0);
    assert_int_equal(bootmap_add(&map, 0, PAGE, RANGE_KIND_COUNT), MEM_BAD_ARG);
    assert_int_equal(map.count, 0);
}

static void nothing_is_owned_before_the_end(void **state)
{
    (void)state;
    pfn_t first = PFN(7);
    new_map(ROOM, 0);
    usable(0, 16 * MIB);
    assert_int_equal(bootmap_reserve(&map, 0, PAGE, OWNER_LOW), MEM_NOT_INIT);
    assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_EARLY, &first), MEM_NOT_INIT);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    for (unsigned owner = OWNER_COUNT;; owner = OWNER_NONE) {
        assert_int_equal(bootmap_reserve(&map, 0, PAGE, (enum frame_owner)owner), MEM_BAD_ARG);
        assert_int_equal(bootmap_take(&map, 1, 0, 0, (enum frame_owner)owner, &first), MEM_BAD_ARG);
        if (owner == OWNER_NONE)
            break;
    }
    assert_int_equal(bootmap_take(&map, 0, 0, 0, OWNER_EARLY, &first), MEM_BAD_ARG);
    assert_int_equal(bootmap_take(&map, 1, 52, 0, OWNER_EARLY, &first), MEM_BAD_ARG);
    assert_int_equal(bootmap_take(&map, 1, 51, 0, OWNER_EARLY, &first), MEM_NO_FRAME);
    assert_int_equal(bootmap_reserve(&map, 0, 0, OWNER_LOW), MEM_OK);
    assert_int_equal(map.count, 1);
    assert_int_equal(first.v, 7);
    assert_int_equal(map.ranges[0].owner, OWNER_NONE);
}

/* Two more ranges may come of one reservation; an array with room for one refuses it. */
static void room_for_two_more(void **state)
{
    (void)state;
    pfn_t first;
    for (size_t capacity = 2; capacity <= 3; capacity++) {
        enum mem_err expected = capacity == 2 ? MEM_FULL : MEM_OK;
        new_map(capacity, 0);
        usable(0, 16 * MIB);
        assert_int_equal(bootmap_finish(&map), MEM_OK);
        assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_EARLY, &first), expected);
        new_map(capacity, 0);
        usable(0, 16 * MIB);
        assert_int_equal(bootmap_finish(&map), MEM_OK);
        assert_int_equal(bootmap_reserve(&map, 8 * MIB, 1, OWNER_LOW), expected);
    }
}

/* Every page of which a byte is wanted, and no other. */
static void reservations_are_of_whole_pages(void **state)
{
    (void)state;
    static const struct {
        uint64_t from, length, pages;
    } wanted[] = {{0, 1, 1}, {PAGE - 1, 1, 1}, {0, PAGE, 1}, {0, PAGE + 1, 2}, {PAGE - 1, 2, 2}};
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        new_map(ROOM, 0);
        usable(0, 16 * MIB);
        assert_int_equal(bootmap_finish(&map), MEM_OK);
        assert_int_equal(
            bootmap_reserve(&map, 8 * MIB + wanted[i].from, wanted[i].length, OWNER_LOW), MEM_OK);
        assert_int_equal(map.count, 3);
        assert_true(array[1].start == 8 * MIB && array[1].owner == OWNER_LOW);
        assert_true(array[1].last == 8 * MIB + wanted[i].pages * PAGE - 1);
    }
}

static void reservations_stop_at_the_top(void **state)
{
    (void)state;
    new_map(ROOM, 0);
    usable(UINT64_MAX - 4 * PAGE + 1, 4 * PAGE);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_int_equal(bootmap_reserve(&map, UINT64_MAX - PAGE, PAGE + 2, OWNER_LOW), MEM_OK);
    assert_int_equal(map.count, 2);
    assert_true(map.ranges[1].start == UINT64_MAX - 2 * PAGE + 1);
    assert_true(map.ranges[1].last == UINT64_MAX && map.ranges[1].owner == OWNER_LOW);
    const char *broken;
    assert_true(bootmap_holds(&map, &broken));
}

/* What goes on to the top has no end to be sorted: an odd number of addresses. */
static void to_the_top_after_others(void **state)
{
    (void)state;
    for (unsigned before = 0; before < 6; before++) {
        new_map(ROOM, 0);
        for (unsigned i = 0; i < before; i++)
            usable((2 * i + 1) * MIB, MIB);
        usable(UINT64_MAX - MIB + 1, MIB);
        assert_int_equal(bootmap_finish(&map), MEM_OK);
        assert_int_equal(map.count, before + 1);
        for (unsigned i = 0; i < before; i++)
            assert_true(array[i].start == (2 * i + 1) * MIB &&
                        array[i].last + 1 == (2 * i + 2) * MIB);
        assert_true(array[before].start == UINT64_MAX - MIB + 1 &&
                    array[before].last == UINT64_MAX);
    }
}

/* A usable range in the middle of the last page has no whole page, and must not wrap to page 0. */
static void half_of_the_last_page_is_no_page(void **state)
{
    (void)state;
    new_map(ROOM, 0);
    usable(UINT64_MAX - PAGE + 2, PAGE - 1);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_int_equal(map.count, 0);
}

static void taken_below_the_limit(void **state)
{
    (void)state;
    pfn_t first;
    new_map(ROOM, 8 * MIB);
    usable(0, 16 * MIB);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_int_equal(bootmap_take(&map, 7 * MIB / PAGE + 1, 0, 0, OWNER_EARLY, &first),
                     MEM_NO_FRAME);
    assert_int_equal(bootmap_take(&map, 1, 0, MIB + PAGE - 1, OWNER_EARLY, &first), MEM_NO_FRAME);
    assert_int_equal(bootmap_take(&map, 1, 0, MIB + PAGE, OWNER_EARLY, &first), MEM_OK);
    assert_int_equal(first.v, MIB / PAGE);
    assert_int_equal(bootmap_take(&map, 7 * MIB / PAGE - 1, 0, 0, OWNER_EARLY, &first), MEM_OK);
    assert_int_equal(first.v, MIB / PAGE + 1);
    assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_EARLY, &first), MEM_NO_FRAME);
}

/* Rounding the start of the last range up would wrap: such a range is passed over. */
static void alignment_at_the_top(void **state)
{
    (void)state;
    pfn_t first = PFN(7);
    new_map(ROOM, 0);
    usable(UINT64_MAX - 4 * PAGE + 1, 4 * PAGE);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_int_equal(bootmap_take(&map, 1, 3, 0, OWNER_EARLY, &first), MEM_NO_FRAME);
    assert_int_equal(first.v, 7);
    assert_int_equal(bootmap_take(&map, 5, 0, 0, OWNER_EARLY, &first), MEM_NO_FRAME);
    assert_int_equal(bootmap_take(&map, SIZE_MAX, 0, 0, OWNER_EARLY, &first), MEM_NO_FRAME);
    if (pfn_paddr(PFN_NONE).v >> 12 == PFN_NONE.v) /* 32 bits: nobody can name a frame there */
        assert_int_equal(bootmap_take(&map, 4, 2, 0, OWNER_EARLY, &first), MEM_NO_FRAME);
    else
        assert_int_equal(bootmap_take(&map, 4, 2, 0, OWNER_EARLY, &first), MEM_OK);
}

/* ---- giving back ---------------------------------------------------------------------------- */

static enum mem_err give(size_t first, size_t frames, enum frame_owner owner)
{
    return bootmap_give(&map, PFN(MIB / PAGE + first), frames, owner);
}

/*  taken   [eeee|tt]     from 1 MiB on, e early, t tables
 *  given      [e]        and then [t), (e], the rest
 */
static void what_was_taken_early_goes_back(void **state)
{
    (void)state;
    pfn_t first;
    new_map(ROOM, 0);
    usable(0, 16 * MIB);
    assert_int_equal(give(0, 1, OWNER_EARLY), MEM_NOT_INIT);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_int_equal(bootmap_take(&map, 4, 0, 0, OWNER_EARLY, &first), MEM_OK);
    assert_int_equal(bootmap_take(&map, 2, 0, 0, OWNER_TABLE, &first), MEM_OK);
    struct bootmap_totals all = bootmap_totals(&map);
    assert_int_equal(give(0, 0, OWNER_EARLY), MEM_BAD_ARG);
    assert_int_equal(give(0, 1, OWNER_NONE), MEM_BAD_ARG);
    assert_int_equal(give(0, 1, OWNER_COUNT), MEM_BAD_ARG);
    assert_int_equal(give(0, SIZE_MAX, OWNER_EARLY),
                     sizeof(size_t) == 8 ? MEM_BAD_ARG : MEM_NOT_HELD);
    assert_int_equal(give((vword_t)0 - 257, 2, OWNER_EARLY), MEM_NOT_HELD);
    assert_int_equal(give(0, 5, OWNER_EARLY), MEM_NOT_HELD);
    assert_int_equal(give(4, 1, OWNER_EARLY), MEM_NOT_HELD);
    assert_int_equal(give(-1, 2, OWNER_EARLY), MEM_NOT_HELD);
    assert_int_equal(give(16 * MIB / PAGE, 1, OWNER_EARLY), MEM_NOT_HELD);
    struct bootmap_totals after = bootmap_totals(&map);
    assert_memory_equal(&after, &all, sizeof all);
    assert_int_equal(give(1, 2, OWNER_EARLY), MEM_OK);
    assert_int_equal(give(1, 1, OWNER_EARLY), MEM_NOT_HELD);
    assert_int_equal(give(5, 1, OWNER_TABLE), MEM_OK);
    assert_int_equal(give(3, 1, OWNER_EARLY), MEM_OK);
    const char *broken;
    assert_true(bootmap_holds(&map, &broken));
    assert_true(bootmap_totals(&map).owned_frames[OWNER_EARLY] == 1);
    assert_int_equal(give(4, 1, OWNER_TABLE), MEM_OK);
    assert_int_equal(give(0, 1, OWNER_EARLY), MEM_OK);
    assert_int_equal(map.count, 1);
    bootmap_close(&map);
    assert_int_equal(give(0, 1, OWNER_EARLY), MEM_CLOSED);
}

/* The top of what bytes can say, and a frame whose address they cannot. */
static void nothing_is_held_beyond_the_end(void **state)
{
    (void)state;
    new_map(ROOM, 0);
    usable(0, PAGE);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    pfn_t last = paddr_pfn(PA(UINT64_MAX));
    assert_int_equal(bootmap_give(&map, last, 2, OWNER_EARLY), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, last, 1, OWNER_EARLY), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, PFN(0), 1, OWNER_LOW), MEM_NOT_HELD);
    map.ranges[0] = (struct boot_range){2 * PAGE, 4 * PAGE - 1, RANGE_USABLE, OWNER_LOW};
    assert_int_equal(bootmap_give(&map, PFN(1), 2, OWNER_LOW), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, PFN(1), 1, OWNER_LOW), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, PFN(3), 2, OWNER_LOW), MEM_NOT_HELD);
    map.ranges[0].start = 0;
    map.ranges[0].kind = RANGE_RESERVED; /* with an owner, as it cannot be */
    map.ranges[0].owner = OWNER_LOW;
    assert_int_equal(bootmap_give(&map, PFN(0), 1, OWNER_LOW), MEM_NOT_HELD);
}

static void giving_may_need_room(void **state)
{
    (void)state;
    pfn_t first;
    new_map(4, 0);
    usable(0, 16 * MIB);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_int_equal(bootmap_take(&map, 4, 0, 0, OWNER_EARLY, &first), MEM_OK);
    assert_int_equal(map.count, 3);
    assert_int_equal(give(1, 1, OWNER_EARLY), MEM_FULL);
    map.capacity = 5;
    assert_int_equal(give(1, 1, OWNER_EARLY), MEM_OK);
    assert_int_equal(map.count, 5);
}

/* ---- the invariants, each broken once ------------------------------------------------------- */

static void broken_as(const char *name)
{
    const char *broken;
    assert_false(bootmap_holds(&map, &broken));
    assert_memory_equal(broken, name, 2);
}

/*  [0, 2) usable  [2, 4) reserved  [6, 8) usable, in pages */
static int set_up_three(void **state)
{
    (void)state;
    const char *broken;
    new_map(ROOM, 0);
    usable(0, 2 * PAGE);
    assert_int_equal(bootmap_add(&map, 2 * PAGE, 2 * PAGE, RANGE_RESERVED), MEM_OK);
    usable(6 * PAGE, 2 * PAGE);
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_int_equal(map.count, 3);
    assert_true(bootmap_holds(&map, &broken));
    return 0;
}

static void b1_whole_pages_in_order(void **state)
{
    (void)state;
    map.ranges[1].start++;
    broken_as("B1");
    map.ranges[1].start--;
    map.ranges[1].last--;
    broken_as("B1");
    map.ranges[1].last = map.ranges[1].start - 1; /* empty */
    broken_as("B1");
    map.ranges[1].last = 7 * PAGE - 1; /* into the next */
    broken_as("B1");
    map.ranges[1].last = 6 * PAGE - 1;
    map.ranges[1].kind = RANGE_BAD;
    const char *broken;
    assert_true(bootmap_holds(&map, &broken));
}

static void b2_neighbours_differ(void **state)
{
    (void)state;
    const char *broken;
    map.ranges[1].last = 6 * PAGE - 1;
    assert_true(bootmap_holds(&map, &broken));
    map.ranges[2].kind = RANGE_RESERVED;
    broken_as("B2");
    map.ranges[2].kind = map.ranges[1].kind = RANGE_USABLE;
    map.ranges[0].owner = OWNER_LOW;
    broken_as("B2");
    map.ranges[2].owner = OWNER_KERNEL;
    assert_true(bootmap_holds(&map, &broken));
}

static void b3_only_ram_has_an_owner(void **state)
{
    (void)state;
    const char *broken;
    map.ranges[0].owner = OWNER_LOW;
    assert_true(bootmap_holds(&map, &broken));
    map.ranges[1].owner = OWNER_LOW;
    broken_as("B3");
}

static void b4_the_array_is_not_overrun(void **state)
{
    (void)state;
    const char *broken;
    map.capacity = 3;
    assert_true(bootmap_holds(&map, &broken));
    map.capacity = 2;
    broken_as("B4");
}

#define TEST(name)  cmocka_unit_test(name)
#define THREE(name) cmocka_unit_test_setup(name, set_up_three)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_map_needs_room),
        TEST(nothing_is_owned_before_the_end),
        TEST(room_for_two_more),
        TEST(reservations_are_of_whole_pages),
        TEST(reservations_stop_at_the_top),
        TEST(to_the_top_after_others),
        TEST(half_of_the_last_page_is_no_page),
        TEST(taken_below_the_limit),
        TEST(alignment_at_the_top),
        TEST(what_was_taken_early_goes_back),
        TEST(nothing_is_held_beyond_the_end),
        TEST(giving_may_need_room),
        THREE(b1_whole_pages_in_order),
        THREE(b2_neighbours_differ),
        THREE(b3_only_ram_has_an_owner),
        THREE(b4_the_array_is_not_overrun),
    };
    return cmocka_run_group_tests_name("bootmap corners", tests, NULL, NULL);
}
