/* SPDX-License-Identifier: MIT */
/*
 * test_kernel_frames.c - the kernel's one frame allocator behind its lock, and the locks' order.
 * The two modules keep static state, so the tests run in the order of the list and build on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mem/frames.h>
#include <mem/lock.h>
#include <platform.h>

#include "panic.h"

enum { PAGE = 4096, FIRST = 0x400, FRAMES = 1024 };

static struct boot_range ranges[1] = {{FIRST * PAGE, (FIRST + FRAMES) * PAGE - 1, RANGE_USABLE, 0}};
static struct bootmap map = {.ranges = ranges, .count = 1, .capacity = 1, .finished = true};
static struct pmm pmm;
static uint64_t metadata[1 << 12] __attribute__((aligned(64)));

/* ---- the machine ---------------------------------------------------------------------------- */

static vword_t interrupts = 1; /* 1: on */

vword_t platform_irq_save(void)
{
    vword_t was = interrupts;
    interrupts = 0;
    return was;
}

void platform_irq_restore(vword_t state)
{
    interrupts = state;
}

/* ---- locks ---------------------------------------------------------------------------------- */

static void interrupts_are_off_inside(void **state)
{
    (void)state;
    struct lock heap = {.name = "heap", .rank = LOCK_HEAP};
    struct lock frames = {.name = "frames", .rank = LOCK_FRAMES};
    lock_take(&heap);
    assert_true(heap.held && !interrupts);
    lock_take(&frames);
    lock_give(&frames);
    assert_true(!frames.held && !interrupts); /* as they were: off, the outer one is held */
    lock_give(&heap);
    assert_true(!heap.held && interrupts);
    lock_take(&frames);
    lock_give(&frames);
    lock_take(&heap);
    lock_give(&heap);
    assert_true(interrupts);
}

static struct lock lower, higher, equal;

static void take_twice(void)
{
    lock_take(&lower);
    lock_take(&lower);
}

static void take_downwards(void)
{
    lock_take(&higher);
    lock_take(&lower);
}

static void take_level(void)
{
    lock_take(&lower);
    lock_take(&equal);
}

static void give_untaken(void)
{
    lock_give(&lower);
}

static void give_the_outer(void)
{
    lock_take(&lower);
    lock_take(&higher);
    lock_give(&lower);
}

/* Runs what must panic, with these words, then gives back all that it took. */
static void panics(void (*misuse)(void), const char *words)
{
    lower = (struct lock){.name = "lower", .rank = LOCK_HEAP};
    equal = (struct lock){.name = "equal", .rank = LOCK_HEAP};
    higher = (struct lock){.name = "higher", .rank = LOCK_FRAMES};
    if (!setjmp(panicked)) {
        misuse();
        fail_msg("no panic: %s", words);
    }
    assert_string_equal(panic_text, words);
    struct lock *all[] = {&higher, &equal, &lower};
    for (unsigned i = 0; i < 3; i++) {
        if (all[i]->held)
            lock_give(all[i]);
    }
    interrupts = 1;
}

static void wrong_orders_panic(void **state)
{
    (void)state;
    panics(take_twice, "lock lower is taken twice");
    panics(take_downwards, "lock lower is taken while higher is held: out of order");
    panics(take_level, "lock equal is taken while lower is held: out of order");
    panics(give_untaken, "lock lower is given back, but none was taken last");
    panics(give_the_outer, "lock lower is given back, but higher was taken last");
}

/* ---- frames --------------------------------------------------------------------------------- */

static void holds(void)
{
    const char *broken;
    if (!pmm_holds(&pmm, &broken))
        fail_msg("%s", broken);
    assert_true(interrupts);
}

static void they_are_joined_once(void **state)
{
    (void)state;
    assert_int_equal(pmm_init(&pmm, &map, metadata, sizeof metadata), MEM_OK);
    assert_int_equal(frames_init(&pmm), MEM_OK);
    assert_int_equal(frames_init(&pmm), MEM_ALREADY_INIT);
    assert_true(frames_free() == FRAMES);
}

static void every_frame_once(void **state)
{
    (void)state;
    static bool seen[FRAMES];
    for (unsigned i = 0; i < FRAMES; i++) {
        pfn_t frame = frames_take(OWNER_TEST);
        assert_true(frame.v - FIRST < FRAMES && !seen[frame.v - FIRST]);
        seen[frame.v - FIRST] = true;
        assert_true(frames_free() == FRAMES - 1 - i);
    }
    assert_true(pfn_is_none(frames_take(OWNER_TEST)));
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(frames_give(PFN(FIRST + i), OWNER_TEST), MEM_OK);
    assert_int_equal(frames_give(PFN(FIRST), OWNER_TEST), MEM_NOT_HELD);
    assert_int_equal(frames_give(PFN(FIRST - 1), OWNER_TEST), MEM_OUT_OF_RANGE);
    assert_true(frames_free() == FRAMES);
    frames_settle();
    holds();
}

static void owners_that_may_not_hold(void **state)
{
    (void)state;
    pfn_t frame = frames_take(OWNER_TEST);
    assert_false(pfn_is_none(frame));
    for (unsigned owner = 0; owner < 2; owner++) {
        enum frame_owner wrong = owner ? OWNER_COUNT : OWNER_KERNEL;
        assert_true(pfn_is_none(frames_take(wrong)));
        assert_int_equal(frames_give(frame, wrong), MEM_BAD_ARG);
    }
    assert_int_equal(frames_give(frame, OWNER_TEST), MEM_OK);
    assert_true(frames_free() == FRAMES);
}

static void runs(void **state)
{
    (void)state;
    pfn_t first = PFN(7), small = frames_take(OWNER_TEST);
    struct pmm_run_request want = {.frames = 512, .align_log2 = 9};
    assert_int_equal(frames_take_run(&want, OWNER_DMA, &first), MEM_OK);
    assert_int_equal(first.v % 512, 0);
    assert_true(frames_free() == FRAMES - 513);
    assert_int_equal(frames_give_run(first, 513, OWNER_DMA), MEM_OUT_OF_RANGE);
    assert_int_equal(frames_give_run(first, 512, OWNER_DMA), MEM_OK);
    want.frames = FRAMES;
    assert_int_equal(frames_take_run(&want, OWNER_DMA, &first), MEM_NO_FRAME);
    assert_int_equal(frames_give(small, OWNER_TEST), MEM_OK);
    assert_int_equal(frames_take_run(&want, OWNER_DMA, &first), MEM_OK); /* the cached ones too */
    assert_int_equal(frames_give_run(first, FRAMES, OWNER_DMA), MEM_OK);
    frames_settle();
    holds();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupts_are_off_inside), cmocka_unit_test(wrong_orders_panic),
        cmocka_unit_test(they_are_joined_once),      cmocka_unit_test(every_frame_once),
        cmocka_unit_test(owners_that_may_not_hold),  cmocka_unit_test(runs),
    };
    return cmocka_run_group_tests_name("kernel frames", tests, NULL, NULL);
}
