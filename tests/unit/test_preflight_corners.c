/* SPDX-License-Identifier: MIT */
/*
 * test_preflight_corners.c - the software walk with lesser CPUs, at both ends of the top-level
 * table, and with a TLB that holds the same page, or almost the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mem/preflight.h>

#include "fake_machine.h"

enum { WIDE = sizeof(void *) == 8, PAGE = 4096 };
#define BASE ((vword_t)(WIDE ? 0xffffd00000000000ull : 0xf0000000u))
#define TOP  ((vword_t)0 - PAGE) /* the last page of all */
#define SPAN ((vword_t)1 << (WIDE ? 39 : 22))

static struct paging_features features;
static struct aspace as;
static struct preflight_need need;
static struct preflight flight;
static struct preflight_refusal r;

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    features = everything;
    features.nx = true; /* on i386 without PAE nobody asks */
    need = (struct preflight_need){"page", {BASE}, PAGE, {0x5000}, 0, 0, NEED_PAGES};
    flight = (struct preflight){
        .as = &as,
        .controls = {.wp = true, .pse = true, .pae = WIDE, .pge = true, .nxe = true},
        .needs = &need,
        .count = 1,
    };
    return paging_create(&as, true, fake_source, &features) != MEM_OK;
}

static int tear_down(void **state)
{
    (void)state;
    paging_destroy(&as);
    assert_int_equal(fake.taken_count, 0);
    assert_int_equal(fake.kmaps, 0);
    return 0;
}

static void map(vword_t va, uint64_t pa, unsigned flags)
{
    assert_int_equal(map_page(&as, VA(va), PA(pa), flags), MEM_OK);
}

static void says(enum preflight_reason reason)
{
    assert_int_equal(paging_preflight(&flight, &r), reason == PREFLIGHT_FINE);
    assert_int_equal(r.reason, reason);
}

/* ---- what the CPU has and has switched on --------------------------------------------------- */

static void write_protection_that_does_not_exist(void **state)
{
    (void)state;
    map(BASE, 0x5000, 0);
    flight.controls.wp = false;
    says(PREFLIGHT_WP_CLEAR);
    features.wp = false; /* a 386 */
    says(PREFLIGHT_FINE);
}

/* NX in an entry: reserved when the CPU has none, reserved when it is not switched on. */
static void execute_disable(void **state)
{
    (void)state;
    map(BASE, 0x5000, 0);
    says(PREFLIGHT_FINE);
    flight.controls.nxe = false;
    says(WIDE ? PREFLIGHT_NX_WITHOUT_NXE : PREFLIGHT_FINE);
    features.nx = false;
    says(WIDE ? PREFLIGHT_RESERVED_BIT : PREFLIGHT_FINE);
    flight.controls.nxe = true;
    says(WIDE ? PREFLIGHT_RESERVED_BIT : PREFLIGHT_FINE);
    *fake_entry(&as, BASE, 1) |= (entry_t)1 << (WIDE ? 45 : 9);
    *fake_entry(&as, BASE, 1) &= ~((entry_t)1 << (8 * sizeof(entry_t) - 1));
    says(WIDE ? PREFLIGHT_RESERVED_BIT : PREFLIGHT_FINE);
    features.nx = true; /* another reserved bit is not blamed on EFER */
    says(WIDE ? PREFLIGHT_RESERVED_BIT : PREFLIGHT_FINE);
}

/* Large pages: long mode always has them; on i386 the CPU and CR4.PSE both have a say. */
static void large_pages(void **state)
{
    (void)state;
    vword_t large = (vword_t)(WIDE ? 2 : 4) << 20;
    assert_int_equal(map_range(&as, VA(BASE), PA(0), large, 0), MEM_OK);
    need.pa = PA(0);
    need.bytes = large;
    says(PREFLIGHT_FINE);
    entry_t *e = fake_entry(&as, BASE, 2), was = *e;
    if (!WIDE) /* now it is a table, and has to be one */
        *e = (entry_t)(FAKE_FIRST + 1) << PAGE_SHIFT | ENTRY_PRESENT | ENTRY_LARGE;
    for (unsigned have = 0; have < 3; have++) {
        flight.controls.pse = have & 1, features.pse = have & 2;
        says(WIDE ? PREFLIGHT_FINE : PREFLIGHT_PS_WITHOUT_PSE);
        assert_true(WIDE || (r.step == 0 && r.bit == 7));
    }
    *e = was & ~ENTRY_PRESENT; /* PS says nothing in an absent entry */
    says(PREFLIGHT_NOT_MAPPED);
    *e = was & ~ENTRY_LARGE & ~ENTRY_PRESENT;
}

/* No step is taken, so none is blamed. */
static void no_canonical_address(void **state)
{
    (void)state;
    if (!WIDE)
        skip();
    need.va = VA((vword_t)1 << (features.virt_bits - 1));
    r.step = r.bit = r.index = 7;
    says(PREFLIGHT_NOT_CANONICAL);
    assert_true(r.step == 0 && r.bit == 0 && r.index == 0);
}

/* ---- the top-level table's two ends --------------------------------------------------------- */

static void nothing_lies_beyond_the_table(void **state)
{
    (void)state;
    for (unsigned end = 0; end < 2; end++) {
        need.va = VA(end ? TOP : PAGE);
        says(PREFLIGHT_NOT_MAPPED);
        vword_t beside = end ? TOP - SPAN : PAGE + SPAN;
        map(beside, 0x5000, 0);
        says(PREFLIGHT_ONE_ENTRY_OFF);
        assert_int_equal(r.beside, level_index(beside, LEVELS));
        assert_int_equal(unmap_page(&as, VA(beside), NULL), MEM_OK);
        vword_t round = end ? PAGE : TOP; /* the first is not beside the last */
        map(round, 0x5000, 0);
        says(PREFLIGHT_NOT_MAPPED);
        assert_int_equal(unmap_page(&as, VA(round), NULL), MEM_OK);
    }
}

static void beside_lies_something_else(void **state)
{
    (void)state;
    map(BASE + SPAN, 0x6000, 0);
    says(PREFLIGHT_NOT_MAPPED);
    map(BASE - SPAN, 0x5000, 0);
    says(PREFLIGHT_ONE_ENTRY_OFF);
    map(BASE + PAGE, 0x5000, 0); /* the way goes further than the top: no more a slip there */
    says(PREFLIGHT_NOT_MAPPED);
}

/* ---- what the TLB may still hold ------------------------------------------------------------ */

/* A switch that flushes nothing: global pages of the old tables must say the same. */
static void the_old_tables_say(void **state)
{
    (void)state;
    static const struct {
        uint64_t pa;
        unsigned flags;
        enum preflight_reason reason;
    } old[] = {
        {0x5000, MAP_WRITE | MAP_GLOBAL, PREFLIGHT_FINE},
        {0x5000, MAP_WRITE | MAP_GLOBAL | MAP_CACHE_WT, PREFLIGHT_FINE},
        {0x6000, MAP_WRITE | MAP_GLOBAL, PREFLIGHT_STALE},
        {0x5000, MAP_GLOBAL, PREFLIGHT_STALE},
        {0x5000, MAP_WRITE | MAP_GLOBAL | MAP_USER, PREFLIGHT_STALE},
        {0x6000, MAP_WRITE, PREFLIGHT_FINE},
    };
    map(BASE, 0x5000, MAP_WRITE | MAP_GLOBAL);
    for (unsigned i = 0; i < sizeof old / sizeof old[0]; i++) {
        struct aspace loaded;
        assert_int_equal(paging_create(&loaded, false, fake_source, &features), MEM_OK);
        flight.loaded = loaded.root;
        says(PREFLIGHT_FINE); /* nothing there */
        assert_int_equal(map_page(&loaded, VA(BASE), PA(old[i].pa), old[i].flags), MEM_OK);
        says(old[i].reason);
        assert_true(old[i].reason == PREFLIGHT_FINE || r.step == LEVELS - 1);
        features.pge = false;
        says(PREFLIGHT_FINE);
        features.pge = true;
        flight.flushes = true;
        says(PREFLIGHT_FINE);
        flight.flushes = false;
        paging_destroy(&loaded);
    }
}

/* Where there is a bit that says so: what is only read from now on could still be executed. */
static void the_old_tables_let_execute(void **state)
{
    (void)state;
    struct aspace loaded;
    map(BASE, 0x5000, MAP_GLOBAL);
    assert_int_equal(paging_create(&loaded, true, fake_source, &features), MEM_OK);
    flight.loaded = loaded.root;
    assert_int_equal(map_page(&loaded, VA(BASE), PA(0x5000), MAP_EXEC | MAP_GLOBAL), MEM_OK);
    says(WIDE ? PREFLIGHT_STALE : PREFLIGHT_FINE);
    paging_destroy(&loaded);
}

/* ---- needs ---------------------------------------------------------------------------------- */

static void every_page_of_a_need(void **state)
{
    (void)state;
    need.va = VA(BASE + 8);
    need.pa = PA(0x5008);
    need.bytes = 2 * PAGE - 8;
    map(BASE, 0x5000, 0);
    says(PREFLIGHT_NOT_MAPPED);
    map(BASE + PAGE, 0x7000, 0);
    says(PREFLIGHT_WRONG_FRAME);
    assert_true(r.meant.v == 0x6000 && r.walk.pa.v == 0x7000);
    assert_int_equal(unmap_page(&as, VA(BASE + PAGE), NULL), MEM_OK);
    map(BASE + PAGE, 0x6000, 0);
    says(PREFLIGHT_FINE);
    need.bytes++;
    says(PREFLIGHT_NOT_MAPPED);
}

static void a_guard_is_absent(void **state)
{
    (void)state;
    need.kind = NEED_ABSENT;
    says(PREFLIGHT_FINE);
    map(BASE, 0x5000, 0);
    says(PREFLIGHT_MAPPED);
    assert_int_equal(r.step, LEVELS - 1);
}

/* Every top-level entry that a need touches is looked at, and none that it does not. */
static void top_entries(void **state)
{
    (void)state;
    need.kind = NEED_TOP_ENTRY;
    need.va = VA(BASE + SPAN - PAGE);
    need.bytes = PAGE + 1;
    map(BASE, 0x5000, 0);
    says(PREFLIGHT_NO_TOP_ENTRY);
    assert_int_equal(r.index, level_index(BASE + SPAN, LEVELS));
    need.bytes = PAGE;
    says(PREFLIGHT_FINE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(write_protection_that_does_not_exist),
        TEST(execute_disable),
        TEST(large_pages),
        TEST(no_canonical_address),
        TEST(nothing_lies_beyond_the_table),
        TEST(beside_lies_something_else),
        TEST(the_old_tables_say),
        TEST(the_old_tables_let_execute),
        TEST(every_page_of_a_need),
        TEST(a_guard_is_absent),
        TEST(top_entries),
    };
    return cmocka_run_group_tests_name("preflight corners", tests, NULL, NULL);
}
