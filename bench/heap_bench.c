/* SPDX-License-Identifier: MIT */
/*
 * heap_bench.c - the kernel's heap behind the trace replayer's ABI: growth counts pages of an
 * arena.
 */
#include <mem/heap.h>

#pragma GCC visibility push(default)
const char *bench_name(void);
int bench_init(void *arena, size_t bytes);
void *bench_alloc(size_t size);
void *bench_aligned(size_t align, size_t size);
void *bench_realloc(void *block, size_t size);
void bench_free(void *block);
size_t bench_footprint(void);
#pragma GCC visibility pop

static struct heap heap;

static bool grow(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    (void)at;
    (void)bytes;
    return true; /* heap_stats.mapped does the counting */
}

static void shrink(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    (void)at;
    (void)bytes;
}

const char *bench_name(void)
{
    return "twinpage";
}

int bench_init(void *arena, size_t bytes)
{
    static const struct heap_ops ops = {.grow = grow, .shrink = shrink};
    heap = (struct heap){0};
    return heap_init(&heap, arena, bytes, &ops) != MEM_OK;
}

/* The replayer writes a word into every block it times: also into those of one to three bytes. */
[[gnu::noinline]] static void *alloc_word(void)
{
    return heap_alloc(&heap, 4, __builtin_return_address(0));
}

void *bench_alloc(size_t size)
{
    return size < 4 ? alloc_word() : heap_alloc(&heap, size, __builtin_return_address(0));
}

void *bench_aligned(size_t align, size_t size)
{
    return heap_alloc_aligned(&heap, align, size, __builtin_return_address(0));
}

void *bench_realloc(void *block, size_t size)
{
    return heap_realloc(&heap, block, size < 4 ? 4 : size, __builtin_return_address(0));
}

void bench_free(void *block)
{
    (void)heap_free(&heap, block, __builtin_return_address(0));
}

size_t bench_footprint(void)
{
    return heap.stats.mapped + sizeof heap; /* the bins are in there */
}
