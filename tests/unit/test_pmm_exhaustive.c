/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_exhaustive.c - every state of a few cells of RAM x every call, against a model.
 *
 * A map is cut into cells. In a state each cell is free or taken as a whole; all states are visited
 * in Gray code order, one cell changing hands at a time, and in each every call is made with every
 * argument that a cell's border suggests, compared with the model, and undone. What a call leaves
 * behind that no caller sees (hints, stale bits) is therefore carried into the next.
 *
 *   frames   cells of one frame, across a border of words and of blocks
 *   blocks   cells of 1 to 512 frames: words full and empty, blocks whole and broken, chains of
 *            blocks, a hole, what is reserved since boot
 *
 * Each with frames given back directly, and through a cache that keeps them from the trees. With
 * the argument "long" there are 2^20 states of frames (2^16 behind a cache), and every call in
 * every state; else 2^10, and every call in each 37th state of blocks.
 */
#include "pmm_cells.h"

enum { NOBODY = OWNER_COUNT };

static struct pmm_cache cache;
static bool cached, in_full;

/* ---- calls: each compared with the model and undone ------------------------------------------ */

/* The call has changed so many frames, and these. */
static void changed(vword_t frame, vword_t frames, bool to_free)
{
    CHECK(pmm_free_frames(&pmm) == (to_free ? free_frames + frames : free_frames - frames));
    CHECK(pmm_is_free(&pmm, PFN(frame)) == to_free);
    CHECK(pmm_is_free(&pmm, PFN(frame + frames - 1)) == to_free);
}

static enum mem_err give(vword_t frame, vword_t frames)
{
    if (!cached || frames > 1)
        return pmm_free_run(&pmm, PFN(frame), frames, OWNER_TEST);
    return pmm_cache_give(&cache, PFN(frame), OWNER_TEST)
               ? MEM_OK
               : pmm_cache_give_slow(&cache, PFN(frame), OWNER_TEST);
}

static void try_block(void)
{
    const struct pmm_run_request want = {.frames = PMM_BLOCK, .align_log2 = PMM_BLOCK_SHIFT};
    pfn_t first = pmm_alloc_block(&pmm, OWNER_TEST);
    CHECK(pfn_is_none(first) == !there_is(&want));
    if (pfn_is_none(first))
        return;
    CHECK(suits(first.v, &want) && all_are(first.v, PMM_BLOCK, FREE));
    changed(first.v, PMM_BLOCK, false);
    CHECK(give(first.v, PMM_BLOCK) == MEM_OK);
}

static void try_request(const struct pmm_run_request *want)
{
    pfn_t first;
    enum mem_err err = pmm_alloc_run(&pmm, want, OWNER_TEST, &first);
    bool sane = !want->boundary || want->boundary / PAGE >= want->frames;
    CHECK(err == (!sane ? MEM_BAD_ARG : there_is(want) ? MEM_OK : MEM_NO_FRAME));
    if (err)
        return;
    CHECK(suits(first.v, want) && all_are(first.v, want->frames, FREE));
    changed(first.v, want->frames, false);
    CHECK(give(first.v, want->frames) == MEM_OK);
}

/* A single frame; while it is held, blocks are asked for that may have been whole before. */
static void try_alloc(void)
{
    const struct pmm_run_request two_blocks = {.frames = 2 * PMM_BLOCK - 1};
    pfn_t frame = PFN_NONE;
    vword_t lowest = cells[0].start;
    if (!cached)
        frame = pmm_alloc(&pmm, OWNER_TEST);
    else if (!pmm_cache_take(&cache, OWNER_TEST, &frame))
        frame = pmm_cache_take_slow(&cache, OWNER_TEST);
    CHECK(pfn_is_none(frame) == !next_run(&lowest));
    if (pfn_is_none(frame))
        return;
    CHECK(model[frame.v] == FREE && (cached || frame.v == lowest));
    changed(frame.v, 1, false);
    note(frame.v, 1, HELD);
    try_block();
    try_request(&two_blocks);
    CHECK(give(frame.v, 1) == MEM_OK);
    note(frame.v, 1, FREE);
}

/* Runs of 57 frames, one behind another: the ninth would reach one frame into the next block. */
static void try_many(void)
{
    const struct pmm_run_request want = {.frames = 57};
    pfn_t run[10];
    unsigned runs = 0;
    for (; runs < 10 && there_is(&want); runs++) {
        CHECK(pmm_alloc_run(&pmm, &want, OWNER_TEST, &run[runs]) == MEM_OK);
        CHECK(all_are(run[runs].v, 57, FREE));
        note(run[runs].v, 57, HELD);
    }
    if (!cached)
        holds();
    while (runs--) {
        CHECK(give(run[runs].v, 57) == MEM_OK);
        note(run[runs].v, 57, FREE);
    }
}

static enum mem_err expected_of_free(vword_t frame, vword_t frames)
{
    enum mem_err err = MEM_OK;
    for (vword_t i = frame; i < frame + frames; i++) {
        if (model[i] == ABSENT)
            return MEM_OUT_OF_RANGE;
        if (model[i] == RESERVED)
            return MEM_NOT_HELD; /* the first thing that the boot map forbids */
        if (model[i] == FREE)
            err = MEM_NOT_HELD;
    }
    return err;
}

static void try_free(vword_t frame, vword_t frames)
{
    enum mem_err err = give(frame, frames);
    CHECK(err == expected_of_free(frame, frames));
    if (err)
        return;
    changed(frame, frames, true);
    CHECK(pmm_reserve(&pmm, PFN(frame), frames, OWNER_TEST) == MEM_OK);
}

static void try_reserve(vword_t frame, vword_t frames)
{
    enum mem_err err = pmm_reserve(&pmm, PFN(frame), frames, OWNER_TEST);
    bool absent = memchr(model + frame, ABSENT, frames) != NULL;
    CHECK(err == (absent                         ? MEM_OUT_OF_RANGE
                  : all_are(frame, frames, FREE) ? MEM_OK
                                                 : MEM_NOT_HELD));
    if (err)
        return;
    changed(frame, frames, false);
    CHECK(give(frame, frames) == MEM_OK);
}

static void look_at(vword_t frame)
{
    uint64_t frames;
    unsigned owner = model[frame] == RESERVED ? OWNER_KERNEL
                     : model[frame] != HELD   ? OWNER_NONE
                     : PMM_TAGS               ? (unsigned)OWNER_TEST
                                              : (unsigned)NOBODY;
    CHECK(pmm_is_free(&pmm, PFN(frame)) == (model[frame] == FREE));
    CHECK(pmm_owner(&pmm, PFN(frame)) == owner);
    CHECK(pmm_stretch(&pmm, PFN(frame), &frames) == (model[frame] == FREE) && frames > 0);
    for (vword_t i = frame; model[frame] == FREE && i < frame + frames; i++)
        CHECK(model[i] == FREE);
}

/* ---- every call in one state ----------------------------------------------------------------- */

static void try_pairs(void)
{
    for (unsigned from = 0; from < count; from++) {
        look_at(cells[from].start - 1);
        look_at(cells[from].end - 1);
        look_at(cells[from].end);
        for (unsigned to = from; to < count; to++) {
            unsigned offs = cells[to].end - cells[to].start > 1 ? 3 : 1;
            for (unsigned off = 0; off < offs; off++) { /* to the border, one short, one past */
                vword_t start = cells[from].start, frames = cells[to].end - start;
                frames += off == 1 ? (vword_t)-1 : off == 2;
                if (!frames)
                    continue;
                try_free(start, frames);
                try_reserve(start, frames);
            }
        }
        try_free(cells[from].end - 1, 1);
        try_free(cells[from].start - 1, 1);
    }
}

static void try_requests(const size_t *sizes, vword_t middle)
{
    static const unsigned aligns[] = {0, 1, 3, 6, 9, 10};
    for (; *sizes; sizes++) {
        for (unsigned a = 0; a < sizeof aligns / sizeof *aligns; a++) {
            uint64_t border = 1;
            while (border < *sizes)
                border *= 2;
            struct pmm_run_request want = {.frames = *sizes, .align_log2 = aligns[a]};
            try_request(&want);
            want.below = (uint64_t)middle * PAGE;
            try_request(&want);
            want.boundary = border * PAGE;
            try_request(&want);
            want.below = 0;
            try_request(&want);
            want.boundary = border / 2 * PAGE;
            try_request(&want);
        }
    }
}

static void same_as_model(void)
{
    struct pmm_stats s;
    uint64_t longest = 0;
    if (cached)
        pmm_cache_drain(&cache);
    holds();
    pmm_stats(&pmm, &s);
    for (vword_t start = cells[0].start, end; (end = next_run(&start)); start = end)
        longest = end - start > longest ? end - start : longest;
    CHECK(s.free == free_frames && s.largest_run == longest);
}

/* ---- every state ----------------------------------------------------------------------------- */

/* Frame by frame where a cache is in front, so that it gets them. */
static void flip(unsigned c)
{
    vword_t start = cells[c].start, frames = cells[c].end - start;
    if (taken >> c & 1) {
        for (vword_t i = 0; i < (cached ? frames : 1); i++)
            CHECK(give(start + i, cached ? 1 : frames) == MEM_OK);
    } else {
        CHECK(pmm_reserve(&pmm, PFN(start), frames, OWNER_TEST) == MEM_OK);
    }
    taken ^= 1u << c;
    note(start, frames, taken >> c & 1 ? HELD : FREE);
    if (!cached)
        holds();
}

/* RAM in no cell is held throughout. */
static void keep_held(vword_t start, vword_t end)
{
    if (start == end)
        return;
    CHECK(pmm_reserve(&pmm, PFN(start), end - start, OWNER_TEST) == MEM_OK);
    memset(model + start, HELD, end - start);
}

/* Gray code: from state to state one cell changes hands, that of the lowest bit of the count. */
static void every_state(const size_t *sizes, vword_t middle, unsigned stride)
{
    if (cached)
        pmm_cache_init(&cache, &pmm);
    for (unsigned n = 1; n <= 1u << count; n++) {
        if (n % stride == 0) {
            try_alloc();
            try_block();
            try_pairs();
            try_requests(sizes, middle);
            try_many();
            try_alloc();
            same_as_model();
        }
        if (n < 1u << count)
            flip(((unsigned)__builtin_ctz(n) + 5) % count); /* a block's last frame most often */
    }
}

static void begin(bool with_cache)
{
    memset(model, ABSENT, sizeof model);
    count = taken = 0;
    free_frames = 0;
    cached = with_cache;
}

static void frames(bool with_cache)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 8, 11, 12, 20, 21, 0};
    unsigned n = !in_full ? 10 : with_cache ? 16 : 20;
    vword_t first = 0x200 - n / 2;
    begin(with_cache);
    add_owned(0, 0x400, OWNER_NONE);
    start();
    for (unsigned i = 0; i < n; i++)
        cut(first + i, first + i + 1);
    keep_held(0, first);
    keep_held(first + n, 0x400);
    every_state(sizes, 0x203, 1);
}

static void blocks(bool with_cache)
{
    static const size_t sizes[] = {1,   2,   33,  64,   65,   128,  511,  512,  513, 576,
                                   577, 639, 640, 1022, 1023, 1024, 1025, 1536, 0};
    static const vword_t borders[] = {0x180, 0x1c0, 0x200, 0x201, 0x3c0, 0x3ff, 0x400,
                                      0x5ff, 0x600, 0x640, 0x800, 0xa00, 0};
    begin(with_cache);
    add_owned(0x100, 0x80, OWNER_KERNEL);
    add_owned(0x180, 0x880, OWNER_NONE);
    add_owned(0x1000, 0x201, OWNER_NONE);
    for (const vword_t *b = borders; b[1]; b++)
        cut(b[0], b[1]);
    cut(0x1000, 0x1200);
    cut(0x1200, 0x1201);
    start();
    every_state(sizes, 0x7f0, in_full ? 1 : 37);
}

static void every_state_of_frames(void **state)
{
    (void)state;
    frames(false);
}

static void every_state_of_frames_behind_a_cache(void **state)
{
    (void)state;
    frames(true);
}

static void every_state_of_blocks(void **state)
{
    (void)state;
    blocks(false);
}

static void every_state_of_blocks_behind_a_cache(void **state)
{
    (void)state;
    blocks(true);
}

int main(int argc, char **argv)
{
    in_full = argc > 1 && !strcmp(argv[1], "long");
    const struct CMUnitTest tests[] = {
        TEST(every_state_of_frames),
        TEST(every_state_of_frames_behind_a_cache),
        TEST(every_state_of_blocks),
        TEST(every_state_of_blocks_behind_a_cache),
    };
    return cmocka_run_group_tests_name(PMM_TAGS ? "pmm exhaustive with tags" : "pmm exhaustive",
                                       tests, NULL, NULL);
}
