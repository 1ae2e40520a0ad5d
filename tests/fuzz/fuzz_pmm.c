/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pmm.c - any map, any calls: the frames handed out are the ones an array says.
 *
 * The input is a map of a few thousand frames, then calls, with and without caches in front, with
 * arguments that a broken caller would use. The model is a byte a frame. After every call the
 * counts agree and the refusals have their names; at the end every frame is looked at, all that is
 * held is given back, and what was free at boot is free again.
 */
#include <mem/pmm_cache.h>

#include "fuzz.h"

enum { SPACE = 2560, RANGES = 16, CACHES = 2, PAGE = 4096, CALLS = 200 };
enum { ABSENT, RESERVED, FREE, HELD };

static uint8_t model[SPACE], at_boot[SPACE];
static struct boot_range ranges[RANGES];
static struct bootmap map;
static struct pmm pmm;
static struct pmm_cache cache[CACHES];
static unsigned caches;
static uint64_t metadata[8192] __attribute__((aligned(64)));
static uint64_t free_frames, held_frames;

/* ---- the model ------------------------------------------------------------------------------ */

static unsigned state_of(uint64_t frame)
{
    return frame < SPACE ? model[frame] : ABSENT;
}

static bool all_are(uint64_t frame, uint64_t frames, unsigned state)
{
    if (frame >= SPACE || frames > SPACE - frame)
        return false;
    for (uint64_t i = 0; i < frames; i++) {
        if (model[frame + i] != state)
            return false;
    }
    return true;
}

static void set(uint64_t frame, uint64_t frames, unsigned state)
{
    uint64_t by = state == FREE ? frames : -frames;
    memset(model + frame, (int)state, frames);
    free_frames += by;
    held_frames -= by;
}

static bool suits(uint64_t frame, const struct pmm_run_request *want)
{
    uint64_t border = want->boundary / PAGE, end = frame + want->frames;
    return frame % (1ull << want->align_log2) == 0 && (!want->below || end * PAGE <= want->below) &&
           (!border || frame / border == (end - 1) / border);
}

static bool has_run(const struct pmm_run_request *want)
{
    uint64_t run = 0;
    for (uint64_t end = 1; end <= SPACE; end++) {
        run = model[end - 1] == FREE ? run + 1 : 0;
        if (run >= want->frames && suits(end - want->frames, want))
            return true;
    }
    return false;
}

static void agrees(void)
{
    const char *broken;
    for (unsigned i = 0; i < caches; i++)
        pmm_cache_drain(&cache[i]);
    CLAIM(pmm_holds(&pmm, &broken), "%s", broken);
    CLAIM(pmm_free_frames(&pmm) == free_frames, "free frames");
    uint64_t frames;
    for (uint64_t i = 0; i < SPACE; i += frames) {
        bool is_free = pmm_stretch(&pmm, PFN((vword_t)i), &frames);
        CLAIM(pmm_is_free(&pmm, PFN((vword_t)i)) == is_free, "frame %llx", (unsigned long long)i);
        for (uint64_t j = i; j < i + frames && j < SPACE; j++)
            CLAIM((model[j] == FREE) == is_free, "frame %llx", (unsigned long long)j);
    }
}

/* ---- the map -------------------------------------------------------------------------------- */

static void make_map(struct choices *c)
{
    static const unsigned lengths[] = {1, 2, 31, 32, 33, 63, 64, 65, 511, 512, 513, 1024};
    unsigned frame = pick8(c) % 4 * 128, n = 1 + pick8(c) % (RANGES - 1);
    memset(model, ABSENT, sizeof model);
    map = (struct bootmap){.ranges = ranges, .capacity = RANGES, .finished = true};
    free_frames = held_frames = 0;
    for (; n && frame < SPACE; n--) {
        uint8_t how = pick8(c), what = pick8(c);
        unsigned frames = how & 0x80 ? lengths[how % 12] : 1 + how;
        frames = frames < SPACE - frame ? frames : SPACE - frame;
        bool usable = what & 7, mine = usable && (what & 7) != 1;
        ranges[map.count++] = (struct boot_range){
            (uint64_t)frame * PAGE, (uint64_t)(frame + frames) * PAGE - 1,
            usable ? RANGE_USABLE : RANGE_RESERVED, usable && !mine ? OWNER_KERNEL : OWNER_NONE};
        memset(model + frame, mine ? FREE : usable ? RESERVED : ABSENT, frames);
        free_frames += mine ? frames : 0;
        frame += frames + (what & 8 ? what >> 4 : 0);
    }
    memcpy(at_boot, model, sizeof model);
}

static bool start(struct choices *c)
{
    make_map(c);
    uint8_t how = pick8(c);
    caches = how % (CACHES + 1);
    memset(metadata, how, sizeof metadata);
    size_t need = pmm_metadata_bytes(&map);
    CLAIM(need <= sizeof metadata, "%zu bytes", need);
    enum mem_err err = pmm_init(&pmm, &map, metadata, need);
    bool usable = memchr(model, FREE, SPACE) || memchr(model, RESERVED, SPACE);
    CLAIM(err == (usable ? MEM_OK : MEM_NO_FRAME), "%s", mem_err_name(err));
    for (unsigned i = 0; i < caches; i++)
        pmm_cache_init(&cache[i], &pmm);
    return !err;
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* Mostly a frame of the map; else one that a broken caller might name. */
static vword_t pick_frame(struct choices *c)
{
    uint16_t n = pick16(c);
    static const vword_t odd[] = {~(vword_t)0, ~(vword_t)0 - 1, ~(vword_t)0 / 2, SPACE};
    return n >= 0xff00   ? odd[n % 4]
           : n >= 0xfe00 ? (vword_t)1 << n % (8 * sizeof(vword_t))
                         : n % SPACE;
}

static size_t pick_frames(struct choices *c)
{
    static const size_t sizes[] = {0, 64, 512, 513, 1024, 1500, SIZE_MAX, SIZE_MAX / 2};
    uint8_t n = pick8(c);
    return n & 0x80 ? sizes[n % 8] : n % 48;
}

static void call_alloc(struct choices *c, unsigned through)
{
    enum frame_owner owner = pick8(c) < 250 ? OWNER_USER : OWNER_KERNEL;
    pfn_t frame;
    if (through >= caches)
        frame = pmm_alloc(&pmm, owner);
    else if (!pmm_cache_take(&cache[through], owner, &frame))
        frame = pmm_cache_take_slow(&cache[through], owner);
    if (owner == OWNER_KERNEL) {
        CLAIM(pfn_is_none(frame), "a frame for an owner from boot");
        return;
    }
    if (pfn_is_none(frame)) {
        CLAIM(!free_frames, "none of %llu", (unsigned long long)free_frames);
        return;
    }
    CLAIM(state_of(frame.v) == FREE, "frame %zx is not free", (size_t)frame.v);
    CLAIM(caches || !memchr(model, FREE, frame.v), "frame %zx is not the lowest", (size_t)frame.v);
    set(frame.v, 1, HELD);
}

static void call_free(struct choices *c, unsigned through)
{
    vword_t frame = pick_frame(c);
    enum mem_err err, expected[] = {MEM_OUT_OF_RANGE, MEM_NOT_HELD, MEM_NOT_HELD, MEM_OK};
    if (through >= caches)
        err = pmm_free(&pmm, PFN(frame), OWNER_USER);
    else if (pmm_cache_give(&cache[through], PFN(frame), OWNER_USER))
        err = MEM_OK;
    else
        err = pmm_cache_give_slow(&cache[through], PFN(frame), OWNER_USER);
    CLAIM(err == expected[state_of(frame)], "%s for frame %zx, state %u", mem_err_name(err),
          (size_t)frame, state_of(frame));
    if (!err)
        set(frame, 1, FREE);
}

static void call_run(struct choices *c)
{
    uint8_t how = pick8(c);
    struct pmm_run_request want = {.frames = pick_frames(c)};
    want.align_log2 = how & 1 ? pick8(c) % 80 : 0;
    want.below = how & 2 ? (uint64_t)pick_frame(c) * PAGE + (how & 4 ? 1 : 0) : 0;
    want.boundary = how & 8 ? 1ull << pick8(c) % 64 : how & 16 ? pick32(c) : 0;
    bool power = !(want.boundary & (want.boundary - 1));
    pfn_t first = PFN(77);
    enum mem_err err = pmm_alloc_run(&pmm, &want, OWNER_USER, &first);
    if (err) {
        CLAIM(first.v == 77, "an error with an answer");
        bool odd = !want.frames || want.align_log2 >= 8 * sizeof(vword_t) - PAGE_SHIFT || !power ||
                   (want.boundary && want.boundary / PAGE < want.frames);
        CLAIM(err == (odd ? MEM_BAD_ARG : MEM_NO_FRAME), "%s", mem_err_name(err));
        CLAIM(odd || !has_run(&want), "a run of %zu is there", want.frames);
        return;
    }
    CLAIM(want.frames && power, "%zu frames", want.frames);
    CLAIM(all_are(first.v, want.frames, FREE), "%zu at %zx", want.frames, (size_t)first.v);
    CLAIM(suits(first.v, &want), "%zx is no answer", (size_t)first.v);
    set(first.v, want.frames, HELD);
}

static void call_block(void)
{
    struct pmm_run_request want = {.frames = PMM_BLOCK, .align_log2 = PMM_BLOCK_SHIFT};
    bool there = has_run(&want);
    pfn_t first = pmm_alloc_block(&pmm, OWNER_USER);
    CLAIM(pfn_is_none(first) == !there, "block");
    if (!there)
        return;
    CLAIM(first.v % PMM_BLOCK == 0 && all_are(first.v, PMM_BLOCK, FREE), "%zx", (size_t)first.v);
    set(first.v, PMM_BLOCK, HELD);
}

/* All of it, or nothing and a word why. */
static void call_range(struct choices *c, bool free)
{
    vword_t frame = pick_frame(c);
    size_t frames = pick_frames(c);
    bool good = frames && all_are(frame, frames, free ? HELD : FREE);
    enum mem_err err = free ? pmm_free_run(&pmm, PFN(frame), frames, OWNER_USER)
                            : pmm_reserve(&pmm, PFN(frame), frames, OWNER_USER);
    if (good)
        CLAIM(err == MEM_OK, "%s", mem_err_name(err));
    else if (!frames)
        CLAIM(err == MEM_BAD_ARG, "%s", mem_err_name(err));
    else
        CLAIM(err == MEM_NOT_HELD || err == MEM_OUT_OF_RANGE, "%s", mem_err_name(err));
    if (good)
        set(frame, frames, free ? FREE : HELD);
}

static void call(struct choices *c)
{
    uint8_t what = pick8(c);
    switch (what % 8) {
    case 0:
    case 1:
        for (unsigned n = what & 0x80 ? what >> 1 & 63 : 1; n; n--)
            call_alloc(c, what >> 4 & 3);
        break;
    case 2:
    case 3:
        call_free(c, what >> 4 & 3);
        break;
    case 4:
        call_run(c);
        break;
    case 5:
        if (what & 0x80)
            call_block();
        else if (caches)
            pmm_cache_drain(&cache[what >> 4 & 1 & (caches - 1)]);
        break;
    default:
        call_range(c, what & 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct choices c = {data, data + bytes};
    if (!start(&c))
        return 0;
    for (unsigned n = 0; n < CALLS && more(&c); n++) {
        call(&c);
        CLAIM(pmm_free_frames(&pmm) == free_frames, "free frames");
    }
    agrees();
    for (vword_t i = 0; i < SPACE; i++) {
        if (model[i] == HELD)
            CLAIM(pmm_free(&pmm, PFN(i), OWNER_USER) == MEM_OK, "frame %zx", (size_t)i);
    }
    free_frames += held_frames;
    held_frames = 0;
    memcpy(model, at_boot, sizeof model);
    agrees();
    return 0;
}
