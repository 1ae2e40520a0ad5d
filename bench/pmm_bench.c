/* SPDX-License-Identifier: MIT */
/*
 * pmm_bench.c - the kernel's frame allocator behind the replayer's ABI: one range of usable frames.
 */
#include <stdlib.h>

#include <mem/pmm.h>

#define NONE UINT64_MAX

const char *bench_name(void);
int bench_init(uint64_t frames);
uint64_t bench_alloc(void);
void bench_free(uint64_t frame);
uint64_t bench_meta_bytes(void);
uint64_t bench_alloc_contig(uint64_t n, uint64_t align);
void bench_free_contig(uint64_t frame, uint64_t n);

static struct pmm pmm;
static struct bootmap map;
static struct boot_range range;
static void *metadata;

const char *bench_name(void)
{
    return "twinpage";
}

int bench_init(uint64_t frames)
{
    range = (struct boot_range){0, (frames << PAGE_SHIFT) - 1, RANGE_USABLE, OWNER_NONE};
    map = (struct bootmap){.ranges = &range, .count = 1, .capacity = 1, .finished = true};
    free(metadata);
    size_t bytes = (pmm_metadata_bytes(&map) + 63) & ~(size_t)63;
    metadata = aligned_alloc(64, bytes);
    return !metadata || pmm_init(&pmm, &map, metadata, bytes) != MEM_OK;
}

uint64_t bench_alloc(void)
{
    pfn_t frame = pmm_alloc(&pmm, OWNER_USER);
    return pfn_is_none(frame) ? NONE : frame.v;
}

void bench_free(uint64_t frame)
{
    if (pmm_free(&pmm, PFN((vword_t)frame), OWNER_USER) != MEM_OK)
        abort();
}

uint64_t bench_meta_bytes(void)
{
    return pmm.metadata_bytes;
}

uint64_t bench_alloc_contig(uint64_t n, uint64_t align)
{
    struct pmm_run_request want = {.frames = (size_t)n,
                                   .align_log2 = (unsigned)__builtin_ctzll(align)};
    pfn_t first;
    return pmm_alloc_run(&pmm, &want, OWNER_USER, &first) == MEM_OK ? first.v : NONE;
}

void bench_free_contig(uint64_t frame, uint64_t n)
{
    if (pmm_free_run(&pmm, PFN((vword_t)frame), (size_t)n, OWNER_USER) != MEM_OK)
        abort();
}
