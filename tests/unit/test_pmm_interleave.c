/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_interleave.c - another CPU between any two instructions of the frame allocator.
 *
 * A cache takes and gives frames without the frame lock (pmm_cache.h). Here one call of the
 * allocator runs with the trap flag set (SDM 3A 17.3.1.4), so that a signal comes after every
 * instruction; after the n-th, "the other CPU" makes its call in the handler, and the rest runs on.
 * For every n, until the call is over before it: all places where a cache can come between. Then
 * the frames must add up and no frame may have been given to two.
 */
#define _GNU_SOURCE /* REG_EFL */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <signal.h>
#include <ucontext.h>

#include <cmocka.h>

#include <mem/pmm_cache.h>

enum { PAGE = 4096, FIRST = 0x400, BLOCK = 512, BLOCKS = 4, FRAMES = BLOCKS * BLOCK };

static struct boot_range ranges[2];
static struct bootmap map;
static struct pmm pmm;
static struct pmm_cache cache;
static uint64_t metadata[1 << 12] __attribute__((aligned(64)));

/* Who has what, told by the calls' results alone. */
static unsigned char owner[FRAMES];
static vword_t held;

static void got(pfn_t first, vword_t frames)
{
    for (vword_t i = first.v - FIRST; frames--; i++) {
        assert_true(i < FRAMES);
        assert_int_equal(owner[i], 0);
        owner[i] = 1;
        held++;
    }
}

static void gone(pfn_t first, vword_t frames)
{
    for (vword_t i = first.v - FIRST; frames--; i++) {
        assert_int_equal(owner[i], 1);
        owner[i] = 0;
        held--;
    }
}

/* ---- one step at a time --------------------------------------------------------------------- */

static volatile unsigned steps, stop_at;
static unsigned places; /* where the other CPU came between */
static void (*other)(void);

enum { TRAP_FLAG = 0x100, LOCK_PREFIX = 0xf0, INSTRUCTION = sizeof(void *) == 8 ? 16 : 14 };

/* Long calls: only before the instructions that decide who was first. */
static bool locked_only;

static void on_step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (locked_only && *(const unsigned char *)registers[INSTRUCTION] != LOCK_PREFIX)
        return;
    if (++steps != stop_at)
        return;
    registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    other();
}

/* From the next instruction on; the handler ends it, or stop_stepping. */
[[gnu::noinline]] static void start_stepping(void)
{
    vword_t flags;
    __asm__ volatile("pushf\n\tpop %0\n\tor $0x100, %0\n\tpush %0\n\tpopf"
                     : "=&r"(flags)::"memory", "cc");
}

[[gnu::noinline]] static void stop_stepping(void)
{
    vword_t flags;
    __asm__ volatile("pushf\n\tpop %0\n\tand $~0x100, %0\n\tpush %0\n\tpopf"
                     : "=&r"(flags)::"memory", "cc");
}

/* ---- a small machine, the same each time ---------------------------------------------------- */

static void build(void)
{
    memset(metadata, 0xa7, sizeof metadata);
    memset(owner, 0, sizeof owner);
    held = 0;
    ranges[0] = (struct boot_range){FIRST * PAGE, (FIRST + FRAMES) * PAGE - 1, RANGE_USABLE, 0};
    map = (struct bootmap){.ranges = ranges, .count = 1, .capacity = 2, .finished = true};
    assert_int_equal(pmm_init(&pmm, &map, metadata, sizeof metadata), MEM_OK);
    pmm_cache_init(&cache, &pmm);
}

static void take_cached(void)
{
    pfn_t frame;
    if (!pmm_cache_take(&cache, OWNER_USER, &frame))
        frame = pmm_cache_take_slow(&cache, OWNER_USER);
    if (!pfn_is_none(frame))
        got(frame, 1);
}

static void give_cached(pfn_t frame)
{
    gone(frame, 1);
    if (!pmm_cache_give(&cache, frame, OWNER_USER))
        assert_int_equal(pmm_cache_give_slow(&cache, frame, OWNER_USER), MEM_OK);
}

static void check(void)
{
    const char *broken;
    pmm_cache_drain(&cache);
    if (!pmm_holds(&pmm, &broken))
        fail_msg("%s, after step %u", broken, stop_at);
    assert_true(pmm_free_frames(&pmm) == FRAMES - held);
    for (vword_t i = 0; i < FRAMES; i++)
        assert_int_equal(pmm_is_free(&pmm, PFN(FIRST + i)), !owner[i]);
}

/* ---- what the other CPU does: only what needs no lock --------------------------------------- */

static void other_takes(void)
{
    pfn_t frame;
    if (pmm_cache_take(&cache, OWNER_USER, &frame))
        got(frame, 1);
}

static void other_takes_all(void)
{
    while (cache.count)
        other_takes();
}

static pfn_t theirs; /* a frame that the other CPU has */

static void other_gives(void)
{
    if (pmm_cache_give(&cache, theirs, OWNER_USER))
        gone(theirs, 1);
}

static void other_gives_and_takes(void)
{
    other_gives();
    other_takes();
}

/* ---- states to start from ------------------------------------------------------------------- */

static void take(void)
{
    pfn_t frame = pmm_alloc(&pmm, OWNER_TEST);
    if (!pfn_is_none(frame))
        got(frame, 1);
}

/* A run that cannot be: the allocator asks the caches, and knows what they hold. */
static void tell(void)
{
    pfn_t first;
    struct pmm_run_request nowhere = {.frames = 1, .below = PAGE};
    assert_int_equal(pmm_alloc_run(&pmm, &nowhere, OWNER_TEST, &first), MEM_NO_FRAME);
}

/* The cache has frames of the word that the allocator takes from. */
static void one_word_for_two(void)
{
    take();
    take_cached();
    theirs = PFN(FIRST + 1);
}

/* The allocator's word is its block's last; the next block is the cache's, and the trees know. */
static void next_block_is_cached(void)
{
    pfn_t first;
    struct pmm_run_request all = {.frames = BLOCK};
    assert_int_equal(pmm_alloc_run(&pmm, &all, OWNER_TEST, &first), MEM_OK);
    got(first, BLOCK);
    for (unsigned i = 0; i < BLOCK - 40; i++)
        take_cached();
    theirs = PFN(FIRST + BLOCK);
    tell();
}

/* The allocator's word is used up; all that is free in the next one is the cache's. */
static void next_word_is_cached(void)
{
    for (unsigned i = 0; i < PMM_WORD_BITS; i++)
        take();
    take_cached();
    theirs = PFN(FIRST + PMM_WORD_BITS);
}

/* The allocator's block is whole again, and its first word is the cache's. */
static void own_block_is_whole_and_cached(void)
{
    take();
    gone(PFN(FIRST), 1);
    assert_int_equal(pmm_free(&pmm, PFN(FIRST), OWNER_TEST), MEM_OK);
    take_cached();
    take_cached();
    give_cached(PFN(FIRST));
    give_cached(PFN(FIRST + 1));
    tell();
    other_takes();
    give_cached(PFN(FIRST + 1));
    theirs = PFN(FIRST + 1);
}

/* Runs come from a block whose other frames are the cache's, the next one first. */
static void runs_beside_the_cache(void)
{
    pfn_t first;
    struct pmm_run_request run = {.frames = 3};
    assert_int_equal(pmm_alloc_run(&pmm, &run, OWNER_TEST, &first), MEM_OK);
    got(first, 3);
    take_cached();
    theirs = PFN(FIRST + 3);
}

/* Whole blocks whose last frames stand in the cache: free, and about to be taken. */
static void whole_but_cached(void)
{
    for (unsigned i = 0; i < 70; i++)
        take_cached();
    for (unsigned i = 0; i < 70; i++)
        give_cached(PFN(FIRST + i));
    other_takes();
    for (vword_t i = 0; i < FRAMES; i++) {
        if (owner[i])
            theirs = PFN(FIRST + i);
    }
    pfn_t first;
    struct pmm_run_request run = {.frames = 3};
    assert_int_equal(pmm_alloc_run(&pmm, &run, OWNER_TEST, &first), MEM_OK);
    got(first, 3);
}

/* ---- the call under the lock ---------------------------------------------------------------- */

static struct pmm_run_request want;
static pfn_t first_got;
static enum mem_err error;

static void call_alloc(void)
{
    start_stepping();
    first_got = pmm_alloc(&pmm, OWNER_TEST);
    stop_stepping();
    error = pfn_is_none(first_got) ? MEM_NO_FRAME : MEM_OK;
    want.frames = 1;
}

static void call_run(void)
{
    start_stepping();
    error = pmm_alloc_run(&pmm, &want, OWNER_TEST, &first_got);
    stop_stepping();
}

static void call_block(void)
{
    start_stepping();
    first_got = pmm_alloc_block(&pmm, OWNER_TEST);
    stop_stepping();
    error = pfn_is_none(first_got) ? MEM_NO_FRAME : MEM_OK;
    want.frames = BLOCK;
}

static void call_reserve(void)
{
    first_got = PFN(FIRST + 60);
    want.frames = 20;
    start_stepping();
    error = pmm_reserve(&pmm, first_got, want.frames, OWNER_TEST);
    stop_stepping();
}

/* Runs the call once for each step of it. */
static void at_every_step(void (*prepare)(void), void (*call)(void), void (*between)(void))
{
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, old;
    struct pmm_run_request asked = want;
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGTRAP, &action, &old), 0);
    other = between;
    for (stop_at = 1;; stop_at++) {
        build();
        prepare();
        want = asked;
        steps = 0;
        call();
        if (!error)
            got(first_got, want.frames);
        check();
        if (steps < stop_at)
            break;
    }
    places += stop_at - 1;
    assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
}

static void with_every_other(void (*prepare)(void), void (*call)(void))
{
    static void (*const others[])(void) = {other_takes_all, other_gives_and_takes};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        at_every_step(prepare, call, others[i]);
}

static void single_frames(void **state)
{
    (void)state;
    places = 0;
    locked_only = false;
    with_every_other(one_word_for_two, call_alloc);
    with_every_other(next_block_is_cached, call_alloc);
    with_every_other(next_word_is_cached, call_alloc);
    with_every_other(own_block_is_whole_and_cached, call_alloc);
    locked_only = true;
    with_every_other(whole_but_cached, call_alloc);
    assert_true(places > 100);
}

static void blocks(void **state)
{
    (void)state;
    places = 0;
    locked_only = false;
    with_every_other(one_word_for_two, call_block);
    assert_true(places > 20);
}

static void small_runs(void **state)
{
    (void)state;
    places = 0;
    locked_only = true;
    want = (struct pmm_run_request){.frames = 5};
    with_every_other(one_word_for_two, call_run);
    with_every_other(next_block_is_cached, call_run);
    with_every_other(whole_but_cached, call_run);
    with_every_other(runs_beside_the_cache, call_run);
    want = (struct pmm_run_request){.frames = 40, .align_log2 = 3};
    with_every_other(one_word_for_two, call_run);
    with_every_other(whole_but_cached, call_run);
    assert_true(places > 8);
}

static void long_runs(void **state)
{
    (void)state;
    places = 0;
    locked_only = true;
    want = (struct pmm_run_request){.frames = 3 * BLOCK - 8};
    with_every_other(one_word_for_two, call_run);
    assert_true(places > 8);
}

static void frames_of_ones_choice(void **state)
{
    (void)state;
    places = 0;
    locked_only = true;
    with_every_other(one_word_for_two, call_reserve);
    with_every_other(whole_but_cached, call_reserve);
    assert_true(places > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_frames),
        cmocka_unit_test(blocks),
        cmocka_unit_test(small_runs),
        cmocka_unit_test(long_runs),
        cmocka_unit_test(frames_of_ones_choice),
    };
    return cmocka_run_group_tests_name("pmm interleaved", tests, NULL, NULL);
}
