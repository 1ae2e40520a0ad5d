/* SPDX-License-Identifier: MIT */
/* test_pmm_exhaustive.c - every state of a few frames x every call. */
#include "pmm_map.h"

/* ---- every state of a few frames x every call ----------------------------------------------- */

enum { FRAMES = 10, FIRST = 0x1fc }; /* across a word and a 2 MiB border */

/* Frames whose bit is set in `taken` are held by OWNER_TEST. */
static void reach(unsigned taken)
{
    set_up(NULL);
    add(FIRST, FRAMES, RANGE_USABLE, OWNER_NONE);
    start();
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(pmm_alloc(&pmm, OWNER_TEST).v, FIRST + i);
    for (unsigned i = 0; i < FRAMES; i++) {
        if (!(taken >> i & 1))
            assert_int_equal(pmm_free(&pmm, PFN(FIRST + i), OWNER_TEST), MEM_OK);
    }
}

static void is_state(unsigned taken)
{
    holds();
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(pmm_is_free(&pmm, PFN(FIRST + i)), !(taken >> i & 1));
    assert_int_equal(pmm_free_frames(&pmm), FRAMES - (unsigned)__builtin_popcount(taken));
}

static int lowest_run(unsigned taken, unsigned frames, unsigned align)
{
    for (unsigned i = 0; i + frames <= FRAMES; i++) {
        unsigned mask = ((1u << frames) - 1) << i;
        if (!(taken & mask) && (FIRST + i) % (1u << align) == 0)
            return (int)i;
    }
    return -1;
}

static void try_runs(unsigned taken)
{
    for (unsigned frames = 1; frames <= 4; frames++) {
        for (unsigned align = 0; align <= 3; align++) {
            struct pmm_run_request want = {.frames = frames, .align_log2 = align};
            pfn_t first;
            int expected = lowest_run(taken, frames, align);
            enum mem_err err = pmm_alloc_run(&pmm, &want, OWNER_TEST, &first);
            assert_int_equal(err, expected < 0 ? MEM_NO_FRAME : MEM_OK);
            if (err)
                continue;
            assert_int_equal(first.v, FIRST + (unsigned)expected);
            is_state(taken | ((1u << frames) - 1) << expected);
            assert_int_equal(pmm_free_run(&pmm, first, frames, OWNER_TEST), MEM_OK);
            is_state(taken);
        }
    }
}

static void try_frees(unsigned taken)
{
    for (int i = -1; i <= FRAMES; i++) {
        bool inside = i >= 0 && i < FRAMES, held = inside && taken >> i & 1;
        enum mem_err err = pmm_free(&pmm, PFN((vword_t)(FIRST + i)), OWNER_TEST);
        assert_int_equal(err, held ? MEM_OK : inside ? MEM_NOT_HELD : MEM_OUT_OF_RANGE);
        is_state(held ? taken & ~(1u << i) : taken);
        if (held) {
            assert_int_equal(pmm_reserve(&pmm, PFN((vword_t)(FIRST + i)), 1, OWNER_TEST), MEM_OK);
            is_state(taken);
        } else if (inside) {
            continue;
        }
    }
}

static void try_alloc(unsigned taken)
{
    pfn_t frame = pmm_alloc(&pmm, OWNER_TEST);
    int expected = lowest_run(taken, 1, 0);
    assert_int_equal(pfn_is_none(frame), expected < 0);
    if (expected < 0)
        return;
    assert_int_equal(frame.v, FIRST + (unsigned)expected);
    is_state(taken | 1u << expected);
    assert_int_equal(pmm_free(&pmm, frame, OWNER_TEST), MEM_OK);
}

static void every_state_of_ten_frames(void **state)
{
    (void)state;
    for (unsigned taken = 0; taken < 1u << FRAMES; taken++) {
        reach(taken);
        is_state(taken);
        try_alloc(taken);
        try_runs(taken);
        try_frees(taken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_state_of_ten_frames),
    };
    return cmocka_run_group_tests_name(PMM_TAGS ? "pmm exhaustive with tags" : "pmm exhaustive",
                                       tests, NULL, NULL);
}
