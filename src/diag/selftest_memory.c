/* SPDX-License-Identifier: MIT */
/* selftest_memory.c - frames, page tables and heap, through their public headers, on the machine.
 */
#include "diag/selftest.h"

#include <mem/kmalloc.h>
#include <mem/kmap.h>

#include "arch/trap.h"
#include "diag/console.h"
#include "diag/json.h"
#include "diag/refuse.h"
#include "diag/report.h"
#include "kernel.h"
#include "kernel_space.h"
#include "layout.h"
#include "lib/string.h"

/* Far from what boot maps, at a table boundary: the last pages of the device window. */
#define TEST_VA VA((vword_t)(MMIO_START + MMIO_BYTES - (8u << 20)))

/* From the frame allocator itself, past its cache. */
static pfn_t take_frame(void)
{
    pfn_t frame = pmm_alloc(&kernel.pmm, OWNER_TEST);
    if (pfn_is_none(frame) || !refuse_this())
        return frame;
    return pmm_free(&kernel.pmm, frame, OWNER_TEST) ? frame : PFN_NONE;
}

static enum mem_err frames_come_and_go(void)
{
    uint64_t before = pmm_free_frames(&kernel.pmm);
    pfn_t a = take_frame(), b = take_frame();
    bool both = !pfn_is_none(a) && !pfn_is_none(b);
    EXPECT(!both || (a.v != b.v && pmm_free_frames(&kernel.pmm) == before - 2));
    EXPECT(pfn_is_none(a) || pmm_free(&kernel.pmm, a, OWNER_TEST) == MEM_OK);
    EXPECT(pfn_is_none(a) || pmm_free(&kernel.pmm, a, OWNER_TEST) == MEM_NOT_HELD);
    EXPECT(pfn_is_none(b) || pmm_free(&kernel.pmm, b, OWNER_TEST) == MEM_OK);
    EXPECT(pmm_free_frames(&kernel.pmm) == before);
    return both ? MEM_OK : MEM_NO_FRAME;
}

static enum mem_err reserved_frames_stay(void)
{
    paddr_t pa;
    uint64_t before = pmm_free_frames(&kernel.pmm);
    EXPECT(translate(&kernel.aspace, ptr_vaddr((const void *)&kernel), &pa) == MEM_OK);
    EXPECT(pmm_free(&kernel.pmm, paddr_pfn(pa), OWNER_TEST) == MEM_NOT_HELD);
    EXPECT(pmm_free(&kernel.pmm, PFN(0), OWNER_TEST) != MEM_OK);
    EXPECT(pmm_free(&kernel.pmm, PFN_NONE, OWNER_TEST) == MEM_OUT_OF_RANGE);
    EXPECT(pmm_free_frames(&kernel.pmm) == before);
    return MEM_OK;
}

/* Below 16 MiB; where a large machine's metadata fills those, below 4 GiB. */
static enum mem_err take_low_run(struct pmm_run_request *want, pfn_t *first)
{
    want->below = 16 << 20;
    enum mem_err err = pmm_alloc_run(&kernel.pmm, want, OWNER_TEST, first);
    if (err == MEM_NO_FRAME) {
        want->below = 4ull << 30;
        err = pmm_alloc_run(&kernel.pmm, want, OWNER_TEST, first);
    }
    if (err || !refuse_this())
        return err;
    err = pmm_free_run(&kernel.pmm, *first, want->frames, OWNER_TEST);
    return err ? err : MEM_NO_FRAME;
}

static enum mem_err runs_are_aligned_and_limited(void)
{
    struct pmm_run_request want = {.frames = 8, .align_log2 = 3};
    pfn_t first;
    enum mem_err err = take_low_run(&want, &first);
    if (err)
        return err;
    EXPECT(first.v % 8 == 0 && (uint64_t)(first.v + 8) << PAGE_SHIFT <= want.below);
    EXPECT(pmm_free_run(&kernel.pmm, first, 8, OWNER_TEST) == MEM_OK);
    want = (struct pmm_run_request){.frames = SIZE_MAX};
    EXPECT(pmm_alloc_run(&kernel.pmm, &want, OWNER_TEST, &first) != MEM_OK);
    want.frames = 0;
    EXPECT(pmm_alloc_run(&kernel.pmm, &want, OWNER_TEST, &first) == MEM_BAD_ARG);
    return MEM_OK;
}

static enum mem_err window_nests(void)
{
    enum { DEEP = 16 };
    uint8_t *page[DEEP];
    pfn_t frame[DEEP];
    unsigned count = 0;
    for (; count < DEEP && !pfn_is_none(frame[count] = test_frame_take()); count++) {
        page[count] = kmap(frame[count]);
        memset(page[count], (int)count + 1, PAGE_SIZE);
    }
    bool intact = true;
    for (unsigned i = 0; i < count; i++) {
        intact = intact && page[i][0] == i + 1 && page[i][PAGE_SIZE - 1] == i + 1;
        kunmap(page[i]);
        test_frame_give(frame[i]);
    }
    EXPECT(intact);
    return count == DEEP ? MEM_OK : MEM_NO_FRAME;
}

/* `frame` is mapped at TEST_VA and can be written. */
static enum mem_err use_the_page(pfn_t frame)
{
    paddr_t pa;
    EXPECT(map_page(&kernel.aspace, TEST_VA, pfn_paddr(frame), MAP_WRITE) == MEM_MAPPED);
    *(volatile uint32_t *)vaddr_ptr(TEST_VA) = 0x600d600d;
    uint32_t *seen = kmap(frame);
    bool same = *seen == 0x600d600d;
    kunmap(seen);
    EXPECT(same);
    EXPECT(translate(&kernel.aspace, vaddr_add(TEST_VA, 123), &pa) == MEM_OK);
    EXPECT(pa.v == pfn_paddr(frame).v + 123);
    EXPECT(protect_page(&kernel.aspace, TEST_VA, MAP_READ) == MEM_OK);
    EXPECT(probe(PROBE_WRITE, TEST_VA, NULL) && !probe(PROBE_READ, TEST_VA, NULL));
    EXPECT(unmap_page(&kernel.aspace, TEST_VA, &pa) == MEM_OK && pa.v == pfn_paddr(frame).v);
    EXPECT(probe(PROBE_READ, TEST_VA, NULL));
    EXPECT(unmap_page(&kernel.aspace, TEST_VA, NULL) == MEM_NOT_MAPPED);
    return MEM_OK;
}

static enum mem_err a_page_is_mapped_and_gone(void)
{
    size_t tables = kernel.aspace.tables;
    pfn_t frame = test_frame_take();
    if (pfn_is_none(frame))
        return MEM_NO_FRAME;
    enum mem_err err = map_page(&kernel.aspace, TEST_VA, pfn_paddr(frame), MAP_WRITE);
    if (!err)
        err = use_the_page(frame);
    EXPECT(kernel.aspace.tables == tables);
    test_frame_give(frame);
    return err;
}

static enum mem_err paging_refuses_nonsense(void)
{
    struct aspace *as = &kernel.aspace;
    EXPECT(map_page(as, VA(TEST_VA.v + 1), PA(0x100000), 0) == MEM_MISALIGNED);
    EXPECT(map_page(as, TEST_VA, PA(0x100001), 0) == MEM_MISALIGNED);
    EXPECT(map_page(as, TEST_VA, PA(0x100000), MAP_WRITE | MAP_EXEC) == MEM_WX);
    EXPECT(map_page(as, TEST_VA, PA(0x100000), 1u << 30) == MEM_BAD_ARG);
    EXPECT(map_page(as, TEST_VA, PA(1ull << kernel.features.phys_bits), 0) == MEM_OUT_OF_RANGE);
    EXPECT(map_range(as, TEST_VA, PA(0x100000), 0, 0) == MEM_BAD_ARG);
    EXPECT(map_range(as, VA(~(vword_t)0 - PAGE_SIZE + 1), PA(0), 2 * PAGE_SIZE, 0) != MEM_OK);
    EXPECT(unmap_range(as, TEST_VA, PAGE_SIZE) == MEM_NOT_MAPPED);
    EXPECT(protect_page(as, TEST_VA, 0) == MEM_NOT_MAPPED);
    return MEM_OK;
}

static enum mem_err heap_keeps_contents(void)
{
    return heap_exercise(2000, 9000, 0x7715a9e5);
}

static enum mem_err heap_grows_and_gives_back(void)
{
    struct heap_stats before, now;
    heap_stats(&kernel.heap, &before);
    size_t much = 1 << 20, room = (size_t)pmm_free_frames(&kernel.pmm) / 4 * PAGE_SIZE;
    size_t bytes = much < room ? much : room; /* on the smallest machines a quarter of all */
    uint8_t *block = kmalloc(bytes);
    if (!block)
        return MEM_NO_FRAME;
    memset(block, 0xa5, bytes);
    uint8_t *more = krealloc(block, bytes + 5000);
    block = more ? more : block;
    bool intact = block[0] == 0xa5 && block[bytes - 1] == 0xa5;
    kfree(block);
    heap_stats(&kernel.heap, &now);
    EXPECT(intact);
    EXPECT(now.used == before.used && now.blocks == before.blocks);
    EXPECT(bytes < much || now.shrunk > before.shrunk || now.mapped == before.mapped);
    return more ? MEM_OK : MEM_NO_FRAME;
}

static enum mem_err heap_refuses_nonsense(void)
{
    struct heap_stats before, now;
    heap_stats(&kernel.heap, &before);
    EXPECT(!kmalloc(0) && !kmalloc(SIZE_MAX) && !kmalloc(SIZE_MAX - 15));
    EXPECT(!kcalloc(SIZE_MAX / 2, 3) && !kmalloc_aligned(3, 16) && !kmalloc_aligned(0, 16));
    uint8_t *zeroed = kcalloc(10, 10), *aligned = kmalloc_aligned(4096, 100);
    EXPECT(!zeroed || (!zeroed[0] && !zeroed[99] && kmalloc_usable_size(zeroed) >= 100));
    EXPECT(ptr_vaddr(aligned).v % 4096 == 0);
    bool both = zeroed && aligned;
    kfree(zeroed);
    kfree(aligned);
    heap_stats(&kernel.heap, &now);
    EXPECT(now.used == before.used && now.blocks == before.blocks);
    return both ? MEM_OK : MEM_NO_FRAME;
}

const struct selftest selftests_memory[] = {
    {"frames come and go, a double free is refused", frames_come_and_go},
    {"reserved and foreign frames cannot be freed", reserved_frames_stay},
    {"runs are aligned and below their limit", runs_are_aligned_and_limited},
    {"the physical window nests", window_nests},
    {"a page is mapped and unmapped; its table is gone", a_page_is_mapped_and_gone},
    {"paging refuses nonsense by name", paging_refuses_nonsense},
    {"the heap keeps contents through 2000 random calls", heap_keeps_contents},
    {"the heap grows and gives back", heap_grows_and_gives_back},
    {"the heap refuses nonsense", heap_refuses_nonsense},
    {NULL, NULL},
};

enum { SLOTS = 64 };

static uint32_t random_next(uint32_t *state) /* xorshift32 */
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static bool filled_with(const uint8_t *block, size_t size, uint8_t byte)
{
    for (size_t i = 0; i < size; i++) {
        if (block[i] != byte)
            return false;
    }
    return true;
}

enum mem_err heap_exercise(unsigned ops, size_t large, uint32_t seed)
{
    uint8_t *block[SLOTS] = {0};
    size_t size[SLOTS] = {0};
    bool intact = true, refused = false;
    for (unsigned i = 0; i < ops + SLOTS && intact; i++) {
        unsigned slot = i < ops ? random_next(&seed) % SLOTS : i - ops; /* at the end: free all */
        if (block[slot])
            intact = filled_with(block[slot], size[slot], (uint8_t)slot);
        size_t want = 1 + random_next(&seed) % (i % 16 ? 300 : (uint32_t)large);
        if (i >= ops || random_next(&seed) % 3 == 0) {
            kfree(block[slot]);
            block[slot] = NULL;
            continue;
        }
        uint8_t *moved = krealloc(block[slot], want);
        if (!moved) {
            refused = true; /* the old block stays as it is */
            continue;
        }
        memset(moved, (int)slot, want);
        block[slot] = moved;
        size[slot] = want;
    }
    EXPECT(intact);
    return refused ? MEM_NO_FRAME : MEM_OK;
}

bool heap_test_command(const struct shell_args *args)
{
    unsigned long long ops = 10000;
    if (args->count > 1 || (args->count == 1 && !shell_number(args->word[0], &ops)) || !ops ||
        ops > 100000000)
        return report_error("heap_test", args, "usage: heap_test [OPS], 1 to 100000000");
    enum mem_err err = heap_exercise((unsigned)ops, 9000, 0x7715a9e5);
    const char *broken = "";
    bool holds = heap_check(&kernel.heap, &broken);
    bool passed = holds && (!err || err == MEM_NO_FRAME);
    if (args->json) {
        struct json j;
        json_begin(&j, "heap_test");
        json_number(&j, "ops", ops);
        json_bool(&j, "passed", passed);
        json_finish(&j);
    } else if (!passed) {
        kprintf("  %llu random calls: %sFAILED: %s%s\n", ops, colour(RED),
                holds ? mem_err_name(err) : broken, colour(PLAIN));
    } else {
        kprintf("  %llu random calls: %scontents and invariants hold%s\n", ops, colour(GREEN),
                colour(PLAIN));
    }
    return passed;
}
