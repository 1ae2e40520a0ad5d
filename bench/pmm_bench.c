/* SPDX-License-Identifier: MIT */
/*
 * pmm_bench.c - the kernel's frame allocator behind the replayer's ABI: one range of usable frames.
 * With -DCACHED each of two threads has a cache in front, and a spin lock guards the rest.
 */
#include <sys/mman.h>

#include <mem/pmm_cache.h>

#define NONE UINT64_MAX

#pragma GCC visibility push(default)
const char *bench_name(void);
int bench_init(uint64_t frames);
uint64_t bench_alloc(void);
void bench_free(uint64_t frame);
uint64_t bench_meta_bytes(void);
uint64_t bench_alloc_contig(uint64_t n, uint64_t align);
void bench_free_contig(uint64_t frame, uint64_t n);
int bench_thread_safe(void);
void bench_thread(int id);
#pragma GCC visibility pop

static struct pmm pmm;
static struct bootmap map;
static struct boot_range range;
static void *metadata;
static size_t metadata_room;

static bool make_room(size_t bytes)
{
    if (bytes <= metadata_room)
        return true;
    metadata = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_NORESERVE, -1, 0);
    metadata_room = metadata == MAP_FAILED ? 0 : bytes;
    return metadata_room != 0;
}

uint64_t bench_meta_bytes(void)
{
    return pmm.metadata_bytes;
}

#ifdef CACHED
static struct pmm_cache caches[2];
static __thread struct pmm_cache *mine __attribute__((tls_model("initial-exec"))) = caches;
static char busy;

static void lock(void)
{
    while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void unlock(void)
{
    __atomic_clear(&busy, __ATOMIC_RELEASE);
}

static void start_caches(void)
{
    pmm_cache_init(&caches[0], &pmm);
    pmm_cache_init(&caches[1], &pmm);
}

const char *bench_name(void)
{
    return "twinpage-cached";
}

int bench_thread_safe(void)
{
    return 1;
}

void bench_thread(int id)
{
    mine = &caches[id];
}

[[gnu::noinline]] static uint64_t alloc_slow(void)
{
    lock();
    pfn_t frame = pmm_cache_take_slow(mine, OWNER_USER);
    unlock();
    return pfn_is_none(frame) ? NONE : frame.v;
}

uint64_t bench_alloc(void)
{
    pfn_t frame;
    return pmm_cache_take(mine, OWNER_USER, &frame) ? frame.v : alloc_slow();
}

[[gnu::noinline]] static void free_slow(pfn_t frame)
{
    lock();
    enum mem_err err = pmm_cache_give_slow(mine, frame, OWNER_USER);
    unlock();
    if (err)
        __builtin_trap();
}

void bench_free(uint64_t frame)
{
    if (!pmm_cache_give(mine, PFN((vword_t)frame), OWNER_USER))
        free_slow(PFN((vword_t)frame));
}
#else
static void start_caches(void)
{
}

const char *bench_name(void)
{
    return "twinpage";
}

int bench_thread_safe(void)
{
    return 0;
}

void bench_thread(int id)
{
    (void)id;
}

uint64_t bench_alloc(void)
{
    pfn_t frame = pmm_alloc(&pmm, OWNER_USER);
    return pfn_is_none(frame) ? NONE : frame.v;
}

void bench_free(uint64_t frame)
{
    if (pmm_free(&pmm, PFN((vword_t)frame), OWNER_USER))
        __builtin_trap();
}
#endif

int bench_init(uint64_t frames)
{
    range = (struct boot_range){0, (frames << PAGE_SHIFT) - 1, RANGE_USABLE, OWNER_NONE};
    map = (struct bootmap){.ranges = &range, .count = 1, .capacity = 1, .finished = true};
    if (!make_room(pmm_metadata_bytes(&map)) ||
        pmm_init(&pmm, &map, metadata, metadata_room) != MEM_OK)
        return 1;
    start_caches();
    return 0;
}

[[gnu::noinline]] static uint64_t alloc_run(uint64_t n, uint64_t align)
{
    static struct pmm_run_request want;
    pfn_t first = PFN_NONE; /* which is the harness's NONE, and stays so when there is no run */
    want.frames = (size_t)n;
    want.align_log2 = (unsigned)bit_lowest((vword_t)align);
    enum mem_err err = pmm_alloc_run(&pmm, &want, OWNER_USER, &first);
    (void)err;
    return first.v;
}

uint64_t bench_alloc_contig(uint64_t n, uint64_t align)
{
    if (n == PMM_BLOCK && align == PMM_BLOCK)
        return pmm_alloc_block(&pmm, OWNER_USER).v;
    return alloc_run(n, align);
}

void bench_free_contig(uint64_t frame, uint64_t n)
{
    if (pmm_free_run(&pmm, PFN((vword_t)frame), (size_t)n, OWNER_USER))
        __builtin_trap();
}
