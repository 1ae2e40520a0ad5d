/* SPDX-License-Identifier: MIT */
#include "oom_stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mem/frames.h>
#include <mem/kmalloc.h>
#include <mem/kmap.h>
#include <platform.h>

#include "layout.h"
#include "physmap.h"

struct stack stack;
uint8_t heap_window[HEAP_WINDOW] __attribute__((aligned(4096)));

/* What physmap_kmap.c adopts: a frame of the image. */
__asm__(".globl kmap_table; kmap_table = 0xc0000000 + (0x100 + 40) * 4096");
const char *oom_doing = "starting";

/* A child that looks for leaks takes longer for it than for its test. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* ---- failures -------------------------------------------------------------------------------- */

const char *const way_names[WAYS] = {"once", "from then on", "with the last frames"};

static struct {
    unsigned at; /* 0: none planned */
    bool always;
    unsigned asked;
    bool happened;
} plan;

enum frame_owner owners[FAKE_FRAMES];
static enum frame_owner held[FAKE_FRAMES]; /* frames that LAST holds    */

static bool fails(void)
{
    plan.asked++;
    bool now = plan.at && (plan.always ? plan.asked >= plan.at : plan.asked == plan.at);
    plan.happened = plan.happened || now;
    return now;
}

static void note(pfn_t frame, enum frame_owner from, enum frame_owner to)
{
    CHECK(frame.v - FAKE_FIRST < FAKE_FRAMES);
    CHECK(owners[frame.v - FAKE_FIRST] == from);
    owners[frame.v - FAKE_FIRST] = to;
}

static pfn_t take(void *ctx)
{
    enum frame_owner owner = (enum frame_owner)(uintptr_t)ctx;
    pfn_t frame = fails() ? PFN_NONE : frames_take(owner);
    if (pfn_is_none(frame))
        plan.happened = true;
    else
        note(frame, OWNER_NONE, owner);
    return frame;
}

static void give(void *ctx, pfn_t frame)
{
    enum frame_owner owner = (enum frame_owner)(uintptr_t)ctx;
    note(frame, owner, OWNER_NONE);
    CHECK(frames_give(frame, owner) == MEM_OK);
}

static struct frame_source source(enum frame_owner owner)
{
    return (struct frame_source){take, give, (void *)(uintptr_t)owner};
}

static pfn_t take_early(void *ctx)
{
    pfn_t frame;
    if (fails() || bootmap_take(ctx, 1, 0, 0, OWNER_TABLE, &frame)) {
        plan.happened = true;
        return PFN_NONE;
    }
    note(frame, OWNER_NONE, OWNER_TABLE);
    return frame;
}

static void give_early(void *ctx, pfn_t frame)
{
    enum mem_err err = bootmap_give(ctx, frame, 1, OWNER_TABLE);
    CHECK(!err || (err == MEM_FULL && stack.map.capacity < MAP_ROOM));
    if (!err)
        note(frame, OWNER_TABLE, OWNER_NONE);
}

/* LAST takes frames away for real: no failure is made up. */
void plan_failure(enum way way, unsigned n)
{
    memset(&plan, 0, sizeof plan);
    plan.always = way == ALWAYS;
    plan.at = way == LAST ? 0 : n;
    while (way == LAST && frames_free() >= n) {
        pfn_t frame = frames_take(OWNER_TEST);
        note(frame, OWNER_NONE, OWNER_TEST);
        held[frame.v - FAKE_FIRST] = OWNER_TEST;
    }
}

bool end_failure(void)
{
    plan.at = 0;
    for (unsigned i = 0; i < FAKE_FRAMES; i++) {
        if (!held[i])
            continue;
        held[i] = OWNER_NONE;
        give((void *)OWNER_TEST, PFN(FAKE_FIRST + i));
    }
    return plan.happened;
}

/* ---- starting -------------------------------------------------------------------------------- */

void physmap_init(vaddr_t window, void *table, size_t entries)
{
    (void)window;
    (void)table;
    (void)entries;
}

void platform_load_root(paddr_t root)
{
    (void)root;
}

paddr_t platform_root(void)
{
    return PA(0);
}

static void claim(size_t first, size_t frames, enum frame_owner owner)
{
    for (size_t i = first; i < first + frames; i++)
        note(PFN(i), OWNER_NONE, owner);
}

/*  [low][ image ][        `frames` frames        ]..hole..[ reserved ]  */
enum mem_err start_map(size_t frames, size_t room)
{
    struct bootmap *map = &stack.map;
    uint64_t first = (uint64_t)FAKE_FIRST << 12;
    enum mem_err err = bootmap_init(map, stack.ranges, room, 0);
    if (!err)
        err = bootmap_add(map, 0, 0x9fc00, RANGE_USABLE);
    if (!err)
        err = bootmap_add(map, first, (IMAGE_FRAMES + frames) << 12, RANGE_USABLE);
    if (!err)
        err = bootmap_add(map, 0xfffc0000, 0x40000, RANGE_RESERVED);
    if (!err)
        err = bootmap_finish(map);
    if (!err)
        err = bootmap_reserve(map, 0, 1 << 20, OWNER_LOW);
    if (!err)
        err = bootmap_reserve(map, first, IMAGE_FRAMES << 12, OWNER_KERNEL);
    if (!err)
        claim(FAKE_FIRST, IMAGE_FRAMES, OWNER_KERNEL);
    return err;
}

#define PINNED                                                                                     \
    (8 * LARGE) /* of each window: enough for what is mapped there, and quick to compare */

enum mem_err start_space(void)
{
    struct aspace *as = &stack.as;
    vaddr_t image = VA((vword_t)(KERNEL_OFFSET + ((vword_t)FAKE_FIRST << 12)));
    paddr_t pa = PA((uint64_t)FAKE_FIRST << 12), end = paddr_add(pa, IMAGE_FRAMES / 2 * PAGE);
    size_t half = (size_t)IMAGE_FRAMES / 2 * PAGE;
    stack.early = (struct frame_source){take_early, give_early, &stack.map};
    enum mem_err err = paging_create(as, true, stack.early, &everything);
    if (err)
        return err;
    err = map_range(as, image, pa, half, MAP_EXEC | MAP_GLOBAL);
    if (!err)
        err = map_range(as, vaddr_add(image, half), end, half, MAP_WRITE | MAP_GLOBAL);
    if (!err)
        err = physmap_build(as, &stack.map, pa, end);
    if (!err)
        err = paging_pin(as, VA((vword_t)HEAP_START), PINNED);
    if (!err)
        err = paging_pin(as, ptr_vaddr(heap_window), HEAP_WINDOW);
    if (!err)
        err = paging_pin(as, VA((vword_t)MMIO_START), PINNED);
    if (!err)
        mmio_init(&stack.mmio, as, VA((vword_t)MMIO_START), PINNED);
    else
        paging_destroy(as);
    return err;
}

enum { RANGES_TO_COME = 4 }; /* as in kernel.c */

enum mem_err start_frames(void)
{
    size_t bytes = pmm_metadata_bytes(&stack.map) + RANGES_TO_COME * PMM_BYTES_PER_RANGE;
    size_t frames = (bytes + PAGE - 1) / PAGE;
    pfn_t first;
    void *seen;
    enum mem_err err = bootmap_take(&stack.map, frames, 0, 0, OWNER_PMM, &first);
    if (err)
        return err;
    claim(first.v, frames, OWNER_PMM);
    if (!physmap.shows_all)
        err = map_mmio(&stack.mmio, pfn_paddr(first), frames * PAGE, MAP_WRITE, "pmm", &seen);
    if (err)
        return err;
    bootmap_close(&stack.map);
    err = pmm_init(&stack.pmm, &stack.map, fake.ram[first.v - FAKE_FIRST], frames * PAGE);
    if (!err)
        err = frames_init(&stack.pmm);
    stack.tables = stack.as.source = source(OWNER_TABLE);
    stack.pages = source(OWNER_HEAP);
    stack.frames = source(OWNER_TEST);
    return err;
}

static void report(const struct heap_report *r)
{
    oom_failed("heap", 0, heap_fault_name(r->fault));
}

enum mem_err start_heap(void)
{
    enum mem_err err = kmalloc_init(&stack.heap, &stack.as, &stack.pages, ptr_vaddr(heap_window),
                                    HEAP_WINDOW, report);
    stack.heap_started = !err;
    return err;
}

enum mem_err start_all(size_t frames)
{
    fake_reset();
    enum mem_err err = start_map(frames, MAP_ROOM);
    if (!err)
        err = start_space();
    if (!err)
        err = start_frames();
    return err ? err : start_heap();
}

void oom_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: %s: not true: %s\n", file, line, oom_doing, condition);
    exit(1);
}

/* ---- children -------------------------------------------------------------------------------- */

int in_child(enum outcome (*run)(const void *what, enum way way, unsigned n), const void *what,
             enum way way, unsigned n)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        exit(run(what, way, n));
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}
