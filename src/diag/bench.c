/* SPDX-License-Identifier: MIT */
/*
 * bench.c - what a call costs, counted by the time-stamp counter.
 *
 * Under QEMU's -icount shift=0 the counter advances by one for each instruction, so the figures
 * are exact and repeat; elsewhere they are cycles of whatever the counter counts. Each row is
 * `ops` calls in a loop, with the loop's own cost taken off.
 */
#include <mem/kmalloc.h>

#include "arch/control.h"
#include "diag/bench.h"
#include "diag/console.h"
#include "diag/json.h"
#include "diag/report.h"
#include "kernel.h"
#include "layout.h"

enum { OPS = 256, LARGE = 4, RANGE_PAGES = 512 };

/* As in the self-tests: a table boundary far from what boot maps. */
#define BENCH_VA ((vword_t)(MMIO_START + MMIO_BYTES - (16u << 20)))

static pfn_t frames[OPS];
static void *blocks[OPS];
static bool good; /* no call failed */

static void nothing(unsigned i)
{
    __asm__ volatile("" ::"r"(i) : "memory");
}

static void frame_alloc(unsigned i)
{
    frames[i] = pmm_alloc(&kernel.pmm, OWNER_TEST);
}

static void frame_free(unsigned i)
{
    good = pmm_free(&kernel.pmm, frames[i], OWNER_TEST) == MEM_OK && good;
}

static void cached_alloc(unsigned i)
{
    frames[i] = frames_take(OWNER_TEST);
}

static void cached_free(unsigned i)
{
    good = frames_give(frames[i], OWNER_TEST) == MEM_OK && good;
}

static void run_alloc(unsigned i)
{
    struct pmm_run_request want = {.frames = 7};
    good = pmm_alloc_run(&kernel.pmm, &want, OWNER_TEST, &frames[i]) == MEM_OK && good;
}

static void run_free(unsigned i)
{
    good = pmm_free_run(&kernel.pmm, frames[i], 7, OWNER_TEST) == MEM_OK && good;
}

static void large_alloc(unsigned i)
{
    frames[i] = pmm_alloc_block(&kernel.pmm, OWNER_TEST);
    good = !pfn_is_none(frames[i]) && good;
}

static void large_free(unsigned i)
{
    good = pmm_free_run(&kernel.pmm, frames[i], PMM_BLOCK, OWNER_TEST) == MEM_OK && good;
}

static void page_map(unsigned i)
{
    vaddr_t va = VA(BENCH_VA + ((vword_t)i << PAGE_SHIFT));
    good = map_page(&kernel.aspace, va, PA(0x100000), MAP_WRITE) == MEM_OK && good;
}

static void page_unmap(unsigned i)
{
    vaddr_t va = VA(BENCH_VA + ((vword_t)i << PAGE_SHIFT));
    good = unmap_page(&kernel.aspace, va, NULL) == MEM_OK && good;
}

static void page_translate(unsigned i)
{
    paddr_t pa;
    vaddr_t va = VA(BENCH_VA + ((vword_t)i << PAGE_SHIFT));
    good = translate(&kernel.aspace, va, &pa) == MEM_OK && good;
}

static void range_map(unsigned i)
{
    (void)i;
    good = map_range(&kernel.aspace, VA(BENCH_VA), PA(0x100000), RANGE_PAGES * PAGE_SIZE,
                     MAP_WRITE | MAP_NO_LARGE) == MEM_OK &&
           good;
}

static void range_unmap(unsigned i)
{
    (void)i;
    good = unmap_range(&kernel.aspace, VA(BENCH_VA), RANGE_PAGES * PAGE_SIZE) == MEM_OK && good;
}

static void block_alloc(unsigned i)
{
    blocks[i] = kmalloc(16 + i);
    good = blocks[i] && good;
}

static void block_free(unsigned i)
{
    kfree(blocks[i]);
}

static const struct {
    const char *name;
    void (*call)(unsigned i);
    unsigned calls, ops; /* ops: what one call counts for, e.g. pages of a range */
} rows[] = {
    {"pmm_alloc", frame_alloc, OPS, 1},
    {"pmm_free", frame_free, OPS, 1},
    {"pmm_alloc_run, 7 frames", run_alloc, OPS, 1},
    {"pmm_free_run, 7 frames", run_free, OPS, 1},
    {"pmm_alloc_block", large_alloc, LARGE, 1},
    {"pmm_free_run, a block", large_free, LARGE, 1},
    {"frames_take", cached_alloc, OPS, 1},
    {"frames_give", cached_free, OPS, 1},
    {"map_page", page_map, OPS, 1},
    {"translate", page_translate, OPS, 1},
    {"unmap_page", page_unmap, OPS, 1},
    {"map_range, a page", range_map, 1, RANGE_PAGES},
    {"unmap_range, a page", range_unmap, 1, RANGE_PAGES},
    {"kmalloc", block_alloc, OPS, 1},
    {"kfree", block_free, OPS, 1},
};

static uint64_t measure(void (*call)(unsigned i), unsigned calls)
{
    uint64_t begin = read_tsc();
    for (unsigned i = 0; i < calls; i++)
        call(i);
    return read_tsc() - begin;
}

static void print_row(const char *name, unsigned ops, uint64_t instructions, bool json)
{
    struct json j;
    if (!json) {
        kprintf("  %-24s %6u calls %9llu counts\n", name, ops, (unsigned long long)instructions);
        return;
    }
    json_begin(&j, "bench");
    json_string(&j, "name", name);
    json_number(&j, "ops", ops);
    json_number(&j, "instructions", instructions);
    json_finish(&j);
}

bool bench_command(const struct shell_args *args)
{
    if (!kernel.cpu.tsc)
        return report_error("bench", args, "this CPU has no time-stamp counter");
    good = true;
    print_row("boot since reset", 1, kernel.ready, args->json);
    print_row("boot, the kernel's part", 1, kernel.ready - kernel.begun, args->json);
    for (unsigned r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        uint64_t loop = measure(nothing, rows[r].calls);
        uint64_t cost = measure(rows[r].call, rows[r].calls);
        print_row(rows[r].name, rows[r].calls * rows[r].ops, cost > loop ? cost - loop : 0,
                  args->json);
    }
    return good || report_error("bench", args, "a call failed: out of memory?");
}
