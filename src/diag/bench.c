/* SPDX-License-Identifier: MIT */
/*
 * bench.c - what a call costs, counted by the time-stamp counter.
 *
 * Under QEMU's -icount shift=0 the counter advances by one for each instruction, so the figures
 * are exact and repeat; elsewhere they are cycles of whatever the counter counts. Each row is
 * `ops` calls in a loop. What the loop costs around a call that is not made (working out the
 * address, noting the answer) is taken off; arguments, call and return are part of the figure.
 */
#include <mem/kmalloc.h>

#include "arch/control.h"
#include "diag/bench.h"
#include "diag/console.h"
#include "diag/json.h"
#include "diag/report.h"
#include "kernel.h"
#include "layout.h"
#include "physmap.h"

enum { OPS = 256, LARGE = 4, RANGE_PAGES = 512, SHORT_PAGES = 64, SHORT_RANGES = 4, TABLE_PAGES = 1024,
       GIBS = 1024 };

/* As in the self-tests: a table boundary far from what boot maps. */
#define BENCH_VA ((vword_t)(MMIO_START + MMIO_BYTES - (16u << 20)))

static pfn_t frames[OPS];
static void *blocks[OPS];
static unsigned trouble; /* any bit set: a call failed */

static vaddr_t page(unsigned i)
{
    return VA(BENCH_VA + ((vword_t)i << PAGE_SHIFT));
}

static void nothing(unsigned i)
{
    __asm__ volatile("" ::"r"(i) : "memory");
}

static void no_page(unsigned i)
{
    enum mem_err err = MEM_OK;
    __asm__ volatile("" : "+r"(err) : "r"(page(i).v) : "memory");
    trouble |= err;
}

static void frame_alloc(unsigned i)
{
    frames[i] = pmm_alloc(&kernel.pmm, OWNER_TEST);
}

static void frame_free(unsigned i)
{
    trouble |= pmm_free(&kernel.pmm, frames[i], OWNER_TEST);
}

static void cached_alloc(unsigned i)
{
    frames[i] = frames_take(OWNER_TEST);
}

static void cached_free(unsigned i)
{
    trouble |= frames_give(frames[i], OWNER_TEST);
}

static void run_alloc(unsigned i)
{
    struct pmm_run_request want = {.frames = 7};
    trouble |= pmm_alloc_run(&kernel.pmm, &want, OWNER_TEST, &frames[i]);
}

static void run_free(unsigned i)
{
    trouble |= pmm_free_run(&kernel.pmm, frames[i], 7, OWNER_TEST);
}

static void large_alloc(unsigned i)
{
    frames[i] = pmm_alloc_block(&kernel.pmm, OWNER_TEST);
    trouble |= pfn_is_none(frames[i]);
}

static void large_free(unsigned i)
{
    trouble |= pmm_free_run(&kernel.pmm, frames[i], PMM_BLOCK, OWNER_TEST);
}

static void page_map(unsigned i)
{
    trouble |= map_page(&kernel.aspace, page(i), PA(0x100000), MAP_WRITE);
}

static void page_unmap(unsigned i)
{
    trouble |= unmap_page(&kernel.aspace, page(i), NULL);
}

/* Two tables, each with one more page, so that it is there before the first and after the last. */
static unsigned turn(unsigned i)
{
    return i / 2 + i % 2 * TABLE_PAGES;
}

static void keep_tables(unsigned i)
{
    page_map(OPS + i + TABLE_PAGES);
    page_map(OPS + i);
}

static void drop_tables(unsigned i)
{
    page_unmap(OPS + i);
    page_unmap(OPS + i + TABLE_PAGES);
}

/* Never in the table of the call before: what a walk costs. */
static void turns_map(unsigned i)
{
    page_map(turn(i));
}

static void turns_unmap(unsigned i)
{
    page_unmap(turn(i));
}

static void page_translate(unsigned i)
{
    paddr_t pa;
    trouble |= translate(&kernel.aspace, page(i), &pa);
}

/* Both ends of the cost of a table: it is made for the first page, and goes with the last. */
static void page_first_and_last(unsigned i)
{
    page_map(i);
    page_unmap(i);
}

static void range_map(unsigned i)
{
    trouble |= map_range(&kernel.aspace, page(i), PA(0x100000), RANGE_PAGES * PAGE_SIZE,
                         MAP_WRITE | MAP_NO_LARGE);
}

static void range_unmap(unsigned i)
{
    trouble |= unmap_range(&kernel.aspace, page(i), RANGE_PAGES * PAGE_SIZE);
}

/* The shortest range that the bound of 8 a page is for. */
static void short_map(unsigned i)
{
    trouble |= map_range(&kernel.aspace, page(i * SHORT_PAGES), PA(0x100000),
                         SHORT_PAGES * PAGE_SIZE, MAP_WRITE);
}

static void short_unmap(unsigned i)
{
    trouble |= unmap_range(&kernel.aspace, page(i * SHORT_PAGES), SHORT_PAGES * PAGE_SIZE);
}

/* The direct map of 1 TiB, in an address space that is never loaded: only its tables are made. */
static struct aspace space;
static struct paging_features features;

static void build_hhdm(bool gib_pages)
{
    features = kernel.features;
    features.gib_pages = gib_pages;
    features.phys_bits = 46;
    trouble |= paging_create(&space, true, kernel.aspace.source, &features);
    if (!trouble)
        trouble |= map_range(&space, VA(physmap.start), PA(0), (size_t)((uint64_t)GIBS << 30),
                             MAP_WRITE | MAP_GLOBAL);
}

static void hhdm_large(unsigned i)
{
    (void)i;
    build_hhdm(true);
}

static void hhdm_medium(unsigned i)
{
    (void)i;
    build_hhdm(false);
}

static void hhdm_drop(unsigned i)
{
    (void)i;
    if (!trouble)
        paging_destroy(&space);
}

static void block_alloc(unsigned i)
{
    blocks[i] = kmalloc(16 + i);
    trouble |= !blocks[i];
}

static void block_free(unsigned i)
{
    kfree(blocks[i]);
}

static const struct {
    const char *name;
    void (*call)(unsigned i);
    unsigned calls, ops; /* ops: what one call counts for, e.g. pages of a range */
    void (*around)(unsigned i); /* what is taken off; NULL: this row only prepares the next */
    enum { ANYWHERE, HHDM, HHDM_TABLES } only; /* where there is an HHDM; and count its tables */
} rows[] = {
    {"pmm_alloc", frame_alloc, OPS, 1, nothing, ANYWHERE},
    {"pmm_free", frame_free, OPS, 1, nothing, ANYWHERE},
    {"pmm_alloc_run, 7 frames", run_alloc, OPS, 1, nothing, ANYWHERE},
    {"pmm_free_run, 7 frames", run_free, OPS, 1, nothing, ANYWHERE},
    {"pmm_alloc_block", large_alloc, LARGE, 1, nothing, ANYWHERE},
    {"pmm_free_run, a block", large_free, LARGE, 1, nothing, ANYWHERE},
    {"frames_take", cached_alloc, OPS, 1, nothing, ANYWHERE},
    {"frames_give", cached_free, OPS, 1, nothing, ANYWHERE},
    {"map_page + unmap_page, a table each", page_first_and_last, OPS, 1, no_page, ANYWHERE},
    {NULL, keep_tables, 1, 1, NULL, ANYWHERE},
    {"map_page", page_map, OPS, 1, no_page, ANYWHERE},
    {"translate", page_translate, OPS, 1, no_page, ANYWHERE},
    {"unmap_page", page_unmap, OPS, 1, no_page, ANYWHERE},
    {"map_range of 64, a page", short_map, SHORT_RANGES, SHORT_PAGES, no_page, ANYWHERE},
    {"unmap_range of 64, a page", short_unmap, SHORT_RANGES, SHORT_PAGES, no_page, ANYWHERE},
    {"map_page, two tables by turns", turns_map, OPS, 1, no_page, ANYWHERE},
    {"unmap_page, two tables by turns", turns_unmap, OPS, 1, no_page, ANYWHERE},
    {NULL, drop_tables, 1, 1, NULL, ANYWHERE},
    {"map_range of 512, a page", range_map, 1, RANGE_PAGES, no_page, ANYWHERE},
    {"unmap_range of 512, a page", range_unmap, 1, RANGE_PAGES, no_page, ANYWHERE},
    {"HHDM in 1 GiB pages, a GiB", hhdm_large, 1, GIBS, nothing, HHDM_TABLES},
    {NULL, hhdm_drop, 1, 1, NULL, HHDM},
    {"HHDM in 2 MiB pages, a GiB", hhdm_medium, 1, GIBS, nothing, HHDM_TABLES},
    {NULL, hhdm_drop, 1, 1, NULL, HHDM},
    {"kmalloc", block_alloc, OPS, 1, nothing, ANYWHERE},
    {"kfree", block_free, OPS, 1, nothing, ANYWHERE},
};

static uint64_t measure(void (*call)(unsigned i), unsigned calls)
{
    uint64_t begin = read_tsc();
    for (unsigned i = 0; i < calls; i++)
        call(i);
    return read_tsc() - begin;
}

static void print_row(const char *name, unsigned ops, uint64_t instructions, size_t tables,
                      bool json)
{
    struct json j;
    if (!json) {
        kprintf("  %-36s %6u calls %9llu counts", name, ops, (unsigned long long)instructions);
        if (tables)
            kprintf(", %zu tables", tables);
        kprintf("\n");
        return;
    }
    json_begin(&j, "bench");
    json_string(&j, "name", name);
    json_number(&j, "ops", ops);
    json_number(&j, "instructions", instructions);
    if (tables)
        json_number(&j, "tables", tables);
    json_finish(&j);
}

static void run_row(unsigned r, bool json)
{
    if (rows[r].only && !physmap.shows_all)
        return;
    uint64_t around = rows[r].around ? measure(rows[r].around, rows[r].calls) : 0;
    uint64_t cost = measure(rows[r].call, rows[r].calls);
    if (rows[r].name)
        print_row(rows[r].name, rows[r].calls * rows[r].ops, cost > around ? cost - around : 0,
                  rows[r].only == HHDM_TABLES && !trouble ? space.tables : 0, json);
}

bool bench_command(const struct shell_args *args)
{
    if (!kernel.cpu.tsc)
        return report_error("bench", args, "this CPU has no time-stamp counter");
    trouble = 0;
    print_row("boot since reset", 1, kernel.ready, 0, args->json);
    print_row("boot, the kernel's part", 1, kernel.ready - kernel.begun, 0, args->json);
    for (unsigned r = 0; r < sizeof rows / sizeof rows[0]; r++)
        run_row(r, args->json);
    return !trouble || report_error("bench", args, "a call failed: out of memory?");
}
