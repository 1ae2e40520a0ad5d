/* SPDX-License-Identifier: MIT */
/*
 * test_bootmap.c - the rules, drawn; and every arrangement of a few small entries against an array
 * with one kind a quarter page. In the drawings a letter is a page: U usable, R reserved, .
 * nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mem/bootmap.h>

enum { PAGE = 4096, ROOM = 64 };
static const uint64_t MIB = 1 << 20;

static struct boot_range array[ROOM];
static struct bootmap map;

static int set_up(void **state)
{
    (void)state;
    return bootmap_init(&map, array, ROOM, 0) != MEM_OK;
}

static void add(uint64_t start, uint64_t length, enum range_kind kind)
{
    assert_int_equal(bootmap_add(&map, start, length, kind), MEM_OK);
}

static void finish(void)
{
    const char *broken;
    assert_int_equal(bootmap_finish(&map), MEM_OK);
    assert_true(bootmap_holds(&map, &broken));
}

static void is_range(size_t i, uint64_t start, uint64_t last, enum range_kind kind,
                     enum frame_owner owner)
{
    assert_true(i < map.count);
    assert_true(map.ranges[i].start == start && map.ranges[i].last == last);
    assert_int_equal(map.ranges[i].kind, kind);
    assert_int_equal(map.ranges[i].owner, owner);
}

/*  add     [UUUUUUUU]
 *             [RR]          (later, and inside)
 *  map     [UU][RR][UU]
 */
static void reserved_inside_wins(void **state)
{
    (void)state;
    add(0, 8 * PAGE, RANGE_USABLE);
    add(3 * PAGE, 2 * PAGE, RANGE_RESERVED);
    finish();
    assert_int_equal(map.count, 3);
    is_range(0, 0, 3 * PAGE - 1, RANGE_USABLE, OWNER_NONE);
    is_range(1, 3 * PAGE, 5 * PAGE - 1, RANGE_RESERVED, OWNER_NONE);
    is_range(2, 5 * PAGE, 8 * PAGE - 1, RANGE_USABLE, OWNER_NONE);
}

static void two_halves_make_a_frame(void **state)
{
    (void)state;
    add(PAGE + 2048, 2048, RANGE_USABLE);
    add(PAGE, 2048, RANGE_USABLE);
    add(3 * PAGE, 2048, RANGE_USABLE);
    add(3 * PAGE + 2049, 2047, RANGE_USABLE);
    finish();
    assert_int_equal(map.count, 1);
    is_range(0, PAGE, 2 * PAGE - 1, RANGE_USABLE, OWNER_NONE);
}

static void one_byte_spoils_a_frame(void **state)
{
    (void)state;
    add(0, 4 * PAGE, RANGE_USABLE);
    add(PAGE, 1, RANGE_NVS);
    add(3 * PAGE - 1, 1, RANGE_BAD);
    finish();
    assert_int_equal(map.count, 4);
    is_range(1, PAGE, 2 * PAGE - 1, RANGE_NVS, OWNER_NONE);
    is_range(2, 2 * PAGE, 3 * PAGE - 1, RANGE_BAD, OWNER_NONE);
}

static void the_end_of_the_address_space(void **state)
{
    (void)state;
    add(UINT64_MAX - 2 * PAGE + 1, 5 * PAGE, RANGE_USABLE); /* wraps */
    add(0, 0, RANGE_BAD);
    add(0, 1, RANGE_USABLE);
    finish();
    assert_int_equal(map.count, 1);
    assert_int_equal(map.clamped, 1);
    assert_int_equal(map.dropped, 1);
    is_range(0, UINT64_MAX - 2 * PAGE + 1, UINT64_MAX, RANGE_USABLE, OWNER_NONE);
    struct bootmap_totals t = bootmap_totals(&map);
    bool wide = sizeof(pfn_t) == 8; /* else no frame number reaches so far */
    assert_true(t.usable_frames == (wide ? 2 : 0) && t.above_limit_frames == (wide ? 0 : 2));
}

/* What ends with the address space is whole: nothing of it is cut off, and it can be given back. */
static void up_to_the_last_byte(void **state)
{
    (void)state;
    pfn_t last = paddr_pfn(PA(UINT64_MAX - PAGE + 1));
    add(UINT64_MAX - 2 * PAGE + 1, 2 * PAGE, RANGE_USABLE);
    finish();
    assert_int_equal(map.clamped, 0);
    if (sizeof last < 8)
        return;
    assert_int_equal(bootmap_reserve(&map, UINT64_MAX - PAGE + 1, PAGE, OWNER_EARLY), MEM_OK);
    assert_int_equal(bootmap_give(&map, last, 1, OWNER_EARLY), MEM_OK);
    assert_int_equal(map.count, 1);
}

static void nothing_counts_above_the_limit(void **state)
{
    (void)state;
    map.limit = 4ull << 30;
    add(MIB, PAGE, RANGE_USABLE);
    add(8ull << 30, PAGE, RANGE_USABLE);
    finish();
    struct bootmap_totals t = bootmap_totals(&map);
    assert_true(t.usable_frames == 1 && t.above_limit_frames == 1 && t.highest_frame == 0x101);
}

static void the_limit_cuts_the_sums_not_the_map(void **state)
{
    (void)state;
    map.limit = 4ull << 30;
    add((4ull << 30) - 2 * PAGE, 5 * PAGE, RANGE_USABLE);
    finish();
    struct bootmap_totals t = bootmap_totals(&map);
    assert_true(t.usable_frames == 2 && t.above_limit_frames == 3);
    assert_true(t.highest_frame == (4ull << 30) / PAGE);
    assert_int_equal(map.count, 1);
}

enum {
    U = RANGE_USABLE,
    A = RANGE_ACPI,
    P = RANGE_PMEM,
    N = RANGE_NVS,
    R = RANGE_RESERVED,
    X = RANGE_UNKNOWN,
    B = RANGE_BAD,
};
static const uint8_t of_e820[] = {X, U, R, A, N, B, X, P, X, X, X, X, P, X, X, X, X, X, X, X, R};
static const uint8_t of_efi[] = {R, U, U, U, U, R, R, U, B, A, N, R, R, R, P};

static void types_have_kinds(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < 32; type++) {
        assert_int_equal(range_kind_of_e820(type),
                         type < sizeof of_e820 / sizeof *of_e820 ? of_e820[type] : RANGE_UNKNOWN);
        assert_int_equal(range_kind_of_efi(type),
                         type < sizeof of_efi / sizeof *of_efi ? of_efi[type] : RANGE_UNKNOWN);
    }
    assert_int_equal(range_kind_of_e820(0x7fffffff), RANGE_UNKNOWN);
    assert_int_equal(range_kind_of_e820(0xffffffff), RANGE_UNKNOWN);
    assert_string_equal(range_kind_name(RANGE_PMEM), "pmem");
    assert_string_equal(range_kind_name((enum range_kind)99), "unknown");
}

static void no_room_is_told(void **state)
{
    (void)state;
    assert_int_equal(bootmap_init(&map, array, 0, 0), MEM_BAD_ARG);
    assert_int_equal(bootmap_init(&map, array, 3, 0), MEM_OK);
    add(0, PAGE, RANGE_USABLE);
    struct bootmap before = map;
    assert_int_equal(bootmap_add(&map, PAGE, PAGE, RANGE_BAD), MEM_FULL);
    assert_memory_equal(&before, &map, sizeof map);
    finish();
    assert_int_equal(bootmap_add(&map, 0, PAGE, RANGE_BAD), MEM_ALREADY_INIT);
    assert_int_equal(bootmap_finish(&map), MEM_ALREADY_INIT);
}

/* ---- owners and the early allocator --------------------------------------------------------- */

/*  map      [UUUUUUUUUU]RR[UUUU]
 *  reserve        [==============)
 *  left     [UUUU][kkkk]RR[kk][UU]
 */
static void a_reservation_across_a_hole(void **state)
{
    (void)state;
    add(MIB, 10 * PAGE, RANGE_USABLE);
    add(MIB + 10 * PAGE, 2 * PAGE, RANGE_RESERVED);
    add(MIB + 12 * PAGE, 4 * PAGE, RANGE_USABLE);
    finish();
    assert_int_equal(bootmap_reserve(&map, MIB + 6 * PAGE + 1, 8 * PAGE - 2, OWNER_KERNEL), MEM_OK);
    assert_int_equal(map.count, 5);
    is_range(1, MIB + 6 * PAGE, MIB + 10 * PAGE - 1, RANGE_USABLE, OWNER_KERNEL);
    is_range(3, MIB + 12 * PAGE, MIB + 14 * PAGE - 1, RANGE_USABLE, OWNER_KERNEL);
    assert_int_equal(bootmap_reserve(&map, 0, UINT64_MAX, OWNER_MODULE), MEM_OK); /* the rest */
    struct bootmap_totals t = bootmap_totals(&map);
    assert_true(t.owned_frames[OWNER_KERNEL] == 6 && t.owned_frames[OWNER_MODULE] == 8);
    assert_true(t.owned_frames[OWNER_NONE] == 0 && t.usable_frames == 14);
    assert_int_equal(bootmap_reserve(&map, 0, 0, OWNER_MODULE), MEM_OK);
    assert_int_equal(bootmap_reserve(&map, 0, 1, OWNER_NONE), MEM_BAD_ARG);
}

static void taking_the_lowest(void **state)
{
    (void)state;
    pfn_t frame;
    add(0, MIB, RANGE_USABLE); /* below 1 MiB: never taken */
    add(MIB + PAGE, 20 * PAGE, RANGE_USABLE);
    finish();
    assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_TABLE, &frame), MEM_OK);
    assert_int_equal(frame.v, 0x101);
    assert_int_equal(bootmap_take(&map, 4, 2, 0, OWNER_TABLE, &frame), MEM_OK);
    assert_int_equal(frame.v, 0x104);
    assert_int_equal(bootmap_take(&map, 2, 0, 0, OWNER_TABLE, &frame), MEM_OK);
    assert_int_equal(frame.v, 0x102);
    assert_int_equal(bootmap_take(&map, 4, 0, MIB + 11 * PAGE, OWNER_PMM, &frame), MEM_NO_FRAME);
    assert_int_equal(bootmap_take(&map, 3, 0, MIB + 11 * PAGE, OWNER_PMM, &frame), MEM_OK);
    assert_int_equal(frame.v, 0x108);
    assert_int_equal(bootmap_take(&map, 100, 0, 0, OWNER_PMM, &frame), MEM_NO_FRAME);
    assert_int_equal(bootmap_take(&map, 0, 0, 0, OWNER_PMM, &frame), MEM_BAD_ARG);
    assert_int_equal(bootmap_take(&map, 1, 60, 0, OWNER_PMM, &frame), MEM_BAD_ARG);
    assert_int_equal(bootmap_take(&map, SIZE_MAX, 0, 0, OWNER_PMM, &frame), MEM_NO_FRAME);
    struct bootmap_totals t = bootmap_totals(&map);
    assert_true(t.owned_frames[OWNER_TABLE] == 7 && t.owned_frames[OWNER_PMM] == 3);
    bootmap_close(&map);
    assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_PMM, &frame), MEM_CLOSED);
    assert_int_equal(bootmap_reserve(&map, 0, 1, OWNER_LOW), MEM_CLOSED);
}

/*  take    [TTTTTTT]UUU
 *  give      [--]          two pieces more; then its neighbours, and all is one again
 *  left    [TT]UU[TTT]UUU
 */
static void giving_back(void **state)
{
    (void)state;
    pfn_t frame;
    add(MIB, 10 * PAGE, RANGE_USABLE);
    finish();
    assert_int_equal(bootmap_take(&map, 7, 0, 0, OWNER_TABLE, &frame), MEM_OK);
    assert_int_equal(bootmap_give(&map, pfn_add(frame, 2), 2, OWNER_PMM), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, pfn_add(frame, 6), 2, OWNER_TABLE), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, PFN(0xff), 2, OWNER_TABLE), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, PFN(0x10000), 1, OWNER_TABLE), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, frame, 0, OWNER_TABLE), MEM_BAD_ARG);
    assert_int_not_equal(bootmap_give(&map, frame, SIZE_MAX, OWNER_TABLE), MEM_OK);
    assert_int_equal(bootmap_give(&map, frame, 1, OWNER_NONE), MEM_BAD_ARG);
    map.capacity = 3;
    assert_int_equal(bootmap_give(&map, pfn_add(frame, 2), 2, OWNER_TABLE), MEM_FULL);
    map.capacity = 4;
    assert_int_equal(bootmap_give(&map, pfn_add(frame, 2), 2, OWNER_TABLE), MEM_OK);
    is_range(1, MIB + 2 * PAGE, MIB + 4 * PAGE - 1, RANGE_USABLE, OWNER_NONE);
    assert_int_equal(bootmap_give(&map, pfn_add(frame, 2), 2, OWNER_TABLE), MEM_NOT_HELD);
    assert_int_equal(bootmap_give(&map, frame, 2, OWNER_TABLE), MEM_OK);
    assert_int_equal(bootmap_give(&map, pfn_add(frame, 4), 3, OWNER_TABLE), MEM_OK);
    assert_int_equal(map.count, 1);
    bootmap_close(&map);
    assert_int_equal(bootmap_give(&map, frame, 1, OWNER_TABLE), MEM_CLOSED);
}

/* Ranges that were joined leave a copy behind the last one, which must not be taken. */
static void what_lies_behind_the_last_range(void **state)
{
    (void)state;
    pfn_t first, second, all;
    add(MIB, 3 * PAGE, RANGE_USABLE);
    finish();
    assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_EARLY, &first), MEM_OK);
    assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_TABLE, &second), MEM_OK);
    assert_int_equal(bootmap_give(&map, first, 1, OWNER_EARLY), MEM_OK);
    assert_int_equal(bootmap_give(&map, second, 1, OWNER_TABLE), MEM_OK);
    assert_int_equal(map.count, 1);
    assert_int_equal(bootmap_take(&map, 3, 0, 0, OWNER_EARLY, &all), MEM_OK);
    assert_int_equal(bootmap_take(&map, 1, 0, 0, OWNER_EARLY, &all), MEM_NO_FRAME);
}

static void taking_until_nothing_is_left(void **state)
{
    (void)state;
    pfn_t frame;
    unsigned taken = 0;
    for (unsigned i = 0; i < 10; i++)
        add(MIB + i * 3 * PAGE, 2 * PAGE, RANGE_USABLE);
    finish();
    while (bootmap_take(&map, 1, 0, 0, OWNER_TABLE, &frame) == MEM_OK) {
        taken++;
        const char *broken;
        assert_true(bootmap_holds(&map, &broken));
    }
    assert_int_equal(taken, 20);
}

/* A frame number of 32 bits must not name another frame than the one that was taken. */
static void no_frame_beyond_what_a_number_names(void **state)
{
    (void)state;
    pfn_t frame;
    add(1ull << 45, 16 * PAGE, RANGE_USABLE);
    finish();
    enum mem_err err = bootmap_take(&map, 1, 0, 0, OWNER_TABLE, &frame);
    assert_int_equal(err, sizeof frame == 4 ? MEM_NO_FRAME : MEM_OK);
    if (!err)
        assert_true(pfn_paddr(frame).v == 1ull << 45);
}

/* ---- every arrangement of three entries ----------------------------------------------------- */

enum { CELLS = 16, CELL = 1024 }; /* four cells a page */

static void compare_with(const uint8_t *kind_of_cell)
{
    for (unsigned page = 0; page < CELLS / 4; page++) {
        bool usable = true;
        uint8_t worst = 0xff;
        for (unsigned c = 4 * page; c < 4 * page + 4; c++) {
            usable = usable && kind_of_cell[c] == RANGE_USABLE;
            if (kind_of_cell[c] != 0xff && kind_of_cell[c] != RANGE_USABLE &&
                (worst == 0xff || kind_of_cell[c] > worst))
                worst = kind_of_cell[c];
        }
        uint8_t expected = usable ? RANGE_USABLE : worst, found = 0xff;
        for (size_t i = 0; i < map.count; i++) {
            if (map.ranges[i].start <= page * PAGE && map.ranges[i].last >= page * PAGE + PAGE - 1)
                found = (uint8_t)map.ranges[i].kind;
        }
        assert_int_equal(found, expected);
    }
}

static void three(const unsigned *e)
{
    static const enum range_kind kinds[] = {RANGE_USABLE, RANGE_ACPI, RANGE_BAD};
    uint8_t cells[CELLS];
    memset(cells, 0xff, sizeof cells);
    (void)set_up(NULL);
    for (unsigned i = 0; i < 3; i++) {
        unsigned start = e[3 * i], length = e[3 * i + 1];
        uint8_t kind = (uint8_t)kinds[e[3 * i + 2]];
        add(start * CELL, length * CELL, (enum range_kind)kind);
        for (unsigned c = start; c < start + length && c < CELLS; c++) {
            if (cells[c] == 0xff || cells[c] < kind)
                cells[c] = kind;
        }
    }
    finish();
    compare_with(cells);
}

static void every_arrangement(void **state)
{
    (void)state;
    static const unsigned lengths[] = {0, 1, 3, 4, 5, 8};
    unsigned e[9], tried = 0;
    for (e[0] = 0; e[0] < 9; e[0] += 2)
        for (unsigned a = 0; a < 6; a++)
            for (e[3] = 0; e[3] < 8; e[3]++)
                for (unsigned b = 1; b < 6; b++)
                    for (e[6] = 0; e[6] < 8; e[6] += 3)
                        for (unsigned c = 1; c < 6; c++)
                            for (unsigned k = 0; k < 27; k++, tried++) {
                                e[1] = lengths[a], e[4] = lengths[b], e[7] = lengths[c];
                                e[2] = k % 3, e[5] = k / 3 % 3, e[8] = k / 9;
                                three(e);
                            }
    assert_int_equal(tried, 5 * 6 * 8 * 5 * 3 * 5 * 27);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reserved_inside_wins),
        TEST(two_halves_make_a_frame),
        TEST(up_to_the_last_byte),
        TEST(nothing_counts_above_the_limit),
        TEST(what_lies_behind_the_last_range),
        TEST(one_byte_spoils_a_frame),
        TEST(the_end_of_the_address_space),
        TEST(the_limit_cuts_the_sums_not_the_map),
        TEST(types_have_kinds),
        TEST(no_room_is_told),
        TEST(a_reservation_across_a_hole),
        TEST(taking_the_lowest),
        TEST(giving_back),
        TEST(taking_until_nothing_is_left),
        TEST(no_frame_beyond_what_a_number_names),
        TEST(every_arrangement),
    };
    return cmocka_run_group_tests_name("bootmap", tests, NULL, NULL);
}
