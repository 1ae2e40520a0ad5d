/* SPDX-License-Identifier: MIT */
/*
 * test_preflight.c - every refusal, by planting what it looks for; and its sentence.
 *
 * A stack of two pages and one page of code are mapped as they should be. Each test spoils one bit,
 * or one word around the tables, asks, and puts it back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <mem/preflight.h>

#include "diag/report_preflight.h"
#include "fake_machine.h"

enum { WIDE = sizeof(void *) == 8, PAGE = 4096, CODE_PA = 0x5000, STACK_PA = 0x8000 };
#define BASE  ((vword_t)(WIDE ? 0xffffd00000000000ull : 0xf0000000u))
#define STACK (BASE + 4 * PAGE)

static const struct preflight_need needs[] = {
    {"code", {BASE}, PAGE, {CODE_PA}, MAP_EXEC, MAP_WRITE, NEED_PAGES},
    {"stack",
     {STACK + 16},
     2 * PAGE - 16,
     {STACK_PA + 16},
     MAP_WRITE,
     WIDE ? MAP_EXEC : 0,
     NEED_PAGES},
    {"guard", {STACK - PAGE}, PAGE, {0}, 0, 0, NEED_ABSENT},
    {"heap", {BASE}, PAGE, {0}, 0, 0, NEED_TOP_ENTRY},
};

static struct aspace as;
static struct preflight flight;
static struct preflight_refusal r;
static char text[256];

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    if (paging_create(&as, true, fake_source, &everything) ||
        map_page(&as, VA(BASE), PA(CODE_PA), MAP_EXEC) ||
        map_range(&as, VA(STACK), PA(STACK_PA), 2 * PAGE, MAP_WRITE))
        return 1;
    flight = (struct preflight){
        .as = &as,
        .controls = {.wp = true, .pse = true, .pae = WIDE, .pge = true, .nxe = WIDE},
        .flushes = true,
        .needs = needs,
        .count = sizeof needs / sizeof needs[0],
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    flight.needs = needs;
    flight.count = sizeof needs / sizeof needs[0];
    assert_true(paging_preflight(&flight, &r));          /* everything was put back */
    assert_int_equal(fake.kmaps, as.leaf.table != NULL); /* the table in hand */
    paging_destroy(&as);
    assert_int_equal(fake.taken_count, 0);
    return 0;
}

static void refuses(enum preflight_reason reason, const char *what, const char *words)
{
    assert_false(paging_preflight(&flight, &r));
    assert_int_equal(r.reason, reason);
    preflight_text(&r, text, sizeof text);
    if (!strstr(text, words) || strncmp(text, what, strlen(what)))
        fail_msg("\"%s\" does not begin with \"%s\" and say \"%s\"", text, what, words);
}

/* Spoils one entry, expects the refusal and the level it blames, and mends it. */
static void spoilt(vword_t va, unsigned level, entry_t flip, enum preflight_reason reason,
                   const char *what, const char *words)
{
    entry_t *e = fake_entry(&as, va, level);
    *e ^= flip;
    refuses(reason, what, words);
    assert_int_equal(r.walk.step[r.step].level, level);
    assert_int_equal(r.index, level_index(va, level));
    *e ^= flip;
}

/* ---- one bit of one entry ------------------------------------------------------------------- */

static void what_is_not_mapped(void **state)
{
    (void)state;
    for (unsigned level = 1; level < LEVELS; level++)
        spoilt(BASE, level, ENTRY_PRESENT, PREFLIGHT_NOT_MAPPED, "code page",
               "has P (bit 0) clear");
    spoilt(STACK + PAGE, 1, ENTRY_PRESENT, PREFLIGHT_NOT_MAPPED, "stack page", "is not mapped");
}

static void what_is_not_allowed(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= LEVELS; level++)
        spoilt(STACK, level, ENTRY_WRITE, PREFLIGHT_NOT_WRITABLE, "stack page", "is not writable");
    for (unsigned level = 1; WIDE && level <= LEVELS; level++)
        spoilt(BASE, level, (entry_t)1 << (WIDE ? 63 : 0), PREFLIGHT_NOT_EXECUTABLE, "code page",
               "has NX (bit 63) set");
}

static void what_is_allowed_and_must_not_be(void **state)
{
    (void)state;
    spoilt(BASE, 1, ENTRY_WRITE, PREFLIGHT_WRITABLE, "code page", "has W (bit 1) set");
    if (WIDE)
        spoilt(STACK, 1, (entry_t)1 << (WIDE ? 63 : 0), PREFLIGHT_EXECUTABLE, "stack page",
               "has NX (bit 63) clear");
    for (unsigned level = 2; level <= LEVELS; level++)
        *fake_entry(&as, BASE, level) |= ENTRY_USER;
    spoilt(BASE, 1, ENTRY_USER, PREFLIGHT_USER, "code page", "has U (bit 2) set");
    assert_true(paging_preflight(&flight, &r)); /* U above alone opens nothing */
}

static void user_code_needs_every_level(void **state)
{
    (void)state;
    static const struct preflight_need user = {"user code",         {BASE}, PAGE,      {CODE_PA},
                                               MAP_USER | MAP_EXEC, 0,      NEED_PAGES};
    flight.needs = &user;
    flight.count = 1;
    for (unsigned level = 1; level <= LEVELS; level++)
        *fake_entry(&as, BASE, level) |= ENTRY_USER;
    for (unsigned level = 1; level <= LEVELS; level++)
        spoilt(BASE, level, ENTRY_USER, PREFLIGHT_NOT_USER, "user code page",
               "has U (bit 2) clear");
    for (unsigned level = 1; level <= LEVELS; level++)
        *fake_entry(&as, BASE, level) &= ~ENTRY_USER;
}

static void reserved_bits(void **state)
{
    (void)state;
    if (WIDE) {
        for (unsigned level = 1; level <= LEVELS; level++)
            spoilt(BASE, level, (entry_t)1 << (WIDE ? 51 : 0), PREFLIGHT_RESERVED_BIT, "code page",
                   "has reserved bit 51 set");
        spoilt(BASE, LEVELS, ENTRY_LARGE, PREFLIGHT_RESERVED_BIT, "code page",
               "has reserved bit 7 set");
    } else {
        spoilt(BASE, 2, *fake_entry(&as, BASE, 2) ^ 0x00200083, PREFLIGHT_RESERVED_BIT, "code page",
               "has reserved bit 21 set");
    }
}

static void wrong_frames(void **state)
{
    (void)state;
    spoilt(BASE, 1, 0x3000, PREFLIGHT_WRONG_FRAME, "code page", "leads to 0x6000, meant is 0x5000");
    spoilt(STACK + PAGE, 1, 0x4000, PREFLIGHT_WRONG_FRAME, "stack page", "meant is 0x9000");
}

static void the_entry_beside(void **state)
{
    (void)state;
    entry_t *e = fake_entry(&as, BASE, LEVELS), was = *e;
    for (int by = -1; by <= 1; by += 2) {
        e[by] = was;
        *e = 0;
        refuses(PREFLIGHT_ONE_ENTRY_OFF, "code page", "holds what belongs here");
        assert_int_equal(r.beside, level_index(BASE, LEVELS) + (unsigned)by);
        *e = was;
        e[by] = 0;
    }
    *e = 0;
    refuses(PREFLIGHT_NOT_MAPPED, "code page", "has P (bit 0) clear");
    *e = was;
}

static void guards_and_top_entries(void **state)
{
    (void)state;
    entry_t *guard = fake_entry(&as, STACK - PAGE, 1);
    *guard = format_leaf(&everything, 1, PA(0x7000), MAP_WRITE);
    refuses(PREFLIGHT_MAPPED, "guard page", "has P (bit 0) set");
    *guard = 0;

    entry_t *top = fake_entry(&as, BASE, LEVELS), was = *top;
    flight.needs = &needs[3];
    flight.count = 1;
    *top = 0;
    refuses(PREFLIGHT_NO_TOP_ENTRY, "heap page", "has P (bit 0) clear");
    *top = was;
    if (WIDE)
        spoilt(BASE, LEVELS, ENTRY_LARGE, PREFLIGHT_RESERVED_BIT, "heap page", "bit 7 set");
}

/* ---- around the tables ---------------------------------------------------------------------- */

static void the_root(void **state)
{
    (void)state;
    struct aspace broken = as;
    flight.as = &broken;
    broken.root = PA(as.root.v + 16);
    refuses(PREFLIGHT_ROOT_MISALIGNED, "top-level table at 0x", "is not aligned to a page");
    broken.root = PA(1ull << 45);
    refuses(PREFLIGHT_ROOT_TOO_HIGH, "top-level table at 0x", "beyond this CPU's physical");
    flight.as = &as;
}

static void control_bits(void **state)
{
    (void)state;
    flight.controls.pae = !WIDE;
    refuses(WIDE ? PREFLIGHT_PAE_CLEAR : PREFLIGHT_PAE_SET, "CR4.PAE (bit 5) is",
            WIDE ? "8-byte entries" : "4-byte entries");
    flight.controls.pae = WIDE;
    flight.controls.wp = false;
    refuses(PREFLIGHT_WP_CLEAR, "CR0.WP (bit 16) is clear", "read-only");
    flight.controls.wp = true;
    if (WIDE) {
        flight.controls.nxe = false;
        refuses(PREFLIGHT_NX_WITHOUT_NXE, "stack page", "EFER.NXE is clear");
        flight.controls.nxe = true;
        return;
    }
    flight.controls.pse = false;
    assert_true(paging_preflight(&flight, &r)); /* nobody uses it */
    spoilt(BASE, 2, ENTRY_LARGE, PREFLIGHT_PS_WITHOUT_PSE, "code page", "CR4.PSE is clear");
    flight.controls.pse = true;
}

static const char *owner_of(void *ctx, pfn_t frame)
{
    const pfn_t *lent = ctx;
    return frame.v == lent->v ? "boot information" : NULL;
}

static void a_foreign_table(void **state)
{
    (void)state;
    pfn_t lent = PFN(0);
    flight.tenant = owner_of;
    flight.ctx = &lent;
    assert_true(paging_preflight(&flight, &r));
    for (unsigned level = 1; level <= LEVELS; level++) {
        lent = level == LEVELS ? paddr_pfn(as.root)
                               : format_table_pfn(*fake_entry(&as, BASE, level + 1));
        refuses(PREFLIGHT_FOREIGN_TABLE, "code page", "lies in the boot information");
        assert_int_equal(r.walk.step[r.step].level, level);
    }
    flight.tenant = NULL;
}

static void not_canonical(void **state)
{
    (void)state;
    static const struct preflight_need hole = {
        .what = "hole", .va = {(vword_t)(1ull << (WIDE ? 48 : 0))}, .bytes = 1};
    flight.needs = &hole;
    flight.count = WIDE;
    if (WIDE)
        refuses(PREFLIGHT_NOT_CANONICAL, "hole page", "is not at a canonical address");
    flight.count = 0;
}

static void a_stale_translation(void **state)
{
    (void)state;
    struct aspace old;
    assert_int_equal(paging_create(&old, true, fake_source, &everything), MEM_OK);
    assert_int_equal(map_page(&old, VA(STACK), PA(0xa000), MAP_WRITE | MAP_GLOBAL), MEM_OK);
    flight.loaded = old.root;
    assert_true(paging_preflight(&flight, &r)); /* the switch flushes all */
    flight.flushes = false;
    refuses(PREFLIGHT_STALE, "stack page", "the TLB keeps the global page at 0xa000");
    flight.controls.pge = false;
    assert_true(paging_preflight(&flight, &r)); /* no global pages then */
    flight.controls.pge = true;
    assert_int_equal(protect_page(&old, VA(STACK), MAP_WRITE), MEM_OK);
    assert_true(paging_preflight(&flight, &r)); /* not global: CR3 drops it */
    flight.loaded = PA(0);
    paging_destroy(&old);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_mapped),
        TEST(what_is_not_allowed),
        TEST(what_is_allowed_and_must_not_be),
        TEST(user_code_needs_every_level),
        TEST(reserved_bits),
        TEST(wrong_frames),
        TEST(the_entry_beside),
        TEST(guards_and_top_entries),
        TEST(the_root),
        TEST(control_bits),
        TEST(a_foreign_table),
        TEST(not_canonical),
        TEST(a_stale_translation),
    };
    return cmocka_run_group_tests_name("preflight", tests, NULL, NULL);
}
