/* SPDX-License-Identifier: MIT */
/*
 * test_oom_boot.c - starting with too little: every frame of every step missing, RAM of every size,
 * boot map arrays of every size.
 *
 * A step that fails answers by name and leaves what came before as it was, to the byte: the boot
 * map's ranges under page tables that could not be built, frames and tables under a heap that could
 * not start. Tried again with frames it succeeds, and the ledger is exact to the frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <mem/kmalloc.h>

#include "oom_stack.h"

enum { FRAMES = 1500, POINTS_MAX = 400, ODD_SIZES = 70 };

static void must(enum mem_err err)
{
    if (err)
        oom_failed(oom_doing, 0, mem_err_name(err));
}

static enum outcome outcome_of(enum mem_err err, bool happened)
{
    CHECK(!err || (err == MEM_NO_FRAME && happened));
    return err ? REFUSED : happened ? SURVIVED : UNTOUCHED;
}

/* All that there is goes to the heap and comes back. */
static void live_a_little(void)
{
    void *last = NULL, *p;
    remember();
    for (size_t size = 64 << 10; size > 8; size /= 2) {
        while ((p = kmalloc(size))) {
            *(void **)p = last;
            last = p;
        }
    }
    check_everything();
    for (; last; last = p) {
        p = *(void **)last;
        kfree(last);
    }
    heap_trim(&stack.heap);
    check_nothing_changed();
    check_everything();
}

/* ---- the kernel's page tables ---------------------------------------------------------------- */

static enum outcome tables_missing(const void *what, enum way way, unsigned n)
{
    static struct boot_range before[MAP_ROOM];
    (void)what;
    oom_doing = "page tables before the frame allocator";
    fake_reset();
    must(start_map(FRAMES, MAP_ROOM));
    struct bootmap map = stack.map;
    memcpy(before, stack.ranges, sizeof before);

    plan_failure(way, n);
    enum mem_err err = start_space();
    enum outcome outcome = outcome_of(err, end_failure());
    CHECK(fake.kmaps == (stack.as.leaf.table != NULL));
    if (err) {
        CHECK(map.count == stack.map.count);
        CHECK(memcmp(before, stack.ranges, map.count * sizeof before[0]) == 0);
        must(start_space());
    }
    must(start_frames());
    must(start_heap());
    check_everything();
    return outcome;
}

/* ---- the heap -------------------------------------------------------------------------------- */

static enum outcome heap_pages_missing(const void *what, enum way way, unsigned n)
{
    (void)what;
    oom_doing = "the first pages of the heap";
    fake_reset();
    must(start_map(FRAMES, MAP_ROOM));
    must(start_space());
    must(start_frames());
    remember();

    plan_failure(way, n);
    enum mem_err err = start_heap();
    enum outcome outcome = outcome_of(err, end_failure());
    if (err) {
        check_nothing_changed();
        must(start_heap());
    }
    check_everything();
    live_a_little();
    return outcome;
}

/* ---- little RAM ------------------------------------------------------------------------------ */

static enum outcome started(enum mem_err err)
{
    if (err)
        return REFUSED;
    check_everything();
    live_a_little();
    return UNTOUCHED;
}

static enum outcome boot_with_frames(const void *what, enum way way, unsigned n)
{
    (void)what, (void)way;
    oom_doing = "boot with little RAM";
    enum mem_err err = start_all(n);
    CHECK(!err || err == MEM_NO_FRAME);
    return started(err);
}

static enum outcome boot_with_room(const void *what, enum way way, unsigned n)
{
    (void)what, (void)way;
    oom_doing = "boot with a small array for the map";
    fake_reset();
    const char *broken;
    enum mem_err err = start_map(FRAMES, n);
    bool space = !err && (err = start_space()) == MEM_OK;
    if (!err)
        err = start_frames();
    CHECK(!err || err == MEM_FULL || (err == MEM_NO_FRAME && !space));
    CHECK(!stack.map.finished || bootmap_holds(&stack.map, &broken));
    return started(err ? err : start_heap());
}

/* ---- the tests ------------------------------------------------------------------------------- */

typedef enum outcome point(const void *what, enum way way, unsigned n);

/* Points until one is untouched; how many there were before it. */
static unsigned every_point(point *run, enum way way)
{
    for (unsigned n = 1; n < POINTS_MAX; n++) {
        int outcome = in_child(run, NULL, way, n);
        assert_in_range(outcome, REFUSED, UNTOUCHED);
        if (outcome == UNTOUCHED)
            return n - 1;
    }
    fail();
    return 0;
}

static void both_ways(const char *what, point *run, unsigned least)
{
    unsigned once = every_point(run, ONCE), always = every_point(run, ALWAYS);
    print_message("%s: %u points once, %u from then on\n", what, once, always);
    assert_true(once >= least && always >= least);
}

static void page_tables_before_the_frame_allocator(void **state)
{
    (void)state;
    both_ways("page tables", tables_missing, 5);
}

static void the_heap_does_not_start(void **state)
{
    (void)state;
    both_ways("heap", heap_pages_missing, 16);
}

/* Too few, then just enough, then every size after that. */
static void ram_of_every_size(void **state)
{
    (void)state;
    unsigned least = every_point(boot_with_frames, ONCE);
    print_message("RAM: %u sizes are too small; %u more\n", least, ODD_SIZES);
    assert_true(least >= 16);
    for (unsigned n = least + 1; n <= least + ODD_SIZES; n++)
        assert_int_equal(in_child(boot_with_frames, NULL, ONCE, n), UNTOUCHED);
    for (unsigned n = 500; n < 1900; n += 211)
        assert_int_equal(in_child(boot_with_frames, NULL, ONCE, n), UNTOUCHED);
}

static void maps_of_every_size(void **state)
{
    (void)state;
    unsigned small = every_point(boot_with_room, ONCE);
    print_message("boot map: %u arrays are too small\n", small);
    assert_true(small >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_tables_before_the_frame_allocator),
        cmocka_unit_test(the_heap_does_not_start),
        cmocka_unit_test(ram_of_every_size),
        cmocka_unit_test(maps_of_every_size),
    };
    return cmocka_run_group_tests_name("oom_boot", tests, NULL, NULL);
}
